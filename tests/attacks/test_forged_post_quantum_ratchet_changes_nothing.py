# SPDX-License-Identifier: Apache-2.0
"""Nothing forged gets into the post-quantum ratchet of a session, and nothing of it changes.

The attacker: a back end that alters what messages say of that ratchet, or puts in what others said;
and a thief who has one whole state of a session, so that the MAC of a message is right, but who
wants a KEM key, a header or a ciphertext of their own to be taken.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2ecross import Envelope, MessageKind
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    InvalidKey,
    MessageTooOld,
    RemoteError,
    TooManySkipped,
    UnsupportedVersion,
)
from e2ecross.protocol.spqr.machine import CONTENTS, Stage
from e2ecross.wire.content import encode_payload
from e2ecross.wire.limits import MAX_FORWARD_JUMP_PQ, MAX_UINT32
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage, encode_spqr_message
from tests.attacks.support import (
    ANA,
    BUDI,
    Person,
    assert_refused,
    flips,
    meet,
    payload_for,
    person,
    signal_fields,
)
from tests.attacks.support_4 import (
    MESSAGE,
    converse,
    current,
    edit_message,
    pq_message,
    seal,
    spqr_of,
)
from tests.fuzz.world import load

REFUSED: tuple[type[RemoteError], ...] = (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    MessageTooOld,
    TooManySkipped,
    UnsupportedVersion,
)
SIDES = pytest.mark.parametrize("victim", ["initiator", "responder"])
FIRST_BYTES = b"\x01\x01\x01"


def _people(rounds: int = 1) -> tuple[Person, Person]:
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi, kyber=True)
    converse(ana, budi, rounds)
    return ana, budi


def _sides(victim: str, rounds: int) -> tuple[Person, Person]:
    ana, budi = _people(rounds)
    return (ana, budi) if victim == "initiator" else (budi, ana)


def _field(envelope: Envelope) -> bytes:
    field = dict(signal_fields(envelope)[0])[MESSAGE["pq_ratchet"]]
    assert isinstance(field, bytes)
    return field


def _said(**changes: Any) -> Callable[[SpqrMessage], SpqrMessage]:  # noqa: ANN401
    """What makes another of what a message says."""
    return lambda message: message._replace(**changes)


# --- By who has no keys -----------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False], ids=["first message", "message of a session"])
def test_every_bit(first: bool) -> None:
    if first:
        ana, budi = person(ANA), person(BUDI)
        ana.start(budi, kyber=True)
    else:
        ana, budi = _people(2)
    envelope = ana.send(budi, "genuine")
    field = _field(envelope)
    assert len(field) == 37
    for _, changed in flips(field):
        assert_refused(budi, edit_message(envelope, pq_ratchet=changed), *REFUSED)
    assert budi.read(envelope) == "genuine"


@SIDES
@pytest.mark.parametrize("rounds", [1, 46, 100], ids=["epoch 1", "epoch 2", "epoch 3"])
def test_every_number(rounds: int, victim: str) -> None:
    """Also those under which the same key would be found: the MAC covers the bytes themselves."""
    me, peer = _sides(victim, rounds)
    envelope = peer.send(me, "genuine")
    said = pq_message(envelope)
    epochs = {1, 2, 3, said.epoch - 1, said.epoch + 1, said.epoch + 2, 2**63, 2**64 - 1}
    indices = {0, 1, said.key_index - 1, said.key_index + 1, said.key_index + 100}
    indices |= {said.key_index + MAX_FORWARD_JUMP_PQ + n for n in (-1, 0, 1)} | {MAX_UINT32}
    changed = [said._replace(epoch=epoch) for epoch in epochs if epoch > 0]
    changed += [said._replace(key_index=max(index, 0)) for index in indices]
    changed += [
        said._replace(epoch=epoch, key_index=index)
        for epoch in (1, said.epoch)
        for index in (1, 2, said.key_index + 5)
    ]
    changed += [said._replace(kind=kind, chunk=said.chunk or bytes(32)) for kind in SpqrKind]
    changed += [
        said._replace(kind=SpqrKind.HDR, chunk_index=index, chunk=bytes(32))
        for index in (0, 1, 2, 3, 65_535)
    ]
    encoded = {encode_spqr_message(message) for message in changed} - {_field(envelope)}
    assert len(encoded) > 20
    malformed = [b"\x01", b"\x01\x00\x01\x00", b"\x01\x01\x01\x07", FIRST_BYTES, b"\xff" * 40]
    malformed += [_field(envelope)[:-1], _field(envelope) + b"\0", b"", b"\0", b"\x02"]
    for field in [*sorted(encoded), *malformed, None]:
        assert_refused(me, edit_message(envelope, pq_ratchet=field), *REFUSED)
    assert me.read(envelope) == "genuine"


@SIDES
def test_what_another_message_said(victim: str) -> None:
    """Older, newer, read and unread ones, of both ends and of another session."""
    me, peer = _sides(victim, 50)
    read = peer.send(me, "read")
    assert me.read(read) == "read"
    mine = me.send(peer, "mine")
    older, genuine, newer = (peer.send(me, text) for text in ("older", "genuine", "newer"))
    others = person(ANA, installation="other"), person(BUDI, installation="other")
    meet(*others, kyber=True)
    converse(*others, 49)
    foreign = others[0].send(others[1], "foreign")
    for other in (read, mine, older, newer, foreign):
        assert _field(other) != _field(genuine)
        swapped = edit_message(genuine, pq_ratchet=_field(other))
        assert_refused(me, swapped, *REFUSED)
    for envelope, text in ((newer, "newer"), (genuine, "genuine"), (older, "older")):
        assert me.read(envelope) == text


@SIDES
def test_epochs_are_not_confused(victim: str) -> None:
    """Every message of an earlier epoch again, as it was, and as one of the current epoch."""
    me, peer = _sides(victim, 1)
    earlier = []
    while spqr_of(current(me, peer)).machine.epoch < 4:
        envelope = peer.send(me, "earlier")
        earlier.append(envelope)
        assert me.read(envelope) == "earlier"
        assert peer.read(me.send(peer, "answer")) == "answer"
    now = pq_message(peer.send(me, "lost")).epoch
    epochs = {pq_message(envelope).epoch for envelope in earlier}
    assert len(epochs) >= 3
    for envelope in earlier[::9]:
        assert_refused(me, envelope, *REFUSED)
        relabelled = encode_spqr_message(pq_message(envelope)._replace(epoch=now))
        assert_refused(me, edit_message(envelope, pq_ratchet=relabelled), *REFUSED)
    genuine = peer.send(me, "genuine")
    for epoch in range(1, now):
        relabelled = encode_spqr_message(pq_message(genuine)._replace(epoch=epoch))
        assert_refused(me, edit_message(genuine, pq_ratchet=relabelled), *REFUSED)
    assert me.read(genuine) == "genuine"


# --- By a thief of the state ------------------------------------------------------------------

COMPLETED = {
    Stage.NO_HEADER_RECEIVED: (SpqrKind.HDR,),
    Stage.CT1_SAMPLED: (SpqrKind.EK, SpqrKind.EK_CT1_ACK),
    Stage.CT1_ACKNOWLEDGED: (SpqrKind.EK, SpqrKind.EK_CT1_ACK),
    Stage.EK_SENT_CT1_RECEIVED: (SpqrKind.CT2,),
}
"""Where something that is checked is completed, and by what."""


def _one_chunk_short(me: Person, peer: Person) -> bool:
    """Whether the next chunk of the peer completes something of ours that is checked."""
    machine, theirs = spqr_of(current(me, peer)).machine, spqr_of(current(peer, me)).machine
    awaited = CONTENTS[machine.stage].awaited_chunks
    return (
        machine.stage in COMPLETED
        and len(machine.received) == awaited - 1
        and theirs.epoch == machine.epoch
    )


def _attacks(ana: Person, budi: Person) -> Iterator[tuple[Person, Person]]:
    """Turn after turn: who can be attacked now, and by whose stolen state."""
    while min(spqr_of(current(*pair)).machine.epoch for pair in ((ana, budi), (budi, ana))) < 4:
        for me, peer in ((budi, ana), (ana, budi)):
            if _one_chunk_short(me, peer):
                yield me, peer
            assert me.read(peer.send(me, "genuine")) == "genuine"


def test_a_forged_header_vector_or_ciphertext_of_a_thief_is_refused() -> None:
    """Each is held against a MAC or a hash that the thief's chunk does not fit; nothing is kept."""
    ana, budi = _people()
    attacked: set[tuple[Stage, int]] = set()
    for me, peer in _attacks(ana, budi):
        machine = spqr_of(current(me, peer)).machine
        payload = encode_payload(payload_for(peer.address, me.address))

        def changed(message: SpqrMessage) -> SpqrMessage:
            flipped = bytes((message.chunk[0] ^ 1,)) + message.chunk[1:]
            return message._replace(chunk=flipped)

        stolen = current(peer, me)
        data, genuine = seal(stolen, payload, changed)
        if genuine.kind not in COMPLETED[machine.stage]:
            continue
        envelope = Envelope(bytes(16), peer.address, me.address, MessageKind.SIGNAL, data)
        assert_refused(me, envelope, AuthenticationFailed, InvalidKey)
        data, _ = seal(stolen, payload, lambda m: m._replace(chunk_index=m.chunk_index + 1))
        assert_refused(
            me,
            Envelope(bytes(16), peer.address, me.address, MessageKind.SIGNAL, data),
            AuthenticationFailed,
            InvalidKey,
        )
        attacked.add((machine.stage, machine.epoch))
    stages = {stage for stage, _ in attacked}
    assert {Stage.NO_HEADER_RECEIVED, Stage.EK_SENT_CT1_RECEIVED} < stages
    assert stages & {Stage.CT1_SAMPLED, Stage.CT1_ACKNOWLEDGED}
    assert len(attacked) >= 8


