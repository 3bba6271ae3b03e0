# SPDX-License-Identifier: Apache-2.0
"""Groups of real libraries and ours, in both forms of sender keys: who reads what, who does not.

A walk knows of each message whether a member can read it: if that member was given its key, at
that iteration or before, holds that key still, and has not read the message. Exactly those are
read, and all others refused.
"""

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2ecross.errors import DuplicateMessage, TooManySkipped, UnknownSenderKey
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_sender_key_message
from tests.support.vectors import groups, unhex

from .conftest import _require
from .groups import (
    AXOLOTL,
    BAILEYS_6,
    BAILEYS_7,
    IN_ANY_ORDER,
    IN_ORDER,
    LIBSIGNAL,
    RUST_BRIDGE,
    AnyMember,
    GroupPeer,
    GroupPeerKind,
    OurMember,
    group_name,
    name_of,
    our_group,
)
from .peers import PeerRefused

HELD_KEYS = 5
MakeMembers = Callable[..., tuple[list[GroupPeer], list[OurMember]]]


@pytest.fixture
def members(tmp_path: Path) -> Iterator[MakeMembers]:
    """Make members of a kind and of ours; all are ended after the test."""
    started: list[AnyMember] = []
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:

        def make(
            kind: GroupPeerKind, theirs: int = 1, ours: int = 1
        ) -> tuple[list[GroupPeer], list[OurMember]]:
            _require(kind.peer)
            numbers = iter(range(111, 999, 111))
            peers, own = [], []
            for _ in range(theirs):
                peers.append(GroupPeer(kind, name_of(kind, next(numbers)), group_name(kind)))
                started.append(peers[-1])
            for _ in range(ours):
                name = name_of(kind, next(numbers))
                own.append(OurMember(Path(folder) / f"{name}.db", name, our_group(kind)))
                started.append(own[-1])
            return peers, own

        yield make
        for member in started:
            member.close()


@dataclass
class Sent:
    """A message of the walk.

    Attributes:
        sender: who has sent it.
        generation: of its key: how many that sender had made before it.
        number: of the message under that key.
    """

    sender: AnyMember
    generation: int
    number: int
    plaintext: bytes
    data: bytes


@dataclass
class Walk:
    """A conversation of a group, and what each member can read of it."""

    members: list[AnyMember]
    seed: int
    generation: dict[str, int] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)
    held: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    read: set[tuple[str, str, int, int]] = field(default_factory=set)
    carried: int = 0
    refused: int = 0
    joined_late: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def rotate(self, sender: AnyMember) -> bytes:
        """Make a new key, which nobody has yet."""
        self.generation[sender.name] = self.generation.get(sender.name, -1) + 1
        self.number[sender.name] = 0
        return sender.new_key()

    def give(self, sender: AnyMember, reader: AnyMember, data: bytes) -> None:
        """Hand a distribution message over, made now or before what is sent now."""
        reader.process_distribution(sender.name, data)
        keys = self.held.setdefault((reader.name, sender.name), {})
        generation = self.generation[sender.name]
        first = keys.pop(generation, self.number[sender.name])
        keys[generation] = first  # the newest is the last
        while len(keys) > HELD_KEYS:
            del keys[next(iter(keys))]

    def give_all(self, sender: AnyMember, data: bytes) -> None:
        """Hand it to everybody."""
        for reader in self.members:
            if reader is not sender:
                self.give(sender, reader, data)

    def send(self, sender: AnyMember) -> Sent:
        """Send a message of any length."""
        plaintext = self.random.randbytes(self.random.choice((0, 1, 15, 16, 17, 300)))
        data = sender.encrypt_in_group(plaintext)
        number = self.number[sender.name]
        self.number[sender.name] += 1
        return Sent(sender, self.generation[sender.name], number, plaintext, data)

    def deliver(self, sent: Sent, reader: AnyMember) -> None:
        """Deliver a message, which is read or refused as the walk expects."""
        where = (reader.name, sent.sender.name, sent.generation, sent.number)
        keys = self.held.get((reader.name, sent.sender.name), {})
        first = keys.get(sent.generation)
        if where not in self.read and first is not None and sent.number >= first:
            assert reader.decrypt_in_group(sent.sender.name, sent.data) == sent.plaintext
            self.read.add(where)
            self.carried += 1
            self.joined_late += first > 0
            return
        with pytest.raises(reader.refusal):
            reader.decrypt_in_group(sent.sender.name, sent.data)
        self.refused += 1


