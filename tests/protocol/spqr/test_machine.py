# SPDX-License-Identifier: Apache-2.0
"""The state machine: every transition, and what is refused in it."""

import os
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kem import split_public_key
from e2ecross.errors import AuthenticationFailed, InvalidKey, RemoteError
from e2ecross.protocol.spqr.erasure import NO_CHUNKS, encode_chunk
from e2ecross.protocol.spqr.machine import CONTENTS, Held, Machine, Stage
from e2ecross.protocol.spqr.machine_receiving import check_epoch, machine_receive
from e2ecross.protocol.spqr.machine_sending import machine_send
from e2ecross.protocol.spqr.state import SpqrState
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage
from tests.protocol.spqr.ends import Ends, converse, machine_of
from tests.support.entropy import NO_ENTROPY, SeededEntropy

K, S = SpqrKind, Stage

SENDING = {
    (S.KEYS_UNSAMPLED, None, S.KEYS_SAMPLED),
    (S.HEADER_RECEIVED, None, S.CT1_SAMPLED),
    *(
        (stage, None, stage)
        for stage in Stage
        if stage not in {S.KEYS_UNSAMPLED, S.HEADER_RECEIVED}
    ),
}
RECEIVING = {
    (S.KEYS_SAMPLED, K.CT1, S.HEADER_SENT),
    (S.HEADER_SENT, K.CT1, S.HEADER_SENT),
    (S.HEADER_SENT, K.CT1, S.CT1_RECEIVED),
    (S.CT1_RECEIVED, K.CT2, S.EK_SENT_CT1_RECEIVED),
    (S.EK_SENT_CT1_RECEIVED, K.CT2, S.EK_SENT_CT1_RECEIVED),
    (S.EK_SENT_CT1_RECEIVED, K.CT2, S.NO_HEADER_RECEIVED),
    (S.NO_HEADER_RECEIVED, K.HDR, S.NO_HEADER_RECEIVED),
    (S.NO_HEADER_RECEIVED, K.HDR, S.HEADER_RECEIVED),
    (S.CT1_SAMPLED, K.EK, S.CT1_SAMPLED),
    (S.CT1_SAMPLED, K.EK, S.EK_RECEIVED_CT1_SAMPLED),
    (S.CT1_SAMPLED, K.EK_CT1_ACK, S.CT1_ACKNOWLEDGED),
    (S.CT1_SAMPLED, K.EK_CT1_ACK, S.CT2_SAMPLED),
    (S.EK_RECEIVED_CT1_SAMPLED, K.EK_CT1_ACK, S.CT2_SAMPLED),
    (S.CT1_ACKNOWLEDGED, K.EK, S.CT1_ACKNOWLEDGED),
    (S.CT1_ACKNOWLEDGED, K.EK, S.CT2_SAMPLED),
    (S.CT1_ACKNOWLEDGED, K.EK_CT1_ACK, S.CT1_ACKNOWLEDGED),
    (S.CT1_ACKNOWLEDGED, K.EK_CT1_ACK, S.CT2_SAMPLED),
    (S.CT2_SAMPLED, K.NONE, S.KEYS_UNSAMPLED),
}


def _vector_first(ends: Ends) -> None:
    """The vector arrives whole before any more of the ciphertext does."""
    ends.until(0, S.HEADER_SENT)
    while machine_of(ends.states[1]).stage is S.CT1_SAMPLED:
        ends.exchange(0)
    while machine_of(ends.states[1]).stage is S.EK_RECEIVED_CT1_SAMPLED:
        ends.exchange(1)
        ends.exchange(0)


def _vector_with_ack(ends: Ends) -> None:
    """The last chunk of the vector is also the acknowledgement."""
    ends.until(0, S.HEADER_SENT)
    while len(machine_of(ends.states[1]).received) < 35:
        ends.exchange(0)
    while machine_of(ends.states[0]).stage is S.HEADER_SENT:
        ends.exchange(1)
    ends.exchange(0)


