# SPDX-License-Identifier: Apache-2.0
"""`Device.open(restored=True)` of a store with stripes: each is brought up before it is used."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from e2ecross import Device, Text
from e2ecross.address import Address
from e2ecross.device.device_lists import find_behind
from e2ecross.errors import (
    InvalidArgument,
    NoSession,
    RecordCorrupted,
    RestoredStore,
    StoreBusy,
    StoreMoved,
)
from e2ecross.protocol.session import can_send
from e2ecross.state.accounts import find_account
from e2ecross.state.context import address_key, require_device
from e2ecross.state.inbox import walk_inbox
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.outbox import Backlog, BacklogName, list_backlog, put_envelope
from e2ecross.state.session_store import load_sessions
from e2ecross.state.stripe import read_stripe, stripe_of
from e2ecross.state.transactions import peer_transaction, peer_view, stripe_transaction
from e2ecross.state.trust import find_identity
from e2ecross.stores import MemoryStore, Table, Transaction
from tests.support.accounts import hold_list, sign_devices
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    FakeClock,
    dump,
    introduce,
    make_device,
    new_bundle,
    say,
)
from tests.support.entropy import SeededEntropy
from tests.support.kept import keep_sent
from tests.support.restores import put_back, take_copy

STRIPES = 64


def restore(store: MemoryStore | AroundStore, seed: str = "restored") -> Device:
    return Device.open(store, clock=FakeClock(), entropy=SeededEntropy(seed), restored=True)


def reopen(store: MemoryStore, seed: str = "again") -> Device:
    return Device.open(store, clock=FakeClock(), entropy=SeededEntropy(seed))


def lives(store: MemoryStore) -> tuple[int, dict[int, int]]:
    """That of the device, and those of the stripes that have one."""
    with store.transaction() as tx:
        found = {k: read_stripe(tx.at(k)).life for k in range(STRIPES + 1)}
        return require_device(tx).life, {k: life for k, life in found.items() if life}


def stripe(address: Address) -> int:
    return stripe_of(address.user_id, STRIPES)


def make_fleet() -> tuple[MemoryStore, Device, Device, Device]:
    store = MemoryStore(STRIPES)
    ana, budi, toko = make_device(ANA, store), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    introduce(ana, toko)
    return store, ana, budi, toko


def test_what_is_the_devices_own_is_done_at_once_and_each_stripe_before_its_use() -> None:
    store, _, budi, toko = make_fleet()
    late = budi.encrypt(ANA, Text("late"))
    ana = restore(store)
    assert lives(store) == (1, {0: 1})
    with store.transaction() as tx:
        assert require_device(tx).adopts_epoch
        assert not find_identity(tx.at(stripe(BUDI)), BUDI).stale  # type: ignore[union-attr]
    with pytest.raises(NoSession):
        ana.encrypt(BUDI, Text("under an old key"))
    assert lives(store) == (1, {0: 1})  # what has failed was undone
    assert not ana.has_session(BUDI)
    assert lives(store) == (1, {0: 1, stripe(BUDI): 1})
    assert ana.decrypt(late).content == Text("late")
    with store.transaction() as tx:
        budis, tokos = tx.at(stripe(BUDI)), tx.at(stripe(TOKO))
        assert not any(can_send(session) for session in load_sessions(budis, BUDI).archived)
        assert load_sessions(tokos, TOKO).current is not None
        assert not find_identity(tokos, TOKO).stale  # type: ignore[union-attr]
    ana.start_session(new_bundle(budi))
    say(ana, budi, "under a new key")
    say(budi, ana, "answered")
    with pytest.raises(NoSession):
        ana.encrypt(TOKO, Text("under an old key"))
    ana.start_session(new_bundle(toko))
    say(ana, toko, "under a new key")


ENTRIES: dict[str, Callable[[Device], object]] = {
    "session_info": lambda ana: ana.session_info(BUDI),
    "remote_identity": lambda ana: ana.remote_identity(BUDI),
    "safety_number": lambda ana: ana.safety_number(BUDI),
    "encrypt_many": lambda ana: ana.encrypt_many([BUDI], Text("?")),
    "mark_verified": lambda ana: ana.mark_verified(
        BUDI,
        ana.remote_identity(BUDI).identity_key,  # type: ignore[union-attr]
    ),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_every_entry_brings_its_stripe_up(entry: Callable[[Device], object]) -> None:
    store, _, _, _ = make_fleet()
    entry(restore(store))
    assert lives(store) == (1, {0: 1, stripe(BUDI): 1})


def test_a_view_of_the_whole_store_does_so_too() -> None:
    store, _, _, _ = make_fleet()
    context = restore(store)._context
    with stripe_transaction(context) as tx:
        assert find_identity(peer_view(context, tx, BUDI.user_id), BUDI).stale  # type: ignore[union-attr]
        assert peer_view(context, tx, ANA.user_id).get(Table.STRIPE, b"") is not None
    assert lives(store) == (1, {0: 1, stripe(BUDI): 1})


def test_a_worker_that_slept_through_it_does_nothing_any_more() -> None:
    store, slept, budi, _ = make_fleet()
    bundle, waiting = new_bundle(budi), budi.encrypt(ANA, Text("waits"))
    ana = restore(store)
    before = dump(store)
    calls: list[Callable[[], object]] = [
        lambda: slept.encrypt(BUDI, Text("under an old key")),
        lambda: slept.decrypt(waiting),
        lambda: slept.decrypt_many([waiting]),
        lambda: slept.start_session(bundle),
        lambda: slept.has_session(TOKO),
        lambda: slept.publish(1),
        lambda: slept.accept_identity(BUDI, budi.identity_key),
        lambda: slept.restore_stripes(),
    ]
    for call in calls:
        with pytest.raises(RestoredStore, match="opened as restored meanwhile: open the device"):
            call()
    assert dump(store) == before
    assert ana.decrypt(waiting).content == Text("waits")
    assert not reopen(store).has_session(BUDI)


def test_a_second_time_changes_nothing_until_something_was_done() -> None:
    store, _, _, _ = make_fleet()
    restore(store)
    before = dump(store)
    restore(store, "twice")
    assert dump(store) == before
    ana = reopen(store)
    ana.restore_stripes()
    before = dump(store)
    restore(store, "thrice")
    assert dump(store) == before


def test_what_was_done_in_one_stripe_alone_is_something_done() -> None:
    store, _, budi, _ = make_fleet()
    ana = restore(store)
    ana.start_session(new_bundle(budi))
    restore(store, "twice")
    assert lives(store)[0] == 2
    with pytest.raises(RestoredStore):
        ana.encrypt(BUDI, Text("under an old key"))


def test_all_stripes_are_done_ahead_by_any_number_of_workers() -> None:
    store, _, _, _ = make_fleet()
    workers = [restore(store), reopen(store, "second")]
    seen: list[tuple[int, int]] = []
    workers[0].restore_stripes(progress=lambda done, count: seen.append((done, count)))
    assert seen == [(n, STRIPES) for n in range(1, STRIPES + 1)]
    assert lives(store) == (1, dict.fromkeys(range(STRIPES + 1), 1))
    before = dump(store)
    workers[1].restore_stripes()
    assert dump(store) == before
    with pytest.raises(InvalidArgument):
        workers[1].restore_stripes(progress=5)  # type: ignore[arg-type]


def test_without_stripes_nothing_is_left_to_be_done() -> None:
    store = MemoryStore(0)
    make_device(ANA, store)
    ana = restore(store)
    before = dump(store)
    ana.restore_stripes()
    assert dump(store) == before
    with store.transaction() as tx:
        assert (require_device(tx).life, read_stripe(tx).life) == (0, 0)


class Busy(AroundStore):
    """Fails where it is told to, at the beginning of a transaction of a stripe."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.errors: dict[int, Exception] = {}
        self.begun: list[int] = []

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        self.begun.append(stripe)
        if stripe in self.errors:
            raise self.errors[stripe]
        return super().transaction(stripe, moved=moved)


