# SPDX-License-Identifier: Apache-2.0
"""Sent messages that may have to be sent again, kept for a time.

Rules:
- A copy is found by the device that it was for and the message id of any envelope that it went in;
  never by the id alone. The content is kept once for all copies, under the account with whom the
  conversation is, and that account is named in each copy's row.
- What is kept is the content, in the store: whoever steals the store unsealed can read it for as
  long as it is kept. `Policy.resend_kept_ms` and `resend_kept_messages` bound it.
- What is to be gone before that is not found after its end, and a row beside it tells when to
  forget it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.accounts import user_from_key, user_key
from e2ecross.state.context import address_key
from e2ecross.state.message_refs import expiry_of
from e2ecross.state.policy import Policy
from e2ecross.state.prekey_store import SEEN_MARK
from e2ecross.state.shelf import Shelf
from e2ecross.state.trust import require_accepted_identity
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.content import (
    AnyContent,
    EncodedContent,
    decode_content,
    encode_content,
    is_of_users,
)
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.shelf_records import SentRecord

__all__ = [
    "ENDS",
    "GROUP_MARK",
    "MAX_RESENDS",
    "KeptMessage",
    "count_resend",
    "end_of_sent",
    "find_content",
    "find_conversation",
    "find_kept",
    "find_message_id",
    "first_id",
    "forget_content",
    "forget_copy",
    "forget_over",
    "is_kept_for",
    "keep_copies",
    "keep_other_id",
    "list_sent_to",
    "note_end",
    "sent_shelf",
    "tend_sent",
]

_NO_DEVICE: Final = b"\0\0"
"""In the place of a device's number behind a user, in the row of a content: no device has it."""

GROUP_MARK: Final = b"\0"
"""Before a message id, in the place of an address: a message into a group."""

ENDS: Final = b"expires"
"""The partition of rows that tell when contents are to be forgotten: u64, their row."""

_TIME_BYTES: Final = 8

_MAX_WALKED: Final = 10_000
"""Rows of a generation that are looked at; some MB."""

_BEHIND_USER: Final = len(_NO_DEVICE) + MESSAGE_ID_BYTES
"""What stands behind the account in a row, of a content or of a copy."""

