# SPDX-License-Identifier: Apache-2.0
"""Sessions in the store: saving and reloading changes nothing, and leaves nothing behind."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address, Device, Text
from e2ecross.errors import (
    DuplicateMessage,
    E2ECrossError,
    RecordCorrupted,
    RemoteError,
    StoreTooNew,
    UnknownPrekey,
)
from e2ecross.protocol.ratchet import count_skipped_keys
from e2ecross.protocol.session_record import NO_SESSIONS, stop_sending_with_all
from e2ecross.state.context import address_key
from e2ecross.state.session_store import (
    drop_damaged_sessions,
    forget_sessions,
    has_session,
    load_sessions,
    read_current_session,
    read_sessions,
    save_sessions,
)
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.wire.limits import (
    MAX_ARCHIVED_SESSIONS,
    MAX_RECEIVING_CHAINS,
    MAX_SKIPPED_KEYS_ARCHIVED,
)
from e2ecross.wire.session_records import SessionListRecord
from tests.support.devices import (
    ANA,
    BUDI,
    SpyStore,
    Stores,
    count_rows,
    dump,
    introduce,
    make_device,
    new_bundle,
    say,
    start,
)
from tests.support.entropy import SeededEntropy
from tests.support.parties import Party
from tests.support.stored_parties import (
    PLACE,
    Pairs,
    StoredParty,
    records_as_bytes,
    records_as_values,
)

_TABLES = (Table.SESSION_RECORDS, Table.SESSIONS, Table.SKIPPED_KEYS)
_ENDS = st.sampled_from((0, 1))
_STEPS = st.one_of(
    st.tuples(st.just("start"), _ENDS, st.integers(0, 3)),
    st.tuples(st.just("send"), _ENDS, st.integers(1, 70)),
    st.tuples(st.just("deliver"), _ENDS, st.integers(0, 200)),
    st.tuples(st.just("deliver all"), _ENDS, st.integers(0, 200)),
    st.tuples(st.just("talk"), _ENDS, st.integers(1, 60)),
)


@pytest.mark.parametrize("make_store", [records_as_values, records_as_bytes])
@pytest.mark.parametrize("pq", [False, True], ids=["version 3", "versions 3 and 4"])
@given(steps=st.lists(_STEPS, max_size=25))
def test_saving_and_reloading_at_every_step_equals_never_reloading(
    pq: bool, make_store: Callable[[], Store], steps: list[tuple[str, int, int]]
) -> None:
    """Two pairs of the same seeds: one in memory only, one always from its store."""
    pairs = Pairs(pq=pq, make_store=make_store)
    for step, end, value in [("start", 0, 1), *steps]:
        waiting = len(pairs.waiting[end])
        if step == "start":
            pairs.start(end, one_time=bool(value % 2), pq=value < 2)
        elif step == "send" and pairs.may_send(end):
            pairs.send(end, value)
        elif step == "talk" and pairs.may_send(end):
            pairs.send(end)
            pairs.deliver(1 - end)
            if pairs.may_send(1 - end):
                pairs.talk(value, first=1 - end)
        elif step == "deliver" and waiting:
            pairs.deliver(end, value % waiting)
        elif step == "deliver all" and waiting:
            pairs.deliver_all(end, value % waiting)  # duplicates and late ones among them
        # Nothing more and nothing less than a store that never saw the steps in between.
        pairs.check()


def test_a_failed_step_leaves_the_stored_party_as_it_was() -> None:
    party, other = StoredParty("ana", MemoryStore()), Party("budi")
    other.start(Party("carla"))
    before = party.stored()
    with pytest.raises(E2ECrossError):
        party.receive(other.send(b"not for ana"))
    assert party.stored() == before


# --- Rows -----------------------------------------------------------------------------------


def test_a_stranger_has_no_rows_and_no_session() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        assert not has_session(tx, BUDI)
        assert load_sessions(tx, BUDI) is NO_SESSIONS
        assert read_sessions(tx, PLACE) is NO_SESSIONS
        assert read_current_session(tx, PLACE) is None
        save_sessions(tx, PLACE, NO_SESSIONS, NO_SESSIONS)
    assert not dump(store)


def test_sessions_are_kept_per_address() -> None:
    store = MemoryStore()
    ana = make_device(ANA, store)
    budi, other = make_device(BUDI), make_device(Address("instagram", "budi", 2))
    start(ana, budi)
    start(ana, other)
    with store.transaction() as tx:
        mine, theirs = load_sessions(tx, BUDI), load_sessions(tx, other.address)
    assert mine.current is not None
    assert theirs.current is not None
    assert mine.current.remote_identity_key == budi.identity_key
    assert theirs.current.remote_identity_key == other.identity_key


def test_addresses_whose_parts_run_together_stay_apart() -> None:
    store = MemoryStore()
    ana = make_device(ANA, store)
    one, two = Address("a", "bc"), Address("ab", "c")
    start(ana, make_device(one))
    assert ana.has_session(one)
    assert not ana.has_session(two)


def test_the_41st_archived_session_leaves_no_rows_behind(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    late = budi.encrypt(ANA, Text("late"))
    say(budi, ana, "so that a key is skipped")
    assert count_rows(store, Table.SKIPPED_KEYS) == 1
    for _ in range(MAX_ARCHIVED_SESSIONS):
        start(ana, budi)
    assert count_rows(store, Table.SESSIONS) == 41
    assert count_rows(store, Table.SKIPPED_KEYS) == 1
    start(ana, budi)
    assert count_rows(store, Table.SESSIONS) == 41
    assert count_rows(store, Table.SKIPPED_KEYS) == 0
    with pytest.raises(RemoteError):
        ana.decrypt(late)
    say(ana, budi, "halo")


def test_a_chain_that_is_forgotten_leaves_no_rows_behind(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    budi.encrypt(ANA, Text("lost"))  # its key is kept
    say(budi, ana, "after the lost one")
    for turn in range(MAX_RECEIVING_CHAINS):
        assert count_rows(store, Table.SKIPPED_KEYS) == 1
        say(ana, budi, f"question {turn}")
        say(budi, ana, f"answer {turn}")
    assert count_rows(store, Table.SKIPPED_KEYS) == 0


def test_keys_that_go_for_two_reasons_at_once_leave_no_rows_behind() -> None:
    """Of their chain, which has as many newer ones now; and of the archive, where it is oldest."""
    store = MemoryStore()
    budi, ana = StoredParty("budi", store), Party("ana")

    def lose(count: int) -> None:
        for _ in range(count):
            ana.send(b"lost")

    for count in (1_990, 2_000, 2_000, 2_000, 10):
        budi.start(ana)
        ana.receive(budi.send(b"start"))
        lose(count)
        budi.receive(ana.send(b"ahead"))
        if count == 1_990:
            lose(2_000)
            late = ana.send(b"late")
    with store.transaction() as tx:  # a restored store: who reads stays where it is
        before = load_sessions(tx, BUDI)
        save_sessions(tx, PLACE, before, stop_sending_with_all(before, ana.identity.public))
    assert budi.receive(late) == b"late"
    with store.transaction() as tx:
        archived = load_sessions(tx, BUDI).archived  # what is stored fits together
    counts = [count_skipped_keys(session.ratchet) for session in archived]
    assert counts == [10, 2_000, 2_000, 2_000, 1_990]
    assert sum(counts) == MAX_SKIPPED_KEYS_ARCHIVED


def test_a_new_session_writes_itself_the_archived_one_and_the_list() -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    introduce(ana, budi)
    bundle = new_bundle(budi)
    spy.forget()
    ana.start_session(bundle)
    # The answered session is archived as it is: only the new one and the list are written.
    assert spy.writes == {Table.SESSIONS: 1, Table.SESSION_RECORDS: 1, Table.STRIPE: 1}
    bundle = new_bundle(budi)
    spy.forget()
    ana.start_session(bundle)
    # The unanswered one stops wrapping when it is archived.
    assert spy.writes == {Table.SESSIONS: 2, Table.SESSION_RECORDS: 1, Table.STRIPE: 1}


def test_rows_of_skipped_keys_are_read_only_where_there_are_any() -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    introduce(ana, budi)
    spy.forget()
    say(budi, ana, "in order")
    assert spy.reads[Table.SKIPPED_KEYS] == 0
    budi.encrypt(ANA, Text("lost"))
    say(budi, ana, "behind a gap")
    spy.forget()
    say(budi, ana, "again")
    assert spy.reads[Table.SKIPPED_KEYS] == 1
    for _ in range(MAX_ARCHIVED_SESSIONS // 2):
        start(ana, budi)
    say(ana, budi, "halo")
    spy.forget()
    say(budi, ana, "halo")
    assert spy.reads[Table.SESSIONS] == 1


def test_a_message_reads_one_row_of_stored_keys_at_most() -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_device(ANA, spy), make_device(BUDI)
    introduce(ana, budi)
    late = [budi.encrypt(ANA, Text("late")) for _ in range(400)]
    say(budi, ana, "behind a gap")
    assert count_rows(spy, Table.SKIPPED_KEYS) == 7
    again = late[0]
    for envelope in late[:200]:
        spy.forget()
        ana.decrypt(envelope)
        assert [o.name for o in spy.operations if o.table is Table.SKIPPED_KEYS][1:] in (
            ["put"],
            ["delete"],
        )
        assert spy.reads[Table.SKIPPED_KEYS] == 1
    spy.forget()
    with pytest.raises(DuplicateMessage):
        ana.decrypt(again)
    assert spy.reads[Table.SKIPPED_KEYS] == 1
    assert not spy.writes


def test_of_keys_that_were_all_read_only_the_row_that_changed_is_written() -> None:
    spy = SpyStore(MemoryStore())
    budi = StoredParty("budi", spy)
    ana = Party("ana")
    budi.start(ana)
    ana.receive(budi.send(b"first"))
    late = [ana.send(b"late") for _ in range(200)]
    budi.receive(ana.send(b"behind a gap"))
    assert count_rows(spy, Table.SKIPPED_KEYS) == 4
    spy.forget()
    with spy.transaction() as tx:
        budi.record = before = load_sessions(tx, BUDI)
        assert Party.receive(budi, late[100]) == b"late"
        save_sessions(tx, PLACE, before, budi.record)
    assert spy.writes == {Table.SESSIONS: 1, Table.SKIPPED_KEYS: 1}
    with spy.transaction() as tx:
        load_sessions(tx, BUDI)  # what is stored fits together


def test_a_session_that_is_kept_as_a_value_holds_no_skipped_keys() -> None:
    """They stay in their rows alone, however much was read with them."""
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    late = [budi.encrypt(ANA, Text("late")) for _ in range(2)]
    say(budi, ana, "behind a gap")
    ana.decrypt(late[0])
    with store.transaction() as tx:
        session = read_sessions(tx, address_key(BUDI)).current
    assert session is not None
    (chain,) = [chain for chain in session.ratchet.receiving if len(chain.skipped)]
    assert not chain.skipped.buckets
    assert count_rows(store, Table.SKIPPED_KEYS) == 1


# --- Damage ---------------------------------------------------------------------------------


def damaged_pair() -> tuple[Device, Device, MemoryStore, Mapping[Table, tuple[bytes, bytes]]]:
    """Ana with two sessions and skipped keys; and where each table's last row is."""
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    budi.encrypt(ANA, Text("lost"))
    say(budi, ana, "behind a gap")
    return ana, budi, store, {where[0]: where[1:] for where in dump(store)}


