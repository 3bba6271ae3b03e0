# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.keys import PublicKey, key_pair_from_private
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    InvalidKey,
    MessageTooOld,
    RemoteError,
    SessionExhausted,
    TooManySkipped,
    UnsupportedVersion,
)
from e2ecross.protocol import ratchet
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.ratchet import (
    RatchetState,
    find_receiving_chain,
    ratchet_decrypt,
    ratchet_encrypt,
)
from e2ecross.protocol.session import Session, session_decrypt, session_encrypt
from e2ecross.wire.limits import MAX_FORWARD_JUMP, MAX_UINT32
from e2ecross.wire.signal_message import SignalMessage, decode_signal_message
from tests.support.entropy import NO_ENTROPY, ReplayedEntropy, SeededEntropy
from tests.support.parties import (
    Party,
    Sealed,
    after_answer,
    inner_message,
    load_session,
    save_session,
    sending_chain,
    with_ratchet,
    write_message,
)
from tests.support.points import LOW_ORDER_POINTS
from tests.support.protobuf import Field, message


@pytest.fixture
def pair() -> tuple[Party, Party]:
    """Two parties that have heard each other; Bob's last message has not arrived."""
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob)
    bob.receive(alice.send(b"first"))
    alice.receive(bob.send(b"reply"))
    bob.receive(alice.send(b"second"))
    bob.send(b"lost")
    return alice, bob


def _decrypt(session: Session, data: bytes, limit: int = MAX_FORWARD_JUMP) -> tuple[Session, bytes]:
    return session_decrypt(session, decode_signal_message(data), limit)


def _refuses(session: Session, data: bytes, error: type[RemoteError]) -> None:
    """Check that it is refused, without randomness, and that nothing has changed."""
    before = save_session(session)
    with pytest.raises(error):
        session_decrypt(session, decode_signal_message(data), MAX_FORWARD_JUMP)
    assert save_session(session) == before


def _new_key(seed: int) -> PublicKey:
    return key_pair_from_private(bytes((seed,)) * 32).public


def _ratchet_keys(session: Session) -> list[PublicKey]:
    return [chain.ratchet_key for chain in session.ratchet.receiving]


# --- Turns ----------------------------------------------------------------------------------


def test_conversation_turns_the_ratchet_on_each_answer(pair: tuple[Party, Party]) -> None:
    alice, bob = pair
    seen = set()
    for i in range(10):
        sender, receiver = (bob, alice) if i % 2 else (alice, bob)
        sealed = sender.send(b"%d" % i)
        seen.add(decode_signal_message(sealed[1]).ratchet_key)
        assert receiver.receive(sealed) == b"%d" % i
    # Alice begins in the chain she has already spoken on; every later turn is a new key.
    assert len(seen) == 10


def test_encryption_leaves_its_input_unchanged_and_advances_by_one(
    pair: tuple[Party, Party],
) -> None:
    session = pair[0].current
    before = save_session(session)
    state, data = ratchet_encrypt(session.ratchet, b"x", b"ad", NO_ENTROPY)
    again = ratchet_encrypt(session.ratchet, b"x", b"ad", NO_ENTROPY)[1]
    assert save_session(session) == before
    assert data == again
    assert isinstance(state.sending, SendingChain)
    assert state.sending.message_number == sending_chain(session).message_number + 1
    assert ratchet_encrypt(state, b"x", b"ad", NO_ENTROPY)[1] != data


def test_decryption_leaves_its_input_unchanged(pair: tuple[Party, Party]) -> None:
    alice, bob = pair
    known, step = alice.send(b"known chain"), bob.send(b"new chain")
    for session, sealed in ((bob.current, known), (alice.current, step)):
        before = save_session(session)
        first, _ = _decrypt(session, sealed[1])
        second, _ = _decrypt(session, sealed[1])
        assert save_session(session) == before
        assert save_session(first) == save_session(second) != before


def test_key_pair_is_drawn_once_with_the_first_message_of_a_turn(
    pair: tuple[Party, Party],
) -> None:
    alice, bob = pair
    session = session_encrypt(alice.current, b"x", 1, NO_ENTROPY)[0]
    session, _ = _decrypt(session, bob.send(b"y")[1])
    assert session.ratchet.sending is None
    entropy = ReplayedEntropy([b"\x77" * 32])
    session, _, first = session_encrypt(session, b"first", 1, entropy)
    assert entropy.left == 0
    public = key_pair_from_private(b"\x77" * 32).public
    assert sending_chain(session).ratchet_key_pair.public == public
    assert decode_signal_message(first).ratchet_key == public
    second = session_encrypt(session, b"second", 1, NO_ENTROPY)[2]
    assert decode_signal_message(second).ratchet_key == public


