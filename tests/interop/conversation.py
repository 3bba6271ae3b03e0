# SPDX-License-Identifier: Apache-2.0
"""Two parties and a bad network between them, driven by a seeded generator."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import pytest

from . import surgery
from .peers import PREKEY, Party, Sealed

LARGEST = 65_536
SIZES = (0, 1, 15, 16, 17, 100, 255, 256, 1000, 4096, 16_383, LARGEST)
WEIGHTS = (4, 4, 4, 4, 4, 40, 8, 8, 12, 8, 2, 2)
SURE = {3: 0, 6: LARGEST}  # these messages of each party have this size and are never lost

LOSS = 0.08
DUPLICATION = 0.12
TAMPERING = 0.08
MAX_DELAY = 3  # turns; a turn is at most one new chain, and peers keep five


@dataclass
class Tally:
    """What a conversation carried."""

    read: int = 0
    octets: int = 0
    lost: int = 0
    out_of_order: int = 0
    across_chains: int = 0  # read after a message of a newer chain of the same sender
    duplicates_refused: int = 0
    tampered_refused: int = 0

    def add(self, other: "Tally") -> None:
        """Sum up."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class _Parcel:
    number: int
    chain: int
    sealed: Sealed
    plaintext: bytes
    delivered: bool = False


@dataclass
class _Outbox:
    """What one party has sent, as the network sees it."""

    sender: Party
    receiver: Party
    may_send: bool
    sent: int = 0
    chains: dict[bytes, int] = field(default_factory=dict)  # ratchet key: messages, oldest first
    newest_read: tuple[int, int] = (-1, -1)  # chain, number
    in_flight: list[tuple[int, _Parcel]] = field(default_factory=list)  # due turn, parcel

    def seal(self, plaintext: bytes) -> _Parcel:
        """Encrypt the next message, and check that its numbers are those of deployed clients."""
        sealed = self.sender.encrypt(plaintext)
        lengths = list(self.chains.values())
        key = surgery.ratchet_key(sealed)
        index = list(self.chains).index(key) if key in self.chains else len(lengths)
        assert index >= len(lengths) - 1, "back on an old chain"
        last_of_previous = max(lengths[index - 1] - 1, 0) if index else 0
        assert surgery.counters(sealed) == (self.chains.get(key, 0), last_of_previous)
        self.chains[key] = self.chains.get(key, 0) + 1
        self.sent += 1
        return _Parcel(self.sent, index, sealed, plaintext)


def start(initiator: Party, responder: Party, *, one_time: bool) -> None:
    """Give the initiator a session with the responder."""
    initiator.process(responder.bundle(one_time=one_time))


def exchange(sender: Party, receiver: Party, plaintext: bytes) -> Sealed:
    """One message, read at once; returns what was on the wire."""
    sealed = sender.encrypt(plaintext)
    assert receiver.decrypt(sealed) == plaintext
    return sealed


def walk(
    rng: Random, initiator: Party, responder: Party, messages: int, *, spare_version: bool
) -> Tally:
    """Random turns with loss, duplicates, delays, reordering and damage; all that arrives is read.

    Args:
        rng: decides everything that the network and the writers do.
        initiator: has a session already.
        responder: has none; it can write when it has read something.
        messages: how many are encrypted, in both directions together.
        spare_version: do not damage version bytes (for peers that do not check them).

    """
    tally = Tally()
    boxes = (
        _Outbox(initiator, responder, may_send=True),
        _Outbox(responder, initiator, may_send=False),
    )
    turn = 0
    while any(box.in_flight for box in boxes) or sum(box.sent for box in boxes) < messages:
        turn += 1
        box = rng.choice([box for box in boxes if box.may_send])
        left = messages - sum(box.sent for box in boxes)
        for _ in range(min(rng.randint(1, 5), left)):
            size = SURE.get(box.sent + 1)
            parcel = box.seal(
                rng.randbytes(rng.choices(SIZES, WEIGHTS)[0] if size is None else size)
            )
            if size is None and rng.random() < LOSS:
                tally.lost += 1
                continue
            box.in_flight.append((turn + rng.choice((0, 0, 0, 0, 1, 2, MAX_DELAY)), parcel))
            if rng.random() < DUPLICATION:
                box.in_flight.append((turn + rng.randint(0, MAX_DELAY), parcel))
        for index, box in enumerate(boxes):
            due = [parcel for when, parcel in box.in_flight if when <= turn]
            box.in_flight = [(when, parcel) for when, parcel in box.in_flight if when > turn]
            rng.shuffle(due)
            for parcel in due:
                _deliver(rng, box, parcel, tally, spare_version=spare_version)
                boxes[1 - index].may_send = True
        if turn % 20 == 0:
            initiator.restart()
            responder.restart()
    assert all(box.sent >= max(SURE) for box in boxes), "one side hardly spoke: another seed"
    return tally


def _deliver(
    rng: Random, box: _Outbox, parcel: _Parcel, tally: Tally, *, spare_version: bool
) -> None:
    if parcel.delivered:
        with pytest.raises(box.receiver.duplicate):
            box.receiver.decrypt(parcel.sealed)
        tally.duplicates_refused += 1
        return
    if rng.random() < TAMPERING:
        place = surgery.inner(parcel.sealed)
        offset = rng.randrange(place.start + spare_version, place.stop)
        with pytest.raises(box.receiver.refusal):
            box.receiver.decrypt(surgery.flip(parcel.sealed, offset, rng.randrange(8)))
        tally.tampered_refused += 1
    assert box.receiver.decrypt(parcel.sealed) == parcel.plaintext
    parcel.delivered = True
    tally.read += 1
    tally.octets += len(parcel.plaintext)
    tally.out_of_order += (parcel.chain, parcel.number) < box.newest_read
    tally.across_chains += parcel.chain < box.newest_read[0]
    box.newest_read = max(box.newest_read, (parcel.chain, parcel.number))


def crossing_walk(rng: Random, left: Party, right: Party, messages: int, window: int) -> Tally:
    """Both have just started a session; traffic crosses, and each direction arrives in order.

    Args:
        rng: decides who writes and which queue moves.
        left: one party.
        right: the other.
        messages: how many are encrypted, in both directions together.
        window: how many may be under way in one direction.

    """
    tally = Tally()
    directions = ((left, right), (right, left))
    queues: tuple[deque[tuple[Sealed, bytes]], ...] = (deque(), deque())
    for queue, (sender, _) in zip(queues, directions, strict=True):
        plaintext = rng.randbytes(20)
        queue.append((sender.encrypt(plaintext), plaintext))
    assert all(queue[0][0].kind == PREKEY for queue in queues), "both are first messages"
    sent = len(queues)
    while sent < messages or any(queues):
        way = rng.randrange(2)
        sender, receiver = directions[way]
        if rng.random() < 0.5 and sent < messages and len(queues[way]) < window:
            plaintext = rng.randbytes(rng.randrange(200))
            queues[way].append((sender.encrypt(plaintext), plaintext))
            sent += 1
        elif queues[way]:
            sealed, plaintext = queues[way].popleft()
            assert receiver.decrypt(sealed) == plaintext
            tally.read += 1
            tally.octets += len(plaintext)
    assert tally.read == messages
    return tally
