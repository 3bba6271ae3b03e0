# SPDX-License-Identifier: Apache-2.0
"""Sender keys, pure: vectors byte for byte, any order of delivery, every limit at N and N+1."""

import traceback
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.cipher import cbc_encrypt
from e2ecross.crypto.kdf import (
    ChainKey,
    derive_message_and_chain_key,
    derive_next_chain_key,
    derive_sender_message_keys,
)
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    E2ECrossError,
    InvalidSignature,
    SessionExhausted,
    TooManySkipped,
    UnknownSenderKey,
)
from e2ecross.protocol.sender_key import (
    OwnSenderKey,
    SenderKeyState,
    add_distribution,
    distribute,
    find_state,
    generate_sender_key,
    group_decrypt,
    group_encrypt,
)
from e2ecross.wire.limits import (
    MAX_FORWARD_JUMP,
    MAX_SENDER_KEY_MESSAGES,
    MAX_SENDER_KEY_STATES,
    MAX_SKIPPED_KEYS_PER_CHAIN,
    MAX_UINT32,
)
from e2ecross.wire.sender_key_message import (
    Distribution,
    decode_distribution,
    decode_sender_key_message,
    encode_distribution,
)
from tests.support.entropy import NO_ENTROPY, ReplayedEntropy, SeededEntropy
from tests.support.sender_keys import (
    FORMS,
    KEY_ID,
    UUID,
    forms,
    group_of,
    signed_message,
    vector_key,
    vectors_of,
)
from tests.support.values import with_fields
from tests.support.vectors import unhex

ID = UUID.distribution_id
both_forms = pytest.mark.parametrize("name", FORMS)


def _state(data: bytes, name: str = "uuid") -> SenderKeyState:
    (state,) = add_distribution((), decode_distribution(forms(name), data))
    return state


def _read(state: SenderKeyState, data: bytes, name: str = "uuid") -> tuple[SenderKeyState, bytes]:
    message = decode_sender_key_message(forms(name), data)
    if message.chain_id != state.chain_id:
        raise UnknownSenderKey("of another chain")
    return group_decrypt(state, message)


def _pair(seed: int | str = 0) -> tuple[OwnSenderKey, SenderKeyState]:
    """A new key, and its state at a receiver."""
    key = generate_sender_key(SeededEntropy(seed))
    (state,) = add_distribution((), distribute(key, ID))
    return key, state


def _send(key: OwnSenderKey, count: int) -> tuple[OwnSenderKey, list[bytes]]:
    sent = []
    for number in range(count):
        key, data = group_encrypt(key, ID, str(number).encode(), SeededEntropy(number))
        sent.append(data)
    return key, sent


def _at(key: OwnSenderKey, iteration: int) -> OwnSenderKey:
    """The key when it has sent so many messages; nobody walks that far, so its chain is another."""
    return with_fields(key, chain=with_fields(key.chain, message_number=iteration))


# --- Vectors ----------------------------------------------------------------------------------


@both_forms
def test_what_is_sent_is_the_vectors_byte_for_byte(name: str) -> None:
    section = vectors_of(name)
    distribution_id = group_of(section).distribution_id
    key = vector_key(section)
    assert encode_distribution(distribute(key, distribution_id)).hex() == section["distribution"]
    for item in section["messages"]:
        assert key.chain.chain_key.hex() == item["chain_key"]
        if item["iteration"] == 2:
            at_2 = encode_distribution(distribute(key, distribution_id))
            assert at_2.hex() == section["distribution_at_2"]
        entropy = ReplayedEntropy([unhex(item["z"])])
        key, data = group_encrypt(key, distribution_id, unhex(item["plaintext"]), entropy)
        assert data.hex() == item["message"]
        assert entropy.left == 0