def _converse(walk: Walk, rounds: int, burst: int) -> None:
    """Bursts of everybody, shuffled, with losses, repetitions, rotations and late joiners."""
    kept: list[Sent] = []
    for sender in walk.members:
        walk.give_all(sender, walk.rotate(sender))
    for turn in range(rounds):
        sent = []
        for sender in walk.members:
            if turn % 4 == 3:
                late = walk.random.choice([m for m in walk.members if m is not sender])
                data = walk.rotate(sender)
                for reader in walk.members:
                    if reader not in (sender, late):
                        walk.give(sender, reader, data)
                sent += [walk.send(sender) for _ in range(3)]
                walk.give(sender, late, sender.distribution())
            sent += [walk.send(sender) for _ in range(walk.random.randrange(1, burst))]
        walk.random.shuffle(sent)
        lost = len(sent) // 10
        kept += sent[:lost]
        for one in sent[lost:]:
            for reader in walk.members:
                if reader is not one.sender:
                    walk.deliver(one, reader)
                    if walk.random.random() < 0.1:
                        walk.deliver(one, reader)
        if turn % 3 == 2:  # some of what seemed lost comes after all
            for one in (kept.pop(walk.random.randrange(len(kept))) for _ in range(len(kept) // 2)):
                for reader in walk.members:
                    if reader is not one.sender:
                        walk.deliver(one, reader)
        if turn % 5 == 4:
            for member in walk.members:
                member.restart()


@pytest.mark.parametrize(
    ("kind", "rounds", "least"),
    [(LIBSIGNAL, 28, 1_000), (RUST_BRIDGE, 8, 200), (AXOLOTL, 8, 200)],
    ids=lambda value: str(value),
)
def test_a_group_of_two_of_theirs_and_two_of_ours(
    members: MakeMembers, kind: GroupPeerKind, rounds: int, least: int
) -> None:
    theirs, ours = members(kind, 2, 2)
    walk = Walk([*theirs, *ours], seed=17)
    _converse(walk, rounds, 9)
    across = [
        where
        for where in walk.read
        if (where[0] in {m.name for m in ours}) is not (where[1] in {m.name for m in ours})
    ]
    assert len(across) >= least
    assert walk.refused > least // 10
    assert walk.joined_late > least // 20


@pytest.mark.parametrize("kind", IN_ORDER, ids=str)
def test_a_client_that_reads_in_order(members: MakeMembers, kind: GroupPeerKind) -> None:
    """To it messages go in order, some are lost; from it they come in any order."""
    (theirs,), (ours,) = members(kind)
    choice = random.Random(17)
    carried = 0
    for _ in range(2):
        ours.process_distribution(theirs.name, theirs.new_key())
        theirs.process_distribution(ours.name, ours.new_key())
        sent = [(n, theirs.encrypt_in_group(str(n).encode())) for n in range(16)]
        numbers = [
            decode_sender_key_message(SenderKeyForm.KEY_ID, data).iteration for _, data in sent
        ]
        assert numbers == list(range(numbers[0], numbers[0] + 2 * len(sent), kind.step))
        choice.shuffle(sent)
        for number, data in sent[3:]:
            assert ours.decrypt_in_group(theirs.name, data) == str(number).encode()
            carried += 1
        with pytest.raises(DuplicateMessage):
            ours.decrypt_in_group(theirs.name, sent[-1][1])
        for number in range(16):
            data = ours.encrypt_in_group(str(number).encode())
            if choice.random() < 0.8:
                assert theirs.decrypt_in_group(ours.name, data) == str(number).encode()
                carried += 1
        ours.restart()
        theirs.restart()
    assert carried > 40


@pytest.mark.parametrize("kind", IN_ORDER, ids=str)
def test_how_far_ahead_such_a_client_reads_and_how_it_comes_back(
    members: MakeMembers, kind: GroupPeerKind
) -> None:
    """docs/security-model.md tells the caller: rotate before, and when a receiver comes back."""
    (theirs,), (ours,) = members(kind)
    assert kind.furthest is not None
    theirs.process_distribution(ours.name, ours.new_key())
    data = ours.encrypt_in_group(b"far", lost=kind.furthest)
    assert theirs.decrypt_in_group(ours.name, data) == b"far"
    data = ours.encrypt_in_group(b"too far", lost=kind.furthest + 1)
    with pytest.raises(PeerRefused):
        theirs.decrypt_in_group(ours.name, data)
    theirs.process_distribution(ours.name, ours.new_key())
    data = ours.encrypt_in_group(b"again", lost=3)
    assert theirs.decrypt_in_group(ours.name, data) == b"again"


def test_jumps_of_libsignal_are_read_as_far_as_it_reads_ours(members: MakeMembers) -> None:
    (theirs,), (ours,) = members(LIBSIGNAL)
    limit = LIBSIGNAL.furthest
    assert limit is not None
    both: list[tuple[AnyMember, AnyMember, type[Exception]]] = [
        (theirs, ours, TooManySkipped),
        (ours, theirs, PeerRefused),
    ]
    for sender, reader, refusal in both:
        reader.process_distribution(sender.name, sender.new_key())
        first = sender.encrypt_in_group(b"first")
        beyond = sender.encrypt_in_group(b"beyond", lost=limit)
        with pytest.raises(refusal):  # 25,001 ahead
            reader.decrypt_in_group(sender.name, beyond)
        assert reader.decrypt_in_group(sender.name, first) == b"first"
        assert reader.decrypt_in_group(sender.name, beyond) == b"beyond"


def test_libsignal_refuses_what_the_vectors_say_and_reads_what_they_say(
    members: MakeMembers,
) -> None:
    (theirs,), _ = members(LIBSIGNAL, ours=0)
    section = groups("sender_keys")["uuid"]
    for number, item in enumerate(section["refusals"]):
        if "own group" in item["name"] or "other form" in item["name"]:
            continue
        sender = f"sender {number}.1"
        theirs.process_distribution(sender, unhex(section["distribution"]))
        data = unhex(item["message"])
        if item["expect"] == "read":
            theirs.decrypt_in_group(sender, data)
        else:
            with pytest.raises(PeerRefused):
                theirs.decrypt_in_group(sender, data)


@pytest.mark.parametrize("kind", [*IN_ANY_ORDER, BAILEYS_6, BAILEYS_7], ids=str)
def test_what_is_forged_replayed_or_of_an_unknown_key_is_refused_by_both(
    members: MakeMembers, kind: GroupPeerKind
) -> None:
    (theirs,), (ours,) = members(kind)
    both: list[tuple[AnyMember, AnyMember]] = [(theirs, ours), (ours, theirs)]
    for sender, reader in both:
        distribution = sender.new_key()
        unknown = sender.encrypt_in_group(b"before")
        with pytest.raises(reader.refusal):
            reader.decrypt_in_group(sender.name, unknown)
        reader.process_distribution(sender.name, distribution)
        data = sender.encrypt_in_group(b"genuine")
        for place in (-1, -40, -70):
            changed = bytearray(data)
            changed[place] ^= 1
            with pytest.raises(reader.refusal):
                reader.decrypt_in_group(sender.name, bytes(changed))
        assert reader.decrypt_in_group(sender.name, data) == b"genuine"
        with pytest.raises(reader.refusal):
            reader.decrypt_in_group(sender.name, data)
    with pytest.raises(UnknownSenderKey):
        ours.decrypt_in_group("999", theirs.encrypt_in_group(b""))
