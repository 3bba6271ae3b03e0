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

CHAINS_KEPT = 5  # receiving chains; what is older cannot be read
EPOCHS_KEPT = 2  # of the post-quantum ratchet, counted from the one that the receiver sends in


@dataclass(frozen=True)
class Weather:
    """How bad the network is, and how its users write."""

    loss: tuple[float, ...] = (0.08,)  # in turn, for 50 turns each
    duplication: float = 0.12
    tampering: float = 0.08
    bursts: tuple[int, ...] = (1, 2, 3, 4, 5)  # messages of one turn
    delays: tuple[int, ...] = (0, 0, 0, 0, 1, 2, 3)  # turns; each makes at most one new chain
    restart_every: int = 20  # turns


MILD = Weather()
STORM = Weather(
    loss=(0.2, 0.3, 0.4),
    duplication=0.1,
    tampering=0.03,
    bursts=(1, 1, 2, 2, 3, 3, 5, 8, 13, 30),
    delays=(*(0,) * 16, 1, 2, 2, 3, 3, 6, 12, 24),
    restart_every=100,
)


@dataclass
class Tally:
    """What a conversation carried."""

    read: int = 0
    octets: int = 0
    lost: int = 0
    out_of_order: int = 0
    across_chains: int = 0  # read after a message of a newer chain of the same sender
    across_epochs: int = 0  # the same with epochs of the post-quantum ratchet
    duplicates_refused: int = 0
    tampered_refused: int = 0
    too_late_refused: int = 0  # their chain or epoch is one that no peer keeps
    epochs: int = 0  # of the post-quantum ratchet, complete

    def add(self, other: "Tally") -> None:
        """Sum up."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class _Parcel:
    number: int
    chain: int
    epoch: int  # of the post-quantum ratchet, of which its key is; 0 without that ratchet
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
    read: int = 0
    epoch: int = 0  # of the last message sent
    newest_read: tuple[int, int] = (-1, -1)  # chain, number
    newest_epoch_read: int = 0
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
        seen = surgery.spqr(sealed)
        epoch = 0 if seen is None else seen.key_epoch
        assert 0 <= epoch - self.epoch <= 1, "epochs come one by one"
        self.epoch = epoch
        return _Parcel(self.sent, index, epoch, sealed, plaintext)

    def keeps(self, parcel: _Parcel, receivers_epoch: int) -> bool:
        """Whether the receiver, who sends in that epoch, still has what it takes to read this."""
        return (
            parcel.chain > self.newest_read[0] - CHAINS_KEPT
            and parcel.epoch > receivers_epoch - EPOCHS_KEPT
        )


def start(initiator: Party, responder: Party, *, one_time: bool) -> None:
    """Give the initiator a session with the responder."""
    initiator.process(responder.bundle(one_time=one_time))


def exchange(sender: Party, receiver: Party, plaintext: bytes) -> Sealed:
    """One message, read at once; returns what was on the wire."""
    sealed = sender.encrypt(plaintext)
    assert receiver.decrypt(sealed) == plaintext
    return sealed


def walk(
    rng: Random,
    initiator: Party,
    responder: Party,
    messages: int,
    *,
    spare_version: bool,
    weather: Weather = MILD,
    read_each_way: int = 0,
) -> Tally:
    """Random turns with loss, duplicates, delays, reordering and damage; all that arrives is read.

    What arrives so late that its chain or its epoch is one that nobody keeps has to be refused.

    Args:
        rng: decides everything that the network and the writers do.
        initiator: has a session already.
        responder: has none; it can write when it has read something.
        messages: how many are encrypted at least, in both directions together.
        spare_version: do not damage version bytes (for peers that do not check them).
        weather: how bad the network is.
        read_each_way: how many are read at least in each direction.

    """
    tally = Tally()
    boxes = (
        _Outbox(initiator, responder, may_send=True),
        _Outbox(responder, initiator, may_send=False),
    )

    def wanted() -> int:
        missing = max(read_each_way - box.read - len(box.in_flight) for box in boxes)
        return max(messages - sum(box.sent for box in boxes), missing)

    turn = 0
    while any(box.in_flight for box in boxes) or wanted() > 0:
        turn += 1
        box = rng.choice([box for box in boxes if box.may_send])
        loss = weather.loss[turn // 50 % len(weather.loss)]
        burst = rng.choice(weather.bursts)
        for _ in range(min(burst, wanted())):
            size = SURE.get(box.sent + 1)
            parcel = box.seal(
                rng.randbytes(rng.choices(SIZES, WEIGHTS)[0] if size is None else size)
            )
            if size is None and rng.random() < loss:
                tally.lost += 1
                continue
            box.in_flight.append((turn + rng.choice(weather.delays), parcel))
            if rng.random() < weather.duplication:
                box.in_flight.append((turn + rng.randint(0, max(weather.delays)), parcel))
        for index, box in enumerate(boxes):
            due = [parcel for when, parcel in box.in_flight if when <= turn]
            box.in_flight = [(when, parcel) for when, parcel in box.in_flight if when > turn]
            rng.shuffle(due)
            other = boxes[1 - index]
            for parcel in due:
                if not box.keeps(parcel, other.epoch):
                    with pytest.raises(box.receiver.refusal):
                        box.receiver.decrypt(parcel.sealed)
                    tally.too_late_refused += 1
                    continue
                _deliver(rng, box, parcel, tally, weather.tampering, spare_version=spare_version)
                other.may_send = True
        if turn % weather.restart_every == 0:
            initiator.restart()
            responder.restart()
    assert all(box.sent >= max(SURE) for box in boxes), "one side hardly spoke: another seed"
    assert all(box.read >= read_each_way for box in boxes)
    return tally


def _deliver(
    rng: Random,
    box: _Outbox,
    parcel: _Parcel,
    tally: Tally,
    tampering: float,
    *,
    spare_version: bool,
) -> None:
    if parcel.delivered:
        with pytest.raises(box.receiver.duplicate):
            box.receiver.decrypt(parcel.sealed)
        tally.duplicates_refused += 1
        return
    if rng.random() < tampering:
        place = surgery.inner(parcel.sealed)
        offset = rng.randrange(place.start + spare_version, place.stop)
        with pytest.raises(box.receiver.refusal):
            box.receiver.decrypt(surgery.flip(parcel.sealed, offset, rng.randrange(8)))
        tally.tampered_refused += 1
    assert box.receiver.decrypt(parcel.sealed) == parcel.plaintext
    parcel.delivered = True
    box.read += 1
    tally.read += 1
    tally.octets += len(parcel.plaintext)
    tally.out_of_order += (parcel.chain, parcel.number) < box.newest_read
    tally.across_chains += parcel.chain < box.newest_read[0]
    tally.across_epochs += parcel.epoch < box.newest_epoch_read
    box.newest_read = max(box.newest_read, (parcel.chain, parcel.number))
    box.newest_epoch_read = max(box.newest_epoch_read, parcel.epoch)


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
