# SPDX-License-Identifier: Apache-2.0
"""A contact who skips messages of version 4 without end fills a bounded part of the store.

The attacker: an accepted contact with a client of their own making. Each message that they skip
leaves a key in either ratchet; they jump in every chain and epoch, and start session after session,
of which the archived ones still read. What is counted is what stands in the store afterwards.
"""

from collections import defaultdict
from dataclasses import dataclass

from e2ecross import Envelope, Text
from e2ecross.errors import AuthenticationFailed, DuplicateMessage, MessageTooOld
from e2ecross.protocol.session import session_decrypt, session_encrypt
from e2ecross.state.context import address_key
from e2ecross.state.skipped_key_rows import SPQR_KEYS
from e2ecross.stores import Table
from e2ecross.wire.content import encode_payload
from e2ecross.wire.limits import (
    MAX_ARCHIVED_SESSIONS,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_SKIPPED_KEYS_ARCHIVED,
    MAX_SKIPPED_KEYS_PER_CHAIN,
    MAX_SKIPPED_KEYS_PER_SESSION,
)
from e2ecross.wire.session_records import decode_skipped_keys
from e2ecross.wire.signal_message import VERSION_4, decode_signal_message
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Attacker,
    Person,
    assert_refused,
    meet,
    payload_for,
    person,
)
from tests.attacks.support_4 import spqr_of

MAX_EPOCHS = 3


@dataclass
class Stored:
    """Post-quantum keys of skipped messages of one address, by session and by epoch."""

    per_session: dict[bytes, int]
    per_epoch: dict[bytes, int]

    @property
    def keys(self) -> int:
        """All of them."""
        return sum(self.per_session.values())


def stored(victim: Person) -> Stored:
    """Count, and check that nothing lies about without its session."""
    result = Stored(defaultdict(int), defaultdict(int))
    own = address_key(TOKO)
    with victim.store.transaction() as tx:
        sessions = {row for row, _ in tx.list(Table.SESSIONS, own)}
        for partition, row, record in tx.scan(Table.SPQR):
            if not partition.startswith(own):
                continue
            session = partition.removeprefix(own)
            assert session in sessions, "rows of a session that is gone"
            if row.startswith(SPQR_KEYS):
                keys = len(decode_skipped_keys(record))
                result.per_session[session] += keys
                result.per_epoch[session + row[:-4]] += keys
    return result


def assert_bounded(victim: Person) -> Stored:
    """Every bound on what one address may cost."""
    now = stored(victim)
    assert max(now.per_epoch.values(), default=0) <= MAX_SKIPPED_KEYS_PER_CHAIN
    assert max(now.per_session.values(), default=0) <= MAX_EPOCHS * MAX_SKIPPED_KEYS_PER_CHAIN
    current = MAX_EPOCHS * MAX_SKIPPED_KEYS_PER_CHAIN
    assert now.keys <= MAX_SKIPPED_KEYS_ARCHIVED + current
    return now


class Flooder:
    """Toko: in one session with the victim, and able to skip any number of messages."""

    def __init__(self, victim: Person) -> None:
        self.victim = victim
        self.attacker = Attacker("flooder")
        self.start()

    def start(self) -> None:
        """Start a session, beside those that there are."""
        self.session = self.attacker.session(self.victim.bundle(one_time=False, kyber=True))

    def seal(self, text: str, *, skip: int = 0) -> Envelope:
        """Write the next message, or one further ahead."""
        for _ in range(skip):
            self.session, _, _ = session_encrypt(self.session, b"", 1, self.attacker.entropy)
        payload = payload_for(TOKO, self.victim.address, Text(text))
        self.session, kind, data = session_encrypt(
            self.session, encode_payload(payload), payload.registration_id, self.attacker.entropy
        )
        return Envelope(payload.message_id, TOKO, self.victim.address, kind, data)

    def say(self, text: str, *, skip: int = 0) -> None:
        """Write, and see it read."""
        assert self.victim.read(self.seal(text, skip=skip)) == text

    def turn(self) -> None:
        """Have the victim answer, so that the next message is of a new chain."""
        envelope = self.victim.device.encrypt(TOKO, Text("answer"))
        message = decode_signal_message(envelope.ciphertext, (VERSION_4,))
        self.session, _ = session_decrypt(self.session, message, MAX_FORWARD_JUMP)


def test_in_every_chain_and_epoch() -> None:
    budi = person(BUDI)
    toko = Flooder(budi)
    most = epoch = 0
    while epoch < 4:
        toko.say("jump", skip=60)
        most = max(most, assert_bounded(budi).keys)
        toko.turn()
        epoch = spqr_of(toko.session).machine.epoch
    assert most > MAX_SKIPPED_KEYS_PER_CHAIN
    for _ in range(200):  # with the epochs their keys go
        toko.turn()
        toko.say("in order")
    assert stored(budi).keys == 0


