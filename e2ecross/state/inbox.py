# SPDX-License-Identifier: Apache-2.0
"""The inbox: messages, failures and notices that the app has not confirmed yet.

Rules:
- A message is put here in the commit that used up its key: a crash loses nothing.
- It leaves when the app confirms it. What is found here by a new `Client` may have been handed
  over before a crash, and is flagged.
- Until the back end is known to have heard of its arrival, the number of an envelope stays, with
  the hash of its bytes: what the back end hands out again is told by both. A back end that was put
  back to a backup gives its numbers a second time, to other envelopes.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.crypto.secret import without_frames
from e2ecross.errors import (
    IdentityChangedError,
    InvalidArgument,
    RecordCorrupted,
    RemoteError,
    remote_error_from_code,
)
from e2ecross.state.context import Context
from e2ecross.state.inbox_erasure import note_erasable
from e2ecross.state.inbox_message import frame_of, message_from_record, message_to_record
from e2ecross.state.message import DeviceMessage, FailedMessage, Message
from e2ecross.state.notice import (
    Notice,
    NoticeKind,
    is_about,
    notice_from_record,
    notice_to_record,
)
from e2ecross.state.queue import Queue, number_row, skip_numbers
from e2ecross.state.receipt import Receipt
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.group import GroupId
from e2ecross.wire.inbox_records import (
    NOT_HELD,
    InboxFailure,
    InboxHold,
    InboxMessage,
    InboxNotice,
    InboxRecord,
    decode_arrival,
    decode_inbox_hold,
    decode_inbox_item,
    encode_arrival,
    encode_inbox_item,
)

__all__ = [
    "ARRIVED",
    "ITEMS",
    "NOT_OF_THIS_INBOX",
    "InboxItem",
    "confirm_in_inbox",
    "erase_in_inbox",
    "forget_arrivals",
    "has_arrived",
    "holds_notice",
    "is_typing",
    "leave_receipts_behind",
    "list_arrivals",
    "may_have_arrived",
    "note_arrival",
    "put_failure",
    "put_message",
    "put_not_asked",
    "put_notice",
    "read_item",
    "receipt_of",
    "walk_inbox",
]

InboxItem = Message | FailedMessage | Notice

ARRIVED: Final = b"arrived"
"""The partition of numbers of the back end that it may hand out again."""
ITEMS: Final = Queue(Table.INBOX, b"")
"""The items for the app; in a store with stripes one queue in each."""
NOT_OF_THIS_INBOX: Final = "items must be of this device: one was received by another"


def put_message(
    context: Context, tx: Transaction, message: DeviceMessage, hold: InboxHold = NOT_HELD
) -> int:
    """Keep a decrypted message, its content as it travelled, until it is confirmed.

    Returns:
        The number of the item.
    """
    number = _put(context, tx, message_to_record(message), hold)
    frame = frame_of(message.content)
    if frame is not None:
        note_erasable(tx, message, frame, number)
    return number


def put_failure(
    context: Context,
    tx: Transaction,
    envelope: Envelope | None,
    error: RemoteError,
    *,
    retrying: bool,
    group: GroupId | None = None,
    hold: InboxHold = NOT_HELD,
) -> int:
    """Keep the fact that a message, of a group if that is known, could not be read.

    Returns:
        The number of the item.
    """
    sender = None if envelope is None else envelope.sender
    message_id = b"" if envelope is None else envelope.message_id
    record = _failure(sender, message_id, error, retrying=retrying, group=group)
    return _put(context, tx, record, hold)


def put_not_asked(
    context: Context,
    tx: Transaction,
    sender: Address,
    message_id: bytes,
    error: RemoteError,
    group: GroupId | None = None,
) -> None:
    """Keep the fact that a message (16 bytes of id) that could not be read will not come either."""
    _put(context, tx, _failure(sender, message_id, error, retrying=False, group=group))


def _failure(
    sender: Address | None,
    message_id: bytes,
    error: RemoteError,
    *,
    retrying: bool,
    group: GroupId | None = None,
) -> InboxFailure:
    return InboxFailure(
        sender=sender,
        message_id=message_id,
        code=error.code,
        text=str(error),
        identity_key=error.identity_key if isinstance(error, IdentityChangedError) else b"",
        retrying=retrying,
        group=group,
    )


def put_notice(context: Context, tx: Transaction, notice: Notice) -> None:
    """Keep a notice until it is confirmed."""
    _put(context, tx, notice_to_record(notice))


def holds_notice(tx: Transaction, kind: NoticeKind, user: UserId) -> bool:
    """Tell whether there is a notice of a kind about a user that is not confirmed."""
    for _, data in ITEMS.walk(tx):
        with suppress(RecordCorrupted):
            record = decode_inbox_item(data)
            if isinstance(record, InboxNotice) and is_about(record, kind, user):
                return True
    return False


def note_arrival(
    tx: Transaction, backend_number: int, envelope: bytes, item_number: int = 0
) -> None:
    """Note that an envelope has been taken in, under the number of the back end.

    In a store with stripes also which item it gave, if any.
    """
    record = encode_arrival(hashlib.sha256(envelope).digest(), item_number)
    tx.put(Table.INBOX, ARRIVED, number_row(backend_number), record)


def has_arrived(tx: Transaction, backend_number: int, envelope: bytes) -> bool:
    """Tell whether exactly this envelope has been taken in under that number."""
    data = tx.get(Table.INBOX, ARRIVED, number_row(backend_number))
    if data is None:
        return False
    return decode_arrival(data).envelope_hash == hashlib.sha256(envelope).digest()


def may_have_arrived(tx: Transaction, from_number: int) -> bool:
    """Tell whether anything with that number of the back end or a higher one has been taken in."""
    before = None if not from_number else number_row(from_number - 1)
    try:
        return bool(tx.list(Table.INBOX, ARRIVED, limit=1, after=before))
    except RecordCorrupted:
        return True


def list_arrivals(tx: Transaction) -> list[int]:
    """Return the numbers of the back end that it may hand out again."""
    return [int.from_bytes(row) for row, _ in tx.list(Table.INBOX, ARRIVED)]


def forget_arrivals(tx: Transaction, backend_numbers: Iterable[int]) -> None:
    """Forget numbers that the back end will not hand out again: it has heard of their arrival."""
    for number in backend_numbers:
        tx.delete(Table.INBOX, ARRIVED, number_row(number))


def walk_inbox(
    context: Context, tx: Transaction, after: int = 0
) -> Iterator[tuple[int, InboxItem | RecordCorrupted]]:
    """Walk over number and item of what is not confirmed, in the order of arrival.

    Who gets an item hands it over. One row that is damaged does not hide the others.
    """
    last = ITEMS.last_given(tx)
    if last is not None and last <= after:
        return  # mostly; it need not be looked for
    for number, data in ITEMS.walk(tx, after):
        new = number, hash(data)
        redelivered = new not in context.new_items
        try:
            receipt = Receipt(context.inbox_id, number)
            item = read_item(context, data, receipt, redelivered=redelivered)
        except RecordCorrupted as error:
            yield number, without_frames(error)
        else:
            context.new_items.discard(new)
            yield number, item
        if number == last:
            return


def erase_in_inbox(context: Context, tx: Transaction, number: int) -> None:
    """Leave nothing of the content of a message whose time is over, or that was opened elsewhere.

    It is handed over all the same, or again: as `expired`. Of an item that is damaged `walk_inbox`
    tells, and of one that is not there any more there is nothing to tell.
    """
    try:
        data = ITEMS.get(tx, number) or b""
        record = decode_inbox_item(data)
    except RecordCorrupted:
        return
    if not isinstance(record, InboxMessage):
        return
    erased = encode_inbox_item(
        replace(record, content_kind=0, content_body=b"", digest=b"", expired=True),
        decode_inbox_hold(data),
    )
    ITEMS.replace(tx, number, erased)
    if (number, hash(data)) in context.new_items:
        context.new_items.remove((number, hash(data)))
        context.new_items.add((number, hash(erased)))


def confirm_in_inbox(context: Context, tx: Transaction, receipts: Iterable[Receipt]) -> None:
    """Forget items, because the app has them.

    Raises:
        InvalidArgument: one was never in this inbox. Roll the transaction back.
    """
    for receipt in receipts:
        if receipt.inbox != context.inbox_id or not ITEMS.was_given(tx, receipt.number):
            raise InvalidArgument(NOT_OF_THIS_INBOX)
        ITEMS.remove(tx, receipt.number)


def leave_receipts_behind(context: Context, tx: Transaction) -> None:
    """Let no receipt of an item that was lost with a part of the store close another item."""
    skip_numbers(tx, context.entropy)


def is_typing(item: object) -> bool:
    """Whether it was handed over although it is not in the inbox."""
    return isinstance(item, Notice) and item.kind is NoticeKind.TYPING


def receipt_of(item: object) -> Receipt:
    """Return the receipt of what was handed over.

    Raises:
        InvalidArgument: it is something else.
    """
    receipt = item.receipt if isinstance(item, InboxItem) else None
    if not isinstance(receipt, Receipt):
        raise InvalidArgument("items must be what Client.receive returned")
    return receipt


def _put(context: Context, tx: Transaction, record: InboxRecord, hold: InboxHold = NOT_HELD) -> int:
    data = encode_inbox_item(record, hold)
    number = ITEMS.append(tx, data)
    if not context.store.stripes:  # there the row itself says who has it
        # If this is rolled back, the number goes to another item, perhaps of another process.
        context.new_items.add((number, hash(data)))
    return number


def read_item(context: Context, data: bytes, receipt: Receipt, *, redelivered: bool) -> InboxItem:
    """Return an item of the inbox by its record, as the app gets it.

    Raises:
        RecordCorrupted: it is damaged.
    """
    record = decode_inbox_item(data)
    if isinstance(record, InboxMessage):
        return message_from_record(context, record, receipt, redelivered=redelivered)
    if isinstance(record, InboxNotice):
        return replace(notice_from_record(record, receipt), redelivered=redelivered)
    return FailedMessage(
        sender=record.sender,
        message_id=record.message_id or None,
        error=_decode_error(record),
        redelivered=redelivered,
        retrying=record.retrying,
        receipt=receipt,
        group=record.group,
    )


def _decode_error(record: InboxFailure) -> RemoteError:
    if record.identity_key:
        return IdentityChangedError(record.text, record.sender, record.identity_key)
    return remote_error_from_code(record.code, record.text)
