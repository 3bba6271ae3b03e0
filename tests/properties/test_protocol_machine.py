# SPDX-License-Identifier: Apache-2.0
"""Two session records and a network that does whatever it likes.

It delivers late, twice, never, in any order and damaged; both ends start whenever they like, are
stored and loaded, and lose everything. Once all sessions are of version 3; and once those of both
versions stand side by side, and both ends may start with different ones. What must hold all the
time:

- an unaltered message is read exactly once as long as its session and its chain are kept (in
  version 4 that of the post-quantum ratchet too), and never twice;
- nothing damaged or forged is read;
- what fails changes nothing;
- no cipher key and IV encrypt twice;
- once the network behaves, the two ends meet on one acknowledged session.
"""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from e2ecross.crypto.cipher import cbc_encrypt
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import RemoteError
from e2ecross.protocol import ratchet
from e2ecross.protocol.session import session_encrypt
from e2ecross.protocol.session_record import NO_SESSIONS, find_session
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS, MAX_RECEIVING_CHAINS
from e2ecross.wire.signal_message import VERSIONS, MessageVersion, decode_signal_message
from e2ecross.wire.spqr_message import decode_spqr_message
from tests.support.depth import deepened
from tests.support.parties import NOW_MS, Party, Sealed, inner_message, sending_chain
from tests.support.records import load_record, save_record
from tests.support.values import with_fields

MAX_STARTS = 12  # fewer than are archived, so that no session is dropped for want of room
MAX_LOSSES = 2
SETTLING_ROUNDS = 20

sides = st.integers(0, 1)
picks = st.integers(0, 10**6)


@dataclass
class Sent:
    """A message on its way, and what the model knows of it."""

    receiver: int
    sealed: Sealed
    plaintext: bytes
    base_key: PublicKey
    chain: tuple[PublicKey, int]
    version: MessageVersion
    pq_epoch: int
    read: bool = False