def test_a_listed_session_that_is_missing_is_a_damaged_store() -> None:
    ana, budi, store, rows = damaged_pair()
    envelope = budi.encrypt(ANA, Text("halo"))
    with store.transaction() as tx:
        tx.delete(Table.SESSIONS, *rows[Table.SESSIONS])
    for attempt in (lambda: ana.decrypt(envelope), lambda: ana.encrypt(BUDI, Text(""))):
        with pytest.raises(RecordCorrupted, match="missing"):
            attempt()


def test_a_session_in_the_place_of_another_is_a_damaged_store() -> None:
    ana, budi, store, _ = damaged_pair()
    start(ana, budi)
    places = [where for where in dump(store) if where[0] is Table.SESSIONS]
    records = [dump(store)[where] for where in places]
    with store.transaction() as tx:
        for where, record in zip(places, reversed(records), strict=True):
            tx.put(*where, record)
    with pytest.raises(RecordCorrupted, match="in the place of another"):
        ana.encrypt(BUDI, Text("halo"))


def test_skipped_keys_that_do_not_fit_their_session_are_a_damaged_store() -> None:
    _, _, store, rows = damaged_pair()
    with store.transaction() as tx:
        tx.delete(Table.SKIPPED_KEYS, *rows[Table.SKIPPED_KEYS])
    with store.transaction() as tx, pytest.raises(RecordCorrupted, match="skipped"):
        load_sessions(tx, BUDI)


