# SPDX-License-Identifier: Apache-2.0
"""What the machine sends in each stage.

Source: docs/wire-format.md, post-quantum ratchet.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kem import KEM_SEED_BYTES, split_public_key
from e2ecross.crypto.mlkem_split import MESSAGE_BYTES, encapsulate_first
from e2ecross.crypto.secret import SecretTuple
from e2ecross.crypto.spqr_kdf import EpochSecret, derive_epoch_secret
from e2ecross.protocol.spqr.authenticator import header_mac, next_authenticator
from e2ecross.protocol.spqr.erasure import CHUNK_COUNT, encode_chunk
from e2ecross.protocol.spqr.machine import Held, Machine, Stage
from e2ecross.wire.spqr_message import SpqrKind

__all__ = ["Sent", "machine_send"]


class _SentFields(NamedTuple):
    machine: Machine
    kind: SpqrKind
    chunk_index: int
    chunk: bytes
    secret: EpochSecret | None


class Sent(SecretTuple, _SentFields):
    """A step of the machine that sends.

    Attributes:
        machine: as it is afterwards.
        kind: of the message.
        chunk_index: 0 when there is no chunk.
        chunk: 32 bytes, or empty.
        secret: of the machine's epoch, 32 bytes, if this step gave it; else None.
    """

    __slots__ = ()


def machine_send(machine: Machine, entropy: EntropySource) -> Sent:
    """Take the step that goes with a message of ours.

    Args:
        machine: as it is.
        entropy: for a KEM seed (64 bytes) or a message to encapsulate (32 bytes), each once in
            an epoch.
    """
    return _STEPS[machine.stage](machine, entropy)


def _generate_key(machine: Machine, entropy: EntropySource) -> Sent:
    seed = entropy.bytes(KEM_SEED_BYTES)
    header, _ = split_public_key(seed)
    auth, epoch = machine.held.auth, machine.epoch
    held = Held(auth, seed=seed, outgoing=header + header_mac(auth, epoch, header))
    return _chunk(Machine.entering(Stage.KEYS_SAMPLED, epoch, held), SpqrKind.HDR)


def _encapsulate(machine: Machine, entropy: EntropySource) -> Sent:
    m = entropy.bytes(MESSAGE_BYTES)
    header, epoch = machine.held.header, machine.epoch
    kem_secret, ciphertext = encapsulate_first(header, m)
    secret = derive_epoch_secret(kem_secret, epoch)
    auth = next_authenticator(machine.held.auth, epoch, secret)
    held = Held(auth, header=header, m=m, outgoing=ciphertext)
    return _chunk(Machine.entering(Stage.CT1_SAMPLED, epoch, held), SpqrKind.CT1, secret)


def _chunk(machine: Machine, kind: SpqrKind, secret: EpochSecret | None = None) -> Sent:
    index = machine.next_chunk
    chunk = encode_chunk(machine.held.outgoing, index)
    advanced = Machine(
        machine.stage, machine.epoch, machine.held, (index + 1) % CHUNK_COUNT, machine.received
    )
    return Sent(advanced, kind, index, chunk, secret)


_Step = Callable[[Machine, EntropySource], Sent]


def _next_chunk(kind: SpqrKind) -> _Step:
    return lambda machine, entropy: _chunk(machine, kind)


def _only(kind: SpqrKind) -> _Step:
    return lambda machine, entropy: Sent(machine, kind, 0, b"", None)


_STEPS: Final[Mapping[Stage, _Step]] = {
    Stage.KEYS_UNSAMPLED: _generate_key,
    Stage.KEYS_SAMPLED: _next_chunk(SpqrKind.HDR),
    Stage.HEADER_SENT: _next_chunk(SpqrKind.EK),
    Stage.CT1_RECEIVED: _next_chunk(SpqrKind.EK_CT1_ACK),
    Stage.EK_SENT_CT1_RECEIVED: _only(SpqrKind.CT1_ACK),
    Stage.NO_HEADER_RECEIVED: _only(SpqrKind.NONE),
    Stage.HEADER_RECEIVED: _encapsulate,
    Stage.CT1_SAMPLED: _next_chunk(SpqrKind.CT1),
    Stage.EK_RECEIVED_CT1_SAMPLED: _next_chunk(SpqrKind.CT1),
    Stage.CT1_ACKNOWLEDGED: _only(SpqrKind.NONE),
    Stage.CT2_SAMPLED: _next_chunk(SpqrKind.CT2),
}
