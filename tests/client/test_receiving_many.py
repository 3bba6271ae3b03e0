# SPDX-License-Identifier: Apache-2.0
"""Receiving in batches: one commit for what goes well, and no envelope decides over others."""

from collections.abc import Sequence
from contextlib import suppress

import pytest

from e2ecross import Address, Client, Message
from e2ecross.device.held_collecting import MAX_TOGETHER
from e2ecross.errors import BackendError, InvalidArgument, RecordCorrupted, StoreError
from e2ecross.state.inbox import list_arrivals
from e2ecross.stores import MemoryStore, Table
from tests.client.conversation import damage, left, reopen, send, shown, store_of
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    BackendSimulator,
    FakeClock,
    SpyStore,
    make_client,
)
from tests.support.lone_worker import end_holds, let_look
from tests.support.store_kinds import STRIPES


class Calls(BackendSimulator):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledgements: list[int] = []
        self.counts = 0

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        self.acknowledgements.append(len(numbers))
        super().acknowledge(address, token, numbers)

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        self.counts += 1
        return super().one_time_prekey_count(address, token)


def meet_all(*clients: Client) -> None:
    """Everybody has read something of everybody."""
    for _ in range(2):
        for client in clients:
            for other in clients:
                if other is not client:
                    send(client, other.device.address, "hello")
                    other.confirm(other.receive())


def test_what_waits_is_taken_in_with_one_commit_and_one_acknowledgement() -> None:
    backend = Calls()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet_all(ana, budi)
    backend.acknowledgements.clear()
    send(ana, BUDI, *map(str, range(300)))
    items = budi.receive(1000)
    assert shown(items) == [str(n) for n in range(300)]
    assert backend.acknowledgements == ([] if STRIPES else [300])
    budi.confirm(items)
    assert backend.acknowledgements == [300]
    assert left(store_of(budi)) == 0
    with store_of(budi).transaction() as tx:
        assert list_arrivals(tx) == []


@pytest.mark.parametrize("place", [0, 3, 7, 19])
@pytest.mark.parametrize("kind", ["garbage", "forged", "twice", "damaged sender"])
def test_one_envelope_that_cannot_be_read_changes_nothing_for_the_others(
    kind: str, place: int
) -> None:
    backend = Calls()
    ana, budi, toko = (make_client(each, backend) for each in (ANA, BUDI, TOKO))
    meet_all(ana, budi, toko)
    for number in range(20):
        send(toko if number == place else ana, BUDI, str(number))
    expected = [str(n) for n in range(20)]
    if kind == "garbage":
        backend.rewrite(BUDI, place, lambda _: b"garbage")
        expected[place] = "!decode_error"
    elif kind == "forged":
        backend.rewrite(BUDI, place, lambda data: data[:-3] + bytes(3))
        expected[place] = "!authentication_failed"
    elif kind == "twice":
        backend.inject(BUDI, backend.mailbox(BUDI)[place])
        expected.append("!duplicate_message")
    else:
        store = store_of(budi)
        with store.transaction() as tx:
            (where,) = [
                (partition, row)
                for partition, row, _ in tx.scan(Table.REMOTE_IDENTITIES)
                if TOKO.user.encode() in partition
            ]
            tx.put(Table.REMOTE_IDENTITIES, *where, b"\x01\xff")
        del expected[place]
    items = budi.receive()
    assert shown(items) == expected
    # One of many workers holds what it has left there.
    assert len(backend.free(BUDI)) == (kind == "damaged sender" and not STRIPES)
    budi.confirm(items)
    assert len(backend.mailbox(BUDI)) == (kind == "damaged sender")
    assert left(store_of(budi)) == 0


def test_a_crash_after_the_commit_hands_everything_over_again_and_only_once() -> None:
    class Dying(Calls):
        dies = False

        def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
            if self.dies:
                raise KeyboardInterrupt
            super().acknowledge(address, token, numbers)

    backend = Dying()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, *map(str, range(10)))
    backend.dies = True
    with pytest.raises(KeyboardInterrupt):
        budi.confirm(budi.receive())
    backend.dies = False
    again = reopen(budi, backend)
    items = again.receive()
    assert shown(items) == [str(n) for n in range(10)]
    assert all(item.redelivered for item in items)
    assert backend.free(BUDI) == []
    again.confirm(items)
    assert backend.mailbox(BUDI) == []
    assert again.receive() == []
    with store_of(again).transaction() as tx:
        assert list_arrivals(tx) == []


