# SPDX-License-Identifier: Apache-2.0
"""Devices of an account beside a model of them: lists, claims, moves, resets, deposits."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from e2ecross.address import Address
from e2ecross.errors import BackendRefused, NotRegistered
from e2ecross.relay import Relay
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.relay.support import (
    ANA,
    BUDI,
    device_list,
    envelope,
    published,
    register,
    token,
    token_sha256,
)

NUMBERS = (1, 2, 3)
COMPANIONS = st.sampled_from(NUMBERS[1:])
DEVICES = st.sampled_from(NUMBERS)
GENERATIONS = st.integers(0, 2)


def device(number: int) -> Address:
    return Address(ANA.app, ANA.user, number)


@dataclass
class Registered:
    """What the relay must know of a device of ana."""

    generation: int
    has_keys: bool = False
    epoch: int = 0
    mailbox: list[bytes] = field(default_factory=list)


class DevicesModel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.relay = self.open()
        register(self.relay, BUDI, ANA)
        self.seq, self.signed = 0, b""
        self.listed: set[int] = set()
        self.registered = {1: Registered(0)}
        self.delivered: set[bytes] = set()

    def open(self) -> Relay:
        path = Path(self.folder.name) / "relay.db"
        return Relay(path, authorise=lambda address, taken, credential: True)

    def token(self, number: int) -> bytes:
        return token(device(number), self.registered[number].generation)

    @rule(
        step=st.sampled_from([-1, 0, 1, 1, 1000]),
        companions=st.sets(COMPANIONS),
        tokens=st.dictionaries(COMPANIONS, GENERATIONS),
        epoch=st.integers(0, 5),
    )
    def publish_devices(
        self, step: int, companions: set[int], tokens: dict[int, int], epoch: int
    ) -> None:
        seq = max(self.seq + step, 1)
        data = device_list(ANA, seq, [1, *sorted(companions)]).encode()
        digests = {n: token_sha256(token(device(n), tokens[n])) for n in tokens}
        primary = self.registered[1]
        if seq <= self.seq and data != self.signed:
            with pytest.raises(BackendRefused):
                self.relay.publish_devices(self.token(1), data, digests, epoch=epoch)
            return
        self.relay.publish_devices(self.token(1), data, digests, epoch=epoch)
        primary.epoch = max(primary.epoch, epoch)
        if data == self.signed:
            return
        self.seq, self.signed, self.listed = seq, data, {1, *companions}
        for number in NUMBERS:
            if number not in self.listed:
                self.registered.pop(number, None)
            elif number in tokens:
                before = self.registered.get(number)
                if before is None or before.generation != tokens[number]:
                    self.registered[number] = Registered(tokens[number])

    @rule(number=DEVICES, generation=GENERATIONS, replaces=st.none() | GENERATIONS)
    def register(self, number: int, generation: int, replaces: int | None) -> None:
        before = self.registered.get(number)
        proof = b"" if replaces is None else token(device(number), replaces)
        is_known = before is not None and before.generation in (generation, replaces)
        new = token(device(number), generation)
        if not is_known and number != 1 and self.seq:
            with pytest.raises(BackendRefused):
                self.relay.register(device(number), new, replaces=proof)
            return
        self.relay.register(device(number), new, replaces=proof)
        if is_known and before is not None:
            before.generation = generation
            return
        self.registered[number] = Registered(generation)
        if number == 1:
            if self.seq:
                self.registered = {1: self.registered[1]}
            self.seq, self.signed, self.listed = 0, b"", set()

    @rule(number=DEVICES)
    def publish(self, number: int) -> None:
        if number in self.registered:
            self.relay.publish(self.token(number), published(device(number)), epoch=1)
            self.registered[number].has_keys = True
            self.registered[number].epoch = max(self.registered[number].epoch, 1)

    @rule(numbers=st.lists(DEVICES, min_size=1, max_size=4, unique=True), message=st.integers(0, 6))
    def deposit(self, numbers: list[int], message: int) -> None:
        call = [envelope(BUDI, device(number), message).encode() for number in numbers]
        answer = self.relay.deposit_all(token(BUDI), call)
        assert answer.seqs == {ANA.user_id: self.seq, BUDI.user_id: 0}
        for place, number in enumerate(numbers):
            is_there = number in self.registered
            assert (place not in answer.refused) is is_there
            if is_there and call[place] not in self.delivered:
                self.delivered.add(call[place])
                self.registered[number].mailbox.append(call[place])

    @rule(number=DEVICES)
    def acknowledge(self, number: int) -> None:
        if number in self.registered:
            items = self.relay.fetch(device(number), self.token(number), 2)
            numbers = [item.number for item in items]
            self.relay.acknowledge(device(number), self.token(number), numbers)
            del self.registered[number].mailbox[:2]

    @rule()
    def restart(self) -> None:
        self.relay.close()
        self.relay = self.open()

    @rule(number=DEVICES, generation=GENERATIONS)
    def show_a_token(self, number: int, generation: int) -> None:
        here = self.registered.get(number)
        key = token(device(number), generation)
        if here is not None and here.generation == generation:
            assert self.relay.epochs(device(number), key) == {0: here.epoch}
        else:
            with pytest.raises(NotRegistered):
                self.relay.fetch(device(number), key, 1)

    @rule(wanted=st.none() | st.sets(DEVICES))
    def fetch_keys(self, wanted: set[int] | None) -> None:
        """Whoever asks for whatever gets devices of the list alone, once there is one."""
        [keys] = self.relay.fetch_keys(BUDI, token(BUDI), [KeysWanted(ANA.user_id, wanted)])
        assert isinstance(keys, UserKeys)
        assert keys.device_list == self.signed
        if wanted is None:
            wanted = self.listed or {1}
        got = {bundle.address.device for bundle in keys.bundles}
        with_keys = {number for number, here in self.registered.items() if here.has_keys}
        assert got == with_keys & wanted
        assert not self.seq or got <= self.listed

    @invariant()
    def the_devices_are_those_of_the_model(self) -> None:
        for number, here in self.registered.items():
            items = self.relay.fetch(device(number), self.token(number), 100)
            assert [item.envelope for item in items] == here.mailbox

    def teardown(self) -> None:
        self.relay.close()
        self.folder.cleanup()


TestDevices = DevicesModel.TestCase