def _ack_first(ends: Ends) -> None:
    """The acknowledgement comes before chunks of the vector that were sent earlier."""
    ends.until(0, S.HEADER_SENT)
    late = [ends.send(0) for _ in range(2)]
    while len(machine_of(ends.states[1]).received) < 32:
        ends.exchange(0)
    while machine_of(ends.states[0]).stage is S.HEADER_SENT:
        ends.exchange(1)
    ends.exchange(0)
    assert machine_of(ends.states[1]).stage is S.CT1_ACKNOWLEDGED
    ends.deliver(1, late[0].data)
    again = [ends.send(0) for _ in range(1)]
    ends.deliver(1, again[0].data)
    ends.deliver(1, late[1].data)
    assert machine_of(ends.states[1]).stage is S.CT2_SAMPLED


def test_every_transition_happens_and_no_other() -> None:
    happened = set()
    for seed, scenario in enumerate((_vector_first, _vector_with_ack, _ack_first)):
        ends = Ends(seed)
        scenario(ends)
        assert machine_of(ends.states[1]).stage is S.CT2_SAMPLED
        for turn in range(300):
            ends.exchange(turn % 2)
        assert min(ends.epochs()) >= 4
        happened |= ends.transitions
    assert {step for step in happened if step[1] is None} == SENDING
    received = {step for step in happened if step[1] is not None}
    assert received >= RECEIVING
    assert all(before is after for before, _, after in received - RECEIVING)
    assert {before for before, _, _ in happened} == {*Stage}


def test_everything_else_is_ignored() -> None:
    ends = Ends("ignored")
    seen: dict[Stage, Machine] = {}
    _vector_first(ends)
    for turn in range(200):
        for state in ends.states:
            seen.setdefault(machine_of(state).stage, machine_of(state))
        ends.exchange(turn % 2)
    other = Ends("ignored")
    other.until(0, S.HEADER_SENT)
    while machine_of(other.states[1]).stage is S.CT1_SAMPLED:
        other.exchange(0)
    seen[S.EK_RECEIVED_CT1_SAMPLED] = machine_of(other.states[1])
    assert {*seen} == {*Stage}
    handled = {(before, kind) for before, kind, _ in RECEIVING}
    handled |= {(S.EK_RECEIVED_CT1_SAMPLED, K.CT1_ACK)}
    for stage, machine in seen.items():
        for kind in SpqrKind:
            message = SpqrMessage(machine.epoch, 1, kind, 9, bytes(32))
            if (stage, kind) not in handled or stage is S.CT2_SAMPLED:
                step = machine_receive(machine, message)
                assert step.machine is machine
                assert step.secret is None
            older = message._replace(epoch=machine.epoch - 1)
            assert machine_receive(machine, older).machine is machine


def test_an_acknowledgement_alone_is_enough_where_the_vector_has_arrived() -> None:
    # No peer of ours sends it there; the rule is the specification's.
    ends = Ends("ack")
    ends.until(0, S.HEADER_SENT)
    while machine_of(ends.states[1]).stage is S.CT1_SAMPLED:
        ends.exchange(0)
    machine = machine_of(ends.states[1])
    step = machine_receive(machine, SpqrMessage(machine.epoch, 1, K.CT1_ACK, 0, b""))
    assert step.machine.stage is S.CT2_SAMPLED
    other = machine_receive(machine, SpqrMessage(machine.epoch, 1, K.EK_CT1_ACK, 0, bytes(32)))
    assert other.machine.held.outgoing == step.machine.held.outgoing


def test_any_message_of_the_next_epoch_begins_it_and_says_nothing_more() -> None:
    # Peers of ours begin it with an empty one; the rule is the specification's.
    ends = Ends("next")
    ends.until(1, S.CT2_SAMPLED)
    machine = machine_of(ends.states[1])
    for kind in SpqrKind:
        step = machine_receive(machine, SpqrMessage(machine.epoch + 1, 1, kind, 0, bytes(32)))
        assert (step.machine.stage, step.machine.epoch) == (S.KEYS_UNSAMPLED, machine.epoch + 1)
        assert step.machine.received is NO_CHUNKS
        assert step.secret is None