def test_what_was_acknowledged_is_forgotten_although_the_next_commit_fails() -> None:
    spy = SpyStore(MemoryStore())

    class Failing(Calls):
        def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
            super().acknowledge(address, token, numbers)
            spy.fail_commit = True

    backend = Failing()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, *map(str, range(10)))
    with pytest.raises(StoreError):
        budi.confirm(budi.receive())
    assert backend.mailbox(BUDI) == []
    spy.fail_commit = False
    end_holds(budi, backend)
    let_look(budi)
    items = budi.receive()
    assert shown(items) == [str(n) for n in range(10)]
    spy.fail_commit = True  # of a transaction that forgets it
    with pytest.raises(StoreError):
        budi.confirm(items)
    spy.fail_commit = False
    budi.confirm(items)
    with spy.transaction() as tx:
        assert list_arrivals(tx) == []


def test_what_cannot_be_kept_in_a_batch_has_used_up_no_key() -> None:
    backend = BackendSimulator()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet_all(ana, budi)
    send(ana, BUDI, *map(str, range(3)))
    with store_of(budi).transaction() as tx:
        shelf = tx.get(Table.DELIVERED, b"", b"")
        assert shelf is not None
        tx.put(Table.DELIVERED, b"", b"", b"\x01\xff")
    with pytest.raises(RecordCorrupted):
        budi.receive()
    assert len(backend.mailbox(BUDI)) == 3
    with store_of(budi).transaction() as tx:
        tx.put(Table.DELIVERED, b"", b"", shelf)
    end_holds(budi, backend)
    assert shown(budi.receive()) == ["0", "1", "2"]


def test_a_sender_that_is_damaged_stops_no_other_and_comes_later() -> None:
    backend = BackendSimulator()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet_all(ana, budi)
    send(ana, BUDI, *map(str, range(4)))
    damage(budi, Table.SESSIONS)
    assert shown(budi.receive())[0].startswith("!")  # a session is begun anew, and all come again
    ana.receive()
    assert sorted(shown(budi.receive()))[-4:] == ["0", "1", "2", "3"]


def test_progress_is_told_between_transactions() -> None:
    backend = BackendSimulator()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    budi.accept(ANA)  # else that many are too many of a stranger
    send(ana, BUDI, *map(str, range(300)))
    seen: list[tuple[int, int]] = []
    first = budi.receive(280, progress=lambda done, fetched: seen.append((done, fetched)))
    at_once = MAX_TOGETHER if STRIPES else 256
    assert seen == [(done, 280) for done in (*range(at_once, 280, at_once), 280)]
    budi.confirm(first)

    class Stop(Exception):
        pass

    def stop(done: int, fetched: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        budi.receive(progress=stop)
    end_holds(budi, backend)
    items = budi.receive()
    assert shown(items) == [str(n) for n in range(280, 300)]
    assert all(isinstance(item, Message) for item in items)
    with pytest.raises(InvalidArgument):
        budi.receive(progress=7)  # type: ignore[arg-type]


def test_the_back_end_is_asked_for_prekeys_when_there_is_a_reason() -> None:
    backend, clock = Calls(), FakeClock()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, clock=clock)
    meet_all(ana, budi)
    backend.counts = 0
    send(ana, BUDI, "0")
    budi.receive()
    assert backend.counts == 0
    clock.advance(60_000)
    budi.receive()
    budi.receive()
    assert backend.counts == 1
    # A clock that was put back: who knows for how long. One of many workers waits half a minute.
    clock.advance(-60_000 if STRIPES else -1)
    budi.receive()
    assert backend.counts == 2
    toko = make_client(TOKO, backend)
    backend.counts = 0
    send(toko, BUDI, "with a prekey")
    budi.receive()
    assert backend.counts == 1
    backend.fail("one_time_prekey_count", times=2)
    send(toko, BUDI, "with a prekey")
    for _ in range(3 if STRIPES else 4):  # when it is looked into everything, it is asked anyway
        with suppress(BackendError):
            let_look(budi)
            budi.receive()
    assert backend.counts == 4  # until it has gone well
