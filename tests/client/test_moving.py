# SPDX-License-Identifier: Apache-2.0
"""A database that has failed over, or was restored: a client looks into it and goes on, or not."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import pytest

from e2ecross import Client, Device, Text
from e2ecross.device.moving import at_moved_server, that_resumes
from e2ecross.errors import NotRegistered, RestoredStore, StoreMoved
from e2ecross.stores import MemoryStore, Store
from e2ecross.stores.base import Transaction
from tests.client.conversation import read
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
    make_device,
)

MINUTE = 60_000


class MovingStore(AroundStore):
    """A store whose server is another one when that is said; since when is of its own clock."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.now_ms = 0
        self.moved_ms: int | None = None
        self.moves_before: int | None = None  # the transaction before which it moves
        self.begun = 0
        self.accepted = 0
        self.is_closed = False

    def move(self) -> None:
        """It fails over."""
        self.moved_ms = self.now_ms

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        return _Moving(self, stripe, moved=moved)

    def accept_move(self) -> None:
        self.accepted += 1
        self.moved_ms = None

    def close(self) -> None:
        self.is_closed = True


class _Moving:
    def __init__(self, store: MovingStore, stripe: int, *, moved: bool) -> None:
        self._store, self._moved = store, moved
        self._inner = store.inner.transaction(stripe, moved=moved)

    def __enter__(self) -> Transaction:
        store = self._store
        if store.begun == store.moves_before:
            store.now_ms += MINUTE
            store.moved_ms = 0
        store.begun += 1
        if store.moved_ms is not None and not self._moved:
            raise StoreMoved(store.now_ms - store.moved_ms)
        return self._inner.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._inner.__exit__(kind, error, traceback)


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()


@pytest.fixture
def store() -> MovingStore:
    return MovingStore(MemoryStore(64))


@pytest.fixture
def budi(backend: BackendSimulator) -> Client:
    return make_client(BUDI, backend)


@pytest.fixture
def ana(backend: BackendSimulator, store: MovingStore, budi: Client) -> Client:
    client = make_client(ANA, backend, store)
    client.send(BUDI, Text("before"))
    assert read(budi) == ["before"]
    budi.send(ANA, Text("waits"))
    return client


CALLS: dict[str, Callable[[Client], object]] = {
    "register": lambda client: client.register(),
    "send": lambda client: client.send(BUDI, Text("halo")),
    "send_many": lambda client: client.send_many([BUDI], Text("halo")),
    "receive": lambda client: client.receive(),
    "maintain": lambda client: client.maintain(),
    "conversations": lambda client: client.accept(BUDI),
    "devices": lambda client: client.devices(),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_waits_for_a_minute_and_goes_on(
    name: str, ana: Client, store: MovingStore, backend: BackendSimulator
) -> None:
    store.move()
    for seconds, left in ((0, 60), (1, 59), (59.5, 1)):
        store.now_ms = int(seconds * 1000)
        before, deposits = dump(store.inner), len(backend.deposits)
        backend.holds.clear()  # of what the try before has fetched, which would be seen later
        with pytest.raises(StoreMoved, match=f"try again in {left} s") as caught:
            CALLS[name](ana)
        assert caught.value.found_ms_ago == store.now_ms
        assert (dump(store.inner), len(backend.deposits), store.accepted) == (before, deposits, 0)
    store.now_ms = MINUTE
    backend.holds.clear()
    CALLS[name](ana)
    assert (store.accepted, store.moved_ms) == (1, None)
    CALLS[name](ana)
    assert store.accepted == 1


def test_what_the_back_end_has_seen_and_the_store_has_not_is_told(
    ana: Client, store: MovingStore, backend: BackendSimulator
) -> None:
    older = MemoryStore(64)
    with older.transaction() as tx:
        for (table, partition, row), record in dump(store.inner).items():
            tx.put(table, partition, row, record)
    ana.send(BUDI, Text("of a commit that is lost"))
    store.inner = older
    store.move()
    with pytest.raises(StoreMoved):
        ana.send(BUDI, Text("too early"))
    store.now_ms = MINUTE
    before, deposits = dump(older), len(backend.deposits)
    for call in CALLS.values():
        with pytest.raises(RestoredStore):
            call(ana)
    assert (dump(older), len(backend.deposits), store.accepted) == (before, deposits, 0)
    # A worker that is started now learns it likewise.
    with pytest.raises(RestoredStore):
        Client(Device.open(store, clock=FakeClock()), backend).receive()


def test_a_back_end_that_cannot_be_asked_lets_nothing_go_on(
    ana: Client, store: MovingStore, backend: BackendSimulator
) -> None:
    store.move()
    store.now_ms = MINUTE
    backend.unreachable = True
    for name, call in CALLS.items():
        if name not in ("maintain", "receive"):  # which ask the back end before the store
            with pytest.raises(StoreMoved, match="cannot be asked"):
                call(ana)
    backend.unreachable = False
    backend.fail("epochs", NotRegistered("nobody knows you"))
    with pytest.raises(NotRegistered):
        ana.receive()
    assert store.accepted == 0
    ana.receive()
    assert store.accepted == 1


def test_a_device_that_is_not_registered_has_nobody_to_ask(
    backend: BackendSimulator, store: MovingStore
) -> None:
    client = Client(make_device(ANA, store), backend)
    store.move()
    store.now_ms = MINUTE
    with pytest.raises(StoreMoved, match="nobody knows more"):
        client.register()
    store.accept_move()
    client.register()


def test_a_device_has_nobody_to_ask(ana: Client, store: MovingStore) -> None:
    store.move()
    store.now_ms = 10 * MINUTE
    for device in (ana.device, Device.open(store, clock=FakeClock())):
        with pytest.raises(StoreMoved, match=r"failed over or was restored$"):
            device.encrypt(BUDI, Text("halo"))
    store.accept_move()
    ana.device.encrypt(BUDI, Text("halo"))


def test_a_second_move_is_not_taken_for_the_first(ana: Client, store: MovingStore) -> None:
    store.move()
    store.now_ms = MINUTE
    accept = store.accept_move

    def accept_and_move() -> None:
        accept()
        store.move()

    store.accept_move = accept_and_move  # type: ignore[method-assign]
    with pytest.raises(StoreMoved):
        ana.receive()
    assert store.accepted == 1


def test_between_any_two_transactions_of_a_call(
    backend: BackendSimulator, store: MovingStore, ana: Client, budi: Client
) -> None:
    """It goes on there: nothing is sent twice, and nothing is lost."""
    assert read(ana) == ["waits"]
    number, is_over = 0, False
    while not is_over:
        store.begun, store.moves_before = 0, number
        ana.send(BUDI, Text(f"message {number}"))
        is_over, store.moves_before = store.begun <= number, None
        assert read(budi) == [f"message {number}"]
        budi.send(ANA, Text("answer"))
        assert read(ana) == ["answer"]
        number += 1
    assert store.accepted == number - 1 >= 1


def test_a_store_without_stripes_is_used_as_it_is(backend: BackendSimulator) -> None:
    store = MemoryStore(0)
    ana = make_client(ANA, backend, store)
    assert ana._context.store is store


def test_what_is_no_transaction_goes_to_the_store_as_it_is(ana: Client, store: MovingStore) -> None:
    def never(_: StoreMoved) -> None:
        pytest.fail("nothing begins")

    context = ana.device._context
    for around in (at_moved_server(context).store, that_resumes(context, never).store):
        assert around is not store
        store.move()
        store.is_closed = False
        around.accept_move()
        around.close()
        assert (store.moved_ms, store.is_closed) == (None, True)