def test_each_stage_holds_what_the_table_says() -> None:
    checked = set()

    def check(_: int, state: SpqrState) -> SpqrState:
        machine = state.machine
        held, contents = machine.held, CONTENTS[machine.stage]
        lengths = (held.seed, held.header, held.m, held.ciphertext, held.vector, held.outgoing)
        assert tuple(map(len, lengths)) == contents[:6]
        assert len(machine.received) < max(contents.awaited_chunks, 1)
        checked.add(machine.stage)
        return state

    for seed, scenario in enumerate((_vector_first, _vector_with_ack, _ack_first)):
        ends = Ends(seed, keep=check)
        scenario(ends)
        for turn in range(200):
            ends.exchange(turn % 2)
    assert checked == {*Stage}


# --- Chunks -----------------------------------------------------------------------------------


def test_chunks_are_counted_round() -> None:
    ends = Ends()
    ends.exchange(0)
    machine = machine_of(ends.states[0])
    at_end = Machine(machine.stage, machine.epoch, machine.held, 65_535, machine.received)
    sent = machine_send(at_end, NO_ENTROPY)
    assert sent.chunk_index == 65_535
    assert sent.machine.next_chunk == 0


def test_chunks_go_on_where_they_were_though_the_stage_changes() -> None:
    ends = Ends("on")
    ends.until(0, S.HEADER_SENT)
    last = ends.send(1).message.chunk_index
    while machine_of(ends.states[1]).stage is S.CT1_SAMPLED:
        ends.exchange(0)
    sent = ends.send(1).message
    assert (sent.kind, sent.chunk_index) == (K.CT1, last + 1)
    last = ends.send(0).message.chunk_index
    while machine_of(ends.states[0]).stage is S.HEADER_SENT:
        ends.exchange(1)
    sent = ends.send(0).message
    assert (sent.kind, sent.chunk_index) == (K.EK_CT1_ACK, last + 1)


def test_entropy_is_drawn_twice_in_an_epoch() -> None:
    ends = Ends()
    drawn: list[int] = []

    class Counting(SeededEntropy):
        def bytes(self, n: int) -> bytes:
            drawn.append(n)
            return super().bytes(n)

    ends.entropy = [Counting("0"), Counting("1")]
    while ends.epochs() != (3, 3):
        ends.exchange(0)
        ends.exchange(1)
    assert drawn in ([64, 32, 64, 32], [64, 32, 64, 32, 64])


# --- Forgeries --------------------------------------------------------------------------------