def test_a_held_session_that_is_not_archived_is_a_damaged_store() -> None:
    ana, _, store, rows = damaged_pair()
    with store.transaction() as tx:
        record = tx.get(Table.SESSION_RECORDS, *rows[Table.SESSION_RECORDS])
        assert record is not None
        held = b"\x05" + bytes(31) + b"\x09"
        stored = SessionListRecord(SessionListRecord.decode(record).current, (), held, 8)
        tx.put(Table.SESSION_RECORDS, *rows[Table.SESSION_RECORDS], stored.encode())
    with pytest.raises(RecordCorrupted):
        ana.encrypt(BUDI, Text("halo"))


@pytest.mark.parametrize("place", ["current", "archived"])
def test_a_list_with_an_impossible_key_is_a_damaged_store_and_loses_no_other_session(
    place: str,
) -> None:
    ana, budi, store, rows = damaged_pair()
    impossible = b"\x06" + bytes(32)
    with store.transaction() as tx:
        record = tx.get(Table.SESSION_RECORDS, *rows[Table.SESSION_RECORDS])
        assert record is not None
        stored = SessionListRecord.decode(record)
        assert stored.current is not None
        changed = (
            SessionListRecord(impossible, (stored.current,), None, 0)
            if place == "current"
            else SessionListRecord(stored.current, (impossible,), None, 0)
        )
        tx.put(Table.SESSION_RECORDS, *rows[Table.SESSION_RECORDS], changed.encode())
    envelope = budi.encrypt(ANA, Text("halo"))
    before = dump(store)
    for attempt in (lambda: ana.decrypt(envelope), lambda: ana.encrypt(BUDI, Text(""))):
        with pytest.raises(RecordCorrupted, match="impossible key"):
            attempt()
    assert dump(store) == before
    with store.transaction() as tx:
        assert drop_damaged_sessions(tx, BUDI, None)
    message = ana.decrypt(envelope)
    assert message.content == Text("halo")


