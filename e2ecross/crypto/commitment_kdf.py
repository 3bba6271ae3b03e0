# SPDX-License-Identifier: Apache-2.0
"""The digest of a message: a commitment to its content, its author and its conversation.

Rules:
- It is made under a key that only the message holds: who does not have the message cannot test
  what it says.
- Everything but key and content comes from what was authenticated, never from the content.
- Parts of variable length go with their length: two contents with one digest are a collision of
  SHA-256.

Source: docs/wire-format.md, digests.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from e2ecross.crypto.account_kdf import lp, prefixed

__all__ = ["MessagePlace", "commit"]

_PREFIX: Final = prefixed("commit/v1")


@dataclass(frozen=True, slots=True)
class MessagePlace:
    """Where a message stands.

    Attributes:
        author: the account that sent it, as text.
        device: the number of the device that did, 1 to 127.
        peer: the account that it is for, as text; empty in a group.
        group_id: 32 bytes; empty between two accounts.
        message_id: of its first copy, 16 bytes.
        sent_at_ms: of its first copy, milliseconds since 1970.
    """

    author: str
    device: int
    peer: str
    group_id: bytes
    message_id: bytes
    sent_at_ms: int


def commit(opening_key: bytes, place: MessagePlace, kind: int, content_body: bytes) -> bytes:
    """Return the digest of a message, 32 bytes.

    Args:
        opening_key: 32 bytes, secret; zeros for kinds that have none.
        place: where it stands.
        kind: its content kind, 1 to 2^31-1.
        content_body: its content, with the frame.
    """
    data = (
        _PREFIX
        + lp(place.author.encode("ascii"))
        + place.device.to_bytes(4)
        + lp(place.peer.encode("ascii"))
        + lp(place.group_id)
        + place.message_id
        + place.sent_at_ms.to_bytes(8)
        + kind.to_bytes(4)
        + lp(content_body)
    )
    return hmac.digest(opening_key, data, "sha256")
