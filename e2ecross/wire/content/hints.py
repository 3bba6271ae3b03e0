# SPDX-License-Identifier: Apache-2.0
"""Hints: which device lists the sender of a message has used.

Rules:
- A hint is never evidence. Only signed lists say which devices an account has.

Source: docs/wire-format.md, payload.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import require_bytes, require_whole_number
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2

__all__ = ["HINT_HASH_BYTES", "DeviceHints", "decode_hints", "encode_hints"]

HINT_HASH_BYTES: Final = 16
_MAX_SEQ: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class DeviceHints:
    """Number and hash of one list or of two; at least one of them.

    Attributes:
        sender_seq: of the newest list of its own account that the sender has, 1 to 2^63-1; 0 if it
            has none.
        sender_hash: the hint of that list, 16 bytes; empty if it has none.
        peer_seq: the same of the list that it sent to: the recipient's, or in a copy to another
            own device that of the account that the conversation is with.
        peer_hash: likewise.

    Raises:
        InvalidArgument: a field has the wrong type, length or value, or none says anything.
    """

    sender_seq: int = 0
    sender_hash: bytes = b""
    peer_seq: int = 0
    peer_hash: bytes = b""

    def __post_init__(self) -> None:
        _check("sender", self.sender_seq, self.sender_hash)
        _check("peer", self.peer_seq, self.peer_hash)
        if not self.sender_seq and not self.peer_seq:
            raise InvalidArgument("hints must name a list of the sender or of the peer")


def encode_hints(hints: DeviceHints) -> content_pb2.DeviceHints:
    """The protobuf form of hints."""
    return content_pb2.DeviceHints(
        sender_seq=hints.sender_seq,
        sender_hash=hints.sender_hash,
        peer_seq=hints.peer_seq,
        peer_hash=hints.peer_hash,
    )


def decode_hints(value: content_pb2.DeviceHints) -> DeviceHints:
    """Check hints from outside.

    Raises:
        DecodeError: empty, or a number without its hash.
    """
    try:
        return DeviceHints(value.sender_seq, value.sender_hash, value.peer_seq, value.peer_hash)
    except InvalidArgument as error:
        raise DecodeError(f"hints are not well-formed: {error}") from error


def _check(whose: str, seq: int, hint: bytes) -> None:
    require_whole_number(f"{whose}_seq", seq, high=_MAX_SEQ)
    require_bytes(f"{whose}_hash", hint, HINT_HASH_BYTES if seq else 0)
