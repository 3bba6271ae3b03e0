# SPDX-License-Identifier: Apache-2.0
"""A directory beside a model of it: publications in any order, late, repeated and replacing.

The model keeps the whole history and works the answer out of it; the relay keeps as little as it
can.
"""

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from e2ecross.address import Address
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    deposit,
    envelope,
    epoch_of,
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
    kyber: tuple[int, ...] | None  # None: it offers no Kyber prekeys
    signed_id: int
    epoch: int
    replace: bool


@dataclass
class Pool:
    """One-time prekeys of one kind."""

    unused: dict[int, int] = field(default_factory=dict)  # id -> epoch of its publication; ordered
    known: set[int] = field(default_factory=set)

    def hear(self, ids: tuple[int, ...], told: int, replace: bool) -> None:
        if replace:
            for number, of in list(self.unused.items()):
                if not told or of <= told:
                    del self.unused[number]
                    if number in ids:
                        self.known.discard(number)
        for number in ids:
            if number not in self.known:
                self.unused[number] = told
                self.known.add(number)

    def take(self) -> int | None:
        if not self.unused:
            return None
        number = next(iter(self.unused))
        del self.unused[number]
        return number


@dataclass
class Device:
    """What the relay must know of ana's device."""

    epoch: int = 0
    history: list[Publication] = field(default_factory=list)  # as heard, with repetitions
    latest: Publication | None = None
    x25519: Pool = field(default_factory=Pool)
    kyber: Pool = field(default_factory=Pool)

    def hear(self, publication: Publication) -> None:
        told = publication.epoch
        before = self.history[:]
        self.history.append(publication)
        self.epoch = max(self.epoch, told)
        if told and any(p.replace and p.epoch > told for p in before):
            return
        if not told or all(p.epoch <= told for p in before):
            self.latest = publication
        self.x25519.hear(publication.ids, told, publication.replace)
        self.kyber.hear(publication.kyber or (), told, publication.replace)

    @property
    def offers_kyber(self) -> bool:
        return self.latest is not None and self.latest.kyber is not None

    @property
    def unused(self) -> tuple[list[int], list[int]]:
        return sorted(self.x25519.unused), sorted(self.kyber.unused)


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
            authorise=lambda address, taken, credential: True,
        )

    def publish(self, publication: Publication) -> None:
        signed_id, kyber = publication.signed_id, publication.kyber
        keys = published(ANA, publication.ids, signed_id=signed_id, kyber=kyber)
        self.relay.publish(
            token(ANA, self.holder), keys, epoch=publication.epoch, replace=publication.replace
        )
        self.device.hear(publication)

    @rule(
        ids=IDS,
        kyber=st.none() | IDS,
        signed_id=st.integers(1, 5),
        epoch=EPOCHS,
        replace=st.booleans(),
    )
    def publish_something(
        self, ids: list[int], kyber: list[int] | None, signed_id: int, epoch: int, replace: bool
    ) -> None:
        kyber_ids = None if kyber is None else tuple(kyber)
        self.publish(Publication(tuple(ids), kyber_ids, signed_id, epoch, replace))

    @precondition(lambda self: self.device.history)
    @rule(data=st.data())
    def repeat_an_earlier_publication(self, data: st.DataObject) -> None:
        publication = data.draw(st.sampled_from(self.device.history))
        latest = publication == self.device.history[-1]
        before = self.device.unused
        self.publish(publication)
        # Promises of their own, whatever the model says: the last one again changes nothing, and
        # one that does not replace takes nothing back.
        if latest:
            assert self.device.unused == before
        if not publication.replace:
            for left, now in zip(before, self.device.unused, strict=True):
                assert set(left) <= set(now)

    @rule(epoch=EPOCHS)
    def deposit(self, epoch: int) -> None:
        data = envelope(ANA, BUDI).encode()
        deposit(self.relay, token(ANA, self.holder), data, epoch=epoch)
        self.device.epoch = max(self.device.epoch, epoch)

    @precondition(lambda self: self.device.history)
    @rule(
        requester=st.sampled_from([BUDI, BUDIS_TABLET, TOKO]),
        devices=st.sampled_from([None, (1,), (1, 5)]),
    )
    def fetch(self, requester: Address, devices: Collection[int] | None) -> None:
        # Of each user in the call, whoever has no keys in it.
        wanted = [KeysWanted(user.user_id, devices) for user in (BUDI, ANA)]
        nobody, keys = self.relay.fetch_keys(requester, token(requester), wanted)
        assert nobody == UserKeys(b"", ())
        assert isinstance(keys, UserKeys)
        [bundle] = keys.bundles
        device, latest = self.device, self.device.latest
        assert latest is not None
        assert bundle.signed_prekey_id == latest.signed_id
        taken, end = self.windows.get(requester.user, (0, 0))
        if self.clock.now_ms >= end:
            taken, end = 0, self.clock.now_ms + LIMITS.requester_window_ms
        expected = expected_kyber = None
        if taken < LIMITS.one_time_prekeys_per_requester:
            expected = device.x25519.take()
            expected_kyber = device.kyber.take() if device.offers_kyber else None
        if (expected, expected_kyber) != (None, None):
            self.windows[requester.user] = taken + 1, end
        assert bundle.one_time_prekey_id == expected
        if device.offers_kyber and expected_kyber is None:
            expected_kyber = 1_000_000 + latest.signed_id
        assert bundle.kyber_prekey_id == expected_kyber

    @rule(step=st.sampled_from([1, 500, 1000]))
    def wait(self, step: int) -> None:
        self.clock.now_ms += step

    @rule(wrong=st.booleans())
    def move(self, wrong: bool) -> None:
        """To another installation: everything stays. Without the right token it is a reset."""
        old = token(ANA, -1 if wrong else self.holder)
        self.holder += 1
        self.relay.register(ANA, token(ANA, self.holder), replaces=old)
        if wrong:
            self.device = Device()

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
        assert epoch_of(self.relay, ANA, mine) == self.device.epoch
        counts = list(map(len, self.device.unused))
        left = min(counts) if self.device.offers_kyber else counts[0]
        assert self.relay.one_time_prekey_count(ANA, mine) == left

    def teardown(self) -> None:
        self.relay.close()
        self.folder.cleanup()


TestDirectory = DirectoryModel.TestCase
