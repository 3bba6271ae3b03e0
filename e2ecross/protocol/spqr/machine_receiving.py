# SPDX-License-Identifier: Apache-2.0
"""What the machine does with what it receives, in each stage.

Rules:
- The message has been authenticated. What it carries has a MAC of its own all the same, or is
  checked against something that has: a thief of one session's X25519 keys does not get a KEM key
  of theirs into it.
- A failure raises, and so changes nothing.

Source: docs/wire-format.md, post-quantum ratchet.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from e2ecross.crypto.kem import (
    SPLIT_HEADER_BYTES,
    decapsulate_split,
    split_public_key,
    verify_split_vector,
)
from e2ecross.crypto.mlkem_split import SECOND_CIPHERTEXT_BYTES, encapsulate_second
from e2ecross.crypto.secret import SecretTuple
from e2ecross.crypto.spqr_kdf import EpochSecret, derive_epoch_secret
from e2ecross.errors import AuthenticationFailed
from e2ecross.protocol.spqr.authenticator import (
    ciphertext_mac,
    next_authenticator,
    verify_ciphertext,
    verify_header,
)
from e2ecross.protocol.spqr.erasure import NO_CHUNKS, rebuild
from e2ecross.protocol.spqr.machine import CONTENTS, Held, Machine, Stage
from e2ecross.wire.spqr_message import SpqrKind, SpqrMessage

__all__ = ["Received", "check_epoch", "machine_receive"]


class _ReceivedFields(NamedTuple):
    machine: Machine
    secret: EpochSecret | None


class Received(SecretTuple, _ReceivedFields):
    """A step of the machine that receives.

    Attributes:
        machine: as it is afterwards; the same one if nothing changed.
        secret: of the epoch that the machine was in, 32 bytes, if this step gave it; else None.
    """

    __slots__ = ()


def check_epoch(machine: Machine, epoch: int) -> None:
    """Refuse a message of an epoch that cannot have begun; before anything is computed.

    Raises:
        AuthenticationFailed: it is of such an epoch.
    """
    if epoch > machine.epoch + (machine.stage is Stage.CT2_SAMPLED):
        raise AuthenticationFailed("the message belongs to an epoch that has not begun")


def machine_receive(machine: Machine, message: SpqrMessage) -> Received:
    """Take the step that goes with a message of the peer.

    Args:
        machine: as it is.
        message: whose epoch has been checked (`check_epoch`).

    Raises:
        AuthenticationFailed: a header or a ciphertext has the wrong MAC.
        InvalidKey: a vector does not belong to its header, or is no key.
    """
    if message.epoch > machine.epoch:
        held = Held(machine.held.auth)
        return Received(Machine.entering(Stage.KEYS_UNSAMPLED, message.epoch, held), None)
    step = _STEPS.get((machine.stage, message.kind))
    if step is None or message.epoch < machine.epoch:
        return Received(machine, None)
    return step(machine, message)


# --- The key side -----------------------------------------------------------------------------


def _first_of_ciphertext(machine: Machine, message: SpqrMessage) -> Received:
    """The header has arrived: begin to send the vector."""
    seed = machine.held.seed
    held = Held(machine.held.auth, seed=seed, outgoing=split_public_key(seed)[1])
    received = NO_CHUNKS.with_chunk(message.chunk_index, message.chunk)
    return Received(Machine(Stage.HEADER_SENT, machine.epoch, held, 0, received), None)


def _more_of_ciphertext(machine: Machine, message: SpqrMessage) -> Received:
    machine, ciphertext = _collect(machine, message)
    if ciphertext is None:
        return Received(machine, None)
    held = Held(
        machine.held.auth,
        seed=machine.held.seed,
        ciphertext=ciphertext,
        outgoing=machine.held.outgoing,
    )
    # The vector goes on where it was.
    return Received(
        Machine(Stage.CT1_RECEIVED, machine.epoch, held, machine.next_chunk, NO_CHUNKS), None
    )


def _first_of_second(machine: Machine, message: SpqrMessage) -> Received:
    """The vector has arrived: nothing more to send."""
    held = Held(machine.held.auth, seed=machine.held.seed, ciphertext=machine.held.ciphertext)
    received = NO_CHUNKS.with_chunk(message.chunk_index, message.chunk)
    return Received(Machine(Stage.EK_SENT_CT1_RECEIVED, machine.epoch, held, 0, received), None)


def _more_of_second(machine: Machine, message: SpqrMessage) -> Received:
    machine, second = _collect(machine, message)
    if second is None:
        return Received(machine, None)
    held, epoch = machine.held, machine.epoch
    ciphertext = held.ciphertext + second[:SECOND_CIPHERTEXT_BYTES]
    secret = derive_epoch_secret(decapsulate_split(held.seed, ciphertext), epoch)
    auth = next_authenticator(held.auth, epoch, secret)
    verify_ciphertext(auth, epoch, ciphertext, second[SECOND_CIPHERTEXT_BYTES:])
    return Received(Machine.entering(Stage.NO_HEADER_RECEIVED, epoch + 1, Held(auth)), secret)


# --- The ciphertext side ----------------------------------------------------------------------


def _header(machine: Machine, message: SpqrMessage) -> Received:
    machine, whole = _collect(machine, message)
    if whole is None:
        return Received(machine, None)
    header, auth = whole[:SPLIT_HEADER_BYTES], machine.held.auth
    verify_header(auth, machine.epoch, header, whole[SPLIT_HEADER_BYTES:])
    held = Held(auth, header=header)
    return Received(Machine.entering(Stage.HEADER_RECEIVED, machine.epoch, held), None)


def _vector(machine: Machine, message: SpqrMessage) -> Received:
    machine, vector = _collect(machine, message)
    if vector is None:
        return Received(machine, None)
    held = machine.held
    verify_split_vector(held.header, vector)
    held = Held(held.auth, header=held.header, m=held.m, vector=vector, outgoing=held.outgoing)
    return Received(
        Machine(Stage.EK_RECEIVED_CT1_SAMPLED, machine.epoch, held, machine.next_chunk, NO_CHUNKS),
        None,
    )


def _vector_and_ack(machine: Machine, message: SpqrMessage) -> Received:
    """The first part of the ciphertext has arrived: what of the vector there is, is kept."""
    held = machine.held
    acknowledged = Machine(
        Stage.CT1_ACKNOWLEDGED,
        machine.epoch,
        Held(held.auth, header=held.header, m=held.m, ciphertext=held.outgoing),
        0,
        machine.received,
    )
    return _vector_after_ack(acknowledged, message)


def _vector_after_ack(machine: Machine, message: SpqrMessage) -> Received:
    machine, vector = _collect(machine, message)
    if vector is None:
        return Received(machine, None)
    verify_split_vector(machine.held.header, vector)
    return _send_second(machine, machine.held.ciphertext, vector)


def _ack(machine: Machine, message: SpqrMessage) -> Received:
    return _send_second(machine, machine.held.outgoing, machine.held.vector)


def _send_second(machine: Machine, first: bytes, vector: bytes) -> Received:
    held = machine.held
    second = encapsulate_second(held.header, held.m, vector)
    mac = ciphertext_mac(held.auth, machine.epoch, first + second)
    return Received(
        Machine.entering(Stage.CT2_SAMPLED, machine.epoch, Held(held.auth, outgoing=second + mac)),
        None,
    )


def _collect(machine: Machine, message: SpqrMessage) -> tuple[Machine, bytes | None]:
    """Keep a chunk; return also what it completes, or None."""
    received = machine.received.with_chunk(message.chunk_index, message.chunk)
    if received is not machine.received:
        machine = Machine(machine.stage, machine.epoch, machine.held, machine.next_chunk, received)
    complete = len(received) == CONTENTS[machine.stage].awaited_chunks
    return machine, rebuild(received) if complete else None


_Step = Callable[[Machine, SpqrMessage], Received]

_STEPS: Final[Mapping[tuple[Stage, SpqrKind], _Step]] = {
    (Stage.KEYS_SAMPLED, SpqrKind.CT1): _first_of_ciphertext,
    (Stage.HEADER_SENT, SpqrKind.CT1): _more_of_ciphertext,
    (Stage.CT1_RECEIVED, SpqrKind.CT2): _first_of_second,
    (Stage.EK_SENT_CT1_RECEIVED, SpqrKind.CT2): _more_of_second,
    (Stage.NO_HEADER_RECEIVED, SpqrKind.HDR): _header,
    (Stage.CT1_SAMPLED, SpqrKind.EK): _vector,
    (Stage.CT1_SAMPLED, SpqrKind.EK_CT1_ACK): _vector_and_ack,
    (Stage.EK_RECEIVED_CT1_SAMPLED, SpqrKind.CT1_ACK): _ack,
    (Stage.EK_RECEIVED_CT1_SAMPLED, SpqrKind.EK_CT1_ACK): _ack,
    (Stage.CT1_ACKNOWLEDGED, SpqrKind.EK): _vector_after_ack,
    (Stage.CT1_ACKNOWLEDGED, SpqrKind.EK_CT1_ACK): _vector_after_ack,
}
"""Everything else is ignored in its stage."""