@both_forms
@given(data=st.data())
def test_the_messages_of_the_vectors_are_read_in_any_order(name: str, data: st.DataObject) -> None:
    section = vectors_of(name)
    state = _state(unhex(section["distribution"]), name)
    for item in data.draw(st.permutations(section["messages"])):
        state, plaintext = _read(state, unhex(item["message"]), name)
        assert plaintext.hex() == item["plaintext"]
    late = _state(unhex(section["distribution_at_2"]), name)
    for item in section["messages"][:2]:
        with pytest.raises(DuplicateMessage):  # from before it was given
            _read(late, unhex(item["message"]), name)
    for item in section["messages"][2:]:
        late, plaintext = _read(late, unhex(item["message"]), name)
        assert plaintext.hex() == item["plaintext"]


REFUSALS = [
    pytest.param(name, item, id=f"{name}-{item['name']}")
    for name in FORMS
    for item in vectors_of(name)["refusals"]
]


@pytest.mark.parametrize(("name", "item"), REFUSALS)
def test_the_refusals_of_the_vectors_are_these_errors(name: str, item: dict[str, str]) -> None:
    state = _state(unhex(vectors_of(name)["distribution"]), name)
    form = forms(
        next(other for other in FORMS if (other != name) is ("other form" in item["name"]))
    )
    own_group = "own group" in item["name"]
    iterations = MAX_SENDER_KEY_MESSAGES if own_group else MAX_UINT32
    came = "read"
    try:
        message = decode_sender_key_message(form, unhex(item["message"]))
        if find_state([state], message.chain_id) is None:
            raise UnknownSenderKey("of another chain")
        group_decrypt(state, message, iterations)
    except E2ECrossError as error:
        came = error.code
    assert came == item["expect"]


@both_forms
def test_the_longest_jump_is_read(name: str) -> None:
    section = vectors_of(name)
    state = _state(unhex(section["distribution"]), name)
    jump = section["accepted_jump"]
    assert jump["iteration"] == MAX_FORWARD_JUMP
    state, plaintext = _read(state, unhex(jump["message"]), name)
    assert plaintext.hex() == jump["plaintext"]
    assert len(state.chain.skipped) == MAX_SKIPPED_KEYS_PER_CHAIN
    with pytest.raises(DuplicateMessage):
        _read(state, unhex(section["messages"][0]["message"]), name)


@pytest.mark.parametrize(
    ("section", "name"),
    [("from_libsignal_0_103_0", "uuid"), ("from_python_axolotl_0_2_3", "key_id")],
)
def test_what_peers_have_made_is_read(section: str, name: str) -> None:
    recorded = vectors_of(section)
    state = _state(unhex(recorded["distribution"]), name)
    items = recorded["messages"]
    for number in recorded.get("order", range(len(items))):
        state, plaintext = _read(state, unhex(items[number]["message"]), name)
        assert plaintext.hex() == items[number]["plaintext"]


# --- Keys -------------------------------------------------------------------------------------


def test_a_new_key_draws_4_32_and_32_bytes_in_this_order() -> None:
    drawn = [b"\xff\xff\xff\xff", b"\x01" * 32, b"\x02" * 32]
    entropy = ReplayedEntropy(drawn)
    key = generate_sender_key(entropy)
    assert entropy.left == 0
    assert key.chain_id == 2**31 - 1
    assert (key.chain.chain_key, key.chain.message_number) == (drawn[1], 0)
    pair = generate_key_pair(ReplayedEntropy([drawn[2]]))
    assert key.chain.ratchet_key_pair.private == pair.private


def test_a_key_ends_with_its_last_number() -> None:
    key, _ = _pair()
    last = _at(key, MAX_UINT32 - 1)
    ended, data = group_encrypt(last, ID, b"last", SeededEntropy(1))
    assert decode_sender_key_message(UUID.form, data).iteration == MAX_UINT32 - 1
    with pytest.raises(SessionExhausted):
        group_encrypt(ended, ID, b"one more", NO_ENTROPY)
    own = _at(key, MAX_SENDER_KEY_MESSAGES - 1)
    own, _ = group_encrypt(own, ID, b"last", SeededEntropy(1), MAX_SENDER_KEY_MESSAGES)
    with pytest.raises(SessionExhausted):
        group_encrypt(own, ID, b"one more", NO_ENTROPY, MAX_SENDER_KEY_MESSAGES)