@SIDES
def test_a_thief_cannot_announce_an_epoch(victim: str) -> None:
    me, peer = _sides(victim, 30)
    payload = encode_payload(payload_for(peer.address, me.address))
    stolen = current(peer, me)
    for epoch in (2, 3, 2**64 - 1):
        for kind in SpqrKind:
            data, _ = seal(stolen, payload, _said(epoch=epoch, kind=kind, chunk=bytes(32)))
            envelope = Envelope(bytes(16), peer.address, me.address, MessageKind.SIGNAL, data)
            assert_refused(me, envelope, AuthenticationFailed)
    converse(me, peer, 2)


@SIDES
def test_what_a_stage_does_not_wait_for_is_ignored(victim: str) -> None:
    """An authentic message is read whatever it carries; what does not fit goes nowhere."""
    me, peer = _sides(victim, 1)
    payload = encode_payload(payload_for(peer.address, me.address))
    stolen = current(peer, me)
    expected = {
        kind
        for stage, kinds in COMPLETED.items()
        for kind in kinds
        if stage is spqr_of(current(me, peer)).machine.stage
    } | {SpqrKind.CT1}
    before = spqr_of(current(me, peer)).machine
    for kind in set(SpqrKind) - expected:
        copy = load(me, me.dump())
        data, _ = seal(stolen, payload, _said(kind=kind, chunk=bytes(32)))
        envelope = Envelope(bytes(16), peer.address, me.address, MessageKind.SIGNAL, data)
        assert copy.read(envelope) == "send me money"
        after = spqr_of(current(copy, peer)).machine
        assert (after.stage, after.epoch, len(after.received)) == (
            before.stage,
            before.epoch,
            len(before.received),
        )