def test_a_stripe_that_is_held_stops_no_other() -> None:
    store, _, _, _ = make_fleet()
    around = Busy(store)
    ana = restore(around)
    around.errors = {7: StoreBusy("held"), 9: StoreBusy("held, too")}
    with pytest.raises(StoreBusy):
        ana.restore_stripes()
    assert lives(store)[1].keys() == {*range(STRIPES + 1)} - {7, 9}
    around.errors.clear()
    ana.restore_stripes()
    assert lives(store)[1].keys() == {*range(STRIPES + 1)}


def test_workers_begin_with_different_stripes() -> None:
    store, _, _, _ = make_fleet()
    around = Busy(store)
    restore(around)
    orders = []
    for seed in ("first", "second"):
        around.begun.clear()
        Device.open(around, clock=FakeClock(), entropy=SeededEntropy(seed)).restore_stripes()
        orders.append(around.begun[1:])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(1, STRIPES + 1))
    assert orders[0] != orders[1]


@pytest.mark.parametrize("error", [StoreMoved(), RestoredStore("put back")])
def test_what_stops_all_of_it_does_so_at_once(error: Exception) -> None:
    store, _, _, _ = make_fleet()
    around = Busy(store)
    ana = restore(around)
    around.begun.clear()
    around.errors = dict.fromkeys(range(1, STRIPES + 1), error)
    with pytest.raises(type(error)):
        ana.restore_stripes()
    assert len(around.begun) == 1


