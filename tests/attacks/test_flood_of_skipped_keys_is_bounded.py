# SPDX-License-Identifier: Apache-2.0
"""A contact who skips messages without end fills a bounded part of the store, and no other's.

The attacker: an accepted contact with a client of their own making. They authenticate correctly
and jump ahead in every chain, turn the ratchet with every answer, and start session after session;
the archived ones still read. What is counted is what stands in the store after each message.
What bounds the total over all addresses is the number of addresses: see
docs/security-model.md, A malicious contact.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from e2ecross import Address, Envelope, Text
from e2ecross.crypto.kdf import derive_next_chain_key
from e2ecross.errors import AuthenticationFailed, DuplicateMessage, MessageTooOld, TooManySkipped
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.session import session_decrypt, session_encrypt
from e2ecross.state.context import address_key
from e2ecross.stores import Table
from e2ecross.wire.content import encode_payload
from e2ecross.wire.limits import (
    MAX_ARCHIVED_SESSIONS,
    MAX_CLOSING_GAP,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_RECEIVING_CHAINS,
    MAX_SKIPPED_KEYS_PER_CHAIN,
    MAX_SKIPPED_KEYS_PER_SESSION,
)
from e2ecross.wire.session_records import decode_skipped_keys
from e2ecross.wire.signal_message import decode_signal_message
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Attacker,
    Person,
    Rows,
    assert_refused,
    dump,
    meet,
    payload_for,
    person,
)
from tests.support.entropy import NO_ENTROPY
from tests.support.parties import after_answer, sending_chain
from tests.support.values import with_fields

BUCKET = 64
RATCHET_KEY_BYTES = 33
ROWS_PER_CHAIN = MAX_SKIPPED_KEYS_PER_CHAIN // BUCKET + 2  # neither end need be a whole bucket


@dataclass
class Stored:
    """What the store holds of one address's skipped keys."""

    rows: int
    keys: int
    per_session: dict[bytes, int]
    per_chain: dict[bytes, int]


def stored(victim: Person, address: Address) -> Stored:
    """Count, and check that nothing lies about without its session."""
    result = Stored(0, 0, defaultdict(int), defaultdict(int))
    own = address_key(address)
    with victim.store.transaction() as tx:
        sessions = {row for row, _ in tx.list(Table.SESSIONS, own)}
        for partition, row, record in tx.scan(Table.SKIPPED_KEYS):
            if not partition.startswith(own):
                continue
            session = partition.removeprefix(own)
            assert session in sessions, "keys of a session that is gone"
            keys = len(decode_skipped_keys(record))
            assert 0 < keys <= BUCKET
            result.rows += 1
            result.keys += keys
            result.per_session[session] += keys
            result.per_chain[session + row[:RATCHET_KEY_BYTES]] += keys
        rows = [tx.count(Table.SKIPPED_KEYS, own + session) for session in sessions]
    assert sum(rows) == result.rows
    return result


def assert_bounded(victim: Person, address: Address) -> Stored:
    """Every bound on what one address may cost."""
    now = stored(victim, address)
    sessions, chains = now.per_session, now.per_chain
    assert len(sessions) <= MAX_ARCHIVED_SESSIONS + 1
    assert max(sessions.values(), default=0) <= MAX_SKIPPED_KEYS_PER_SESSION
    assert max(chains.values(), default=0) <= MAX_SKIPPED_KEYS_PER_CHAIN
    assert len(chains) <= MAX_RECEIVING_CHAINS * (MAX_ARCHIVED_SESSIONS + 1)
    assert now.rows <= len(chains) * ROWS_PER_CHAIN
    return now


