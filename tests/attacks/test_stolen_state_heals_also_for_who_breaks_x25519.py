# SPDX-License-Identifier: Apache-2.0
"""In version 4 a stolen state heals, and opens nothing from before, though X25519 be broken.

The attacker: copies a whole store once, records the network before and afterwards without
interfering, and breaks X25519. So they are given every secret of the Double Ratchet, of all
messages: all that is between them and a message is its key of the post-quantum ratchet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from e2ecross import Envelope
from e2ecross.crypto.cipher import compute_mac
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.kdf import MessageKey, MessageKeys, derive_message_keys
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.crypto.spqr_kdf import LinkKey, derive_link
from e2ecross.errors import E2ECrossError
from e2ecross.protocol import ratchet
from e2ecross.protocol.spqr.state import SpqrState, find_spqr_key, spqr_send, use_spqr_key
from e2ecross.state.session_store import load_sessions
from e2ecross.wire.signal_message import VERSIONS, SignalMessage, decode_signal_message
from e2ecross.wire.spqr_message import decode_spqr_message
from tests.attacks.support import ANA, BUDI, Person, Rows, inner_message, meet, person
from tests.attacks.support_4 import pq_message, spqr_of
from tests.fuzz.world import load
from tests.support.entropy import SeededEntropy

_KEY = 32


@dataclass(frozen=True)
class Recorded:
    """A message as it went over the network, and what breaking X25519 gives of it."""

    sender: Person
    message: SignalMessage
    associated_data: bytes
    message_key: MessageKey
    chain: int
    """In which epoch its post-quantum key is."""

    def opens_with(self, pq_key: bytes | None) -> bool:
        """Whether this is the post-quantum key that is missing."""
        keys = derive_message_keys(self.message_key, pq_key)
        mac = compute_mac(keys.mac_key, self.associated_data, self.message.authenticated)
        return mac == self.message.mac


@dataclass
class Wiretap:
    """Records what two people say, and breaks X25519."""

    broken: list[MessageKey]
    sent: list[Recorded] = field(default_factory=list)

    def send(self, sender: Person, reader: Person) -> Envelope:
        """Encrypt and record, without delivering."""
        envelope = sender.send(reader, "the treasure lies under the third palm")
        identities = sender.device.identity_key + reader.device.identity_key
        message = decode_signal_message(inner_message(envelope), VERSIONS)
        chain = pq_message(envelope).epoch - 1
        self.sent.append(Recorded(sender, message, identities, self.broken[-1], chain))
        return envelope

    def say(self, sender: Person, reader: Person) -> None:
        """Encrypt, record and deliver."""
        reader.read(self.send(sender, reader))

    def converse(self, left: Person, right: Person, rounds: int) -> None:
        """Take turns."""
        for _ in range(rounds):
            self.say(left, right)
            self.say(right, left)


@pytest.fixture
def wiretap(monkeypatch: pytest.MonkeyPatch) -> Wiretap:
    """Sees the Double Ratchet's key of each message, as who has all agreements can derive it."""
    broken: list[MessageKey] = []

    def spy(message_key: MessageKey, pq_key: bytes | None = None) -> MessageKeys:
        broken.append(message_key)
        return derive_message_keys(message_key, pq_key)

    monkeypatch.setattr(ratchet, "derive_message_keys", spy)
    return Wiretap(broken)


def _follow(
    loot: SpqrState, owner: Person, sent: list[Recorded], entropy: EntropySource
) -> Iterator[Recorded]:
    """Run the stolen post-quantum ratchet along with its owner; what opens on the way.

    All its keys, KEM seeds and secrets are there, and whatever its owner draws anew is not: in its
    place comes what `entropy` gives.
    """
    state: SpqrState | None = loot
    for item in sent:
        before, key = state, None
        try:
            if item.sender is owner:
                state, _, key = spqr_send(state, entropy)
            else:
                found = find_spqr_key(state, item.message.pq_ratchet, 25_000, may_have_no_key=False)
                key = found.key
                state = use_spqr_key(state, found)
        except E2ECrossError:  # the thief has lost the track, and goes on with what there is
            state = before
        if item.opens_with(key):
            yield item


def _loot(rows: Rows, owner: Person, peer: Person) -> SpqrState:
    with load(owner, rows).store.transaction() as tx:
        record = load_sessions(tx, peer.address)
    assert record.current is not None
    return spqr_of(record.current)