@pytest.mark.parametrize("table", _TABLES)
def test_a_record_of_a_later_release_is_refused_with_both_versions(table: Table) -> None:
    ana, budi, store, rows = damaged_pair()
    with store.transaction() as tx:
        record = tx.get(table, *rows[table])
        assert record is not None
        tx.put(table, *rows[table], b"\x02" + record[1:])
    with pytest.raises(StoreTooNew, match=r"version 2.*up to 1") as caught:
        ana.decrypt(budi.encrypt(ANA, Text("halo")))
    assert (caught.value.found, caught.value.supported) == (2, 1)


def test_the_parties_of_this_file_behave_as_devices() -> None:
    ana, budi = StoredParty("ana", MemoryStore()), StoredParty("budi", MemoryStore())
    ana.start(budi)
    sealed = ana.send(b"halo")
    assert budi.receive(sealed) == b"halo"
    stranger = Party("carla", SeededEntropy("another"))
    with pytest.raises(UnknownPrekey):
        stranger.receive(sealed)


# --- Sessions of an identity that is gone ---------------------------------------------------


class TwoIdentities:
    """Ana, who has sessions with Budi before and after he had another key."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ana, self.old = make_device(ANA, store), make_device(BUDI)
        self.new = make_device(BUDI, seed="new")
        introduce(self.ana, self.old, kyber=True)
        self.leave_late(self.old)
        self.of_old = dump(store)
        start(self.new, self.ana, kyber=True)
        self.ana.decrypt(self.new.encrypt(ANA, Text("from another key")))
        self.ana.accept_identity(BUDI, self.new.identity_key)
        self.leave_late(self.new)

    def leave_late(self, device: Device) -> None:
        device.encrypt(ANA, Text("late"))
        self.ana.decrypt(device.encrypt(ANA, Text("comes after it")))

    def forget(self, kept: Device | None) -> None:
        key = None if kept is None else kept._context.identity_key_pair.public
        with self.store.transaction() as tx:
            forget_sessions(tx, BUDI, key)

    def identities(self) -> list[bytes]:
        with self.store.transaction() as tx:
            record = load_sessions(tx, BUDI)
            current = [] if record.current is None else [record.current]
            return [each.remote_identity_key for each in (*current, *record.archived)]


def test_sessions_of_no_identity_leave_no_row(stores: Stores) -> None:
    world = TwoIdentities(stores.open("ana"))
    assert {where[0] for where in dump(world.store)} >= {*_TABLES, Table.SPQR}
    world.forget(None)
    assert not {where[0] for where in dump(world.store)} & {*_TABLES, Table.SPQR}


@pytest.mark.parametrize("kept", ["old", "new"])
def test_sessions_of_another_identity_go_with_their_rows(kept: str, stores: Stores) -> None:
    world = TwoIdentities(stores.open("ana"))
    device: Device = getattr(world, kept)
    before = {where for where in dump(world.store) if where[0] in (*_TABLES, Table.SPQR)}
    world.forget(device)
    assert world.identities() == [device.identity_key]
    after = {where for where in dump(world.store) if where[0] in (*_TABLES, Table.SPQR)}
    assert after < before
    if kept == "old":
        assert after == {where for where in world.of_old if where[0] in (*_TABLES, Table.SPQR)}
    device.encrypt(ANA, Text("later"))
    world.ana.decrypt(device.encrypt(ANA, Text("still read")))


def test_sessions_that_are_damaged_go_too(stores: Stores) -> None:
    world = TwoIdentities(stores.open("ana"))
    place = address_key(BUDI)
    with world.store.transaction() as tx:
        current = SessionListRecord.decode(tx.get(Table.SESSION_RECORDS, place) or b"").current
        tx.put(Table.SESSIONS, place, current or b"", b"\x01\xff")
    world.forget(world.old)
    assert world.identities() == [world.old.identity_key]
    assert count_rows(world.store, Table.SESSIONS) == 1


def test_forgetting_sessions_that_there_are_not_writes_nothing() -> None:
    store = SpyStore(MemoryStore())
    with store.transaction() as tx:
        forget_sessions(tx, BUDI, None)
    assert dump(store) == {}