class Flooder:
    """Toko: in one session with the victim, and able to skip any number of messages at once."""

    def __init__(self, victim: Person, name: str = "flooder") -> None:
        self.victim = victim
        self.attacker = Attacker(name)
        self.start()

    def start(self) -> None:
        """Start a session, beside those that there are."""
        self.session = self.attacker.session(self.victim.bundle(one_time=False))

    def skip(self, count: int) -> None:
        """Go on by so many messages that will never be sent."""
        if self.session.ratchet.sending is None:
            self.session = after_answer(self.session, self.attacker.entropy)
        sending = sending_chain(self.session)
        chain_key = sending.chain_key
        for _ in range(count):
            chain_key = derive_next_chain_key(chain_key)
        advanced = SendingChain(sending.ratchet_key_pair, chain_key, sending.message_number + count)
        self.session = with_fields(
            self.session, ratchet=with_fields(self.session.ratchet, sending=advanced)
        )

    def seal(self, text: str, *, skip: int = 0) -> Envelope:
        """Write the next message, or one further ahead."""
        self.skip(skip)
        payload = payload_for(TOKO, self.victim.address, Text(text))
        plaintext = encode_payload(payload)
        self.session, kind, data = session_encrypt(
            self.session, plaintext, payload.registration_id, NO_ENTROPY
        )
        return Envelope(payload.message_id, TOKO, self.victim.address, kind, data)

    def say(self, text: str, *, skip: int = 0) -> None:
        """Write, and see it read."""
        assert self.victim.read(self.seal(text, skip=skip)) == text

    def turn(self) -> None:
        """Have the victim answer, so that the next message is of a new chain."""
        envelope = self.victim.device.encrypt(TOKO, Text("answer"))
        message = decode_signal_message(envelope.ciphertext)
        self.session, _ = session_decrypt(self.session, message, MAX_FORWARD_JUMP)


@pytest.fixture
def budi() -> Iterator[Person]:
    """The victim, whose conversation with Ana goes on untouched through every flood."""
    budi, ana = person(BUDI), person(ANA)
    meet(ana, budi)
    late = ana.send(budi, "late")
    assert budi.read(ana.send(budi, "not late")) == "not late"
    before = _of_ana(dump(budi.store))
    yield budi
    assert _of_ana(dump(budi.store)) == before
    assert budi.read(late) == "late"
    assert budi.read(ana.send(budi, "goes on")) == "goes on"
    assert ana.read(budi.send(ana, "as if nothing had been")) == "as if nothing had been"


def _of_ana(rows: Rows) -> list[tuple[str, bytes, bytes, bytes]]:
    return [row for row in rows if row[1].startswith(address_key(ANA))]


def test_over_hundreds_of_ratchet_steps(budi: Person) -> None:
    """A jump in every chain: old chains go, and their keys with them."""
    toko = Flooder(budi)
    most = 0
    for step in range(300):
        toko.say(f"{step}", skip=40)
        most = max(most, assert_bounded(budi, TOKO).keys)
        toko.say(f"{step} in order")
        toko.turn()
    assert most <= MAX_RECEIVING_CHAINS * 40
    now = stored(budi, TOKO)
    assert len(now.per_chain) <= MAX_RECEIVING_CHAINS


def test_with_the_largest_jumps_that_are_kept(budi: Person) -> None:
    """Full chains: the session's bound comes before five times the chain's."""
    toko = Flooder(budi)
    totals = []
    for step in range(12):
        toko.say(f"{step}", skip=MAX_SKIPPED_KEYS_PER_CHAIN)
        totals.append(assert_bounded(budi, TOKO).keys)
        toko.say(f"{step} in order")
        toko.turn()
    assert max(totals) == totals[-1] == MAX_SKIPPED_KEYS_PER_SESSION
    # Each row is rewritten or dropped as a whole: the bytes are bounded too.
    with budi.store.transaction() as tx:
        size = sum(len(record) for *_, record in tx.scan(Table.SKIPPED_KEYS))
    assert size < MAX_SKIPPED_KEYS_PER_SESSION * (32 + 6)


def test_by_jumping_again_and_again_in_one_chain(budi: Person) -> None:
    toko = Flooder(budi)
    first = toko.seal("first")
    for step in range(8):
        toko.say(f"{step}", skip=700)
        assert assert_bounded(budi, TOKO).keys <= MAX_SKIPPED_KEYS_PER_CHAIN
    assert stored(budi, TOKO).keys == MAX_SKIPPED_KEYS_PER_CHAIN
    # The flooder's own late messages were pushed out, and are refused.
    assert_refused(budi, first, DuplicateMessage)
    toko.say("in order")


def test_one_jump_too_far_is_refused_and_the_chain_goes_on(budi: Person) -> None:
    toko = Flooder(budi)
    toko.say("first")
    kept = toko.session
    assert_refused(budi, toko.seal("too far", skip=MAX_FORWARD_JUMP + 1), TooManySkipped)
    toko.session = kept
    toko.say("far", skip=MAX_FORWARD_JUMP)
    assert assert_bounded(budi, TOKO).keys == MAX_SKIPPED_KEYS_PER_CHAIN
    toko.say("in order")