def test_the_last_number_is_read_and_its_successor_is_not() -> None:
    key, state = _pair()
    last = MAX_UINT32 - 1
    state = with_fields(state, chain=with_fields(state.chain, message_number=last))
    _, data = group_encrypt(_at(key, last), ID, b"last", SeededEntropy(1))
    state, plaintext = _read(state, data)
    assert (plaintext, state.chain.message_number) == (b"last", MAX_UINT32)
    pair = key.chain.ratchet_key_pair
    with pytest.raises(TooManySkipped):
        _read(state, signed_message(pair, UUID, key.chain_id, MAX_UINT32, bytes(16)))
    with pytest.raises(DuplicateMessage):
        _read(state, data)


# --- Distribution messages --------------------------------------------------------------------


def _numbered(chain_id: int, seed: int = 0, iteration: int = 0) -> Distribution:
    key = generate_sender_key(SeededEntropy(seed))
    key = OwnSenderKey(chain_id, key.chain)
    return distribute(_at(key, iteration), ID)


def test_a_key_that_is_held_is_never_wound_back_nor_forward() -> None:
    key, state = _pair()
    given_first = distribute(key, ID)
    key, sent = _send(key, 4)
    state, _ = _read(state, sent[2])
    for repeated in (given_first, distribute(key, ID)):
        states = add_distribution((state,), repeated)
        assert states == (state,)
        assert states[0] is state
    with pytest.raises(DuplicateMessage):
        _read(states[0], sent[2])
    assert _read(states[0], sent[0])[1] == b"0"


def test_five_keys_are_held_the_newest_first_and_a_repeated_one_becomes_the_newest() -> None:
    states: Sequence[SenderKeyState] = ()
    for chain_id in range(MAX_SENDER_KEY_STATES + 1):
        states = add_distribution(states, _numbered(chain_id, chain_id))
    assert [state.chain_id for state in states] == [5, 4, 3, 2, 1]
    states = add_distribution(states, _numbered(2, 2))
    assert [state.chain_id for state in states] == [2, 5, 4, 3, 1]
    states = add_distribution(states, _numbered(6, 6))
    assert [state.chain_id for state in states] == [6, 2, 5, 4, 3]
    assert find_state(states, 1) is None
    assert find_state(states, 3) is states[-1]


def test_a_chain_id_that_signs_with_another_key_replaces_the_state_of_that_id() -> None:
    states = add_distribution((), _numbered(7, 1))
    states = add_distribution(states, _numbered(8, 2))
    replaced = add_distribution(states, _numbered(7, 3, iteration=9))
    assert [state.chain_id for state in replaced] == [7, 8]
    assert replaced[0].chain.ratchet_key == _numbered(7, 3).signing_key
    assert (replaced[0].chain.message_number, len(replaced[0].chain.skipped)) == (9, 0)
    assert replaced[1] is states[0]


# --- Deliveries -------------------------------------------------------------------------------


@given(data=st.data())
def test_any_order_with_losses_and_repetitions_reads_each_message_once(data: st.DataObject) -> None:
    """Late joiners read from where they were let in, and nothing from before."""
    key, state = _pair()
    key, before = _send(key, data.draw(st.integers(0, 3)))
    if before:
        (state,) = add_distribution((), distribute(key, ID))
    key, sent = _send(key, 12)
    delivered = data.draw(st.lists(st.integers(0, 11), max_size=30))
    read: set[int] = set()
    for number in delivered:
        if number in read:
            with pytest.raises(DuplicateMessage):
                _read(state, sent[number])
            continue
        state, plaintext = _read(state, sent[number])
        assert plaintext == str(number).encode()
        read.add(number)
    for data_before in before:
        with pytest.raises(DuplicateMessage):
            _read(state, data_before)
    missing = max(read, default=-1) + 1 - len(read)
    assert len(state.chain.skipped) == missing