def _feed(machine: Machine, kind: SpqrKind, data: bytes) -> Machine:
    for index in range(len(data) // 32):
        message = SpqrMessage(machine.epoch, 1, kind, index, encode_chunk(data, index))
        machine = machine_receive(machine, message).machine
    return machine


def _altered(data: bytes, position: int) -> bytes:
    return data[:position] + bytes((data[position] ^ 1,)) + data[position + 1 :]


@pytest.mark.parametrize("position", [0, 31, 32, 63, 64, 95])
def test_a_forged_header_is_refused(position: int) -> None:
    ends = Ends()
    genuine = ends.send(0)
    header = machine_of(ends.states[0]).held.outgoing
    assert genuine.message.chunk == header[:32]
    waiting = machine_of(ends.states[1])
    with pytest.raises(AuthenticationFailed):
        _feed(waiting, K.HDR, _altered(header, position))
    assert _feed(waiting, K.HDR, header).stage is S.HEADER_RECEIVED


def test_a_key_of_the_thief_is_refused() -> None:
    ends = Ends()
    header, _ = split_public_key(bytes(64))
    for mac in (bytes(32), os.urandom(32)):
        with pytest.raises(AuthenticationFailed):
            _feed(machine_of(ends.states[1]), K.HDR, header + mac)


def test_a_forged_vector_is_refused() -> None:
    ends = Ends()
    ends.until(0, S.HEADER_SENT)
    vector = machine_of(ends.states[0]).held.outgoing
    waiting = machine_of(ends.states[1])
    assert waiting.stage is S.CT1_SAMPLED
    for forged in (_altered(vector, 0), _altered(vector, 1151), split_public_key(bytes(64))[1]):
        with pytest.raises(InvalidKey):
            _feed(waiting, K.EK, forged)
        acknowledged = machine_receive(
            waiting, SpqrMessage(1, 1, K.EK_CT1_ACK, 0, forged[:32])
        ).machine
        with pytest.raises(InvalidKey):
            _feed(acknowledged, K.EK_CT1_ACK, forged)
    assert _feed(waiting, K.EK, vector).stage is S.EK_RECEIVED_CT1_SAMPLED


def test_a_forged_ciphertext_is_refused() -> None:
    ends = Ends()
    ends.until(0, S.CT1_RECEIVED)
    ends.until(1, S.CT2_SAMPLED)
    second = machine_of(ends.states[1]).held.outgoing
    machine = machine_of(ends.states[0])
    assert machine.stage is S.CT1_RECEIVED
    for forged in (_altered(second, 0), _altered(second, 127), _altered(second, 128)):
        with pytest.raises(AuthenticationFailed):
            _feed(machine, K.CT2, forged)
    first = machine.held
    changed = Held(first.auth, first.seed, ciphertext=_altered(first.ciphertext, 5))
    with pytest.raises(AuthenticationFailed):
        _feed(Machine(machine.stage, machine.epoch, changed, 0, machine.received), K.CT2, second)
    assert _feed(machine, K.CT2, second).stage is S.NO_HEADER_RECEIVED


def test_an_epoch_that_has_not_begun_is_refused() -> None:
    ends = Ends()
    _vector_first(ends)
    for state in ends.states:
        machine = machine_of(state)
        ahead = machine.epoch + (machine.stage is S.CT2_SAMPLED)
        check_epoch(machine, ahead)
        check_epoch(machine, 1)
        for epoch in (ahead + 1, ahead + 2, 2**64 - 1):
            with pytest.raises(AuthenticationFailed):
                check_epoch(machine, epoch)
    assert machine_of(ends.states[1]).stage is S.CT2_SAMPLED


@given(
    st.integers(0, 200),
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(SpqrKind),
            st.integers(0, 40),
            st.binary(min_size=32, max_size=32),
        ),
        max_size=60,
    ),
)
def test_any_authentic_message_gives_a_machine_or_our_error(
    turns: int, messages: list[tuple[int, SpqrKind, int, bytes]]
) -> None:
    ends = Ends("any")
    for turn in range(turns):
        ends.exchange(turn % 2)
    for state in ends.states:
        machine = machine_of(state)
        for back, kind, index, chunk in messages:
            message = SpqrMessage(max(machine.epoch + 1 - back, 1), 1, kind, index, chunk)
            try:
                check_epoch(machine, message.epoch)
                machine = machine_receive(machine, message).machine
            except RemoteError:
                continue
            assert len(machine.received) < max(CONTENTS[machine.stage].awaited_chunks, 1)


# --- Any loss ---------------------------------------------------------------------------------


@given(
    st.integers(0, 2**32),
    st.floats(0, 0.6),
    st.floats(0, 0.7),
)
def test_any_loss_reordering_and_repetition(seed: int, loss: float, late: float) -> None:
    ends = Ends(seed)
    converse(ends, random.Random(seed), 150, loss, late)
    first, second = ends.epochs()
    assert abs(first - second) <= 1


def test_epochs_go_on_under_loss() -> None:
    ends = Ends("long")
    read = converse(ends, random.Random(4), 1_500, 0.3, 0.3)
    assert read > 800
    assert min(ends.epochs()) > 6
    # Whatever was lost, what comes now is read.
    for turn in range(10):
        ends.exchange(turn % 2)


def test_machines_show_no_secret() -> None:
    ends = Ends()
    sent = machine_send(machine_of(ends.states[0]), SeededEntropy("show"))
    received = machine_receive(sent.machine, SpqrMessage(1, 1, K.NONE, 0, b""))
    for value in (sent, sent.machine, sent.machine.held, received):
        assert repr(value) == f"<{type(value).__name__}: secret>"
        with pytest.raises(TypeError):
            pickle.dumps(value)
