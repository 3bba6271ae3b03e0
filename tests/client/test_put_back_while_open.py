# SPDX-License-Identifier: Apache-2.0
"""An older state is put under a client that is open: in no call is anything of it released.

Nor is anything acknowledged, deposited or published that is not in the store any more; also where
it happens in the middle of a call, while the back end is asked.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from e2ecross import Client, Text
from e2ecross.errors import RestoredStore
from e2ecross.stores import MemoryStore, Transaction
from tests.client.conversation import meet, promise, read, store_of
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    BackendSimulator,
    garbage,
    make_client,
    reopen_device,
)
from tests.support.restores import put_back, take_copy
from tests.support.store_kinds import STRIPES, raises_over_stripes


class PuttingBack(BackendSimulator):
    """Puts a store back while it answers the next call of a method."""

    def __init__(self) -> None:
        super().__init__()
        self.method = ""
        self.act: Callable[[], object] = lambda: None

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        with super()._call(method):
            if method == self.method:
                self.method = ""
                self.act()
            yield


@pytest.fixture
def backend() -> PuttingBack:
    return PuttingBack()


class Scene:
    """Ana has sent since the copy was made; for her waits what can be read, and what cannot.

    And an item in her inbox, which the app has and did not confirm.
    """

    def __init__(self, backend: PuttingBack) -> None:
        self.backend = backend
        self.ana, self.budi = make_client(ANA, backend), make_client(BUDI, backend)
        meet(self.ana, self.budi)
        self.budi.send(ANA, Text("not confirmed"))
        assert len(self.ana.receive()) == 1
        backend.inject(ANA, garbage()[2])
        self.copy = take_copy(store_of(self.ana))
        self.ana.send(BUDI, Text("since"))
        self.budi.send(ANA, Text("waits"))
        self.left = (
            len(backend.mailbox(ANA)),
            len(backend.acknowledged),
            len(backend.deposits),
            len(backend.publications),
        )

    def put_back(self) -> None:
        put_back(store_of(self.ana), self.copy)

    def assert_nothing_left(self) -> None:
        backend = self.backend
        assert self.left == (
            len(backend.mailbox(ANA)),
            len(backend.acknowledged),
            len(backend.deposits),
            len(backend.publications),
        )


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("method", ["fetch", "one_time_prekey_count"])
def test_in_the_middle_of_receiving(backend: PuttingBack, method: str) -> None:
    scene = Scene(backend)
    backend.act, backend.method = scene.put_back, method
    if method == "one_time_prekey_count":
        backend._accounts[ANA].mailbox.clear()
        scene.left = (0, *scene.left[1:])
        scene.ana._tending._prekeys.forget()  # so that it is asked
    for _ in range(2):
        with pytest.raises(RestoredStore):
            scene.ana.receive()
        scene.assert_nothing_left()
    assert backend.method == ""


def test_a_batch_that_can_be_read_is_not_taken_into_an_older_state(backend: PuttingBack) -> None:
    scene = Scene(backend)
    backend.drop(ANA, backend.mailbox(ANA).index(garbage()[2]))
    scene.left = (scene.left[0] - 1, *scene.left[1:])
    backend.act, backend.method = scene.put_back, "fetch"
    for _ in range(2):
        with pytest.raises(RestoredStore):
            scene.ana.receive()
        scene.assert_nothing_left()
    assert backend.method == ""


def test_what_is_in_the_inbox_stays_there(backend: PuttingBack) -> None:
    """Also where so little is asked for that nothing else is done in the call."""
    scene = Scene(backend)
    scene.put_back()
    again = Client(scene.ana.device, backend)
    for _ in range(2):
        with pytest.raises(RestoredStore):
            again.receive(1)
    scene.assert_nothing_left()


def test_what_was_taken_in_before_is_not_acknowledged(backend: PuttingBack) -> None:
    """The older state has taken it in, too: what it says of that is not believed either."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.inject(ANA, garbage()[2])
    backend.lose_answer("acknowledge")
    kept = list(backend._accounts[ANA].mailbox)
    assert read(ana) == ["!decode_error"]
    backend._accounts[ANA].mailbox[:] = kept  # the answer was lost, and so was the call
    copy, before = take_copy(store_of(ana)), len(backend.acknowledged)
    ana.send(BUDI, Text("since"))
    backend.act, backend.method = lambda: put_back(store_of(ana), copy), "fetch"
    with pytest.raises(RestoredStore):
        ana.receive()
    assert backend.method == ""
    assert len(backend.acknowledged) == before


class Hooked(AroundStore):
    """A store; does what is listed, one of it before each transaction."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.before: list[Callable[[], object]] = []

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        if self.before:
            self.before.pop(0)()
        return super().transaction(stripe, moved=moved)


def test_what_was_taken_in_before_is_not_acknowledged_in_the_middle_of_a_batch(
    backend: PuttingBack,
) -> None:
    """The store is put back between the batch and what is looked at alone."""
    store = Hooked()
    ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
    meet(ana, budi)
    backend.inject(ANA, garbage()[2])
    backend.fail("acknowledge")
    assert read(ana) == ["!decode_error"]
    copy, before = take_copy(store.inner), len(backend.acknowledged)
    ana.send(BUDI, Text("since"))

    def hook() -> None:  # all together; the first alone
        store.before = [lambda: None, lambda: put_back(store.inner, copy)]

    backend.act, backend.method = hook, "fetch"
    with pytest.raises(RestoredStore):
        ana.receive()
    assert store.before == []
    assert len(backend.acknowledged) == before


def test_in_the_middle_of_what_waits(backend: PuttingBack) -> None:
    """The first deposit is on its way; of the older state nothing follows it."""
    ana, budi, toko = (make_client(who, backend) for who in (ANA, BUDI, TOKO))
    meet(ana, budi)
    meet(ana, toko)
    backend.unreachable = True
    for who in (BUDI, TOKO):
        promise(ana, who, *(f"{number}" for number in range(20)))
    copy = take_copy(store_of(ana))
    promise(ana, BUDI, "since")
    backend.unreachable = False
    before = len(backend.deposits)
    backend.act, backend.method = lambda: put_back(store_of(ana), copy), "deposit"
    with pytest.raises(RestoredStore):
        ana.maintain()
    assert backend.method == ""
    # Of one stripe, or so much as is read while nothing is known of the way.
    assert 0 < len(backend.deposits) - before <= (21 if STRIPES else 16)


def test_what_the_back_end_says_with_a_deposit_is_believed(backend: PuttingBack) -> None:
    """Another copy of the store has gone on: the second message does not leave."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    store = MemoryStore()
    put_back(store, take_copy(store_of(ana)))
    other = Client(reopen_device(ana.device, store, "other"), backend)
    for _ in range(3):
        other.send(BUDI, Text("from the other copy"))
    with raises_over_stripes(RestoredStore):  # what was deposited is forgotten at once
        ana.send(BUDI, Text("nobody has told"))
    before = len(backend.deposits)
    for _ in range(2):
        with pytest.raises(RestoredStore, match="the back end knows"):
            ana.send(BUDI, Text("under a key of the other copy"))
    assert len(backend.deposits) == before