class HostileNetwork(RuleBasedStateMachine):
    """See the module."""

    pq: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.parties = (Party("alice", pq=self.pq), Party("bob", pq=self.pq))
        self.eve = Party("eve")
        self.sent: list[Sent] = []
        self.starts = self.losses = 0
        # By session and reading side: ratchet keys in the order of their first use.
        self.chains: dict[tuple[PublicKey, int], list[PublicKey]] = {}
        self.newest_read: dict[tuple[PublicKey, int], int] = {}
        # By session and sending side: the newest chain of the post-quantum ratchet.
        self.newest_epoch: dict[tuple[PublicKey, int], int] = {}
        self.key_uses: set[tuple[bytes, bytes]] = set()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(ratchet, "cbc_encrypt", self._encrypt_once)

    def teardown(self) -> None:
        try:
            self._settle()
        finally:
            self.patch.undo()

    def _encrypt_once(self, cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        assert (cipher_key, iv) not in self.key_uses, "a message key encrypts twice"
        self.key_uses.add((cipher_key, iv))
        return cbc_encrypt(cipher_key, iv, plaintext)

    # --- What the ends do ---

    @initialize(side=sides, crossing=st.booleans(), older=st.booleans())
    def begin(self, side: int, crossing: bool, older: bool) -> None:
        self.start(side, one_time=True, older=False)
        if crossing:
            self.start(1 - side, one_time=True, older=older)

    @precondition(lambda self: self.starts < MAX_STARTS)
    @rule(side=sides, one_time=st.booleans(), older=st.booleans())
    def start(self, side: int, one_time: bool, older: bool) -> None:
        self.starts += 1
        self.parties[side].start(self.parties[1 - side], one_time=one_time, pq=not older)

    @rule(side=sides, count=st.integers(1, 3))
    def send(self, side: int, count: int) -> None:
        for _ in range(count):
            if self.parties[side].record.current is not None:
                self._send(side)

    def _send(self, side: int) -> Sent:
        party = self.parties[side]
        plaintext = b"%d from %d" % (len(self.sent), side)
        sealed = party.send(plaintext)
        session = party.current
        key = sending_chain(session).ratchet_key_pair.public
        chains = self.chains.setdefault((session.base_key, 1 - side), [])
        if key not in chains:
            chains.append(key)
        epoch = 0
        pq_ratchet = decode_signal_message(inner_message(sealed), VERSIONS).pq_ratchet
        if pq_ratchet:
            epoch = decode_spqr_message(pq_ratchet).epoch - 1
            place = (session.base_key, side)
            self.newest_epoch[place] = max(self.newest_epoch.get(place, 0), epoch)
        chain = (key, chains.index(key))
        version = session.version
        item = Sent(1 - side, sealed, plaintext, session.base_key, chain, version, epoch)
        self.sent.append(item)
        return item

    @rule(side=sides)
    def store_and_load(self, side: int) -> None:
        party = self.parties[side]
        rows = save_record(party.record)
        party.record = load_record(rows)
        assert save_record(party.record) == rows

    @precondition(lambda self: self.losses < MAX_LOSSES)
    @rule(side=sides)
    def lose_everything(self, side: int) -> None:
        # The identity and the prekeys survive; this is a record that was deleted.
        self.losses += 1
        self.parties[side].record = NO_SESSIONS

    # --- What the network does ---

    @precondition(lambda self: self.sent)
    @rule(pick=picks)
    def deliver_any(self, pick: int) -> None:
        self._deliver(self.sent[pick % len(self.sent)])

    @rule(side=sides, turns=st.integers(1, 4), lost=st.integers(0, 2))
    def talk(self, side: int, turns: int, lost: int) -> None:
        """A stretch of ordinary conversation; some messages stay on their way."""
        for _ in range(turns):
            if self.parties[side].record.current is None:
                return
            sent = [self._send(side) for _ in range(lost + 1)]
            self._deliver(sent[-1])
            side = 1 - side

    @precondition(lambda self: self.pq)
    @rule(side=sides, rounds=st.integers(20, 60), burst=st.sampled_from((1, 2, 5, 12, 40)))
    def talk_for_long(self, side: int, rounds: int, burst: int) -> None:
        """Long enough for the post-quantum ratchet to come into another epoch, or to lose one."""
        for number in range(rounds // burst + 1):
            for end in (side, 1 - side):
                if self.parties[end].record.current is None:
                    return
                sent = [self._send(end) for _ in range(burst)]
                for item in sent[number % 3 == 0 :]:
                    self._deliver(item)

    @precondition(lambda self: self.sent)
    @rule(count=st.integers(1, 4))
    def deliver_oldest(self, count: int) -> None:
        for item in [item for item in self.sent if not item.read][:count]:
            self._deliver(item)

    @precondition(lambda self: self.sent)
    @rule()
    def deliver_newest_twice(self) -> None:
        self._deliver(self.sent[-1])
        self._deliver(self.sent[-1])

    @precondition(lambda self: self.sent)
    @rule(pick=picks)
    def deliver_without_wrapper(self, pick: int) -> None:
        item = self.sent[pick % len(self.sent)]
        receiver = self.parties[item.receiver]
        sealed = (MessageKind.SIGNAL, inner_message(item.sealed))
        readable = not item.read and self._is_readable_in(item)
        if find_session(receiver.record, item.base_key) is None:
            readable = False
        self._receive(item, sealed, readable)

    @precondition(lambda self: self.sent)
    @rule(pick=picks, bit=picks)
    def deliver_with_flipped_bit(self, pick: int, bit: int) -> None:
        item = self.sent[pick % len(self.sent)]
        kind, data = item.sealed
        inner = inner_message(item.sealed)
        bit %= 8 * len(inner)
        flipped = bytearray(inner)
        flipped[bit // 8] ^= 1 << bit % 8
        self._refused(item.receiver, (kind, data.replace(inner, bytes(flipped))))

    @precondition(lambda self: self.sent)
    @rule(pick=picks, length=picks)
    def deliver_truncated(self, pick: int, length: int) -> None:
        item = self.sent[pick % len(self.sent)]
        kind, data = item.sealed
        # The last two fields of a wrapper are numbers that nothing authenticates; without the
        # registration id and the signed prekey's id it is refused all the same.
        self._refused(item.receiver, (kind, data[: length % len(data)]))

    @precondition(lambda self: self.sent)
    @rule(pick=picks)
    def reflect(self, pick: int) -> None:
        item = self.sent[pick % len(self.sent)]
        self._refused(1 - item.receiver, item.sealed)

    @precondition(lambda self: self.sent)
    @rule(pick=picks, other=picks)
    def deliver_in_another_wrapper(self, pick: int, other: int) -> None:
        item, around = self.sent[pick % len(self.sent)], self.sent[other % len(self.sent)]
        if around.sealed[0] is not MessageKind.PREKEY or around.receiver != item.receiver:
            return
        data = around.sealed[1]
        mine, theirs = inner_message(item.sealed), inner_message(around.sealed)
        if len(mine) != len(theirs):
            return
        sealed = (MessageKind.PREKEY, data.replace(theirs, mine))
        if around.base_key == item.base_key:
            self._receive(item, sealed, not item.read and self._is_readable(around, item))
        else:
            self._refused(item.receiver, sealed)

    @rule(side=sides, one_time=st.booleans(), known=st.booleans(), older=st.booleans())
    def forge_first_message(self, side: int, one_time: bool, known: bool, older: bool) -> None:
        """Eve starts a session in the peer's name: she lacks the peer's private key."""
        victim, peer = self.parties[side], self.parties[1 - side]
        bundle = verify_bundle(victim.bundle(one_time=one_time, pq=not older))
        session = initiate_session(self.eve.identity, bundle, self.eve.entropy, NOW_MS)
        session = with_fields(session, local_identity_key=peer.identity.public)
        if known and victim.record.current is not None:
            session = with_fields(session, base_key=victim.record.current.base_key)
        _, kind, data = session_encrypt(session, b"forged", 1, self.eve.entropy)
        self._refused(side, (kind, data))
        self._refused(side, (MessageKind.SIGNAL, inner_message((kind, data))))

    # --- The model ---

    def _is_readable_in(self, item: Sent) -> bool:
        """Whether the receiver's session, which exists, still has the message's chain."""
        receiver = self.parties[item.receiver]
        session = find_session(receiver.record, item.base_key)
        if session is None:
            return True
        if item.pq_epoch < self.newest_epoch.get((item.base_key, item.receiver), 0) - 1:
            return False
        newest = self.newest_read.get((item.base_key, item.receiver), -1)
        key, index = item.chain
        if index > newest:
            assert index == newest + 1, "the peer is at most one chain ahead"
            return True
        kept = index > newest - MAX_RECEIVING_CHAINS
        assert kept == any(chain.ratchet_key == key for chain in session.ratchet.receiving)
        return kept

    def _is_readable(self, item: Sent, content: Sent) -> bool:
        """Whether the receiver has, or makes, the session of a message, and its chain."""
        receiver = self.parties[item.receiver]
        if find_session(receiver.record, item.base_key) is not None:
            return self._is_readable_in(content)
        return item.sealed[0] is MessageKind.PREKEY and item.base_key not in receiver.seen_base_keys

    def _deliver(self, item: Sent) -> None:
        self._receive(item, item.sealed, not item.read and self._is_readable(item, item))

    def _receive(self, item: Sent, sealed: Sealed, readable: bool) -> None:
        if not readable:
            self._refused(item.receiver, sealed)
            return
        party = self.parties[item.receiver]
        record, before = party.record, save_record(party.record)
        assert party.receive(sealed) == item.plaintext
        assert save_record(record) == before
        assert save_record(party.record) != before
        item.read = True
        place = (item.base_key, item.receiver)
        self.newest_read[place] = max(self.newest_read.get(place, -1), item.chain[1])

    def _refused(self, side: int, sealed: Sealed) -> None:
        party = self.parties[side]
        before = save_record(party.record)
        prekeys, seen = dict(party.one_time_prekeys), set(party.seen_base_keys)
        with pytest.raises(RemoteError):
            party.receive(sealed)
        assert save_record(party.record) == before
        assert (party.one_time_prekeys, party.seen_base_keys) == (prekeys, seen)

    @invariant()
    def records_are_within_their_limits(self) -> None:
        for party in self.parties:
            record = party.record
            keys = [session.base_key for session in record.archived]
            assert len(keys) <= MAX_ARCHIVED_SESSIONS
            assert all(session.pending is None for session in record.archived)
            if record.current is not None:
                assert record.current.base_key not in keys
            assert len(set(keys)) == len(keys)
            assert (record.held is None) == (record.held_count == 0)
            if record.held is not None:
                assert record.held in keys
                assert record.current is not None
                assert record.current.pending is not None
            for session in record.archived:
                assert len(session.ratchet.receiving) <= MAX_RECEIVING_CHAINS

    def _settle(self) -> None:
        """Deliver everything in order from here on; the two ends meet on one session.

        Who has no session to send with starts one. So does who would send with one that the other
        end has lost, and has heard so: a client that cannot read a message asks for it.
        """
        for side in (0, 1):
            current, other = self.parties[side].record.current, self.parties[1 - side].record
            known = {session.base_key for session in (other.current, *other.archived) if session}
            is_lost = current is not None and not current.pending and current.base_key not in known
            if current is None or is_lost:
                self.start(side, one_time=True, older=False)
        for _ in range(SETTLING_ROUNDS):
            for side in (0, 1):
                self._deliver(self._send(side))
        alice, bob = self.parties
        assert alice.current.base_key == bob.current.base_key
        assert alice.current.pending is None
        assert bob.current.pending is None


HostileNetwork.TestCase.settings = settings(max_examples=deepened(180))
TestHostileNetwork = HostileNetwork.TestCase


class MixedNetwork(HostileNetwork):
    """The same with sessions of both versions."""

    pq = True


MixedNetwork.TestCase.settings = settings(max_examples=deepened(30))
TestMixedNetwork = MixedNetwork.TestCase


def test_the_network_is_not_always_hostile() -> None:
    """The machine's own bookkeeping, on a plain exchange."""
    network = HostileNetwork()
    network.start(0, one_time=True, older=False)
    network.send(0, 2)
    network.deliver_newest_twice()
    network.send(1, 1)
    network.deliver_oldest(9)
    assert all(item.read for item in network.sent)
    network.teardown()
    assert len(network.key_uses) == len(network.sent)


def test_a_mixed_network_comes_through_epochs_and_both_versions() -> None:
    """The bookkeeping again: epochs that go, and an archived session that is promoted."""
    network = MixedNetwork()
    network.start(0, one_time=True, older=True)
    network.talk(0, 4, 1)
    late = [network._send(0) for _ in range(2)]
    network.start(0, one_time=True, older=False)
    network.talk_for_long(0, 60, 1)
    assert [party.current.version.number for party in network.parties] == [4, 4]
    network._deliver(late[0])
    assert [party.current.version.number for party in network.parties] == [4, 3]
    network.start(1, one_time=False, older=False)
    network.send(1, 1)
    lost = network.sent[-1]
    for burst in (12, 1, 40, 5, 40, 40):
        network.talk_for_long(1, 60, burst)
    assert max(network.newest_epoch.values()) >= 3
    assert not network._is_readable(lost, lost)
    for item in [late[1], lost, *network.sent[::5]]:
        network._deliver(item)
    network.store_and_load(0)
    network.teardown()
    assert len(network.key_uses) == len(network.sent)
