# SPDX-License-Identifier: Apache-2.0
"""Sessions of version 4 in the store: what is rare, and what is written for each message."""

from collections.abc import Callable

import pytest

from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.ratchet import count_skipped_keys
from e2ecross.protocol.spqr.erasure import BUCKET_SIZE
from e2ecross.protocol.spqr.machine import Stage
from e2ecross.protocol.spqr.state import count_skipped_spqr_keys
from e2ecross.state.session_store import load_sessions, read_sessions
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.wire.limits import (
    MAX_ARCHIVED_SESSIONS,
    MAX_FORWARD_JUMP,
    MAX_SKIPPED_KEYS_PER_CHAIN,
    MAX_SKIPPED_KEYS_PER_SESSION,
)
from e2ecross.wire.session_records import StoredSession, decode_skipped_keys
from e2ecross.wire.spqr_records import encode_chunks
from tests.support.devices import BUDI, SpyStore, dump
from tests.support.parties import Party
from tests.support.stored_parties import (
    PLACE,
    Pairs,
    StoredParty,
    records_as_bytes,
    records_as_values,
)
from tests.support.values import with_fields

KINDS = pytest.mark.parametrize("make_store", [records_as_values, records_as_bytes])
MakeStore = Callable[[], Store]


def acquainted(make_store: MakeStore, max_forward_jump: int | None = None) -> Pairs:
    pairs = Pairs(pq=True, make_store=make_store, max_forward_jump=max_forward_jump)
    pairs.start(0)
    pairs.talk(1)
    return pairs


def rows(pairs: Pairs, end: int, prefix: bytes) -> set[bytes]:
    """Rows of SPQR of an end whose names begin like this."""
    return {
        row
        for table, _, row in pairs.stored[end].stored()
        if table is Table.SPQR and row.startswith(prefix)
    }


# --- Bounds on stored keys, and what goes with them -------------------------------------------


