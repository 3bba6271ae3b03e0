# SPDX-License-Identifier: Apache-2.0
"""Workers of one device over one PostgreSQL database: what they share, and who waits for whom."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from e2ecross import Address, Client, Device, Message, Text
from e2ecross.device import sending
from e2ecross.errors import StoreBusy, StoreError, UnknownPrekey
from e2ecross.state.epoch import count_operation
from e2ecross.state.stripe import stripe_of
from e2ecross.stores import Store, Table, Transaction
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    BackendSimulator,
    FakeClock,
    bundle_from,
    dump,
    make_client,
    make_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import ask, make_postgres_store

SECONDS = 30  # only a hang comes near
KEYS = {1: bytes(range(32))}


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    require_postgres()


class PausingStore(AroundStore):
    """Another store, of which a transaction stops before its commit when it is told to."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._is_to_pause = False
        self._pauses = threading.Event()
        self._goes_on = threading.Event()

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with self.inner.transaction(stripe, moved=moved) as tx:
            yield tx
            if self._is_to_pause:
                self._is_to_pause = False
                self._pauses.set()
                assert self._goes_on.wait(SECONDS)

    @contextmanager
    def paused(self, act: Callable[[], object]) -> Iterator[Future[object]]:
        """While its block runs, that is within its first transaction, before the commit."""
        self._is_to_pause = True
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(act)
            try:
                assert self._pauses.wait(SECONDS)
                yield done
            finally:
                self._goes_on.set()
        done.result()
        self._pauses.clear()
        self._goes_on.clear()


class Fleet:
    """Toko, which has as many workers as are asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._name = secrets.token_hex(16)
        self._workers = 0
        self.backend = BackendSimulator()
        self.clock = FakeClock()
        self.store = self._open()
        self.first = make_client(TOKO, self.backend, self.store, clock=self.clock)

    def worker(self, **settings: int) -> tuple[Client, PausingStore]:
        """Another worker, and its store."""
        self._workers += 1
        store = PausingStore(self._open(**settings))
        entropy = SeededEntropy(f"worker {self._workers}")
        device = Device.open(store, clock=self.clock, entropy=entropy)
        return Client(device, self.backend), store

    def meet(self, address: Address) -> Client:
        """A customer who has a session with it."""
        customer = make_client(address, self.backend, clock=self.clock)
        customer.send(TOKO, Text("halo"))
        items = self.first.receive()
        self.first.accept(address)
        self.first.confirm(items)
        self.first.send(address, Text("halo"))
        customer.confirm(customer.receive())
        return customer

    def _open(self, **settings: int) -> Store:
        store = make_postgres_store(self._name, keys=KEYS, **settings)
        return self._stack.enter_context(store)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack)


def texts(client: Client) -> list[str]:
    items = client.receive()
    client.confirm(items)
    return [
        item.content.text
        for item in items
        if isinstance(item, Message) and isinstance(item.content, Text)
    ]


def test_accounts_of_this_test_are_of_different_stripes() -> None:
    assert stripe_of(ANA.user_id, 64) != stripe_of(BUDI.user_id, 64)


def test_workers_of_different_stripes_do_not_wait_for_each_other(fleet: Fleet) -> None:
    ana, budi = fleet.meet(ANA), fleet.meet(BUDI)
    (one, its_store), (two, _) = fleet.worker(), fleet.worker(busy_timeout_ms=100)
    for worker in (one, two):  # what is done once, of the whole store, is done
        worker.send(BUDI, Text("before"))
        worker.receive()
    texts(budi)
    with its_store.paused(lambda: one.send(ANA, Text("slow"))) as sending:
        budi.send(TOKO, Text("question"))
        assert texts(two) == ["question"]
        two.send(BUDI, Text("answer"))
        assert texts(budi) == ["answer"]
        assert not sending.done()
        assert texts(ana) == []
        with pytest.raises(StoreBusy):
            two.send(ANA, Text("waits too long"))
    assert texts(ana) == ["slow"]


def test_a_receiver_of_another_stripe_keeps_no_sender_waiting(fleet: Fleet) -> None:
    ana, budi = fleet.meet(ANA), fleet.meet(BUDI)
    (one, its_store), (two, _) = fleet.worker(), fleet.worker(busy_timeout_ms=100)
    for worker in (one, two):
        worker.send(BUDI, Text("before"))
        worker.receive()
    texts(budi)
    ana.send(TOKO, Text("slow"))
    came: list[object] = []
    with its_store.paused(lambda: came.extend(one.receive())):
        two.send(BUDI, Text("meanwhile"))
        assert texts(budi) == ["meanwhile"]
        with pytest.raises(StoreBusy):
            two.send(ANA, Text("waits too long"))
    assert [item.content for item in came if isinstance(item, Message)] == [Text("slow")]


def test_one_prekey_opens_one_first_message_of_two_stripes(fleet: Fleet) -> None:
    published = fleet.first.device.publish(1)
    fleet.first.device.confirm_published(published)
    first = []
    for address in (ANA, BUDI):
        customer = make_device(address)
        customer.start_session(bundle_from(published, kyber=True))
        first.append(customer.encrypt(TOKO, Text("halo")))
    (one, its_store), (two, _) = fleet.worker(), fleet.worker(busy_timeout_ms=SECONDS * 1000)
    before = dump(fleet.store)
    opened: list[object] = []
    with ThreadPoolExecutor(1) as pool:
        with its_store.paused(lambda: opened.append(one.device.decrypt(first[0]))):
            other = pool.submit(two.device.decrypt, first[1])
            wait_for_a_lock()
        assert isinstance(other.exception(SECONDS), StoreBusy)
    assert [each.sender for each in opened if isinstance(each, Message)] == [ANA]
    after = dump(fleet.store)
    assert {where[0] for where in before.keys() - after.keys()} == {
        Table.ONE_TIME_PREKEYS,
        Table.KYBER_PREKEYS,
    }
    with pytest.raises(UnknownPrekey):
        two.device.decrypt(first[1])
    assert dump(fleet.store) == after


def test_an_operation_of_a_stripe_that_writes_of_the_device_is_undone(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = fleet.meet(ANA)
    texts(ana)

    def forbidden(tx: Transaction) -> int:
        number = count_operation(tx)
        tx.put(Table.DEVICE, b"", b"forbidden", b"?")
        return number

    before, deposits = dump(fleet.store), len(fleet.backend.deposits)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "count_operation", forbidden)
        with pytest.raises(StoreError, match="only a transaction of the whole store"):
            fleet.first.send(ANA, Text("never"))
    assert dump(fleet.store) == before
    assert len(fleet.backend.deposits) == deposits
    fleet.first.send(ANA, Text("halo"))
    assert texts(ana) == ["halo"]


def wait_for_a_lock() -> None:
    """Until somebody waits for a row that another has changed."""
    give_up = time.monotonic() + SECONDS
    while not ask("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
        assert time.monotonic() < give_up
        time.sleep(0.01)
