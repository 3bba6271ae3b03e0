# SPDX-License-Identifier: Apache-2.0
"""The inbox: messages that were decrypted and that the app has not confirmed yet.

Rules:
- A message is put here in the commit that used up its key: a crash loses nothing.
- It leaves when the app confirms it. What is found here by a new `Client` may have been handed
  over before a crash, and is flagged.
- Until the back end is known to have heard of its arrival, its number stays: what the back end
  hands out again is told by it.
"""

from collections.abc import Container

from e2ecross.errors import (
    IdentityChangedError,
    InvalidArgument,
    RecordCorrupted,
    RemoteError,
    remote_error_from_code,
)
from e2ecross.state.message import FailedMessage, Message
from e2ecross.state.outbox import take_number
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.content import Resent, RetryRequest, decode_content, encode_content
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.queue_records import InboxRecord

__all__ = [
    "InboxItem",
    "confirm_in_inbox",
    "list_inbox",
    "list_known_numbers",
    "put_failure",
    "put_message",
    "put_nothing",
    "receipt_of",
    "remove_confirmed_numbers",
]

_NUMBER_BYTES = 8

InboxItem = Message | FailedMessage


def put_message(tx: Transaction, backend_number: int, message: Message) -> int:
    """Keep a decrypted message until it is confirmed; returns its receipt."""
    kind, body = encode_content(message.content)
    record = InboxRecord(
        sender=message.sender,
        message_id=message.message_id,
        backend_number=backend_number,
        sent_at_ms=message.sent_at_ms,
        content_kind=kind,
        content_body=body,
        identity_changed=message.identity_changed,
        version_downgraded=message.version_downgraded,
    )
    return _put(tx, record)


def put_nothing(tx: Transaction, backend_number: int) -> None:
    """Note that something arrived which the app does not see, until the back end has forgotten."""
    _put(tx, InboxRecord(None, b"", backend_number, confirmed=True))


def put_failure(
    tx: Transaction,
    backend_number: int,
    envelope: Envelope | None,
    error: RemoteError,
    *,
    retrying: bool,
) -> int:
    """Keep the fact that a message could not be read until it is confirmed; returns its receipt."""
    record = InboxRecord(
        sender=None if envelope is None else envelope.sender,
        message_id=b"" if envelope is None else envelope.message_id,
        backend_number=backend_number,
        error_code=error.code,
        error_text=str(error),
        error_identity_key=error.identity_key if isinstance(error, IdentityChangedError) else b"",
        retrying=retrying,
    )
    return _put(tx, record)


def list_inbox(tx: Transaction) -> list[tuple[int, InboxItem]]:
    """Return back-end number and item of all that is not confirmed, in the order of arrival."""
    return [
        (record.backend_number, _decode(receipt, record))
        for receipt, record in _records(tx)
        if not record.confirmed
    ]


def list_known_numbers(tx: Transaction) -> set[int]:
    """Return the back-end numbers of all that has arrived and may be handed out again."""
    return {record.backend_number for _, record in _records(tx)}


def confirm_in_inbox(tx: Transaction, receipt: int, acknowledged: Container[int]) -> None:
    """Forget an item, because the app has it; keep its number if that is not acknowledged."""
    row = receipt.to_bytes(_NUMBER_BYTES)
    data = tx.get(Table.INBOX, b"", row)
    if data is None:
        return
    number = InboxRecord.decode(data).backend_number
    if number in acknowledged:
        tx.delete(Table.INBOX, b"", row)
    else:
        record = InboxRecord(sender=None, message_id=b"", backend_number=number, confirmed=True)
        tx.put(Table.INBOX, b"", row, record.encode())


def remove_confirmed_numbers(tx: Transaction, acknowledged: Container[int]) -> None:
    """Forget confirmed items whose numbers the back end will not hand out again."""
    for receipt, record in _records(tx):
        if record.confirmed and record.backend_number in acknowledged:
            tx.delete(Table.INBOX, b"", receipt.to_bytes(_NUMBER_BYTES))


def receipt_of(item: object) -> int:
    """Return the receipt of what was handed over.

    Raises:
        InvalidArgument: it is something else.
    """
    receipt = item.receipt if isinstance(item, Message | FailedMessage) else None
    if type(receipt) is not int or not 0 < receipt < 2**64:
        raise InvalidArgument("items must be what Client.receive returned")
    return receipt


def _records(tx: Transaction) -> list[tuple[int, InboxRecord]]:
    return [(int.from_bytes(row), InboxRecord.decode(data)) for row, data in tx.list(Table.INBOX)]


def _put(tx: Transaction, record: InboxRecord) -> int:
    row = take_number(tx)
    tx.put(Table.INBOX, b"", row, record.encode())
    return int.from_bytes(row)


def _decode(receipt: int, record: InboxRecord) -> InboxItem:
    if record.error_code:
        return FailedMessage(
            sender=record.sender,
            message_id=record.message_id or None,
            error=_decode_error(record),
            retrying=record.retrying,
            receipt=receipt,
        )
    if record.sender is None:
        raise RecordCorrupted("an inbox record lacks its sender: the store is damaged")
    try:
        content = decode_content(record.content_kind, record.content_body)
    except RemoteError as error:
        raise RecordCorrupted("an inbox record holds no content: the store is damaged") from error
    if isinstance(content, RetryRequest | Resent):
        raise RecordCorrupted("an inbox record holds what no app sees: the store is damaged")
    return Message(
        sender=record.sender,
        message_id=record.message_id,
        sent_at_ms=record.sent_at_ms,
        content=content,
        identity_changed=record.identity_changed,
        version_downgraded=record.version_downgraded,
        receipt=receipt,
    )


def _decode_error(record: InboxRecord) -> RemoteError:
    if record.error_identity_key:
        return IdentityChangedError(record.error_text, record.sender, record.error_identity_key)
    return remote_error_from_code(record.error_code, record.error_text)