def test_a_damaged_stripe_stops_no_other() -> None:
    store, _, _, _ = make_fleet()
    with store.transaction(stripe(BUDI)) as tx:
        tx.delete(Table.REMOTE_IDENTITIES, address_key(BUDI))
    ana = restore(store)
    with pytest.raises(RecordCorrupted, match="identity of"):
        ana.restore_stripes()
    assert lives(store)[1].keys() == {*range(STRIPES + 1)} - {stripe(BUDI)}
    assert not ana.has_session(TOKO)


def told(store: MemoryStore, of: int) -> list[object]:
    context = reopen(store, f"of {of}")._context
    with store.transaction() as tx:
        return [replace(item, receipt=None) for _, item in walk_inbox(context, tx.at(of))]  # type: ignore[type-var]


def test_what_waits_in_a_stripe_is_encrypted_anew_or_told_of() -> None:
    store, ana, _, _ = make_fleet()
    policy = ana._context.policy
    kept = ana.encrypt(BUDI, Text("kept"), message_id=MESSAGE_ID)
    lost = ana.encrypt(TOKO, Text("lost"), message_id=MESSAGE_ID)
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        keep_sent(tx, policy, BUDI, MESSAGE_ID, Text("kept"), NOW_MS)
        put_envelope(tx, kept)
    with peer_transaction(ana._context, TOKO.user_id) as tx:
        put_envelope(tx, lost)
    restored = Notice(NoticeKind.RESTORED, ANA.user_id, redelivered=True)
    ana = restore(store)
    assert told(store, 0) == [restored]
    assert told(store, stripe(TOKO)) == []
    ana.restore_stripes()
    assert told(store, 0) == [restored]
    assert told(store, stripe(BUDI)) == []
    given_up, last = told(store, stripe(TOKO))
    assert isinstance(given_up, Notice)
    assert (given_up.kind, given_up.code) == (NoticeKind.NOT_DELIVERED, RestoredStore.code)
    assert last == replace(restored, messages=(MESSAGE_ID,))
    with store.transaction() as tx:
        backlog = Backlog(BacklogName.MESSAGES, BUDI)
        (waiting,) = list_backlog(tx.at(stripe(BUDI)), backlog)
        assert (waiting.message_id, waiting.envelope) == (MESSAGE_ID, None)
        assert list_backlog(tx.at(stripe(TOKO)), Backlog(BacklogName.MESSAGES, TOKO)) == []


def test_lists_of_a_stripe_are_asked_for_again() -> None:
    store, ana, budi, _ = make_fleet()
    hold_list(ana, sign_devices(budi))
    ana = restore(store)
    with store.transaction() as tx:
        assert not find_account(tx.at(stripe(BUDI)), BUDI.user_id).check_wanted  # type: ignore[union-attr]
    assert find_behind(ana._context, {BUDI.user_id: 9}, ()) == [BUDI.user_id]
    with store.transaction() as tx:
        assert find_account(tx.at(stripe(BUDI)), BUDI.user_id).check_wanted  # type: ignore[union-attr]


# --- A database that has failed over ------------------------------------------------------------


class Moved(AroundStore):
    """At another server than before, until that is accepted."""

    def __init__(self, inner: MemoryStore) -> None:
        super().__init__(inner)
        self.has_moved = True

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        if self.has_moved and not moved:
            raise StoreMoved
        return super().transaction(stripe, moved=moved)

    def accept_move(self) -> None:
        self.has_moved = False


def test_a_restore_accepts_that_the_database_has_moved() -> None:
    store, _, budi, _ = make_fleet()
    moved = Moved(store)
    opened = Device.open(moved)  # as a client has to, which finds out what the move was
    with pytest.raises(StoreMoved):
        opened.has_session(BUDI)
    ana = restore(moved)
    assert not moved.has_moved
    assert lives(store)[0] == 1
    ana.start_session(new_bundle(budi))


def test_what_has_moved_is_restored_whatever_it_says_of_itself() -> None:
    """It is as it was restored: what was done since is lost with the other server."""
    store, _, _, _ = make_fleet()
    restore(store)
    restore(Moved(store), "moved")
    assert lives(store)[0] == 2


def test_an_older_state_under_a_device_is_refused_also_when_it_was_restored_since() -> None:
    store, _, budi, _ = make_fleet()
    copy = take_copy(store)
    ana = restore(store)
    put_back(store, copy)
    with pytest.raises(RestoredStore):
        ana.start_session(new_bundle(budi))
    assert dump(store) == copy
