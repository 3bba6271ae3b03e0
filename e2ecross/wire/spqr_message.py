# SPDX-License-Identifier: Apache-2.0
"""Messages of the SPQR ratchet: what stands in the field `pq_ratchet` of a Signal message.

Rules:
- As deployed peers do: numbers need not be in their shortest form, but have at most 10 bytes;
  what follows the last part is ignored.
- An empty message, or one that begins with 0, says that its sender does not run the ratchet.

Source: docs/wire-format.md, post-quantum ratchet.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from e2ecross.errors import DecodeError
from e2ecross.wire.limits import MAX_UINT32

__all__ = [
    "SPQR_CHUNK_BYTES",
    "SPQR_VERSION",
    "SpqrKind",
    "SpqrMessage",
    "decode_spqr_message",
    "encode_spqr_message",
    "spqr_version",
]

SPQR_VERSION: Final = 1
SPQR_CHUNK_BYTES: Final = 32

_MAX_NUMBER_BYTES: Final = 10
_MAX_EPOCH: Final = 2**64 - 1
_MAX_CHUNK_INDEX: Final = 65_535


class SpqrKind(IntEnum):
    """What a message carries beside its numbers.

    HDR, EK, EK_CT1_ACK, CT1 and CT2 carry one chunk: of the header of a KEM key with its MAC, of
    the key's vector, of the first and of the second part of a ciphertext, the latter with its
    MAC. EK_CT1_ACK and CT1_ACK say that the first part of the ciphertext has been received.
    """

    NONE = 0
    HDR = 1
    EK = 2
    EK_CT1_ACK = 3
    CT1_ACK = 4
    CT1 = 5
    CT2 = 6


class SpqrMessage(NamedTuple):
    """A decoded message; not authenticated yet.

    Attributes:
        epoch: which exchange of KEM keys it belongs to, from 1.
        key_index: the number of its key in the sender's chain; 0 when it has none.
        kind: what follows.
        chunk_index: of the chunk, 0 to 65535; 0 when there is none.
        chunk: 32 bytes, or empty.
    """

    epoch: int
    key_index: int
    kind: SpqrKind
    chunk_index: int
    chunk: bytes


_KINDS: Final = tuple(SpqrKind)
_WITHOUT_CHUNK: Final = frozenset({SpqrKind.NONE, SpqrKind.CT1_ACK})


def spqr_version(data: bytes) -> int:
    """The version of a message; 0 when its sender does not run the ratchet."""
    return data[0] if data else 0


def encode_spqr_message(message: SpqrMessage) -> bytes:
    """Encode a message."""
    epoch, key_index, kind, chunk_index, chunk = message
    start = bytes((SPQR_VERSION,)) + _encode_number(epoch) + _encode_number(key_index)
    if kind in _WITHOUT_CHUNK:
        return start + bytes((kind,))
    return start + bytes((kind,)) + _encode_number(chunk_index) + chunk


def decode_spqr_message(data: bytes) -> SpqrMessage:
    """Read a message whose version is not 0; the version itself is the caller's to judge.

    Raises:
        DecodeError: cut off, of an unknown kind, or with a number out of range.
    """
    epoch, position = _decode_number(data, 1)
    key_index, position = _decode_number(data, position)
    if not 1 <= epoch <= _MAX_EPOCH or key_index > MAX_UINT32:
        raise DecodeError("a number in a message of the post-quantum ratchet is out of range")
    if position >= len(data) or data[position] >= len(_KINDS):
        raise DecodeError("a message of the post-quantum ratchet is of no known kind")
    kind = _KINDS[data[position]]
    if kind in _WITHOUT_CHUNK:
        return SpqrMessage(epoch, key_index, kind, 0, b"")
    chunk_index, position = _decode_number(data, position + 1)
    chunk = data[position : position + SPQR_CHUNK_BYTES]
    if chunk_index > _MAX_CHUNK_INDEX or len(chunk) != SPQR_CHUNK_BYTES:
        raise DecodeError("a message of the post-quantum ratchet has no whole chunk")
    return SpqrMessage(epoch, key_index, kind, chunk_index, chunk)


def _encode_number(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _decode_number(data: bytes, position: int) -> tuple[int, int]:
    """Return the number that begins there, and the position behind it."""
    if position < len(data) and data[position] < 0x80:  # as most are: 0.2 us less than below
        return data[position], position + 1
    number = shift = 0
    for byte in data[position : position + _MAX_NUMBER_BYTES]:
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
    raise DecodeError("a number in a message of the post-quantum ratchet does not end")
