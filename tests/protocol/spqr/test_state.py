# SPDX-License-Identifier: Apache-2.0
"""Negotiation, and which messages are refused before anything is computed for them."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    MessageTooOld,
    RemoteError,
    TooManySkipped,
    UnsupportedVersion,
)
from e2ecross.protocol.spqr.machine import Stage
from e2ecross.protocol.spqr.state import (
    Negotiation,
    SpqrState,
    count_skipped_spqr_keys,
    count_spqr_steps,
    drop_skipped_spqr_keys,
    find_needed_spqr_bucket,
    find_spqr_key,
    spqr_send,
    start_spqr,
    use_spqr_key,
)
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage, encode_spqr_message
from tests.protocol.spqr.ends import AUTH_KEY, JUMP, Ends, Sent, machine_of, receive
from tests.support.entropy import NO_ENTROPY, SeededEntropy

both = pytest.mark.parametrize("is_initiator", [True, False])


def _state(*, is_initiator: bool, is_required: bool = True) -> SpqrState:
    return start_spqr(AUTH_KEY, is_initiator=is_initiator, is_required=is_required)


def _negotiation(state: SpqrState | None) -> Negotiation:
    assert state is not None
    return state.negotiation


# --- Both ends of today -----------------------------------------------------------------------


def test_the_first_messages_of_a_session() -> None:
    ends = Ends()
    first = ends.send(0)
    assert first.data[:5] == bytes.fromhex("0101010100")
    assert len(first.data) == 37
    assert ends.send(0).data[:5] == bytes.fromhex("0101020101")
    assert ends.deliver(1, first.data) == first.key
    assert ends.send(1).data == bytes.fromhex("01010100")
    assert [_negotiation(state) for state in ends.states] == [
        Negotiation.REQUIRED,
        Negotiation.SETTLED,
    ]


def test_each_message_has_a_key_of_its_own_at_both_ends() -> None:
    ends = Ends()
    keys = set()
    for turn in range(400):
        sent = ends.send(turn % 2)
        assert ends.deliver(1 - turn % 2, sent.data) == sent.key
        keys.add(sent.key)
    assert len(keys) == 400
    assert None not in keys
    assert min(ends.epochs()) == 5


def test_an_epoch_takes_43_messages_from_each_side() -> None:
    ends = Ends()
    sent = 0
    while min(ends.epochs()) < 4:
        ends.exchange(0)
        ends.exchange(1)
        sent += 1
    assert 3 * 43 <= sent <= 3 * 44


def test_nothing_is_kept_of_what_was_agreed_on() -> None:
    ends = Ends()
    ends.exchange(0)
    for state in ends.states:
        assert state is not None
        assert AUTH_KEY not in _all_bytes(state)


def _all_bytes(value: object) -> set[bytes]:
    if isinstance(value, bytes):
        return {value}
    if isinstance(value, tuple):
        return {found for item in tuple.__iter__(value) for found in _all_bytes(item)}
    if hasattr(value, "__dataclass_fields__"):
        names = value.__dataclass_fields__
        return {found for name in names for found in _all_bytes(getattr(value, name))}
    return set()


# --- Peers without SPQR, and peers that negotiate ------------------------------------------------


@both
@pytest.mark.parametrize("data", [b"", b"\0", b"\0" + bytes(40)])
def test_a_peer_without_spqr_is_refused_where_it_is_required(
    is_initiator: bool, data: bytes
) -> None:
    state = _state(is_initiator=is_initiator)
    with pytest.raises(UnsupportedVersion, match="requires"):
        find_spqr_key(state, data, JUMP, may_have_no_key=True)


@both
@pytest.mark.parametrize("data", [b"", b"\0", b"\0" + bytes(40)])
def test_a_peer_without_spqr_is_accepted_where_it_is_not_required(
    is_initiator: bool, data: bytes
) -> None:
    state = _state(is_initiator=is_initiator, is_required=False)
    found = find_spqr_key(state, data, JUMP, may_have_no_key=False)
    assert found.key is None
    assert use_spqr_key(state, found) is None


def test_without_state_nothing_is_sent_and_everything_ignored() -> None:
    assert spqr_send(None, NO_ENTROPY) == (None, b"", None)
    for data in (b"", b"\1", b"\xff" * 40, Ends().send(0).data):
        found = find_spqr_key(None, data, JUMP, may_have_no_key=False)
        assert found.key is None
        assert use_spqr_key(None, found) is None
        assert find_needed_spqr_bucket(None, data) is None
    assert count_skipped_spqr_keys(None) == 0


def test_once_the_peer_was_heard_it_cannot_be_without_spqr() -> None:
    ends = Ends(required=(False, False))
    ends.exchange(0)
    for data in (b"", b"\0\1\1\0"):
        with pytest.raises(UnsupportedVersion):
            ends.deliver(1, data)


@pytest.mark.parametrize("required", [(False, True), (False, False), (True, False)])
def test_ends_with_different_rules_meet(required: tuple[bool, bool]) -> None:
    ends = Ends(required=required)
    first = [ends.send(0) for _ in range(3)]
    if required[0]:
        assert all(sent.key is not None for sent in first)
    else:
        assert all(sent.key is None and sent.message.key_index == 0 for sent in first)
    for sent in first:
        assert ends.deliver(1, sent.data) == sent.key
    answer = ends.send(1)
    assert answer.message.key_index == 1
    assert ends.deliver(0, answer.data) == answer.key
    assert [_negotiation(state) for state in ends.states] == [Negotiation.SETTLED] * 2
    later = ends.send(0)
    assert later.message.key_index == (4 if required[0] else 1)
    for turn in range(200):
        ends.exchange(turn % 2)
    assert min(ends.epochs()) >= 2


def test_an_end_that_need_not_heard_nothing_and_sends_without_keys() -> None:
    ends = Ends(required=(False, False))
    messages = [ends.send(1).message for _ in range(3)]
    assert [message.key_index for message in messages] == [0, 0, 0]
    assert machine_of(ends.states[1]).stage is Stage.NO_HEADER_RECEIVED


@pytest.mark.parametrize("version", [2, 3, 255])
def test_a_later_version_is_read_in_a_first_message_and_refused_afterwards(version: int) -> None:
    ends = Ends()
    first = ends.send(0)
    data = bytes((version,)) + first.data[1:]
    assert ends.deliver(1, data) == first.key
    assert ends.send(1).data[0] == 1
    second = ends.send(0)
    with pytest.raises(UnsupportedVersion, match=f"version {version}"):
        ends.deliver(1, bytes((version,)) + second.data[1:])
    assert ends.deliver(1, second.data) == second.key


# --- Messages without a key -------------------------------------------------------------------


def _without_key(sent: Sent) -> bytes:
    return encode_spqr_message(sent.message._replace(key_index=0))


def test_a_message_without_key_is_refused_but_where_the_caller_allows_it() -> None:
    ends = Ends()
    data = _without_key(ends.send(0))
    state = ends.states[1]
    with pytest.raises(AuthenticationFailed, match="no post-quantum key"):
        receive(state, data, may_have_no_key=False)
    after, key = receive(state, data, may_have_no_key=True)
    assert key is None
    assert _negotiation(after) is Negotiation.SETTLED
    assert len(machine_of(after).received) == 1


def test_a_message_without_key_is_refused_in_mid_session() -> None:
    # Whoever breaks X25519 alone makes everything of a message but its SPQR key.
    ends = Ends()
    for turn in range(150):
        ends.exchange(turn % 2)
    assert min(ends.epochs()) > 1
    for end in (0, 1):
        sent = ends.send(1 - end)
        assert sent.message.epoch > 1
        with pytest.raises(AuthenticationFailed):
            receive(ends.states[end], _without_key(sent), may_have_no_key=True)
        old = encode_spqr_message(SpqrMessage(1, 0, SpqrKind.NONE, 0, b""))
        with pytest.raises(AuthenticationFailed):
            receive(ends.states[end], old, may_have_no_key=False)


def test_a_late_message_without_key_stays_legal() -> None:
    ends = Ends(required=(False, True))
    late = ends.send(0)
    for turn in range(300):
        ends.exchange(turn % 2)
    before = ends.states[1]
    assert before is not None
    assert before.chains.epochs[0].epoch > 0
    after, key = receive(before, late.data, may_have_no_key=True)
    assert key is None
    assert machine_of(after) is before.machine


# --- Forgeries --------------------------------------------------------------------------------


def test_an_epoch_to_come_is_refused() -> None:
    ends = Ends()
    for turn in range(100):
        ends.exchange(turn % 2)
    for end in (0, 1):
        message = ends.send(1 - end).message
        for ahead in (2, 3, 2**63):
            data = encode_spqr_message(message._replace(epoch=message.epoch + ahead))
            with pytest.raises(AuthenticationFailed):
                receive(ends.states[end], data)


def test_an_epoch_that_has_gone_is_refused() -> None:
    ends = Ends()
    early = ends.send(0)
    for turn in range(300):
        ends.exchange(turn % 2)
    with pytest.raises(MessageTooOld):
        ends.deliver(1, early.data)


def test_a_message_cannot_be_used_twice() -> None:
    ends = Ends()
    sent = ends.send(0)
    ends.deliver(1, sent.data)
    with pytest.raises(DuplicateMessage):
        ends.deliver(1, sent.data)


def test_a_message_does_not_come_back_to_its_sender() -> None:
    ends = Ends()
    ends.exchange(0)
    ends.exchange(1)
    sent = ends.send(0)
    _, key = receive(ends.states[0], sent.data)
    assert key != sent.key


def test_the_jump_is_the_callers() -> None:
    ends = Ends()
    sent = [ends.send(0) for _ in range(12)]
    state = ends.states[1]
    with pytest.raises(TooManySkipped):
        receive(state, sent[11].data, jump=11)
    assert receive(state, sent[11].data, jump=12)[1] == sent[11].key


def test_finding_a_key_draws_and_changes_nothing() -> None:
    ends = Ends()
    ends.exchange(0)
    sent = ends.send(0)
    state = ends.states[1]
    found = [find_spqr_key(state, sent.data, JUMP, may_have_no_key=False) for _ in range(2)]
    assert found[0].key == found[1].key == sent.key
    assert state is not None
    assert len(state.machine.received) == 1
    assert state.chains.epochs[0].receiving.counter == 1


@given(st.integers(0, 120), st.binary(max_size=60), st.booleans())
def test_any_bytes_give_a_key_or_our_error(turns: int, data: bytes, may: bool) -> None:
    ends = Ends("bytes")
    for turn in range(turns):
        ends.exchange(turn % 2)
    for state in ends.states:
        find_needed_spqr_bucket(state, data)
        try:
            after, _ = receive(state, data, may_have_no_key=may)
        except RemoteError:
            continue
        assert after is None or after.negotiation is Negotiation.SETTLED


@given(st.integers(0, 36), st.integers(0, 7), st.integers(0, 120))
def test_a_flipped_bit_gives_another_key_or_our_error(position: int, bit: int, turns: int) -> None:
    ends = Ends("flipped")
    for turn in range(turns):
        ends.exchange(turn % 2)
    sent = ends.send(turns % 2)
    position %= len(sent.data)
    data = bytearray(sent.data)
    data[position] ^= 1 << bit
    try:
        found = find_spqr_key(ends.states[1 - turns % 2], bytes(data), JUMP, may_have_no_key=False)
    except RemoteError:
        return
    # The bytes themselves are covered by the message's MAC; here only the numbers count.
    assert found.message is not None
    assert found.message.epoch == sent.message.epoch
    assert (found.key == sent.key) == (found.message.key_index == sent.message.key_index)


# --- Stored keys ------------------------------------------------------------------------------


def test_stored_keys_are_found_counted_and_dropped() -> None:
    ends = Ends()
    sent = [ends.send(0) for _ in range(200)]
    assert find_needed_spqr_bucket(ends.states[1], sent[5].data) is None
    ends.deliver(1, sent[-1].data)
    state = ends.states[1]
    assert state is not None
    assert count_skipped_spqr_keys(state) == 199
    assert find_needed_spqr_bucket(state, sent[5].data) == (0, 0)
    assert find_needed_spqr_bucket(state, sent[100].data) == (0, 1)
    assert find_needed_spqr_bucket(state, b"\1\1") is None
    assert find_needed_spqr_bucket(state, b"") is None
    fewer = drop_skipped_spqr_keys(state, 150)
    assert count_skipped_spqr_keys(fewer) == 49
    assert fewer.machine is state.machine
    with pytest.raises(DuplicateMessage):
        receive(fewer, sent[100].data)
    assert receive(fewer, sent[160].data)[1] == sent[160].key


def test_the_steps_to_a_key_are_counted_before_they_are_taken() -> None:
    ends = Ends()
    sent = [ends.send(0) for _ in range(200)]
    ends.deliver(1, sent[49].data)
    state = ends.states[1]
    steps = [count_spqr_steps(state, sent[place].data) for place in (10, 49, 50, 199)]
    assert steps == [0, 0, 1, 150]
    assert [count_spqr_steps(state, data) for data in (b"", b"\1\1")] == [0, 0]
    assert count_spqr_steps(None, sent[199].data) == 0


def test_states_show_no_secret() -> None:
    state = _state(is_initiator=True)
    found = find_spqr_key(
        state,
        encode_spqr_message(SpqrMessage(1, 1, SpqrKind.NONE, 0, b"")),
        1,
        may_have_no_key=False,
    )
    for value in (state, found):
        assert repr(value) == f"<{type(value).__name__}: secret>"
        with pytest.raises(TypeError):
            pickle.dumps(value)
    assert spqr_send(state, SeededEntropy(1))[2] is not None