def test_by_jumping_again_and_again_in_one_chain() -> None:
    budi = person(BUDI)
    toko = Flooder(budi)
    first = toko.seal("first")
    for step in range(8):
        toko.say(f"{step}", skip=700)
        assert_bounded(budi)
    assert stored(budi).keys == MAX_SKIPPED_KEYS_PER_CHAIN
    # The flooder's own late messages were pushed out, and are refused.
    assert_refused(budi, first, DuplicateMessage, MessageTooOld)
    toko.say("in order")


def test_in_archived_sessions() -> None:
    """Beside the current one they have a bound together, and the oldest lose theirs first."""
    budi, ana = person(BUDI), person(ANA)
    meet(ana, budi, kyber=True)
    late = ana.send(budi, "late")
    assert budi.read(ana.send(budi, "not late")) == "not late"
    toko, lates, sessions = Flooder(budi), [], []
    for number in range(8):
        toko.start()
        toko.say(f"{number}")
        lates.append(toko.seal("late"))
        toko.say(f"{number} ahead", skip=MAX_FORWARD_JUMP_ARCHIVED - 2)
        sessions.append(toko.session)
        assert_bounded(budi)
    archived = stored(budi).keys - (MAX_FORWARD_JUMP_ARCHIVED - 1)
    assert archived <= MAX_SKIPPED_KEYS_ARCHIVED
    assert_refused(budi, lates[0], DuplicateMessage)
    assert budi.read(lates[6]) == "late"
    for number in (0, 3, 7, 1):  # each still reads, and becomes the current one when it does
        toko.session = sessions[number]
        toko.say("goes on", skip=100)
        assert_bounded(budi)
    # Nobody else has lost a key.
    assert budi.read(late) == "late"


def test_in_both_ratchets_of_all_sessions() -> None:
    """All keys of an address together: the bound that docs/security-model.md and limits.py say."""
    both = 2 * MAX_SKIPPED_KEYS_ARCHIVED
    bound = both + MAX_SKIPPED_KEYS_PER_SESSION + MAX_EPOCHS * MAX_SKIPPED_KEYS_PER_CHAIN
    assert bound == 30_000
    budi = person(BUDI)
    toko = Flooder(budi)
    for _ in range(both // 2 // MAX_SKIPPED_KEYS_PER_CHAIN + 1):
        toko.start()
        toko.say("first")
        toko.say("ahead", skip=MAX_SKIPPED_KEYS_PER_CHAIN)
        assert assert_bounded(budi).keys + _of_the_double_ratchet(budi) <= bound
    # The archive is full in both, and of the current session one chain of either.
    assert stored(budi).keys == _of_the_double_ratchet(budi) == both // 2 + 2_000
    toko.turn()
    toko.say("of the next chain", skip=MAX_SKIPPED_KEYS_PER_CHAIN)
    assert _of_the_double_ratchet(budi) == both // 2 + 4_000
    assert assert_bounded(budi).keys == both // 2 + 2_000


def _of_the_double_ratchet(victim: Person) -> int:
    own = address_key(TOKO)
    with victim.store.transaction() as tx:
        rows = [item for item in tx.scan(Table.SKIPPED_KEYS) if item[0].startswith(own)]
    return sum(len(decode_skipped_keys(record)) for *_, record in rows)


def test_in_more_sessions_than_are_kept() -> None:
    """A session that leaves the archive takes all its rows with it."""
    budi = person(BUDI)
    toko, most = Flooder(budi), 0
    for number in range(MAX_ARCHIVED_SESSIONS + 6):
        toko.start()
        toko.say(f"{number}", skip=250)
        most = max(most, assert_bounded(budi).keys)
    assert most == MAX_SKIPPED_KEYS_ARCHIVED + 250
    with budi.store.transaction() as tx:
        assert tx.count(Table.SESSIONS, address_key(TOKO)) == MAX_ARCHIVED_SESSIONS + 1


def test_a_flood_that_does_not_authenticate_stores_nothing() -> None:
    budi = person(BUDI)
    toko = Flooder(budi)
    toko.say("first")
    toko.turn()
    for step in range(3):
        genuine = toko.seal(f"{step}", skip=1_000)
        forged = genuine.ciphertext[:-1] + bytes((genuine.ciphertext[-1] ^ 1,))
        bad = Envelope(genuine.message_id, TOKO, BUDI, genuine.kind, forged)
        assert_refused(budi, bad, AuthenticationFailed)
    assert stored(budi).keys == 0
