# SPDX-License-Identifier: Apache-2.0
"""The values of the state machine that exchanges KEM keys and ciphertexts, one pair in each epoch.

The *key side* of an epoch sends a KEM key, the *ciphertext side* answers; they change places with
every epoch. What they send goes in chunks, one with each message.

Rules:
- Immutable. What changes with every message (the stage, the next chunk to be sent) stands beside
  what changes only with the stage (`Held`) and the chunks received, which keep their identity.
- Each stage holds exactly what it needs (`CONTENTS`). What is needed no longer, KEM seeds and the
  encapsulator's message above all, is gone with the stage that needed it.

Source: docs/wire-format.md, post-quantum ratchet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from e2ecross.crypto.secret import Secret, SecretTuple
from e2ecross.protocol.spqr.authenticator import Authenticator
from e2ecross.protocol.spqr.erasure import NO_CHUNKS, ReceivedChunks

__all__ = [
    "CONTENTS",
    "Contents",
    "Held",
    "Machine",
    "Stage",
]

HEADER_CHUNKS: Final = 3
"""Chunks of a header and its MAC, 96 bytes."""
VECTOR_CHUNKS: Final = 36
"""Chunks of a key's vector, 1152 bytes."""
CIPHERTEXT_CHUNKS: Final = 30
"""Chunks of the first part of a ciphertext, 960 bytes."""
SECOND_CHUNKS: Final = 5
"""Chunks of the second part of a ciphertext and its MAC, 160 bytes."""


class Stage(IntEnum):
    """Where a machine is in its epoch. The numbers are stored."""

    KEYS_UNSAMPLED = 1
    KEYS_SAMPLED = 2
    HEADER_SENT = 3
    CT1_RECEIVED = 4
    EK_SENT_CT1_RECEIVED = 5
    NO_HEADER_RECEIVED = 6
    HEADER_RECEIVED = 7
    CT1_SAMPLED = 8
    EK_RECEIVED_CT1_SAMPLED = 9
    CT1_ACKNOWLEDGED = 10
    CT2_SAMPLED = 11


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Held(Secret):
    """What a machine keeps for as long as it stays in a stage; empty what the stage has not.

    Attributes:
        auth: the authenticator.
        seed: of our KEM key, 64 bytes, secret.
        header: of the peer's KEM key, 64 bytes.
        m: the message that we encapsulate, 32 bytes, secret.
        ciphertext: the first part, complete, 960 bytes.
        vector: of the peer's KEM key, 1152 bytes.
        outgoing: what is sent in chunks.
    """

    auth: Authenticator
    seed: bytes = b""
    header: bytes = b""
    m: bytes = b""
    ciphertext: bytes = b""
    vector: bytes = b""
    outgoing: bytes = b""


class _MachineFields(NamedTuple):
    stage: Stage
    epoch: int
    held: Held
    next_chunk: int
    received: ReceivedChunks


class Machine(SecretTuple, _MachineFields):
    """A machine.

    Attributes:
        stage: where it is.
        epoch: in which exchange, from 1.
        held: what it keeps.
        next_chunk: index of the next chunk of `held.outgoing`.
        received: chunks of what the stage waits for.
    """

    __slots__ = ()

    @staticmethod
    def entering(stage: Stage, epoch: int, held: Held) -> "Machine":
        """A machine that has just come into a stage."""
        return Machine(stage, epoch, held, 0, NO_CHUNKS)


class Contents(NamedTuple):
    """What a stage has: lengths of the fields of `Held`, and how many chunks it waits for."""

    seed: int = 0
    header: int = 0
    m: int = 0
    ciphertext: int = 0
    vector: int = 0
    outgoing: int = 0
    awaited_chunks: int = 0


CONTENTS: Final[Mapping[Stage, Contents]] = {
    Stage.KEYS_UNSAMPLED: Contents(),
    Stage.KEYS_SAMPLED: Contents(seed=64, outgoing=96),
    Stage.HEADER_SENT: Contents(seed=64, outgoing=1152, awaited_chunks=CIPHERTEXT_CHUNKS),
    Stage.CT1_RECEIVED: Contents(seed=64, ciphertext=960, outgoing=1152),
    Stage.EK_SENT_CT1_RECEIVED: Contents(seed=64, ciphertext=960, awaited_chunks=SECOND_CHUNKS),
    Stage.NO_HEADER_RECEIVED: Contents(awaited_chunks=HEADER_CHUNKS),
    Stage.HEADER_RECEIVED: Contents(header=64),
    Stage.CT1_SAMPLED: Contents(header=64, m=32, outgoing=960, awaited_chunks=VECTOR_CHUNKS),
    Stage.EK_RECEIVED_CT1_SAMPLED: Contents(header=64, m=32, vector=1152, outgoing=960),
    Stage.CT1_ACKNOWLEDGED: Contents(header=64, m=32, ciphertext=960, awaited_chunks=VECTOR_CHUNKS),
    Stage.CT2_SAMPLED: Contents(outgoing=160),
}