@pytest.mark.parametrize("rounds", [1, 4, 25, 38, 44, 47, 70, 88, 91])
@pytest.mark.parametrize("owner", ["initiator", "responder"])
def test_it_heals_with_the_second_epoch_after_the_theft(
    owner: str, rounds: int, wiretap: Wiretap
) -> None:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=True)
    wiretap.converse(ana, budi, rounds)
    me, peer = (ana, budi) if owner == "initiator" else (budi, ana)
    wiretap.sent.clear()
    stolen = me.dump()
    loot = _loot(stolen, me, peer)
    wiretap.converse(ana, budi, 150)
    opened = list(_follow(loot, me, wiretap.sent, SeededEntropy("thief")))
    # Of the exchange that goes on at the time the thief may have either secret, and no later one.
    exchange = loot.machine.epoch
    known = [item for item in wiretap.sent if item.chain < exchange]
    healed = [item for item in wiretap.sent if item.chain > exchange]
    assert [item for item in opened if item.chain < exchange] == known
    assert known
    assert len(healed) > 100
    assert not [item for item in opened if item.chain > exchange]
    for item in healed[::20]:
        assert not item.opens_with(None)


@pytest.mark.parametrize("owner", ["initiator", "responder"])
def test_the_thief_who_has_also_what_is_drawn_anew_reads_everything(
    owner: str, wiretap: Wiretap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above does not pass because its thief is stupid."""
    # What is drawn for X25519 is no part of what this thief lacks.
    monkeypatch.setattr(ratchet, "generate_key_pair", lambda _: generate_key_pair(SYSTEM_ENTROPY))
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=True)
    wiretap.converse(ana, budi, 30)
    me, peer = (ana, budi) if owner == "initiator" else (budi, ana)
    wiretap.sent.clear()
    drawn: list[bytes] = []
    genuine = me.entropy.bytes

    class Drawn:
        """What the owner has drawn for the post-quantum ratchet while the thief has listened."""

        def bytes(self, n: int) -> bytes:
            """The next value of that length; message ids and the like are left out."""
            while len(drawn[0]) != n:
                drawn.pop(0)
            return drawn.pop(0)

        def encapsulate(self, kem_public_key: object) -> object:
            """Not used in a session."""
            raise AssertionError

    loot = _loot(me.dump(), me, peer)
    encrypting = False

    def spy(n: int) -> bytes:
        value = genuine(n)
        if encrypting:
            drawn.append(value)
        return value

    me.entropy.bytes = spy  # type: ignore[method-assign]
    for _ in range(150):
        for sender, reader in ((ana, budi), (budi, ana)):
            encrypting = sender is me
            envelope = wiretap.send(sender, reader)
            encrypting = False
            reader.read(envelope)
    opened = list(_follow(loot, me, wiretap.sent, Drawn()))  # type: ignore[arg-type]
    assert opened == wiretap.sent


# --- Forward secrecy --------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [3, 46, 92])
def test_it_opens_nothing_that_was_read_before(rounds: int, wiretap: Wiretap) -> None:
    """Every run of 32 bytes in either store is tried: as the key, and as the link before it."""
    ana, budi = person(ANA, one_time=1), person(BUDI, one_time=1)
    meet(ana, budi, kyber=True)
    wiretap.converse(ana, budi, rounds)
    late = wiretap.send(ana, budi)
    wiretap.say(ana, budi)
    outstanding = wiretap.sent[-2]
    useless: set[bytes] = set()
    for loot in (ana.dump(), budi.dump()):
        opened = _try_everything(loot, wiretap.sent[-24:], useless)
        assert opened == ({id(outstanding)} if loot == budi.dump() else set())
    assert budi.read(late) == "the treasure lies under the third palm"
    for loot in (ana.dump(), budi.dump()):
        assert not _try_everything(loot, wiretap.sent[-24:], useless)


def _try_everything(loot: Rows, sent: list[Recorded], useless: set[bytes]) -> set[int]:
    """Which messages open, with any 32 bytes of the rows of sessions.

    Those that open none of these messages are noted in `useless`, and not tried again.
    """
    records = [record for table, *_, record in loot if table in ("sessions", "spqr")]
    windows = {
        record[start : start + _KEY]
        for record in records
        for start in range(len(record) - _KEY + 1)
    }
    assert len(windows) > 1_000
    opened = set()
    for window in windows - useless:
        opens = [
            id(item)
            for item in sent
            if item.opens_with(window) or item.opens_with(_next(window, item))
        ]
        opened.update(opens)
        if not opens:
            useless.add(window)
    return opened


def _next(window: bytes, item: Recorded) -> bytes:
    index = decode_spqr_message(item.message.pq_ratchet).key_index
    return derive_link(LinkKey(window), index)[1]
