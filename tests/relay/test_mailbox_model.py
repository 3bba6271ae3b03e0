# SPDX-License-Identifier: Apache-2.0
"""A mailbox beside a model of it: any order of calls, repetitions, restarts and time."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from e2ecross.address import Address
from e2ecross.errors import MailboxFull
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.envelope import Envelope
from tests.relay.support import ANA, BUDI, TOKO, FakeClock, envelope, register, token

LIMITS = RelayLimits(
    mailbox_messages=10,
    mailbox_reserve_per_sender=2,
    fetch_messages=3,
    remembered_messages=1000,
    remembered_ms=1000,
)
PEOPLE = st.sampled_from([ANA, BUDI, TOKO])
NUMBERS = st.integers(0, 12)


class MailboxModel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.waiting: dict[Address, list[bytes]] = {ANA: [], BUDI: [], TOKO: []}
        self.forgotten_at: dict[bytes, int] = {}  # acknowledged envelope -> when it is forgotten
        self.relay = self.open()
        register(self.relay, ANA, BUDI, TOKO)

    def open(self) -> Relay:
        path = Path(self.folder.name) / "relay.db"
        return Relay(path, limits=LIMITS, clock=self.clock)

    @rule(sender=PEOPLE, recipient=PEOPLE, number=NUMBERS)
    def deposit(self, sender: Address, recipient: Address, number: int) -> None:
        encoded = envelope(sender, recipient, number).encode()
        box = self.waiting[recipient]
        known = encoded in box or self.forgotten_at.get(encoded, 0) > self.clock.now_ms
        theirs = [data for data in box if Envelope.decode(data).sender == sender]
        bound = LIMITS.mailbox_messages
        if len(theirs) < LIMITS.mailbox_reserve_per_sender:
            bound += bound // 10
        if not known and len(box) >= bound:
            with pytest.raises(MailboxFull):
                self.relay.deposit(token(sender), encoded)
            return
        self.relay.deposit(token(sender), encoded)
        if not known:
            box.append(encoded)

    @rule(sender=PEOPLE, recipient=PEOPLE, numbers=st.sampled_from([range(9), range(13)]))
    def flood(self, sender: Address, recipient: Address, numbers: range) -> None:
        for number in numbers:
            self.deposit(sender, recipient, number)

    @rule(owner=PEOPLE, limit=st.integers(1, 3), skip=st.integers(0, 2))
    def acknowledge(self, owner: Address, limit: int, skip: int) -> None:
        items = self.relay.fetch(owner, token(owner), limit)
        box = self.waiting[owner]
        assert [encoded for _, encoded in items] == box[:limit]
        self.relay.acknowledge(owner, token(owner), [number for number, _ in items[skip:]])
        for _, encoded in items[skip:]:
            box.remove(encoded)
            self.forgotten_at[encoded] = self.clock.now_ms + LIMITS.remembered_ms

    @rule(owner=PEOPLE, other=PEOPLE)
    def acknowledge_what_is_not_theirs(self, owner: Address, other: Address) -> None:
        if owner != other:
            items = self.relay.fetch(other, token(other), 3)
            self.relay.acknowledge(owner, token(owner), [number for number, _ in items])

    @rule(step=st.sampled_from([1, 500, 1000]))
    def wait(self, step: int) -> None:
        self.clock.now_ms += step

    @rule()
    def restart(self) -> None:
        self.relay.close()
        self.relay = self.open()

    @invariant()
    def mailboxes_are_those_of_the_model(self) -> None:
        for owner, box in self.waiting.items():
            assert [e.encode() for e in self.relay.waiting(owner)] == box

    def teardown(self) -> None:
        self.relay.close()
        self.folder.cleanup()


TestMailbox = MailboxModel.TestCase
