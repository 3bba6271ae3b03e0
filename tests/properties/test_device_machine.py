# SPDX-License-Identifier: Apache-2.0
"""Two devices and a hostile network, in any order of events.

The network delivers, drops, repeats, reorders, flips, cuts, re-addresses and forges; the devices
start sessions whenever they like, both at once too, and are killed and loaded again. Invariants:
- what was sent is read at most once, and exactly once if it arrives unaltered within the limits;
- nothing is read that its sender did not send;
- after a failure the store is byte for byte what it was;
- no cipher key and IV encrypt twice.

The limits, as `docs/wire-format.md` has them: a session reads late messages of its peer's five
newest chains. (No run here comes near the 40 archived sessions or the 2,000 skipped messages.)
Attackers with an identity key of their own are refused by policy: a device that trusts on first
use would read the first one that it meets.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from e2ecross import Envelope, Message, MessageKind, Policy, Text
from e2ecross.crypto.kem import KEM_CIPHERTEXT_BYTES
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    IdentityChangedError,
    MessageTooOld,
    NoSession,
    RemoteError,
    UnknownPrekey,
)
from e2ecross.protocol import ratchet
from e2ecross.state.session_store import load_sessions
from e2ecross.stores import MemoryStore, SQLiteStore, Store
from e2ecross.wire.limits import MAX_RECEIVING_CHAINS
from e2ecross.wire.signal_message import (
    VERSION_4,
    VERSIONS,
    decode_prekey_signal_message,
    decode_signal_message,
)
from e2ecross.wire.spqr_message import decode_spqr_message
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    WRAPPER,
    Attacker,
    Person,
    edit_wrapper,
    payload_for,
    person,
    wrapper_fields,
)
from tests.support.depth import deepened

MAX_STARTS = 4  # of each device: more, and no session lives long enough for its limits
ONE_TIME_PREKEYS = 10

who = st.sampled_from([0, 1])
index = st.integers(0, 2**16)


@dataclass(eq=False)
class Letter:
    """A message as it was sent, and what has become of it."""

    envelope: Envelope
    sender: int
    text: str
    base_key: bytes
    ratchet_key: bytes
    pq_epoch: int
    was_read: bool = False

    @property
    def reader(self) -> int:
        """Whom it is for."""
        return 1 - self.sender


class DeviceMachine(RuleBasedStateMachine):
    """Devices with stores in memory; loading one again goes by the store alone."""

    mixed: ClassVar[bool] = False
    """Whether there are sessions of version 4 too, and a policy that allows to go back to 3."""

    def __init__(self) -> None:
        super().__init__()
        policy = Policy(refuse_changed_identity=True, accept_version_downgrade=True)
        self.people: list[Person] = [
            person(address, store=self.make_store(number), policy=policy, one_time=ONE_TIME_PREKEYS)
            for number, address in enumerate((ANA, BUDI))
        ]
        self.starts = [0, 0]
        self.letters: list[Letter] = []
        # What each device has read: ratchet keys of each session, in the order of their chains.
        self.chains: list[dict[bytes, list[bytes]]] = [{}, {}]
        # By session and sender: the newest chain of the post-quantum ratchet.
        self.newest_epoch: dict[tuple[bytes, int], int] = {}
        # Who knows that the other has post-quantum keys.
        self.offered = [False, False]
        self.attackers = 0
        self.used: list[tuple[bytes, bytes]] = []
        self.genuine: Callable[[bytes, bytes, bytes], bytes] = vars(ratchet)["cbc_encrypt"]
        vars(ratchet)["cbc_encrypt"] = self._spy

    def make_store(self, number: int) -> Store:
        """Where a device keeps its state."""
        return MemoryStore()

    def _spy(self, cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        self.used.append((cipher_key, iv))
        return self.genuine(cipher_key, iv, plaintext)

    # --- What people do ---------------------------------------------------------------------

    @rule(starter=who, one_time=st.booleans(), kyber=st.booleans())
    def start(self, starter: int, one_time: bool, kyber: bool) -> None:
        """Start a session, also where there is one."""
        peer = self.people[1 - starter]
        if self.starts[starter] < MAX_STARTS:
            self.starts[starter] += 1
            one_time = one_time and peer.handed_out < ONE_TIME_PREKEYS
            kyber = kyber and self.mixed
            self.people[starter].start(peer, one_time=one_time, kyber=kyber)
            self.offered[starter] |= kyber

    @rule(kyber=st.booleans(), both=st.booleans())
    def both_start(self, kyber: bool, both: bool) -> None:
        """Both at once, and both write before they have read the other."""
        self.start(0, True, kyber or both)
        self.start(1, True, not kyber or both)
        self.send(0)
        self.send(1)

    @rule(sender=who)
    def send(self, sender: int) -> None:
        """Send a text, if there is a session to send it with."""
        me, peer = self.people[sender], self.people[1 - sender]
        if not me.device.has_session(peer.address):
            before = me.dump()
            with pytest.raises(NoSession):
                me.send(peer, "nobody will read this")
            assert me.dump() == before
            return
        text = f"{sender} writes number {len(self.letters)}"
        envelope = me.send(peer, text)
        with me.store.transaction() as tx:
            current = load_sessions(tx, peer.address).current
        assert current is not None
        if envelope.kind is MessageKind.PREKEY:
            message = decode_prekey_signal_message(envelope.ciphertext, VERSIONS).message
        else:
            message = decode_signal_message(envelope.ciphertext, VERSIONS)
        epoch, place = 0, (current.base_key, sender)
        if message.pq_ratchet:
            epoch = decode_spqr_message(message.pq_ratchet).epoch - 1
            self.newest_epoch[place] = max(self.newest_epoch.get(place, 0), epoch)
        self.letters.append(
            Letter(envelope, sender, text, current.base_key, message.ratchet_key, epoch)
        )

    @rule(reloaded=who)
    def reload(self, reloaded: int) -> None:
        """Kill the app and load it again."""
        me = self.people[reloaded]
        before = me.dump()
        me.store = self.reopen(me.store, reloaded)
        me.reload()
        assert me.dump() == before

    def reopen(self, store: Store, number: int) -> Store:
        """The store as the next process finds it."""
        return store

    # --- What the network does --------------------------------------------------------------

    @precondition(lambda self: self.letters)
    @rule(which=index)
    def deliver(self, which: int) -> None:
        """Deliver any message, for the first time or again."""
        self._deliver(self.letters[which % len(self.letters)])

    @rule(reader=who)
    def deliver_next(self, reader: int) -> None:
        """Deliver the oldest message that has not been read."""
        letters = self._waiting(reader)
        if letters:
            self._deliver(letters[0])

    @rule(sender=who, count=st.integers(1, 10), order=st.randoms(use_true_random=False))
    def burst(self, sender: int, count: int, order: Any) -> None:  # noqa: ANN401
        """Send some, and deliver all that waits in any order."""
        for _ in range(count):
            self.send(sender)
        letters = self._waiting(1 - sender)
        order.shuffle(letters)
        for letter in letters:
            self._deliver(letter)

    @rule(first=who, turns=st.integers(1, 14), kept_back=st.integers(0, 3))
    def talk(self, first: int, turns: int, kept_back: int) -> None:
        """Take turns; in the first of them some messages are kept back, to be late."""
        for turn in range(turns):
            sender = (first + turn) % 2
            for _ in range(kept_back if turn < 2 else 0):
                self.send(sender)
            self.send(sender)
            if self._waiting(1 - sender):
                self._deliver(self._waiting(1 - sender)[-1])

    @precondition(lambda self: self.mixed)
    @rule(first=who, turns=st.integers(30, 60), burst=st.sampled_from((1, 3, 30)))
    def talk_for_long(self, first: int, turns: int, burst: int) -> None:
        """Long enough for the post-quantum ratchet to come into another epoch."""
        if all(
            me.device.has_session(self.people[1 - n].address) for n, me in enumerate(self.people)
        ):
            for turn in range(turns // burst + 2):
                sender = (first + turn) % 2
                for _ in range(burst):
                    self.send(sender)
                for letter in self._waiting(1 - sender)[-burst:]:
                    self._deliver(letter)

    @rule(which=index)
    @precondition(lambda self: self.letters)
    def drop(self, which: int) -> None:
        """Lose a message for good."""
        del self.letters[which % len(self.letters)]

    @precondition(lambda self: self.letters)
    @rule(which=index, place=index, bit=st.integers(0, 7))
    def flip(self, which: int, place: int, bit: int) -> None:
        """Change one bit of a ciphertext."""
        letter = self.letters[which % len(self.letters)]
        changed = bytearray(letter.envelope.ciphertext)
        changed[place % len(changed)] ^= 1 << bit
        self._refused(letter.reader, replace(letter.envelope, ciphertext=bytes(changed)))

    @precondition(lambda self: self.letters)
    @rule(which=index, place=index, bit=st.integers(0, 7))
    def flip_envelope(self, which: int, place: int, bit: int) -> None:
        """Change one bit of all the rest of an envelope."""
        letter = self.letters[which % len(self.letters)]
        data = letter.envelope.encode()
        changed = bytearray(data)
        changed[place % (len(data) - len(letter.envelope.ciphertext))] ^= 1 << bit
        self._refused(letter.reader, bytes(changed))

    @precondition(lambda self: self.letters)
    @rule(which=index, place=index, front=st.booleans())
    def cut(self, which: int, place: int, front: bool) -> None:
        """Cut a ciphertext at either end."""
        letter = self.letters[which % len(self.letters)]
        data = letter.envelope.ciphertext
        at = 1 + place % (len(data) - 1)
        cut = data[at:] if front else data[:at]
        self._refused(letter.reader, replace(letter.envelope, ciphertext=cut))

    @precondition(lambda self: self.letters)
    @rule(which=index)
    def readdress(self, which: int) -> None:
        """Rewrite sender, recipient and message id, and send it back to where it came from."""
        letter = self.letters[which % len(self.letters)]
        envelope = letter.envelope
        for bad in (
            replace(envelope, sender=TOKO),
            replace(envelope, recipient=TOKO),
            replace(envelope, message_id=bytes(16)),
        ):
            self._refused(letter.reader, bad)
        back = replace(envelope, sender=envelope.recipient, recipient=envelope.sender)
        self._refused(letter.sender, back)

    @precondition(lambda self: len(self.letters) > 1)
    @rule(left=index, right=index)
    def mix(self, left: int, right: int) -> None:
        """Put the Signal message of one envelope into another."""
        outer, inner = (self.letters[which % len(self.letters)] for which in (left, right))
        if outer is not inner:
            kind, data = inner.envelope.kind, inner.envelope.ciphertext
            self._refused(outer.reader, replace(outer.envelope, kind=kind, ciphertext=data))

    @precondition(lambda self: self.letters)
    @rule(which=index, field=st.sampled_from(sorted(WRAPPER.keys() - {"message"})))
    def edit(self, which: int, field: str) -> None:
        """Put something foreign into the wrapper of a prekey message."""
        letter = self.letters[which % len(self.letters)]
        if letter.envelope.kind is MessageKind.PREKEY:
            foreign: bytes | int = Attacker(f"{len(self.letters)} {field}").identity.public
            if field.endswith("_id"):
                value = dict(wrapper_fields(letter.envelope)).get(WRAPPER[field], 0)
                assert isinstance(value, int)
                foreign = value + 1
            if field == "kyber_ciphertext":
                foreign = b"\x08" + bytes(KEM_CIPHERTEXT_BYTES - 1)
            self._refused(letter.reader, edit_wrapper(letter.envelope, **{field: foreign}))

    @rule(victim=who, one_time=st.booleans(), kyber=st.booleans())
    def forge(self, victim: int, one_time: bool, kyber: bool) -> None:
        """Start a session under an attacker's identity in the peer's name."""
        me, peer = self.people[victim], self.people[1 - victim]
        if me.device.remote_identity(peer.address) is None:
            return  # whom nobody has met before is trusted
        self.attackers += 1
        handed_out = me.handed_out
        one_time = one_time and handed_out < ONE_TIME_PREKEYS
        attacker = Attacker(str(self.attackers))
        session = attacker.session(me.bundle(one_time=one_time, kyber=kyber))
        forged = attacker.seal(session, payload_for(peer.address, me.address))
        me.handed_out = handed_out  # it is not used up: the next person may have it
        before = me.dump()
        with pytest.raises(IdentityChangedError):
            me.device.decrypt(forged)
        assert me.dump() == before

    # --- What must hold ---------------------------------------------------------------------

    @invariant()
    def no_key_is_used_twice(self) -> None:
        """Two ciphertexts under one key would tell about both plaintexts."""
        ours = self.used
        assert len(set(ours)) == len(ours)

    def teardown(self) -> None:
        """In the end deliver what waits, everything again, and nothing may be left over."""
        try:
            for _ in range(2):
                for letter in self.letters:
                    self._deliver(letter)
            self.no_key_is_used_twice()
        finally:
            vars(ratchet)["cbc_encrypt"] = self.genuine
            for me in self.people:
                me.store.close()

    def _waiting(self, reader: int) -> list[Letter]:
        return [
            letter for letter in self.letters if letter.reader == reader and not letter.was_read
        ]

    def _deliver(self, letter: Letter) -> None:
        me = self.people[letter.reader]
        seen = self.chains[letter.reader].setdefault(letter.base_key, [])
        if letter.was_read:
            expected = (DuplicateMessage, AuthenticationFailed, UnknownPrekey, MessageTooOld)
            self._refused(letter.reader, letter.envelope, *expected)
        elif letter.ratchet_key in seen[:-MAX_RECEIVING_CHAINS]:
            late = (AuthenticationFailed, MessageTooOld)
            self._refused(letter.reader, letter.envelope, *late)
        elif letter.pq_epoch < self.newest_epoch.get((letter.base_key, letter.reader), 0) - 1:
            self._refused(letter.reader, letter.envelope, MessageTooOld)
        else:
            message = me.device.decrypt(letter.envelope)
            letter.was_read = True
            starts = letter.envelope.kind is MessageKind.PREKEY and not seen
            is_newer = letter.envelope.ciphertext[:1] == VERSION_4.first_byte
            downgraded = starts and not is_newer and self.offered[letter.reader]
            self.offered[letter.reader] |= starts and is_newer
            assert message == Message(
                sender=letter.envelope.sender,
                message_id=letter.envelope.message_id,
                sent_at_ms=message.sent_at_ms,
                content=Text(letter.text),
                identity_changed=False,
                version_downgraded=downgraded,
                peer=letter.envelope.sender.user_id,
            )
            if letter.ratchet_key not in seen:
                seen.append(letter.ratchet_key)

    def _refused(self, reader: int, bad: Envelope | bytes, *expected: type[RemoteError]) -> None:
        me = self.people[reader]
        before = me.dump()
        with pytest.raises(RemoteError) as caught:
            me.device.decrypt(bad)
        assert not expected or type(caught.value) in expected, repr(caught.value)
        assert me.dump() == before


class SQLiteDeviceMachine(DeviceMachine):
    """The same with files; loading a device again closes its store and opens it anew."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="e2ecross-machine-"))
        super().__init__()

    def make_store(self, number: int) -> Store:
        """A file for each device; one of them is sealed."""
        return SQLiteStore(self.folder / f"{number}.db", key=bytes(32) if number else None)

    def reopen(self, store: Store, number: int) -> Store:
        """Close the file, look that nothing lies beside it, and open it."""
        store.close()
        assert {file.name for file in self.folder.glob(f"{number}.*")} == {f"{number}.db"}
        return self.make_store(number)

    def teardown(self) -> None:
        """Remove the files as well."""
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.folder)


class MixedDeviceMachine(DeviceMachine):
    """The same in memory, with sessions of both versions."""

    mixed = True


class MixedSQLiteDeviceMachine(SQLiteDeviceMachine):
    """The same with files, with sessions of both versions."""

    mixed = True


TestDevices = DeviceMachine.TestCase
TestDevices.settings = settings(max_examples=deepened(150), stateful_step_count=50)

TestDevicesWithFiles = SQLiteDeviceMachine.TestCase
TestDevicesWithFiles.settings = settings(max_examples=deepened(20), stateful_step_count=30)

TestMixedDevices = MixedDeviceMachine.TestCase
TestMixedDevices.settings = settings(max_examples=deepened(40), stateful_step_count=50)

TestMixedDevicesWithFiles = MixedSQLiteDeviceMachine.TestCase
TestMixedDevicesWithFiles.settings = settings(
    TestDevicesWithFiles.settings, max_examples=deepened(6)
)
