# SPDX-License-Identifier: Apache-2.0
"""What names a message in replies and acts: the same reference at both ends.

Rules:
- Who sent it, to whom and when is what was authenticated, or what is sent; never what a content
  says of itself.

Source: docs/wire-format.md, digests.
"""

from e2ecross.address import Address, UserId
from e2ecross.crypto.commitment_kdf import MessagePlace, commit
from e2ecross.wire.content import (
    AnyContent,
    Bytes,
    Expiry,
    Framed,
    MessageRef,
    Text,
    UnsupportedContent,
    encode_content,
    opening_key_of,
)
from e2ecross.wire.group import GroupId

__all__ = ["expiry_of", "ref_of"]


def ref_of(
    sender: Address, to: UserId | GroupId, message_id: bytes, sent_at_ms: int, content: AnyContent
) -> MessageRef | None:
    """Return the reference to a message.

    None where it has none: a receipt; and in a group what travels without a frame, of which
    everybody would know the key.

    Args:
        sender: the device that has sent it.
        to: the account that it is for, at the recipient the own one; or the group.
        message_id: of its first copy, 16 bytes.
        sent_at_ms: of its first copy, milliseconds since 1970.
        content: as it travels: in its frame, if it has one.
    """
    key = opening_key_of(content)
    if key is None or (isinstance(to, GroupId) and isinstance(content, Text | Bytes)):
        return None
    kind, body = encode_content(content)
    author = sender.user_id
    peer, group = ("", to.value) if isinstance(to, GroupId) else (str(to), b"")
    place = MessagePlace(str(author), sender.device, peer, group, message_id, sent_at_ms)
    return MessageRef(author, message_id, commit(key, place, kind, body), expiry_of(content))


def expiry_of(content: AnyContent) -> Expiry | None:
    """Return when a message is to be gone, by its frame; None without one."""
    if isinstance(content, Framed):
        return content.expiry
    frame = content.frame if isinstance(content, UnsupportedContent) else None
    return None if frame is None else frame.expiry