def test_a_new_ratchet_key_of_the_peer_is_refused_until_it_can_have_heard_of_ours(
    pair: tuple[Party, Party], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the peer, who has nothing to answer, and not a thief of the state before."""
    alice, bob = pair
    before = alice.current
    alice.receive(bob.send(b"turn"))
    with monkeypatch.context() as patch:
        patch.delattr(ratchet, "advance_root_chain")  # it costs no agreement
        _refuses(alice.current, write_message(before, _new_key(1), 0), AuthenticationFailed)
    assert alice.receive(bob.send(b"the chain that is known")) == b"the chain that is known"
    answered = after_answer(alice.current, SeededEntropy("answer"))
    assert _decrypt(answered, write_message(answered, _new_key(1), 0))[1] == b"crafted"


def test_a_state_between_two_turns_holds_no_key_of_what_will_be_sent(
    pair: tuple[Party, Party],
) -> None:
    """So that whoever steals it there cannot read on."""
    alice, bob = pair
    alice.receive(bob.send(b"turn"))
    stolen = save_session(alice.current)
    answered, again = (
        session_encrypt(load_session(stolen), b"answer", 1, SeededEntropy(seed))[0]
        for seed in ("owner", "thief")
    )
    chain, guess = sending_chain(answered), sending_chain(again)
    for secret in (chain.ratchet_key_pair.private, chain.chain_key, answered.ratchet.root_key):
        assert bytes(secret) not in stolen.session
    assert chain.chain_key != guess.chain_key
    assert answered.ratchet.root_key != again.ratchet.root_key


@pytest.mark.parametrize(("sent", "expected"), [(1, 0), (2, 1), (5, 4)])
def test_previous_counter_is_the_last_number_of_the_previous_chain(
    pair: tuple[Party, Party], sent: int, expected: int
) -> None:
    alice, bob = pair
    bob.receive(alice.send(b"turn"))
    alice.receive(bob.send(b"turn"))
    for _ in range(sent):
        alice.send(b"lost")
    # Alice's chain ends when Bob turns; Bob has not seen it, so craft his next ratchet key.
    data = write_message(alice.current, _new_key(1), 0)
    session, _ = _decrypt(alice.current, data)
    assert session.ratchet.previous_counter == expected
    _, encrypted = ratchet_encrypt(session.ratchet, b"", b"", SeededEntropy("answer"))
    assert decode_signal_message(encrypted).previous_counter == expected


def test_old_ratchet_and_chain_keys_are_gone_after_a_turn(pair: tuple[Party, Party]) -> None:
    alice, bob = pair
    old = alice.current.ratchet
    alice.receive(bob.send(b"turn"))
    kept = save_session(alice.current).session
    assert bytes(old.root_key) not in kept
    assert isinstance(old.sending, SendingChain)
    assert bytes(old.sending.chain_key) not in kept
    assert bytes(old.sending.ratchet_key_pair.private) not in kept


# --- What is authenticated ------------------------------------------------------------------


def test_every_flipped_bit_is_refused_and_changes_nothing(pair: tuple[Party, Party]) -> None:
    alice, bob = pair
    for session, sealed in ((bob.current, alice.send(b"known")), (alice.current, bob.send(b"new"))):
        data = sealed[1]
        before = save_session(session)
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(RemoteError):
                session_decrypt(session, decode_signal_message(bytes(flipped)), MAX_FORWARD_JUMP)
        assert save_session(session) == before
        assert _decrypt(session, data)[1] in (b"known", b"new")


def test_mac_covers_both_identities_in_their_order(pair: tuple[Party, Party]) -> None:
    alice, bob = pair
    state = bob.current.ratchet
    received = decode_signal_message(alice.send(b"x")[1])
    a, b = alice.identity.public, bob.identity.public
    assert ratchet_decrypt(state, received, a + b, 0)[1] == b"x"
    for wrong in (b + a, a + a, b + b, a, b, b""):
        with pytest.raises(AuthenticationFailed):
            ratchet_decrypt(state, received, wrong, 0)


@pytest.mark.parametrize("version", [0x30, 0x31, 0x33, 0x34, 0x3F])
def test_mac_covers_the_version_byte_as_it_arrives(pair: tuple[Party, Party], version: int) -> None:
    alice, bob = pair
    for session, key in (
        (bob.current, sending_chain(alice.current).ratchet_key_pair.public),
        (alice.current, _new_key(1)),
    ):
        data = write_message(session, key, 5, version=version)
        assert _decrypt(session, data)[1] == b"crafted"
        other = 0x33 if version != 0x33 else 0x34
        _refuses(
            session,
            write_message(session, key, 5, version=version, mac_version=other),
            AuthenticationFailed,
        )


@pytest.mark.parametrize("version", [0x23, 0x22, 0x43, 0x44, 0x03, 0xF3])
def test_other_versions_with_a_valid_mac_are_refused(
    pair: tuple[Party, Party], version: int
) -> None:
    alice, bob = pair
    key = sending_chain(alice.current).ratchet_key_pair.public
    data = write_message(bob.current, key, 5, version=version)
    with pytest.raises(UnsupportedVersion):
        decode_signal_message(data)


def test_mac_covers_unknown_repeated_and_reordered_fields(pair: tuple[Party, Party]) -> None:
    _, bob = pair
    key = _new_key(1)
    ciphertext = decode_signal_message(write_message(bob.current, key, 3)).ciphertext
    items: list[Field] = [(4, ciphertext), (5, b"pq"), (2, 9), (2, 3), (1, key), (77, 1)]
    data = write_message(bob.current, key, 3, items=items)
    assert _decrypt(bob.current, data)[1] == b"crafted"
    # The same message re-encoded has another MAC: it is the received bytes that are covered.
    again: list[Field] = [(1, key), (2, 3), (4, ciphertext)]
    _refuses(bob.current, b"\x33" + message(again) + data[-8:], AuthenticationFailed)
    stripped = b"\x33" + message([*items[:-1]]) + data[-8:]
    _refuses(bob.current, stripped, AuthenticationFailed)


@pytest.mark.parametrize("padding", [b"\0", b"\x11", b"\x01\x02", b"\xff" * 16])
def test_bad_padding_under_a_valid_mac_is_refused_and_changes_nothing(
    pair: tuple[Party, Party], padding: bytes
) -> None:
    alice, bob = pair
    key = sending_chain(alice.current).ratchet_key_pair.public
    for session, ratchet_key in ((bob.current, key), (alice.current, _new_key(1))):
        honest = write_message(session, ratchet_key, 4, plaintext=b"x" * 16 + padding.rjust(16))
        # Without its last block, the block before is taken for the padding.
        ciphertext = decode_signal_message(honest).ciphertext[:-16]
        data = write_message(session, ratchet_key, 4, ciphertext=ciphertext)
        _refuses(session, data, AuthenticationFailed)


@pytest.mark.parametrize("length", [0, 1, 15, 17])
def test_empty_and_odd_ciphertext_under_a_valid_mac_are_refused(
    pair: tuple[Party, Party], length: int
) -> None:
    _, bob = pair
    key = _new_key(1)
    data = write_message(bob.current, key, 0, ciphertext=bytes(length))
    with pytest.raises(RemoteError):
        decode_signal_message(data)
    # And if a parser let it through, the ratchet does not.
    crafted = SignalMessage(key, 0, 0, bytes(length), data[:-8], data[-8:])
    before = save_session(bob.current)
    with pytest.raises(AuthenticationFailed):
        session_decrypt(bob.current, crafted, 0)
    assert save_session(bob.current) == before


def test_low_order_ratchet_key_is_refused_even_past_the_parser(pair: tuple[Party, Party]) -> None:
    _, bob = pair
    crafted = SignalMessage(PublicKey(LOW_ORDER_POINTS["0"]), 0, 0, bytes(16), b"", bytes(8))
    before = save_session(bob.current)
    with pytest.raises(InvalidKey):
        session_decrypt(bob.current, crafted, 0)
    assert save_session(bob.current) == before


@pytest.mark.parametrize("plaintext", [b"", b"x", b"x" * 15, b"x" * 16, b"x" * 70_000])
def test_plaintext_of_any_length_arrives(pair: tuple[Party, Party], plaintext: bytes) -> None:
    alice, bob = pair
    assert bob.receive(alice.send(plaintext)) == plaintext


# --- Limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("known_chain", [True, False])
def test_jump_of_exactly_25000_is_read_and_one_more_is_not(
    pair: tuple[Party, Party], known_chain: bool
) -> None:
    alice, bob = pair
    key, start = _new_key(1), 0
    if known_chain:
        chain = bob.current.ratchet.receiving[-1]
        key, start = chain.ratchet_key, chain.message_number
        assert key == sending_chain(alice.current).ratchet_key_pair.public
        assert start == 1
    # Of a chain that nothing has come of, only somebody authentic could say how far it is.
    error = TooManySkipped if known_chain else AuthenticationFailed
    _refuses(bob.current, write_message(bob.current, key, start + 25_001), error)
    after, plaintext = _decrypt(bob.current, write_message(bob.current, key, start + 25_000))
    assert plaintext == b"crafted"
    assert len(after.ratchet.receiving[-1].skipped) == 2000


def test_forged_message_with_a_long_jump_stores_nothing(pair: tuple[Party, Party]) -> None:
    _, bob = pair
    for key in (_new_key(1), bob.current.ratchet.receiving[-1].ratchet_key):
        data = write_message(bob.current, key, 25_000)
        _refuses(bob.current, data[:-1] + bytes((data[-1] ^ 1,)), AuthenticationFailed)


def test_used_key_is_refused_the_second_time(pair: tuple[Party, Party]) -> None:
    alice, bob = pair
    early, late = alice.send(b"early"), alice.send(b"late")
    for sealed in (late, early):
        assert bob.receive(sealed) in (b"early", b"late")
        _refuses(bob.current, inner_message(sealed), DuplicateMessage)
    _refuses(bob.current, inner_message(early), DuplicateMessage)
    _refuses(bob.current, inner_message(late), DuplicateMessage)


def _turns(session: Session, count: int, missing: int) -> Session:
    """Let the peer send on `count` new ratchet keys, the first `missing` messages of each lost."""
    for i in range(count):
        data = write_message(session, _new_key(10 + i), missing, previous_counter=None)
        session = after_answer(_decrypt(session, data)[0], SeededEntropy("answer"))
    return session


def test_five_chains_are_kept_and_the_oldest_goes(pair: tuple[Party, Party]) -> None:
    _, bob = pair
    session = _turns(bob.current, 5, 1)
    assert _ratchet_keys(session) == [_new_key(10 + i) for i in range(5)]
    assert _decrypt(session, write_message(session, _new_key(10), 0))[1] == b"crafted"
    late = write_message(session, _new_key(10), 0)
    session, _ = _decrypt(session, write_message(session, _new_key(15), 0))
    assert _ratchet_keys(session) == [_new_key(11 + i) for i in range(5)]
    _refuses(session, late, AuthenticationFailed)
    assert find_receiving_chain(session.ratchet, _new_key(10)) is None


def _stored(session: Session) -> list[int]:
    return [len(chain.skipped) for chain in session.ratchet.receiving]


def test_8000_keys_are_stored_per_session_the_oldest_chain_gives_way(
    pair: tuple[Party, Party],
) -> None:
    _, bob = pair
    session = _turns(bob.current, 4, 2000)
    assert _stored(session)[-4:] == [2000] * 4
    assert sum(_stored(session)) == 8000
    session, _ = _decrypt(session, write_message(session, _new_key(20), 1, previous_counter=None))
    assert _stored(session) == [1999, 2000, 2000, 2000, 1]
    oldest = session.ratchet.receiving[0]
    assert oldest.skipped.get(0) is None
    assert oldest.skipped.get(1) is not None
    # Growing a known chain is bounded as well, and may use up the whole oldest chain.
    session, _ = _decrypt(session, write_message(session, _new_key(20), 1999 + 2))
    assert _stored(session) == [0, 2000, 2000, 2000, 2000]
    assert session.ratchet.receiving[0].chain_key is not None


def test_eviction_takes_from_the_next_chain_when_the_oldest_is_empty(
    pair: tuple[Party, Party],
) -> None:
    _, bob = pair
    session = _turns(bob.current, 5, 2000)
    assert _stored(session) == [0, 2000, 2000, 2000, 2000]
    session, _ = _decrypt(session, write_message(session, _new_key(20), 500, previous_counter=None))
    assert _stored(session) == [1500, 2000, 2000, 2000, 500]


def test_sending_ends_at_the_last_number(pair: tuple[Party, Party]) -> None:
    alice, _ = pair
    state, chain = alice.current.ratchet, sending_chain(alice.current)

    def at(number: int) -> RatchetState:
        sending = SendingChain(chain.ratchet_key_pair, chain.chain_key, number)
        return RatchetState(state.root_key, sending, 0, state.receiving)

    last, data = ratchet_encrypt(at(MAX_UINT32 - 1), b"last", b"", NO_ENTROPY)
    assert decode_signal_message(data).counter == MAX_UINT32 - 1
    with pytest.raises(SessionExhausted, match="start a new one"):
        ratchet_encrypt(last, b"one more", b"", NO_ENTROPY)
    # A turn makes room again, and announces the last number that was used.
    session = with_ratchet(alice.current, last)
    session, _ = _decrypt(session, write_message(session, _new_key(1), 0))
    _, data = ratchet_encrypt(session.ratchet, b"again", b"", SeededEntropy("again"))
    assert decode_signal_message(data).previous_counter == MAX_UINT32 - 1


# --- Closing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("previous_counter", "closes", "readable", "too_old"),
    [
        (None, False, [2, 3, 9, 400], []),
        (4, True, [1, 3, 4], [5, 6, 400]),
        (2, True, [1], [3, 4]),
        (0, True, [1], [3]),
        (5, True, [1, 3, 4, 5], [6]),  # a peer that announces n instead of n-1
        (2002, True, [3, 2002], [2003]),
        (2003, False, [3, 2003, 2004], []),
        (MAX_UINT32, False, [3, 25_003], []),
    ],
)
def test_previous_chain_is_closed_by_the_number_announced(
    pair: tuple[Party, Party],
    previous_counter: int | None,
    closes: bool,
    readable: list[int],
    too_old: list[int],
) -> None:
    _, bob = pair
    first, second = _new_key(1), _new_key(2)
    session = bob.current
    for number in (0, 2):
        session, _ = _decrypt(session, write_message(session, first, number))
    open_session = session = after_answer(session, SeededEntropy("answer"))
    session, _ = _decrypt(
        session, write_message(session, second, 0, previous_counter=previous_counter)
    )
    chain = find_receiving_chain(session.ratchet, first)
    assert chain is not None
    assert (chain.chain_key is None) is closes
    for number in readable:
        if number == 2:
            continue
        data = write_message(open_session, first, number)
        after, plaintext = _decrypt(session, data)
        assert plaintext == b"crafted"
        _refuses(after, data, DuplicateMessage)
    for number in too_old:
        _refuses(session, write_message(open_session, first, number), MessageTooOld)
    for number in (0, 2):
        data = write_message(bob.current, first, number)
        _refuses(session, data, DuplicateMessage)


def test_forged_previous_counter_closes_nothing(pair: tuple[Party, Party]) -> None:
    alice, bob = pair
    lost = bob.send(b"lost for now")
    alice.receive(bob.send(b"arrives"))
    bob.receive(alice.send(b"answer"))
    honest = bob.send(b"next chain")
    fields_of = decode_signal_message(honest[1])
    forged: list[Field] = [
        (1, fields_of.ratchet_key),
        (2, fields_of.counter),
        (3, 0),
        (4, fields_of.ciphertext),
    ]
    _refuses(alice.current, b"\x33" + message(forged) + honest[1][-8:], AuthenticationFailed)
    assert alice.receive(honest) == b"next chain"
    assert alice.receive(lost) == b"lost for now"


def test_only_the_newest_chain_is_closed(pair: tuple[Party, Party]) -> None:
    _, bob = pair
    session = bob.current
    for seed, previous in ((1, None), (2, None), (3, 0)):
        session, _ = _decrypt(
            session, write_message(session, _new_key(seed), 0, previous_counter=previous)
        )
        session = after_answer(session, SeededEntropy("answer"))
    closed = [chain.chain_key is None for chain in session.ratchet.receiving[-3:]]
    assert closed == [False, True, False]


def test_first_step_of_a_session_closes_nothing() -> None:
    alice, bob = Party("alice"), Party("bob")
    session = alice.start(bob)
    assert session.ratchet.receiving == ()
    after, _ = _decrypt(session, write_message(session, _new_key(1), 0, previous_counter=77))
    assert len(after.ratchet.receiving) == 1
    assert after.ratchet.previous_counter == 0


# --- Any order ------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=8), st.data())
def test_every_late_message_of_four_turns_each_is_read_once_in_any_order(
    turns: list[tuple[bool, int]], data: st.DataObject
) -> None:
    alice, bob = Party("alice"), Party("bob")
    alice.start(bob)
    bob.receive(alice.send(b"0"))
    late: list[tuple[Party, Sealed, bytes]] = []
    for i, (by_alice, count) in enumerate(turns):
        sender, receiver = (alice, bob) if by_alice else (bob, alice)
        sealed = [(sender.send(b"%d.%d" % (i, n)), b"%d.%d" % (i, n)) for n in range(count)]
        assert receiver.receive(sealed[-1][0]) == sealed[-1][1]
        late += [(receiver, item, plaintext) for item, plaintext in sealed[:-1]]
    for receiver, item, plaintext in data.draw(st.permutations(late)):
        assert receiver.receive(item) == plaintext
        with pytest.raises(DuplicateMessage):
            receiver.receive(item)


def test_state_does_not_show_itself(pair: tuple[Party, Party]) -> None:
    assert repr(pair[0].current.ratchet) == "<RatchetState: secret>"
