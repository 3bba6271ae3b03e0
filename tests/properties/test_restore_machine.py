# SPDX-License-Identifier: Apache-2.0
"""Two devices whose stores are copied and put back at any time, and opened as restored.

Whatever the order of events:
- no cipher key and IV encrypt twice, and no ratchet key has a message number twice: in all
  timelines together, those that were lost too;
- no prekey id is published twice, and what was published before a restore opens nothing;
- what is read is what was sent, and what is refused changes nothing;
- with a witness, a store that has lost something does not open otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from e2ecross import Device, Envelope, Policy
from e2ecross.errors import NoSession, RemoteError, RestoredStore, UnknownPrekey
from e2ecross.protocol import ratchet
from e2ecross.state.epoch import read_epoch
from e2ecross.wire.signal_message import decode_signal_message
from tests.attacks.support import ANA, BUDI, Person, inner_message, person
from tests.support.depth import deepened
from tests.support.entropy import SeededEntropy
from tests.support.restores import Copy, put_back, take_copy
from tests.support.witness import Keychain

MAX_RESTORES = 6  # of each device: each takes a part of the prekey ids that are left
ONE_TIME_PREKEYS = 4

who = st.sampled_from([0, 1])
index = st.integers(0, 2**16)


@dataclass(eq=False)
class Letter:
    """A message as it was sent."""

    envelope: Envelope
    sender: int
    text: str


class RestoreMachine(RuleBasedStateMachine):
    """Devices with stores in memory; a copy is all the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.people: list[Person] = [
            person(address, policy=Policy(), one_time=ONE_TIME_PREKEYS) for address in (ANA, BUDI)
        ]
        self.keychains = [Keychain(), Keychain()]
        self.copies: list[list[tuple[Copy, int]]] = [[], []]
        self.restores = [0, 0]
        self.letters: list[Letter] = []
        self.numbers: list[tuple[bytes, int]] = []
        self.published: list[list[int]] = [[], []]
        self.used: list[tuple[bytes, bytes]] = []
        self.genuine: Callable[[bytes, bytes, bytes], bytes] = vars(ratchet)["cbc_encrypt"]
        vars(ratchet)["cbc_encrypt"] = self._spy
        for number, me in enumerate(self.people):
            self.published[number] = [prekey.id for prekey in me.published.one_time_prekeys]
            self.published[number].append(me.published.signed_prekey.id)
            self._load(number, f"{number} at first")
            self.back_up(number)

    def _spy(self, cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        self.used.append((cipher_key, iv))
        return self.genuine(cipher_key, iv, plaintext)

    def _load(self, number: int, seed: str, *, restored: bool = False) -> None:
        me = self.people[number]
        me.entropy = SeededEntropy(seed)
        me.device = Device.open(
            me.store,
            policy=me.policy,
            clock=me.clock,
            entropy=me.entropy,
            witness=self.keychains[number],
            restored=restored,
        )

    def _epoch(self, number: int) -> int:
        with self.people[number].store.transaction() as tx:
            return read_epoch(tx)

    # --- What people do ---------------------------------------------------------------------

    @rule(starter=who, one_time=st.booleans())
    def start(self, starter: int, one_time: bool) -> None:
        """Start a session from the keys that the peer has published last."""
        peer = self.people[1 - starter]
        one_time = one_time and peer.handed_out < len(peer.published.one_time_prekeys)
        self.people[starter].start(peer, one_time=one_time)

    @rule(sender=who, count=st.integers(1, 4))
    def send(self, sender: int, count: int) -> None:
        """Send some texts, if there is a session to send them with."""
        me, peer = self.people[sender], self.people[1 - sender]
        for _ in range(count):
            text = f"{sender} writes number {len(self.letters)}"
            if not me.device.has_session(peer.address):
                with pytest.raises(NoSession):
                    me.send(peer, text)
                return
            envelope = me.send(peer, text)
            message = decode_signal_message(inner_message(envelope))
            self.numbers.append((bytes(message.ratchet_key), message.counter))
            self.letters.append(Letter(envelope, sender, text))

    @precondition(lambda self: self.letters)
    @rule(which=index, from_the_end=st.booleans())
    def deliver(self, which: int, from_the_end: bool) -> None:
        """Deliver any message of any timeline, for the first time or again; often a late one."""
        place = -1 - which % min(3, len(self.letters)) if from_the_end else which
        letter = self.letters[place % len(self.letters)]
        reader = self.people[1 - letter.sender]
        before = reader.dump()
        try:
            text = reader.read(letter.envelope)
        except RemoteError:
            assert reader.dump() == before
        else:
            assert text == letter.text

    @rule(publisher=who, count=st.integers(0, 3))
    def publish(self, publisher: int, count: int) -> None:
        """Publish new keys; the old ones are no longer handed out."""
        me = self.people[publisher]
        published = me.device.publish(count)
        me.device.confirm_published(published)
        me.handed_out = 0
        self.published[publisher] += [prekey.id for prekey in published.one_time_prekeys]
        if published.signed_prekey.id != me.published.signed_prekey.id:
            self.published[publisher].append(published.signed_prekey.id)
        me.published = published

    # --- What backups do --------------------------------------------------------------------

    @rule(number=who)
    def back_up(self, number: int) -> None:
        """Copy the store."""
        self.copies[number].append((take_copy(self.people[number].store), self._epoch(number)))

    @rule(number=who, which=index)
    def restore(self, number: int, which: int) -> None:
        """Put any copy back: it opens as restored, and in no other way if something is lost."""
        if self.restores[number] == MAX_RESTORES:
            return
        self.restores[number] += 1
        me, peer = self.people[number], self.people[1 - number]
        copy, epoch = self.copies[number][which % len(self.copies[number])]
        lost = epoch < self._epoch(number)
        stranger = person(peer.address, installation=f"{number} {self.restores[number]}")
        stranger.start(me, one_time=False)
        late = stranger.send(me, "to a prekey from before the restore")
        put_back(me.store, copy)
        seed = f"{number} restored {self.restores[number]}"
        if lost:
            with pytest.raises(RestoredStore):
                self._load(number, seed)
            assert take_copy(me.store) == copy
        self._load(number, seed, restored=True)
        assert not me.device.has_session(peer.address)
        with pytest.raises(UnknownPrekey):
            me.device.decrypt(late)
        self.publish(number, 2)

    @rule(number=who, lost=st.integers(1, 3), late=st.integers(0, 2))
    def accident(self, number: int, lost: int, late: int) -> None:
        """Copy, send, put the copy back; read what is late, and write again."""
        peer = 1 - number
        self.talk(number)
        self.send(peer, late + 1)
        waiting = len(self.letters) - 1
        self.deliver(waiting - late, from_the_end=False)  # the rest turns no ratchet
        self.back_up(number)
        self.send(number, lost)
        self.restore(number, len(self.copies[number]) - 1)
        for place in range(waiting, waiting - late, -1):
            self.deliver(place, from_the_end=False)
        self.send(number, lost)

    @rule(first=who)
    def talk(self, first: int) -> None:
        """Take turns, each reading what the other has just written."""
        for sender in (first, 1 - first, first):
            if not self.people[sender].device.has_session(self.people[1 - sender].address):
                self.start(sender, one_time=True)
            self.send(sender, 1)
            self.deliver(len(self.letters) - 1, from_the_end=False)

    @rule(number=who)
    def restore_without_need(self, number: int) -> None:
        """Open the newest state as restored."""
        if self.restores[number] < MAX_RESTORES:
            self.restores[number] += 1
            self._load(number, f"{number} restored {self.restores[number]}", restored=True)
            self.publish(number, 2)

    @rule(number=who)
    def reload(self, number: int) -> None:
        """Start the app anew: nothing is lost, so the witness has nothing against it."""
        before = self.people[number].dump()
        self._load(number, f"{number} reloaded {len(self.used)} {len(before)} {len(self.numbers)}")
        assert self.people[number].dump() == before

    # --- What must hold ---------------------------------------------------------------------

    @invariant()
    def nothing_is_used_twice(self) -> None:
        """Neither a key, nor a message number, nor a prekey id."""
        assert len(set(self.used)) == len(self.used)
        assert len(set(self.numbers)) == len(self.numbers)
        for ids in self.published:
            assert len(set(ids)) == len(ids)

    def teardown(self) -> None:
        """In the end everything is delivered once more, and both write under what they have."""
        try:
            for place in range(len(self.letters)):
                self.deliver(place, from_the_end=False)
            for number in (0, 1):
                self.start(number, one_time=False)
                self.send(number, 2)
            self.nothing_is_used_twice()
        finally:
            vars(ratchet)["cbc_encrypt"] = self.genuine


TestRestores = RestoreMachine.TestCase
TestRestores.settings = settings(max_examples=deepened(50), stateful_step_count=40)
