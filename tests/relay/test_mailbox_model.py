# SPDX-License-Identifier: Apache-2.0
"""A mailbox beside a model of it: any order of calls, repetitions, restarts and time."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    MailboxFull,
    NotRegistered,
    UnknownRecipient,
)
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
NOBODY = Address("x", "nobody")
NONSENSE = -1
ITEMS = st.lists(st.tuples(PEOPLE, PEOPLE | st.just(NOBODY), st.integers(NONSENSE, 12)), max_size=4)


def encoded(sender: Address, recipient: Address, number: int) -> bytes:
    return b"none" if number == NONSENSE else envelope(sender, recipient, number).encode()


def copy_of(sender: Address, data: bytes) -> Envelope | None:
    """An envelope of a sender; None: it is none."""
    try:
        opened = Envelope.decode(data)
    except DecodeError:
        return None
    return opened if opened.sender == sender else None


class MailboxModel(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.waiting: dict[Address, list[bytes]] = {ANA: [], BUDI: [], TOKO: []}
        self.epochs = dict.fromkeys(self.waiting, 0)
        self.forgotten_at: dict[bytes, int] = {}  # acknowledged envelope -> when it is forgotten
        self.relay = self.open()
        register(self.relay, ANA, BUDI, TOKO)

    def open(self) -> Relay:
        path = Path(self.folder.name) / "relay.db"
        return Relay(path, limits=LIMITS, clock=self.clock)

    def hear(self, sender: Address, encoded: bytes) -> type[BackendError] | None:
        """What one envelope of a sender is refused with, and what the model keeps of it."""
        opened = Envelope.decode(encoded)
        if opened.recipient not in self.waiting:
            return UnknownRecipient
        box = self.waiting[opened.recipient]
        if encoded in box or self.forgotten_at.get(encoded, 0) > self.clock.now_ms:
            return None
        theirs = [data for data in box if Envelope.decode(data).sender == sender]
        bound = LIMITS.mailbox_messages
        if len(theirs) < LIMITS.mailbox_reserve_per_sender:
            bound += bound // 10
        if len(box) >= bound:
            return MailboxFull
        box.append(encoded)
        return None

    def hear_all(self, sender: Address, call: list[bytes]) -> list[type[BackendError] | None]:
        """What the envelopes of a call are refused with.

        Those for the sender itself last: only if somebody else got one of that id, or none is for
        somebody else. What comes after one that had no room has none.
        """
        copies = {n: decoded for n, data in enumerate(call) if (decoded := copy_of(sender, data))}
        own = [n for n, copy in copies.items() if copy.recipient == sender]
        heard: dict[int, type[BackendError] | None] = {}
        full: set[Address] = set()
        for place in sorted(range(len(call)), key=lambda n: n in own):
            copy = copies.get(place)
            if copy is None:
                heard[place] = BackendRefused
                continue
            others = (
                [
                    heard[n]
                    for n, other in copies.items()
                    if n not in own and other.message_id == copy.message_id
                ]
                if place in own
                else []
            )
            if others and None not in others:
                heard[place] = BackendRefused
            elif copy.recipient in full:
                heard[place] = MailboxFull
            else:
                heard[place] = self.hear(sender, call[place])
            if heard[place] is MailboxFull:
                full.add(copy.recipient)
        return [heard[place] for place in range(len(call))]

    @rule(sender=PEOPLE, items=ITEMS, epoch=st.integers(0, 5))
    def deposit(
        self, sender: Address, items: list[tuple[Address, Address, int]], epoch: int
    ) -> None:
        """A call of a sender; in it may be what is for nobody, of others, or nonsense."""
        first = envelope(sender, ANA, 0).encode()
        call = [first, *(encoded(*item) for item in items)]
        answer = self.relay.deposit_all(token(sender), call, epochs={0: epoch})
        expected = self.hear_all(sender, call)
        refused = [
            type(answer.refused[n]) if n in answer.refused else None for n in range(len(call))
        ]
        assert refused == expected
        assert answer.epochs == ({0: self.epochs[sender]} if epoch else {})
        self.epochs[sender] = max(self.epochs[sender], epoch)

    @rule(sender=PEOPLE, recipient=PEOPLE, numbers=st.sampled_from([range(9), range(13)]))
    def flood(self, sender: Address, recipient: Address, numbers: range) -> None:
        self.deposit(sender, [(sender, recipient, number) for number in numbers], 0)

    @rule(owner=PEOPLE)
    def move(self, owner: Address) -> None:
        """To another installation and back; what waits stays, and so does the epoch."""
        self.relay.register(owner, token(owner, 1), replaces=token(owner))
        with pytest.raises(NotRegistered):
            self.relay.fetch(owner, token(owner), 1)
        self.relay.register(owner, token(owner), replaces=token(owner, 1))
        assert self.relay.epochs(owner, token(owner)) == {0: self.epochs[owner]}

    @rule(owner=PEOPLE, limit=st.integers(1, 3), skip=st.integers(0, 2))
    def acknowledge(self, owner: Address, limit: int, skip: int) -> None:
        items = self.relay.fetch(owner, token(owner), limit)
        box = self.waiting[owner]
        assert [data for _, data in items] == box[:limit]
        self.relay.acknowledge(owner, token(owner), [number for number, _ in items[skip:]])
        for _, data in items[skip:]:
            box.remove(data)
            self.forgotten_at[data] = self.clock.now_ms + LIMITS.remembered_ms

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