def test_what_is_refused_leaves_the_state_as_it_is() -> None:
    """A failure returns nothing, so the genuine message opens with the same state afterwards."""
    key, state = _pair()
    pair = key.chain.ratchet_key_pair
    _, (genuine,) = _send(key, 1)
    stranger = generate_key_pair(SeededEntropy("stranger"))
    forged = signed_message(stranger, UUID, key.chain_id, 0, bytes(16))
    with pytest.raises(InvalidSignature):
        _read(state, forged)
    with pytest.raises(AuthenticationFailed) as caught:
        _read(state, signed_message(pair, UUID, key.chain_id, 0, bytes(16)))
    assert caught.value.__cause__ is caught.value.__context__ is None
    names = {frame.name for frame in traceback.extract_tb(caught.value.__traceback__)}
    assert "cbc_decrypt" not in names
    assert _read(state, genuine)[1] == b"0"


def test_a_forged_jump_is_refused_by_its_signature_before_the_chain_is_walked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key, state = _pair()
    stranger = generate_key_pair(SeededEntropy("stranger"))

    def walked(*_: object) -> None:
        raise AssertionError("the chain was walked along")

    monkeypatch.setattr("e2ecross.protocol.sender_key.find_message_key", walked)
    with pytest.raises(InvalidSignature):
        _read(state, signed_message(stranger, UUID, key.chain_id, 25_000, bytes(16)))


def _far(key: OwnSenderKey, iteration: int, plaintext: bytes) -> bytes:
    """A message so far ahead, made without the 25,000 messages before it."""
    chain_key = ChainKey(key.chain.chain_key)
    for _ in range(iteration - key.chain.message_number):
        chain_key = derive_next_chain_key(chain_key)
    seed, _ = derive_message_and_chain_key(chain_key)
    keys = derive_sender_message_keys(seed)
    ciphertext = cbc_encrypt(keys.cipher_key, keys.iv, plaintext)
    return signed_message(key.chain.ratchet_key_pair, UUID, key.chain_id, iteration, ciphertext)


def test_a_jump_of_25_000_is_read_and_one_more_is_not_from_wherever_it_begins() -> None:
    key, state = _pair()
    key, sent = _send(key, 3)
    state, _ = _read(state, sent[2])
    allowed = 3 + MAX_FORWARD_JUMP
    with pytest.raises(TooManySkipped) as caught:
        _read(state, _far(key, allowed + 1, b"too far"))
    assert (caught.value.got, caught.value.allowed) == (MAX_FORWARD_JUMP + 1, MAX_FORWARD_JUMP)
    assert _read(state, _far(key, allowed, b"far"))[1] == b"far"


def test_the_newest_2_000_seeds_are_kept() -> None:
    key, state = _pair()
    edge = MAX_SKIPPED_KEYS_PER_CHAIN
    first, second = _far(key, 0, b"first"), _far(key, 1, b"second")
    full, _ = _read(state, _far(key, edge, b"far"))
    assert len(full.chain.skipped) == edge
    assert _read(full, first)[1] == b"first"
    over, _ = _read(state, _far(key, edge + 1, b"far"))
    assert len(over.chain.skipped) == edge
    with pytest.raises(DuplicateMessage):
        _read(over, first)
    assert _read(over, second)[1] == b"second"


def test_a_message_of_no_bytes_and_one_of_the_most_are_read() -> None:
    key, state = _pair()
    for plaintext in (b"", b"x" * 15, b"x" * 16, b"x" * 98_304):
        key, data = group_encrypt(key, ID, plaintext, SeededEntropy("any"))
        state, read = _read(state, data)
        assert read == plaintext


def test_both_forms_of_one_key_are_different_bytes_of_one_chain() -> None:
    key, state = _pair()
    _, data = group_encrypt(key, KEY_ID.distribution_id, b"halo", SeededEntropy("z"))
    assert _read(state, data, "key_id")[1] == b"halo"


def test_neither_a_key_nor_a_state_is_shown() -> None:
    key, state = _pair()
    for value in (key, state, key.chain, state.chain):
        assert key.chain.chain_key.hex() not in repr(value)
        assert "secret" in repr(value)
