# SPDX-License-Identifier: Apache-2.0
"""Target: a script of what two people and a hostile network do, one or two bytes each.

- What was sent is read at most once, and as it was sent.
- What is refused changes nothing, and is refused by an error of ours.
- Two devices that have gone through it can still talk: after a fresh start on both sides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from e2ecross import AnyContent, ControlMessage, Device, Envelope, Message, Text
from e2ecross.errors import LocalError, RemoteError, RestoredStore, WitnessFailed
from e2ecross.state.epoch import read_epoch
from e2ecross.state.trust import TrustState
from e2ecross.stores import Table
from tests.attacks.support import Person, person
from tests.fuzz.doors import attempt
from tests.fuzz.target import ACCEPTED, Source, Target, outcome
from tests.fuzz.world import load, scene
from tests.support.entropy import SeededEntropy
from tests.support.restores import Copy, put_back, take_copy
from tests.support.witness import Keychain

__all__ = ["SCRIPT"]

_MAX_OPERATIONS: Final = 48


@dataclass
class _Letter:
    envelope: Envelope
    sender: int
    text: str
    read: int = 0


class _Witness(Keychain):
    """One that can be read and not written."""

    is_full = False

    def advance(self, n: int) -> None:
        if self.is_full:
            raise OSError("no room")
        super().advance(n)


@dataclass
class _Stage:
    people: list[Person]
    letters: list[_Letter] = field(default_factory=list)
    came: set[str] = field(default_factory=set)
    installations: int = 0
    restores: int = 0
    witnesses: list[_Witness] = field(default_factory=lambda: [_Witness(), _Witness()])
    copies: dict[int, tuple[Copy, dict[bytes, int]]] = field(default_factory=dict)

    def start(self, source: Source) -> None:
        """Start a session, with a one-time prekey or without."""
        me, peer = self._pair(source)
        one_time = source.below(2) == 1 and peer.handed_out < len(peer.published.one_time_prekeys)
        bundle = peer.bundle(one_time=one_time)
        self._act(me, lambda: me.device.start_session(bundle))

    def send(self, source: Source) -> None:
        """Send a text."""
        sender = source.below(2)
        me, peer = self.people[sender], self.people[1 - sender]
        text = f"letter {len(self.letters)}"
        made: list[Envelope] = []
        self._act(me, lambda: made.append(me.send(peer, text)))
        self.letters.extend(_Letter(envelope, sender, text) for envelope in made)

    def deliver(self, source: Source) -> None:
        """Deliver a letter: late, twice, or in order."""
        if not self.letters:
            return
        letter = self.letters[source.below(len(self.letters))]
        reader = self.people[1 - letter.sender]
        messages: list[Message[AnyContent] | ControlMessage] = []
        self._act(reader, lambda: messages.append(reader.device.decrypt(letter.envelope)))
        for message in messages:
            letter.read += 1
            assert letter.read == 1, "read twice"
            assert message.content == Text(letter.text)
            assert message.message_id == letter.envelope.message_id

    def damage(self, source: Source) -> None:
        """Deliver a letter with one byte changed, or cut."""
        if not self.letters:
            return
        letter = self.letters[source.below(len(self.letters))]
        data = bytearray(letter.envelope.encode())
        at, mask = source.number(2) % len(data), source.number()
        if mask:
            data[at] ^= mask
        else:
            del data[at:]
        reader = self.people[1 - letter.sender]
        came = self._act(reader, lambda: reader.device.decrypt(bytes(data)))
        assert came != ACCEPTED, "a changed letter was read"

    def reflect(self, source: Source) -> None:
        """Give a letter back to its sender, as if from the other."""
        if not self.letters:
            return
        letter = self.letters[source.below(len(self.letters))]
        sender = self.people[letter.sender]
        turned = replace(
            letter.envelope, sender=letter.envelope.recipient, recipient=letter.envelope.sender
        )
        came = self._act(sender, lambda: sender.device.decrypt(turned))
        assert came != ACCEPTED, "a reflected letter was read"

    def reload(self, source: Source) -> None:
        """Start an app anew: nothing survives but the store."""
        self.people[source.below(2)].reload()

    def reinstall(self, source: Source) -> None:
        """Lose a phone: the same address, other keys. What was under way cannot be read."""
        number = source.below(2)
        if self.installations == 3:
            return
        self.installations += 1
        self.people[number] = person(
            self.people[number].address, one_time=3, installation=str(self.installations)
        )
        self.letters = [letter for letter in self.letters if letter.sender == number]
        self.witnesses[number] = _Witness()
        self.copies.pop(number, None)

    def decide(self, source: Source) -> None:
        """Accept or reject a key that waits."""
        me, peer = self._pair(source)
        known = me.device.remote_identity(peer.address)
        if known is None or known.trust is not TrustState.CHANGED or known.pending_key is None:
            return
        decision = me.device.accept_identity if source.below(2) else me.device.reject_identity
        key = known.pending_key
        assert self._act(me, lambda: decision(peer.address, key)) == ACCEPTED

    def publish(self, source: Source) -> None:
        """Publish more keys; time passes."""
        me, _ = self._pair(source)
        me.clock.now_ms += source.number() * 3_600_000 * 24
        me.published = me.device.publish(2)
        me.device.confirm_published(me.published)
        me.handed_out = 0

    def restore(self, source: Source) -> None:
        """Put a store back to what it was, and open it as restored: it never sends as before."""
        number = source.below(2)
        me, peer = self._pair(Source(bytes((number,))))
        mine = [letter for letter in self.letters if letter.sender != number]
        if source.below(2) and number in self.copies:
            copy, read = self.copies[number]
            put_back(me.store, copy)
            for letter in mine:  # what was read since the copy may be read once more
                letter.read = read.get(letter.envelope.message_id, 0)
        else:
            read = {letter.envelope.message_id: letter.read for letter in mine}
            self.copies[number] = (take_copy(me.store), read)
        self.restores += 1
        me.entropy = SeededEntropy(f"{me.address} restored {self.restores}")
        witness = self.witnesses[number]
        known = witness.number
        me.device = self._open(me, number, restored=True)
        assert witness.number > known, "the restore was not witnessed"
        assert not me.device.has_session(peer.address), "an old session sends again"
        me.published = me.device.publish(2)
        me.device.confirm_published(me.published)
        me.handed_out = 0

    def witnessed(self, source: Source) -> None:
        """Open a store with its witness, which may fail: then nothing is released."""
        number = source.below(2)
        me, peer = self._pair(Source(bytes((number,))))
        witness = self.witnesses[number]
        with me.store.transaction() as tx:
            epoch = read_epoch(tx)
        came = outcome(lambda: self._open(me, number, restored=False), RestoredStore)
        assert (came == ACCEPTED) == (witness.number <= epoch)
        if came == ACCEPTED:
            me.device = self._open(me, number, restored=False)
            if source.below(2):
                witness.error = OSError("locked")
                came, changed = self._send_unwitnessed(me, peer)
                witness.error = None
                assert changed == set()
                witness.is_full = True
                came, changed = self._send_unwitnessed(me, peer)
                witness.is_full = False
                # Its key is used up and counted, or it was refused for another reason.
                used: set[object] = {Table.STRIPE.value, Table.SESSIONS.value}
                assert changed == (used if came == WitnessFailed.code else set())
                self.came.add(came)

    def _send_unwitnessed(self, me: Person, peer: Person) -> tuple[str, set[object]]:
        """Send while the witness fails; what came of it, and what has changed in the store."""
        before = me.dump()
        came = outcome(lambda: me.send(peer, "held back"), LocalError)
        assert came != ACCEPTED, "released, and the witness has not heard of it"
        rows = set(before) ^ set(me.dump())
        return came, {row[2] if row[0] == Table.DEVICE else row[0] for row in rows}

    def info(self, source: Source) -> None:
        """Ask how it stands with the sessions: it agrees with `has_session`, and only reads."""
        me, peer = self._pair(source)
        before = me.dump()
        info = me.device.session_info(peer.address)
        assert me.device.has_session(peer.address) == (info is not None and info.can_send)
        assert info is None or info.can_send or info.archived
        assert info is None or info.can_send or not info.acknowledged
        assert me.dump() == before

    def _open(self, me: Person, number: int, *, restored: bool) -> Device:
        return Device.open(
            me.store,
            policy=me.policy,
            clock=me.clock,
            entropy=me.entropy,
            witness=self.witnesses[number],
            restored=restored,
        )

    def settle(self) -> None:
        """Both accept what there is and start anew; then they can talk."""
        for me, peer in (self.people, self.people[::-1]):
            known = me.device.remote_identity(peer.address)
            if known is None:
                continue
            if known.pending_key is not None and known.pending_key != peer.device.identity_key:
                # An earlier installation, of which a letter came late.
                me.device.reject_identity(peer.address, known.pending_key)
            if known.identity_key != peer.device.identity_key:
                me.device.accept_identity(peer.address, peer.device.identity_key)
        for me, peer in (self.people, self.people[::-1]):
            me.device.start_session(peer.bundle(one_time=False))
            letter = me.send(peer, "settled")
            assert peer.device.decrypt(letter).content == Text("settled")

    def _pair(self, source: Source) -> tuple[Person, Person]:
        number = source.below(2)
        return self.people[number], self.people[1 - number]

    def _act(self, me: Person, action: Callable[[], object]) -> str:
        came = attempt(me, action, RemoteError, LocalError)
        self.came.add(came)
        return came


_OPERATIONS: Final = (
    _Stage.start,
    _Stage.send,
    _Stage.deliver,
    _Stage.damage,
    _Stage.reflect,
    _Stage.reload,
    _Stage.reinstall,
    _Stage.decide,
    _Stage.publish,
    _Stage.restore,
    _Stage.witnessed,
    _Stage.info,
)


def _play(data: bytes) -> str:
    source = Source(data)
    known = scene()
    if source.below(2):
        people = [load(known.ana, known.ana_rows), load(known.budi, known.budi_rows)]
        for somebody in people:
            somebody.clock = type(somebody.clock)()
            somebody.handed_out = 2
            somebody.reload()
    else:
        people = [person(known.ana.address, one_time=3), person(known.budi.address, one_time=3)]
    stage = _Stage(people)
    for _ in range(_MAX_OPERATIONS):
        if not source.left:
            break
        _OPERATIONS[source.below(len(_OPERATIONS))](stage, source)
    stage.settle()
    return ",".join(sorted(stage.came))


def _scripts() -> list[bytes]:
    return [
        bytes((0, 0, 0, 1, 1, 0, 2, 0, 1, 1, 2, 1, 1, 0, 2, 2)),
        bytes((0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 2, 0, 2, 1, 1, 0, 1, 1, 2, 2, 2, 3)),
        bytes((1, 1, 0, 1, 0, 1, 0, 2, 2, 2, 0, 2, 0, 3, 1, 0, 20, 1, 4, 1)),
        bytes((1, 6, 0, 0, 0, 1, 1, 0, 2, 0, 7, 1, 1, 1, 1, 1, 2, 1)),
        # A finding: a late letter of a lost phone, whose key waits to be accepted.
        bytes.fromhex("00000001c80501010001010600000001010002010202 03"),
        bytes((1, 6, 1, 8, 0, 200, 5, 0, 5, 1, 0, 0, 0, 1, 0, 2, 0)),
        # Copied, used, put back: with a witness, and without a word to it.
        bytes((1, 9, 0, 0, 11, 0, 1, 0, 2, 0, 9, 0, 1, 11, 0, 0, 0, 1, 1, 0, 2, 1)),
        bytes((1, 10, 0, 0, 1, 0, 9, 0, 0, 1, 0, 10, 0, 1, 9, 0, 1, 10, 0, 0, 2, 0, 2, 1)),
        bytes((0, 11, 1, 0, 0, 1, 11, 0, 10, 1, 0, 1, 0, 2, 0, 11, 1, 9, 1, 0, 11, 1, 2, 0)),
    ]


SCRIPT: Final[Mapping[str, Target]] = {"script": Target(_play, _scripts, 160)}
