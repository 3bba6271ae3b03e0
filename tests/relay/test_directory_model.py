# SPDX-License-Identifier: Apache-2.0
"""A directory beside a model of it: publications in any order, late, repeated and replacing.

The model keeps the whole history and works the answer out of it; the relay keeps as little as it
can.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from e2ecross.address import Address
from e2ecross.relay import Relay, RelayLimits
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    envelope,
    published,
    register,
    token,
)

LIMITS = RelayLimits(one_time_prekeys_per_requester=2, requester_window_ms=1000)
BUDIS_TABLET = Address(BUDI.app, BUDI.user, 2)
EPOCHS = st.integers(0, 6)
IDS = st.lists(st.integers(1, 8), unique=True, max_size=4)


@dataclass(frozen=True)
class Publication:
    ids: tuple[int, ...]
    signed_id: int
    epoch: int
    replace: bool


@dataclass
class Device:
    """What the relay must know of ana's device."""

    epoch: int = 0
    history: list[Publication] = field(default_factory=list)  # as heard, with repetitions
    signed_id: int | None = None
    unused: dict[int, int] = field(default_factory=dict)  # id -> epoch of its publication; ordered
    known: set[int] = field(default_factory=set)

    def hear(self, publication: Publication) -> None:
        told = publication.epoch
        before = self.history[:]
        self.history.append(publication)
        self.epoch = max(self.epoch, told)
        if told and any(p.replace and p.epoch > told for p in before):
            return
        if not told or all(p.epoch <= told for p in before):
            self.signed_id = publication.signed_id
        if publication.replace:
            for number, of in list(self.unused.items()):
                if not told or of <= told:
                    del self.unused[number]
                    if number in publication.ids:
                        self.known.discard(number)
        for number in publication.ids:
            if number not in self.known:
                self.unused[number] = told
                self.known.add(number)


class DirectoryModel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.relay = self.open()
        register(self.relay, ANA, BUDI, BUDIS_TABLET, TOKO)
        self.holder = 0
        self.device = Device()
        self.windows: dict[str, tuple[int, int]] = {}  # user -> prekeys taken, end

    def open(self) -> Relay:
        return Relay(
            Path(self.folder.name) / "relay.db",
            limits=LIMITS,
            clock=self.clock,
            authorise=lambda address, taken: True,
        )

    def publish(self, publication: Publication) -> None:
        keys = published(ANA, publication.ids, signed_id=publication.signed_id)
        self.relay.publish(
            token(ANA, self.holder), keys, epoch=publication.epoch, replace=publication.replace
        )
        self.device.hear(publication)

    @rule(ids=IDS, signed_id=st.integers(1, 5), epoch=EPOCHS, replace=st.booleans())
    def publish_something(self, ids: list[int], signed_id: int, epoch: int, replace: bool) -> None:
        self.publish(Publication(tuple(ids), signed_id, epoch, replace))

    @precondition(lambda self: self.device.history)
    @rule(data=st.data())
    def repeat_an_earlier_publication(self, data: st.DataObject) -> None:
        publication = data.draw(st.sampled_from(self.device.history))
        revived = [] if publication.replace else list(self.device.unused)
        latest = publication == self.device.history[-1]
        left = list(self.device.unused)
        self.publish(publication)
        # A promise of its own, whatever the model says: the last one again changes nothing.
        if latest:
            assert sorted(self.device.unused) == sorted(left)
        assert set(revived) <= set(self.device.unused)

    @rule(epoch=EPOCHS)
    def deposit(self, epoch: int) -> None:
        data = envelope(ANA, BUDI).encode()
        self.relay.deposit(token(ANA, self.holder), data, epoch=epoch)
        self.device.epoch = max(self.device.epoch, epoch)

    @precondition(lambda self: self.device.history)
    @rule(requester=st.sampled_from([BUDI, BUDIS_TABLET, TOKO]))
    def fetch(self, requester: Address) -> None:
        bundle = self.relay.fetch_bundle(requester, token(requester), ANA)
        assert bundle.signed_prekey_id == self.device.signed_id
        taken, end = self.windows.get(requester.user, (0, 0))
        if self.clock.now_ms >= end:
            taken, end = 0, self.clock.now_ms + LIMITS.requester_window_ms
        expected = None
        if self.device.unused and taken < LIMITS.one_time_prekeys_per_requester:
            expected = next(iter(self.device.unused))
            del self.device.unused[expected]
            self.windows[requester.user] = taken + 1, end
        assert bundle.one_time_prekey_id == expected

    @rule(step=st.sampled_from([1, 500, 1000]))
    def wait(self, step: int) -> None:
        self.clock.now_ms += step

    @rule()
    def reset(self) -> None:
        self.holder += 1
        self.relay.register(ANA, token(ANA, self.holder))
        self.device = Device()

    @rule()
    def restart(self) -> None:
        self.relay.close()
        self.relay = self.open()

    @invariant()
    def the_directory_is_that_of_the_model(self) -> None:
        mine = token(ANA, self.holder)
        assert self.relay.epoch(ANA, mine) == self.device.epoch
        assert self.relay.one_time_prekey_count(ANA, mine) == len(self.device.unused)

    def teardown(self) -> None:
        self.relay.close()
        self.folder.cleanup()


TestDirectory = DirectoryModel.TestCase
