# SPDX-License-Identifier: Apache-2.0
"""Messages that were sent into groups, kept for a time because somebody may ask for them again.

Rules:
- One row for each message, however many devices have a copy: who may have it again is told by the
  group (`device/group_retrying.py`). It is found by its id, which is known also when it is gone.
- An id belongs to one message into one group. Receivers and the back end know messages by it.

Source: docs/wire-format.md, groups.
"""

import hashlib
from dataclasses import dataclass

from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidArgument, RecordCorrupted, RemoteError
from e2ecross.state.policy import Policy
from e2ecross.state.sent import GROUP_MARK, end_of_sent, note_end, sent_shelf
from e2ecross.state.sent_ids import IDS, IN_GROUPS
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import (
    AnyContent,
    EncodedContent,
    decode_content,
    encode_content,
    is_of_users,
)
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.shelf_records import SENT_DIGEST_BYTES, SentIdRecord, SentRecord

__all__ = [
    "KeptGroupMessage",
    "find_sent_to_group",
    "is_group_id",
    "keep_group_id",
    "keep_sent_to_group",
    "was_sent_to_group",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class KeptGroupMessage(Secret):
    """A message that was sent into a group.

    Attributes:
        message_id: 16 bytes.
        destination: the group, and the heads at which it was sent.
        sent_at_ms: when, milliseconds since 1970.
        content: what was sent.
    """

    message_id: bytes
    destination: GroupDestination
    sent_at_ms: int
    content: AnyContent


def keep_sent_to_group(
    tx: Transaction,
    policy: Policy,
    destination: GroupDestination,
    message_id: bytes,
    content: AnyContent,
    sent_at_ms: int,
    now_ms: int,
) -> None:
    """Keep a message that has just been encrypted for a group.

    Args:
        tx: the operation's transaction.
        policy: how many are kept.
        destination: the group, and the heads at which it is sent.
        message_id: 16 bytes.
        content: what is sent.
        sent_at_ms: when it was first sent, milliseconds since 1970.
        now_ms: milliseconds since 1970.
    """
    kind, body = encode_content(content)
    record = SentRecord(
        sent_at_ms=sent_at_ms,
        content_kind=kind,
        content_body=body,
        group_id=destination.group_id.value,
        heads=destination.heads,
    )
    row = _row(message_id)
    sent_shelf(policy).add(tx, row, record.encode(), now_ms)
    note_end(tx, policy, row, end_of_sent(content, sent_at_ms), now_ms)


def find_sent_to_group(
    tx: Transaction, policy: Policy, message_id: bytes, now_ms: int
) -> KeptGroupMessage | None:
    """Return the message that was sent into a group under that id (16 bytes).

    None: it is not kept, or its time is over.
    """
    found = sent_shelf(policy).find(tx, _row(message_id), now_ms)
    if found is None:
        return None
    record = SentRecord.decode(found.record)
    try:
        content = decode_content(record.content_kind, record.content_body)
        destination = GroupDestination(GroupId(record.group_id), record.heads)
    except (InvalidArgument, RemoteError) as error:
        raise _damaged() from error
    if not is_of_users(content):
        raise _damaged()
    end_ms = end_of_sent(content, record.sent_at_ms)
    if end_ms is not None and end_ms <= now_ms:
        return None
    return KeptGroupMessage(message_id, destination, record.sent_at_ms, content)


def keep_group_id(
    tx: Transaction, group: GroupId, message_id: bytes, content: EncodedContent, now_ms: int
) -> None:
    """Keep the id (16 bytes) of a message into a group that has just been encrypted."""
    record = SentIdRecord(_digest(group, content))
    IDS.add(tx, IN_GROUPS + message_id, record.encode(), now_ms)


def was_sent_to_group(
    tx: Transaction, group: GroupId, message_id: bytes, content: EncodedContent, now_ms: int
) -> bool:
    """Tell whether content was sent, or promised, into a group under this id (16 bytes).

    Raises:
        InvalidArgument: the id was used for other content, or in another group.
    """
    found = IDS.find(tx, IN_GROUPS + message_id, now_ms)
    if found is None:
        return False
    if SentIdRecord.decode(found.record).digest != _digest(group, content):
        raise InvalidArgument(
            "message_id must be a new one: it was used for another message into a group"
        )
    return True


def is_group_id(tx: Transaction, message_id: bytes, now_ms: int) -> bool:
    """Tell whether a message of a user went into a group under this id (16 bytes)."""
    return IDS.find(tx, IN_GROUPS + message_id, now_ms) is not None


def _digest(group: GroupId, content: EncodedContent) -> bytes:
    data = group.value + content.kind.to_bytes(4) + content.body
    return hashlib.sha256(data).digest()[:SENT_DIGEST_BYTES]


def _row(message_id: bytes) -> bytes:
    return GROUP_MARK + message_id


def _damaged() -> RecordCorrupted:
    return RecordCorrupted("a record of a message into a group is damaged, and so the store is")