@KINDS
def test_keys_above_the_bound_of_a_chain_are_forgotten_in_their_rows(make_store: MakeStore) -> None:
    pairs = acquainted(make_store)
    pairs.talk(1)  # a chain of its own
    begin = len(pairs.waiting[1])
    pairs.send(0, MAX_SKIPPED_KEYS_PER_CHAIN + 150)
    assert pairs.deliver(1) == b"halo"
    pairs.check()
    spqr = pairs.plain[1].current.ratchet.spqr
    assert count_skipped_spqr_keys(spqr) == MAX_SKIPPED_KEYS_PER_CHAIN
    outcomes = [pairs.deliver(1, begin + number) for number in (0, 148, 149, 150, 1000, 149)]
    assert outcomes.count(b"halo") == 3
    pairs.check()
    for count in (1, 63, 64, 65, 200, 700):
        pairs.send(0, count)  # each time as many of the oldest go as are skipped
        assert pairs.deliver(1) == b"halo"
        pairs.check()
        pairs.deliver(1, -1 - count // 2)
        pairs.deliver(1, begin + 152 + count)
        pairs.check()
    pairs.talk(2)
    pairs.deliver_all(1, begin)
    pairs.check()
    # What is left is further back than a message may be: it goes with its epoch.
    spqr = pairs.plain[1].current.ratchet.spqr
    assert spqr is not None
    chain = spqr.chains.epochs[0]
    left = {index for bucket in chain.skipped.buckets.values() for index in bucket}
    assert len(left) < 20
    assert all(i + MAX_SKIPPED_KEYS_PER_CHAIN < chain.receiving.counter for i in left)


def test_where_whole_rows_are_forgotten_the_next_one_is_not_written_again() -> None:
    pairs = acquainted(records_as_bytes)
    pairs.talk(1)
    spy = pairs.stored[1].store
    assert isinstance(spy, SpyStore)
    pairs.send(0, MAX_SKIPPED_KEYS_PER_CHAIN + 1)
    assert pairs.deliver(1) == b"halo"
    places = [where for where in dump(spy.inner) if where[0] is Table.SKIPPED_KEYS]
    full = len(decode_skipped_keys(dump(spy.inner)[places[0]]))
    pairs.send(0, full + 1)  # as many go as the first row holds
    spy.forget()
    assert pairs.deliver(1) == b"halo"
    pairs.check()
    changed = {o.row for o in spy.operations if (o.name, o.table) == ("put", Table.SKIPPED_KEYS)}
    gone = {o.row for o in spy.operations if (o.name, o.table) == ("delete", Table.SKIPPED_KEYS)}
    assert gone == {places[0][2]}
    assert places[1][2] not in changed


@KINDS
def test_keys_above_the_bound_of_a_session_are_forgotten_in_their_rows(
    make_store: MakeStore,
) -> None:
    """Five chains of the Double Ratchet with 2,000 keys each; the other ratchet keeps 2,000."""
    pairs = acquainted(make_store)
    for _ in range(5):
        pairs.send(0, MAX_SKIPPED_KEYS_PER_CHAIN + 1)
        assert pairs.deliver(1) == b"halo"
        pairs.check()
        pairs.send(1)
        assert pairs.deliver(0) == b"halo"
    ratchet = pairs.plain[1].current.ratchet
    assert count_skipped_keys(ratchet) == MAX_SKIPPED_KEYS_PER_SESSION
    assert count_skipped_spqr_keys(ratchet.spqr) == MAX_SKIPPED_KEYS_PER_CHAIN
    read = pairs.read
    for index in range(3, len(pairs.waiting[1]), 97):
        pairs.deliver(1, index)
    assert pairs.read > read
    pairs.check()
    pairs.talk(6)
    pairs.check()


@KINDS
def test_a_long_jump_where_the_policy_allows_it(make_store: MakeStore) -> None:
    pairs = acquainted(make_store, max_forward_jump=MAX_FORWARD_JUMP)
    pairs.send(0, 5_000)
    assert pairs.deliver(1) == b"halo"
    assert pairs.deliver(1, -1 - MAX_SKIPPED_KEYS_PER_CHAIN) == b"halo"
    assert pairs.deliver(1, -2 - MAX_SKIPPED_KEYS_PER_CHAIN) != b"halo"
    pairs.check()


@KINDS
def test_an_epoch_that_is_dropped_takes_its_stored_keys_along(make_store: MakeStore) -> None:
    pairs = acquainted(make_store)
    late = len(pairs.waiting[1])
    pairs.send(0, 130)
    assert pairs.deliver(1) == b"halo"
    assert len(rows(pairs, 1, b"keys")) >= 2
    assert pairs.deliver(1, late + 1) == b"halo"
    epochs: set[int] = set()
    for _ in range(150):
        pairs.talk(1)
        pairs.check()
        epochs |= set(pairs.epochs())
    assert epochs >= {1, 2, 3}
    assert not rows(pairs, 1, b"keys")
    assert pairs.deliver(1, late) != b"halo"


@KINDS
def test_a_late_message_of_the_epoch_before_is_read(make_store: MakeStore) -> None:
    """In few turns, so that the chain of the Double Ratchet is still there."""
    pairs = acquainted(make_store)
    late = []
    while min(pairs.epochs()) < 3:
        for end in (0, 1):
            pairs.send(end)
            late.append((1 - end, len(pairs.waiting[1 - end]) - 1))
            pairs.send(end, 39)
            pairs.deliver_all(1 - end, late[-1][1] + 1)
            pairs.check()
        for reader, index in late[-4:-2]:
            pairs.deliver(reader, index)
            pairs.check()
    assert pairs.read > 39 * len(late)


# --- Everything that there is of SPQR -----------------------------------------------------------


@pytest.mark.parametrize("lost", [0, 1, 3])
@KINDS
def test_every_stage_is_saved_and_read_back(make_store: MakeStore, lost: int) -> None:
    pairs = acquainted(make_store)
    stages: set[Stage] = set()
    for turn in range(220):
        for end in (0, 1):
            pairs.send(end, 1 + (lost if turn % 3 else 0))
            assert pairs.deliver(1 - end) == b"halo"
            pairs.check()
            for party in pairs.plain:
                spqr = party.current.ratchet.spqr
                assert spqr is not None
                stages.add(spqr.machine.stage)
    assert len(stages) >= 9
    assert min(pairs.epochs()) >= 3


@pytest.mark.parametrize("old", [0, 1])
@KINDS
def test_where_the_peer_does_not_run_spqr_its_rows_go(make_store: MakeStore, old: int) -> None:
    pairs = Pairs(pq=True, make_store=make_store, require_spqr=False, old=old)
    pairs.start(0)
    assert bool(rows(pairs, 0, b"material")) == (old == 1)
    pairs.send(0, 3)
    for index in (1, 0):
        assert pairs.deliver(1, index) == b"halo"
        pairs.check()
    assert rows(pairs, 0, b"kyber")
    pairs.send(1)
    assert pairs.deliver(0) == b"halo"
    pairs.check()
    assert pairs.epochs() == [0, 0]
    for end in (0, 1):
        assert not rows(pairs, end, b"")
    assert pairs.deliver(1, 2) == b"halo"
    pairs.talk(3)
    pairs.check()


@KINDS
def test_where_both_need_not_they_agree_on_it_with_the_first_answer(make_store: MakeStore) -> None:
    pairs = Pairs(pq=True, make_store=make_store, require_spqr=False)
    pairs.start(0)
    pairs.send(0, 3)
    for index in (2, 0):
        assert pairs.deliver(1, index) == b"halo"
        pairs.check()
    pairs.talk(4, first=1)
    assert pairs.deliver(1, 1) == b"halo"  # late, from before: without a post-quantum key
    pairs.check()
    assert min(pairs.epochs()) == 1


@KINDS
def test_the_ciphertext_that_first_messages_repeat_goes_with_the_first_answer(
    make_store: MakeStore,
) -> None:
    pairs = Pairs(pq=True, make_store=make_store)
    pairs.start(0)
    assert rows(pairs, 0, b"kyber")
    pairs.send(0, 3)
    pairs.deliver_all(1)
    pairs.check()
    pairs.start(0)  # the first one is archived, and wraps no longer
    pairs.check()
    pairs.send(0)
    pairs.deliver_all(1)
    pairs.talk(1, first=1)
    pairs.check()
    assert not rows(pairs, 0, b"kyber")


@KINDS
def test_a_session_that_leaves_the_archive_takes_all_its_rows_along(make_store: MakeStore) -> None:
    pairs = acquainted(make_store)
    pairs.send(0, 5)
    assert pairs.deliver(1) == b"halo"
    sessions = MAX_ARCHIVED_SESSIONS + 4
    for number in range(sessions):
        pairs.start(0, pq=bool(number % 2))
        pairs.talk(1)
    pairs.check()
    assert not rows(pairs, 1, b"keys")
    record = pairs.plain[1].record
    kept = (pairs.plain[1].current, *record.archived)
    assert len(kept) == 1 + MAX_ARCHIVED_SESSIONS
    partitions = {
        partition for table, partition, _ in pairs.stored[1].stored() if table is Table.SPQR
    }
    assert partitions == {PLACE + s.base_key for s in kept if s.version.is_post_quantum}


@KINDS
def test_an_archived_session_of_version_3_is_promoted_by_a_late_message(
    make_store: MakeStore,
) -> None:
    pairs = Pairs(pq=True, make_store=make_store)
    pairs.start(0, pq=False)
    pairs.talk(2)
    pairs.send(0)  # late
    late = len(pairs.waiting[1]) - 1
    pairs.start(0)
    pairs.talk(2)
    assert [party.current.version.number for party in pairs.plain] == [4, 4]
    assert pairs.deliver(1, late) == b"halo"
    pairs.check()
    assert pairs.plain[1].current.version.number == 3
    assert [session.version.number for session in pairs.plain[1].record.archived] == [4]
    pairs.send(1)
    assert pairs.deliver(0) == b"halo"
    assert pairs.plain[0].current.version.number == 3
    pairs.talk(3)
    pairs.check()


@KINDS
def test_both_start_at_once_in_different_versions(make_store: MakeStore) -> None:
    for newer in (0, 1):
        pairs = Pairs(pq=True, make_store=make_store)
        for end in (0, 1):
            pairs.start(end, pq=end == newer)
            pairs.send(end, 2)
        for end in (0, 1):
            pairs.deliver_all(end)
            pairs.check()
        pairs.talk(12)
        pairs.check()
        one, other = (party.current for party in pairs.plain)
        assert one.base_key == other.base_key
        assert one.pending is other.pending is None
        for end in (0, 1):  # everything again: nothing is read twice
            read = pairs.read
            pairs.deliver_all(end)
            assert pairs.read == read
            pairs.check()


# --- What is written ------------------------------------------------------------------------------


def devices() -> tuple[SpyStore, StoredParty, Party]:
    spy = SpyStore(MemoryStore())
    ana, budi = StoredParty("ana", spy, pq=True), Party("budi", pq=True)
    ana.start(budi)
    return spy, ana, budi


def test_a_message_in_a_chain_writes_one_small_record() -> None:
    """Beside it the material once for each stage, and a row of chunks where one has arrived."""
    spy, ana, budi = devices()
    budi.receive(ana.send(b"first"))
    ana.receive(budi.send(b"answer"))
    written = {"session": 0, "material": 0, "chunks": 0}
    for _ in range(200):
        for sends in (True, False):
            spy.forget()
            if sends:
                budi.receive(ana.send(b"halo"))
            else:
                ana.receive(budi.send(b"halo"))
            puts = [o for o in spy.operations if o.name in ("put", "delete")]
            assert sum(o.table is Table.SESSIONS for o in puts) == 1
            spqr = [o.row for o in puts if o.table is Table.SPQR]
            assert len(spqr) == len(puts) - 1
            rows = [o.row for o in puts if o.name == "put" and o.row.startswith(b"chunks")]
            assert len(rows) <= 1
            written["session"] += 1
            written["material"] += b"material" in spqr
            written["chunks"] += any(row.startswith(b"chunks") for row in spqr)
    assert written["session"] == 400
    # Eleven stages in an epoch pair at most, and 36 or 30 chunks that arrive.
    assert 0 < written["material"] < 30
    assert 0 < written["chunks"] < 180
    sizes = [len(data) for (table, *_), data in dump(spy).items() if table is Table.SESSIONS]
    assert max(sizes) < 1_000


def test_the_ciphertext_that_first_messages_repeat_is_written_once() -> None:
    spy, ana, _ = devices()
    assert [o.row for o in spy.operations if o.name == "put"].count(b"kyber") == 1
    spy.forget()
    for _ in range(3):
        ana.send(b"not answered yet")
    assert b"kyber" not in [o.row for o in spy.operations if o.name == "put"]


def test_a_message_that_is_skipped_is_kept_in_a_row_and_read_from_it_alone() -> None:
    spy, ana, budi = devices()
    budi.receive(ana.send(b"first"))
    ana.receive(budi.send(b"answer"))
    late = [budi.send(b"late") for _ in range(300)]
    ana.receive(budi.send(b"behind a gap"))
    assert sum(o.table is Table.SPQR and o.row.startswith(b"keys") for o in spy.operations) >= 5
    for sealed in late[:100]:
        spy.forget()
        assert ana.receive(sealed) == b"late"
        read = [o for o in spy.operations if o.name in ("get", "list") and o.table is Table.SPQR]
        assert sum(o.row.startswith(b"keys") or o.name == "list" for o in read) == 1


# --- Damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [b"material", b"kyber", b"chunks\0"])
@pytest.mark.parametrize("change", ["missing", "empty", "version", "cut"])
def test_a_row_that_is_damaged_or_missing_is_a_damaged_store(row: bytes, change: str) -> None:
    store = records_as_bytes()
    ana, budi = StoredParty("ana", store, pq=True), Party("budi", pq=True)
    if row.startswith(b"chunks"):
        budi.start(ana)
        ana.receive(budi.send(b"holds a chunk"))
    else:
        ana.start(budi)
    with store.transaction() as tx:
        ((partition, _),) = {
            (partition, name) for partition, name, _ in tx.scan(Table.SPQR) if name == row
        }
        before = tx.get(Table.SPQR, partition, row)
        assert before is not None
        if change == "missing":
            tx.delete(Table.SPQR, partition, row)
        else:
            record = {"empty": b"", "version": b"\0" + before[1:], "cut": before[:-1]}[change]
            tx.put(Table.SPQR, partition, row, record)
    damaged = dump(store)
    with store.transaction() as tx, pytest.raises(RecordCorrupted):
        read_sessions(tx, PLACE)
    assert dump(store) == damaged


def test_more_chunks_than_there_are_rows_for_are_a_damaged_store() -> None:
    """Also where there is a row for each number that a row can have."""
    store = records_as_bytes()
    ana, budi = StoredParty("ana", store, pq=True), Party("budi", pq=True)
    budi.start(ana)
    ana.receive(budi.send(b"holds a chunk"))
    (base_key,) = [row for table, _, row in dump(store) if table is Table.SESSIONS]
    with store.transaction() as tx:
        data = tx.get(Table.SESSIONS, PLACE, base_key)
        assert data is not None
        session = StoredSession.decode(data)
        assert session.spqr is not None
        spqr = with_fields(session.spqr, received_chunks=257 * BUCKET_SIZE)
        tx.put(Table.SESSIONS, PLACE, base_key, with_fields(session, spqr=spqr).encode())
        for number in range(256):
            indices = range(number * BUCKET_SIZE, (number + 1) * BUCKET_SIZE)
            row = encode_chunks({index: bytes(32) for index in indices})
            tx.put(Table.SPQR, PLACE + base_key, b"chunks" + bytes((number,)), row)
    with store.transaction() as tx, pytest.raises(RecordCorrupted, match="too many chunks"):
        read_sessions(tx, PLACE)


def test_keys_that_are_not_as_many_as_the_session_says_are_a_damaged_store() -> None:
    store = records_as_bytes()
    ana, budi = StoredParty("ana", store, pq=True), Party("budi", pq=True)
    ana.start(budi)
    budi.receive(ana.send(b"first"))
    budi.send(b"lost")
    ana.receive(budi.send(b"answer"))
    with store.transaction() as tx:
        assert load_sessions(tx, BUDI).current is not None  # as long as they are
        for partition, row, _ in list(tx.scan(Table.SPQR)):
            if row.startswith(b"keys"):
                tx.delete(Table.SPQR, partition, row)
    with store.transaction() as tx, pytest.raises(RecordCorrupted):
        load_sessions(tx, BUDI)