MAX_RESENDS: Final = 10
"""How often one message is sent again: enough for a device that loses its state repeatedly."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class KeptMessage(Secret):
    """A copy of a message that was sent.

    Attributes:
        recipient: the device that it was for.
        account: with whom the conversation is; not the recipient's, if that is of the own account.
        message_id: of the message, 16 bytes.
        copy_id: of the first envelope of the copy, 16 bytes: the message's, but for copies for own
            devices that went under another.
        sent_at_ms: when it was first sent, milliseconds since 1970.
        content: what was sent.
        resends: how often it was sent again.
        identity_key: the recipient's, to which it was encrypted first, 33 bytes.
    """

    recipient: Address
    account: UserId
    message_id: bytes
    copy_id: bytes
    sent_at_ms: int
    content: AnyContent
    resends: int
    identity_key: bytes


def keep_copies(
    tx: Transaction,
    policy: Policy,
    account: UserId,
    message_id: bytes,
    own_copies_id: bytes,
    content: AnyContent | EncodedContent | None,
    copies: Sequence[Address],
    sent_at_ms: int,
    now_ms: int,
) -> None:
    """Keep copies of a message that have just been encrypted for the first time.

    Args:
        tx: the operation's transaction.
        policy: how many are kept.
        account: with whom the conversation is.
        message_id: of the message, 16 bytes.
        own_copies_id: under which copies for other own devices go, 16 bytes.
        content: what was sent, encoded before if it has no frame; None: it is kept already, of the
            copies before.
        copies: devices that they are for.
        sent_at_ms: when the message was first sent, milliseconds since 1970.
        now_ms: milliseconds since 1970.
    """
    rows = []
    if content is not None:
        kind, body = encode_content(content)
        record = SentRecord(sent_at_ms=sent_at_ms, content_kind=kind, content_body=body)
        row = _content_row(account, message_id)
        rows.append((row, record.encode()))
        end_ms = None if isinstance(content, EncodedContent) else end_of_sent(content, sent_at_ms)
        note_end(tx, policy, row, end_ms, now_ms)
    for address in copies:
        copy_id = message_id if address.user_id == account else own_copies_id
        original_id = b"" if copy_id == message_id else message_id
        identity_key = require_accepted_identity(tx, address)
        record = SentRecord(original_id, account=account, identity_key=identity_key)
        rows.append((_row(address, copy_id), record.encode()))
    sent_shelf(policy).add_all(tx, rows, now_ms)


def note_end(tx: Transaction, policy: Policy, row: bytes, end_ms: int | None, now_ms: int) -> None:
    """Note when a row of content is to be forgotten, if it has an end before all others have."""
    kept_ms = policy.resend_kept_ms if policy.resend_kept_messages else 0
    if end_ms is not None and end_ms < now_ms + kept_ms:
        tx.put(Table.SENT, ENDS, end_ms.to_bytes(_TIME_BYTES) + row, SEEN_MARK)


def is_kept_for(
    tx: Transaction, policy: Policy, device: Address, message_id: bytes, now_ms: int
) -> bool:
    """Tell whether a copy of a message (16 bytes of id) is kept for a device."""
    return sent_shelf(policy).find(tx, _row(device, message_id), now_ms) is not None


def keep_other_id(
    tx: Transaction, policy: Policy, message: KeptMessage, message_id: bytes, now_ms: int
) -> None:
    """Let a copy be found by the id of another envelope too, that it was sent again in."""
    record = SentRecord(original_id=message.copy_id)
    sent_shelf(policy).add(tx, _row(message.recipient, message_id), record.encode(), now_ms)


def find_kept(
    tx: Transaction, policy: Policy, recipient: Address, message_id: bytes, now_ms: int
) -> KeptMessage | None:
    """Return the message that went to this device under that id (16 bytes), or None."""
    copy_id, record = message_id, _find_copy(tx, policy, recipient, message_id, now_ms)
    if record is not None and record.account is None and record.original_id:
        copy_id = record.original_id
        record = _find_copy(tx, policy, recipient, copy_id, now_ms)
    if record is None:
        return None
    if record.account is None:
        raise _no_content()
    message_id = record.original_id or copy_id
    content = find_content(tx, policy, record.account, message_id, now_ms)
    if content is None:
        return None
    ids = (message_id, copy_id)
    return KeptMessage(
        recipient, record.account, *ids, *content, record.resends, record.identity_key
    )


def find_content(
    tx: Transaction, policy: Policy, account: UserId, message_id: bytes, now_ms: int
) -> tuple[int, AnyContent] | None:
    """Return when a message (16 bytes of id) was first sent in a conversation, and its content.

    None: it is not kept, or its time is over.
    """
    found = sent_shelf(policy).find(tx, _content_row(account, message_id), now_ms)
    if found is None:
        return None
    record = SentRecord.decode(found.record)
    try:
        content = decode_content(record.content_kind, record.content_body)
    except RemoteError as error:
        raise _no_content() from error
    if not is_of_users(content):
        raise _no_content()
    end_ms = end_of_sent(content, record.sent_at_ms)
    return None if end_ms is not None and end_ms <= now_ms else (record.sent_at_ms, content)


def find_conversation(
    tx: Transaction, policy: Policy, recipient: Address, message_id: bytes, now_ms: int
) -> UserId | None:
    """Return with whom the conversation is that a copy (16 bytes of id) for a device belongs to.

    None: the copy is not kept.
    """
    record = _find_copy(tx, policy, recipient, message_id, now_ms)
    return None if record is None else record.account


def first_id(
    tx: Transaction, policy: Policy, recipient: Address, message_id: bytes, now_ms: int
) -> bytes:
    """Return the id that a copy first went under which went under this one (16 bytes).

    Also when it is not kept.
    """
    record = _find_copy(tx, policy, recipient, message_id, now_ms)
    if record is None or record.account is not None:
        return message_id
    return record.original_id or message_id


def find_message_id(
    tx: Transaction, policy: Policy, recipient: Address, copy_id: bytes, now_ms: int
) -> bytes:
    """Return the id of the message of which a copy first went under this one (16 bytes)."""
    record = _find_copy(tx, policy, recipient, copy_id, now_ms)
    return copy_id if record is None else record.original_id or copy_id


def forget_copy(
    tx: Transaction, policy: Policy, recipient: Address, message_id: bytes, now_ms: int
) -> None:
    """Forget the copy of a message (16 bytes of id) for a device, because it was given up."""
    sent_shelf(policy).remove(tx, _row(recipient, message_id), now_ms)


def forget_content(
    tx: Transaction, policy: Policy, account: UserId, message_id: bytes, now_ms: int
) -> None:
    """Forget what a message (16 bytes of id) holds, because all its copies were given up."""
    sent_shelf(policy).remove(tx, _content_row(account, message_id), now_ms)


def forget_over(tx: Transaction, policy: Policy, now_ms: int, limit: int) -> None:
    """Forget contents whose time is over, at most so many."""
    for row, _ in tx.list(Table.SENT, ENDS, limit=limit):
        if int.from_bytes(row[:_TIME_BYTES]) > now_ms:
            break
        sent_shelf(policy).remove(tx, row[_TIME_BYTES:], now_ms)
        tx.delete(Table.SENT, ENDS, row)


def count_resend(tx: Transaction, policy: Policy, message: KeptMessage, now_ms: int) -> None:
    """Note that a copy that was just found is sent again."""
    shelf = sent_shelf(policy)
    row = _row(message.recipient, message.copy_id)
    found = shelf.find(tx, row, now_ms)
    if found is None:
        return
    record = replace(SentRecord.decode(found.record), resends=message.resends + 1)
    shelf.replace(tx, found, row, record.encode())


def list_sent_to(tx: Transaction, policy: Policy, now_ms: int, limit: int) -> list[UserId]:
    """Return accounts that something is kept for which was sent to them; roughly the latest first.

    Args:
        tx: the operation's transaction.
        policy: how much is kept.
        now_ms: milliseconds since 1970.
        limit: how many accounts at most.
    """
    found: dict[UserId, None] = {}
    for row in sent_shelf(policy).walk(tx, now_ms, _MAX_WALKED):
        if row.startswith(GROUP_MARK):
            continue
        found[user_from_key(row[:-_BEHIND_USER])] = None
        if len(found) == limit:
            break
    return list(found)


def tend_sent(tx: Transaction, policy: Policy, now_ms: int) -> None:
    """See `Shelf.tend`."""
    sent_shelf(policy).tend(tx, now_ms)


def _find_copy(
    tx: Transaction, policy: Policy, recipient: Address, message_id: bytes, now_ms: int
) -> SentRecord | None:
    found = sent_shelf(policy).find(tx, _row(recipient, message_id), now_ms)
    return None if found is None else SentRecord.decode(found.record)


def sent_shelf(policy: Policy) -> Shelf:
    """Return the shelf of what is kept of sent messages."""
    # A shelf keeps a quarter longer at most: four fifths of the time, so that it is never exceeded.
    return Shelf(Table.SENT, policy.resend_kept_ms * 4 // 5, policy.resend_kept_messages)


def _row(device: Address, message_id: bytes) -> bytes:
    return address_key(device) + message_id


def _content_row(account: UserId, message_id: bytes) -> bytes:
    return user_key(account) + _NO_DEVICE + message_id


def end_of_sent(content: AnyContent, sent_at_ms: int) -> int | None:
    """When what was sent at a time is to be gone at the sender, milliseconds since 1970."""
    expiry = expiry_of(content)
    return None if expiry is None else sent_at_ms + expiry.seconds * 1000


def _no_content() -> RecordCorrupted:
    return RecordCorrupted("a record of a sent message holds no content: the store is damaged")
