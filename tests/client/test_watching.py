# SPDX-License-Identifier: Apache-2.0
"""What a `Client` tells whoever watches it: what is sent, what comes, what fails, what waits."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from e2ecross import Client, Device, FailedMessage, Text
from e2ecross.errors import BackendError, BackendRefused, InvalidArgument
from e2ecross.stores import MemoryStore
from tests.client.conversation import read
from tests.support.devices import (
    ANA,
    BUDI,
    BackendSimulator,
    FakeClock,
    make_client,
    make_device,
)
from tests.support.watching import Heard

NAMES = {
    *("sent", "received", "failed", "deposit_refused", "prekeys_left"),
    *("outbox_oldest_seconds", "inbox_oldest_seconds"),
}
MINUTE = 60_000


class World:
    """Ana, who is watched, and Budi."""

    def __init__(self, stripes: int) -> None:
        self.heard, self.clock = Heard(), FakeClock()
        self.backend = BackendSimulator(clock=self.clock)
        self.store = MemoryStore(stripes)
        device = make_device(ANA, self.store, clock=self.clock)
        self.ana = Client(device, self.backend, metrics=self.heard)
        self.ana.register()
        self.budi = make_client(BUDI, self.backend, clock=self.clock)

    def again(self) -> Client:
        """The same device, in another process that is watched, too."""
        device = Device.open(self.store, clock=self.clock)
        return Client(device, self.backend, metrics=self.heard)


@pytest.fixture(params=[0, 64], ids=["no stripes", "stripes"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def test_what_is_sent_and_received_is_counted(world: World) -> None:
    world.ana.send(BUDI, Text("one"))
    world.ana.send_many([BUDI, BUDI], Text("more"))
    assert world.heard.counts == {"sent": 3}
    assert read(world.budi) == ["one", "more", "more"]
    world.budi.send(ANA, Text("answer"))
    world.budi.send(ANA, Text("answer"))
    assert len(world.ana.receive()) == 2
    assert world.heard.counts == {"sent": 3, "received": 2}
    assert world.heard.events == []


def test_what_comes_again_was_counted_before(world: World) -> None:
    world.budi.send(ANA, Text("halo"))
    assert len(world.ana.receive()) == 1
    world.clock.advance(2 * MINUTE)
    again = world.again().receive()
    assert [item.redelivered for item in again] == [True]
    assert world.heard.counts == {"received": 1}


def test_what_was_sent_is_counted_when_the_back_end_has_it(world: World) -> None:
    world.backend.fail("deposit")
    with suppress(BackendError):
        world.ana.send(BUDI, Text("halo"))
    assert world.heard.counts == {}
    world.clock.advance(2 * MINUTE)
    world.ana.maintain()
    assert world.heard.counts == {"sent": 1}
    world.ana.maintain()
    assert world.heard.counts == {"sent": 1}


def test_what_cannot_be_read_is_told_with_its_code(world: World) -> None:
    world.backend.inject(ANA, b"garbage")
    [failed] = world.ana.receive()
    assert isinstance(failed, FailedMessage)
    assert world.heard.events == [("failed", "decode_error")]
    assert world.heard.counts == {}


def test_what_is_refused_for_good_is_told_with_its_code(world: World) -> None:
    world.ana.send(BUDI, Text("hello"))
    world.backend.break_for(BUDI, BackendRefused("no"))
    with suppress(BackendError):
        world.ana.send(BUDI, Text("halo"))
    assert world.heard.events == [("deposit_refused", "backend_refused")]
    assert world.heard.counts == {"sent": 1}


def test_what_is_refused_in_a_sweep_is_told(world: World) -> None:
    world.ana.send(BUDI, Text("hello"))
    world.backend.fail("deposit")
    with suppress(BackendError):
        world.ana.send(BUDI, Text("halo"))
    assert world.heard.events == []
    world.backend.break_for(BUDI, BackendRefused("no"))
    world.clock.advance(2 * MINUTE)
    with suppress(BackendError):
        world.ana.maintain()
    assert world.heard.events == [("deposit_refused", "backend_refused")]


def test_how_many_prekeys_are_left_is_told(world: World) -> None:
    left = world.heard.observed.pop("prekeys_left")
    assert left  # by register, which maintains
    world.ana.maintain()
    assert world.heard.observed["prekeys_left"] == [100]


def test_for_how_long_something_waits_is_told(world: World) -> None:
    world.heard.observed.clear()
    world.backend.break_for(BUDI)
    with suppress(BackendError):
        world.ana.send(BUDI, Text("halo"))
    world.budi.send(ANA, Text("halo"))
    items = world.ana.receive()
    world.clock.advance(2 * MINUTE)
    with suppress(BackendError):
        world.ana.maintain()
    assert world.heard.observed["outbox_oldest_seconds"][-1] == 120.0
    assert world.heard.observed["inbox_oldest_seconds"][-1] == 120.0
    world.ana.confirm(items)
    del world.backend.broken[BUDI]
    world.clock.advance(60 * MINUTE)
    world.ana.maintain()
    world.clock.advance(MINUTE)
    world.ana.receive()
    assert world.heard.observed["outbox_oldest_seconds"][-1] == 0.0
    assert world.heard.observed["inbox_oldest_seconds"][-1] == 0.0


def test_that_is_looked_up_twice_a_minute(world: World) -> None:
    world.clock.advance(MINUTE)
    world.heard.observed.clear()
    for _ in range(3):
        with suppress(BackendError):
            world.ana.receive()
    assert len(world.heard.observed["outbox_oldest_seconds"]) == 1
    world.clock.advance(37_000)
    world.ana.receive()
    assert len(world.heard.observed["outbox_oldest_seconds"]) == 2


def test_a_sender_whose_clock_is_ahead_makes_no_age_below_0(world: World) -> None:
    world.clock.advance(MINUTE)
    world.budi.send(ANA, Text("halo"))
    world.clock.advance(-MINUTE)
    world.ana.receive()
    world.clock.advance(40_000)
    world.ana.receive()
    assert world.heard.observed["inbox_oldest_seconds"][-1] == 0.0


def test_no_name_and_no_code_names_anybody(world: World) -> None:
    test_what_is_sent_and_received_is_counted(world)
    world.backend.inject(ANA, b"garbage")
    world.ana.receive()
    told = {*world.heard.counts, *world.heard.observed, *(name for name, _ in world.heard.events)}
    assert told <= NAMES
    assert {code for _, code in world.heard.events} == {"decode_error"}


def test_another_thread_is_watched_by_the_same(world: World) -> None:
    world.ana.for_thread().send(BUDI, Text("halo"))
    assert world.heard.counts == {"sent": 1}


def _raise(*_: object) -> None:
    raise RuntimeError("a hook")


@pytest.mark.parametrize("kind", ["count", "observe", "event"])
def test_a_hook_that_raises_breaks_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Heard, kind, _raise)
    world = World(64)
    world.ana.send(BUDI, Text("halo"))
    assert read(world.budi) == ["halo"]
    world.backend.inject(ANA, b"garbage")
    world.budi.send(ANA, Text("answer"))
    assert len(world.ana.receive()) == 2


def test_hooks_are_called_outside_of_transactions() -> None:
    """One that asks the store would else wait for itself."""
    calls: list[Callable[[], object]] = []
    seen: list[object] = []

    class Curious(Heard):
        def count(self, name: str, n: int = 1) -> None:
            seen.extend(call() for call in calls)

        def observe(self, name: str, seconds: float) -> None:
            self.count(name)

        def event(self, name: str, code: str) -> None:
            self.count(name)

    world = World(64)
    world.heard = Curious()
    ana = world.again()
    calls.append(world.ana.pending)
    ana.send(BUDI, Text("halo"))
    world.backend.inject(ANA, b"garbage")
    ana.receive()
    ana.maintain()
    assert len(seen) >= 4


def test_who_lacks_a_method_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^metrics"):
        Client(make_device(ANA), BackendSimulator(), metrics=object())  # type: ignore[arg-type]