@pytest.mark.parametrize("end", [0, 500, 2_000, 2_010, 10_000, 2**31])
def test_an_announced_end_that_is_far_away_stores_nothing_beyond_the_bound(
    budi: Person, end: int
) -> None:
    """`previous_counter` closes a chain: the peer may say any number there.

    What would take more than 2,000 derivations is not closed, and goes with the fifth newer chain.
    """
    toko = Flooder(budi)
    toko.say("before")
    toko.turn()
    toko.say("of the chain that ends")
    old = toko.session
    toko.turn()
    ratchet = with_fields(toko.session.ratchet, previous_counter=end)
    toko.session = with_fields(toko.session, ratchet=ratchet)
    toko.say("of the next chain")
    assert assert_bounded(budi, TOKO).keys == (end if end <= MAX_CLOSING_GAP else 0)
    newer, toko.session = toko.session, old
    beyond = toko.seal("beyond", skip=min(end, 20_000) + 5)
    if end <= MAX_CLOSING_GAP:
        assert_refused(budi, beyond, MessageTooOld)
    else:
        assert budi.read(beyond) == "beyond"
    toko.session = newer
    for _ in range(MAX_RECEIVING_CHAINS):
        toko.turn()
        toko.say("next chain")
        assert_bounded(budi, TOKO)
    assert stored(budi, TOKO).keys == 0


def test_in_more_sessions_than_are_kept(budi: Person) -> None:
    """A session that leaves the archive takes its keys with it."""
    toko = Flooder(budi)
    jump, most = 150, 0
    for number in range(MAX_ARCHIVED_SESSIONS + 10):
        toko.start()
        toko.say(f"{number}", skip=jump)
        most = max(most, assert_bounded(budi, TOKO).keys)
    assert most == (MAX_ARCHIVED_SESSIONS + 1) * jump
    toko.say("in order")
    with budi.store.transaction() as tx:
        assert tx.count(Table.SESSIONS, address_key(TOKO)) == MAX_ARCHIVED_SESSIONS + 1


def test_in_archived_sessions(budi: Person) -> None:
    """Each one still reads, jumps less far, and becomes the current one when it does."""
    toko = Flooder(budi)
    sessions = []
    for number in range(6):
        toko.start()
        toko.say(f"{number}")
        toko.turn()
        toko.say(f"{number} turned")
        sessions.append(toko.session)
    for turn in range(3):
        for number, session in enumerate(sessions):
            toko.session = session
            if number != len(sessions) - 1 or turn:
                envelope = toko.seal("too far", skip=MAX_FORWARD_JUMP_ARCHIVED + 1)
                assert_refused(budi, envelope, TooManySkipped)
                toko.session = session
            toko.say("far", skip=300)
            toko.say("in order")
            toko.turn()
            toko.say("next chain", skip=300)
            sessions[number] = toko.session
            assert_bounded(budi, TOKO)
    now = stored(budi, TOKO)
    assert now.keys == sum(now.per_session.values()) <= 6 * 6 * 300
    assert len(now.per_session) == 6


def test_keys_that_are_used_give_their_place_back(budi: Person) -> None:
    toko = Flooder(budi)
    late = [toko.seal(f"{number}") for number in range(200)]
    toko.say("ahead")
    assert stored(budi, TOKO).keys == 200
    for number, envelope in enumerate(late):
        assert budi.read(envelope) == f"{number}"
    assert stored(budi, TOKO) == Stored(0, 0, {}, {})


def test_a_flood_that_does_not_authenticate_stores_nothing(budi: Person) -> None:
    """The same jumps by somebody in the middle: not one key is kept."""
    toko = Flooder(budi)
    toko.say("first")
    toko.turn()
    for step in range(5):
        genuine = toko.seal(f"{step}", skip=1_000)
        forged = genuine.ciphertext[:-1] + bytes((genuine.ciphertext[-1] ^ 1,))
        assert_refused(budi, replace(genuine, ciphertext=forged), AuthenticationFailed)
    assert stored(budi, TOKO).keys == 0


def test_the_total_is_what_each_address_may_have(budi: Person) -> None:
    """There is no bound over all addresses but theirs: nobody pushes out another's keys."""
    flooders = [Flooder(budi), Flooder(budi, "another")]
    addresses = [TOKO, Address("whatsapp", "another")]
    totals = []
    for toko, address in zip(flooders, addresses, strict=True):
        payload = payload_for(address, BUDI, Text("flood"))
        toko.skip(MAX_SKIPPED_KEYS_PER_CHAIN)
        envelope = toko.attacker.seal(toko.session, payload)
        assert budi.read(envelope) == "flood"
        totals.append([assert_bounded(budi, one).keys for one in addresses])
    assert totals == [[2_000, 0], [2_000, 2_000]]
