# SPDX-License-Identifier: Apache-2.0
"""Single records as `health.py` reads them: decoded as far as they can be alone.

Rules:
- Each takes (partition, row, record) of its table, and returns what is counted.
- What does not decode is `RecordCorrupted`, what a later release wrote is `StoreTooNew`.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from e2ecross.crypto.kem import decode_kem_ciphertext
from e2ecross.device.prekey_upkeep import decode_stored_publication
from e2ecross.errors import InvalidKey, RecordCorrupted, RemoteError
from e2ecross.state.accounts import OWN_ACCOUNT_ROW, user_from_key
from e2ecross.state.blob_ends import BLOB_ENDS, OPENABLE, read_end
from e2ecross.state.changes import CHANGES_ROW
from e2ecross.state.context import address_from_key
from e2ecross.state.group_keys import GROUP_KEYS, group_key_from_bytes
from e2ecross.state.group_outbox import GROUP_OUTBOX, group_waiting_from_record
from e2ecross.state.in_flight import IN_FLIGHT
from e2ecross.state.inbox import ARRIVED
from e2ecross.state.inbox_erasure import EXPIRES, ONCE
from e2ecross.state.outbox import TURNS
from e2ecross.state.prekey_store import FULL_ROW, LAST_RESORT, SEEN_MARK
from e2ecross.state.publication import PUBLICATION_ROW
from e2ecross.state.queue import NUMBER_BYTES
from e2ecross.state.receipts import DUE, NO_TIME, read_receipt
from e2ecross.state.retry_budget import BUDGET
from e2ecross.state.sender_keys import own_sender_key_from_bytes
from e2ecross.state.sent import ENDS
from e2ecross.state.sent_ids import OWN_COPIES, SENT_IDS
from e2ecross.state.trust import TrustState, find_identity
from e2ecross.state.upkeep import UPKEEP_ROW
from e2ecross.state.uploads import read_upload
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.consent_records import ConsentRecord
from e2ecross.wire.content import Frame, decode_content
from e2ecross.wire.conversation_records import ConversationRecord
from e2ecross.wire.envelope import Envelope, EnvelopeCopies
from e2ecross.wire.group_records import decode_changes
from e2ecross.wire.inbox_records import InboxMessage, decode_arrival, decode_inbox_item
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.queue_records import (
    BacklogRecord,
    OutboxRecord,
    TurnRecord,
    decode_row,
)
from e2ecross.wire.records import (
    DeviceRecord,
    KyberPrekeyRecord,
    SignedPrekeyRecord,
    UpkeepRecord,
    decode_one_time_prekey,
    decode_publication,
)
from e2ecross.wire.session_records import SessionListRecord, StoredSession, decode_skipped_keys
from e2ecross.wire.shelf_records import (
    RetryBudgetRecord,
    SentIdRecord,
    SentRecord,
    decode_retry,
    decode_shelf,
)
from e2ecross.wire.spqr_records import StoredSpqrMaterial, decode_chunks
from e2ecross.wire.stripe_record import StripeRecord
from e2ecross.wire.upload_records import decode_openable

__all__ = [
    "CONTACT_CHECKS",
    "Unconfirmed",
    "check_delivered",
    "check_one_time_prekey",
    "check_own_sender_key",
    "check_retries",
    "check_session",
    "check_spqr",
    "count_skipped_keys",
    "read_device",
    "read_inbox",
    "read_kyber_prekey",
    "read_outbox",
    "read_seen_base_key",
    "read_sent",
    "read_session_list",
    "read_signed_prekey",
    "read_stripe_record",
    "read_trust",
    "read_waiting_upload",
]


class Unconfirmed(NamedTuple):
    """An item that the app has not confirmed.

    Attributes:
        sent_at_ms: by the clock of its sender, milliseconds since 1970; None when it has none.
    """

    sent_at_ms: int | None


def _check_kem_ciphertext(data: bytes) -> None:
    try:
        decode_kem_ciphertext(data)
    except InvalidKey as error:
        raise RecordCorrupted("what was encapsulated for a session is something else") from error


_SPQR_ROWS: Final[Mapping[bytes, Callable[[bytes], object]]] = {
    b"material": StoredSpqrMaterial.decode,
    b"chunks": decode_chunks,
    b"keys": decode_skipped_keys,
    b"kyber": _check_kem_ciphertext,
}


def read_device(
    _: bytes, row: bytes, record: bytes
) -> DeviceRecord | PublishedKeys | UpkeepRecord | OwnAccountRecord | None:
    """Return what a row about the device holds, decoded; of each kind there is at most one.

    None: a count of changes, which tells nobody anything.
    """
    if row == CHANGES_ROW:
        decode_changes(record)
        return None
    if row == PUBLICATION_ROW:
        return decode_stored_publication(decode_publication(record))
    if row == UPKEEP_ROW:
        return UpkeepRecord.decode(record)
    if row == OWN_ACCOUNT_ROW:
        return OwnAccountRecord.decode(record)
    return DeviceRecord.decode(record)


def read_signed_prekey(_: bytes, row: bytes, record: bytes) -> tuple[int, SignedPrekeyRecord]:
    """Return the id of a signed prekey, and the prekey."""
    return int.from_bytes(row), SignedPrekeyRecord.decode(record)


def check_one_time_prekey(_: bytes, __: bytes, record: bytes) -> None:
    """Decode a one-time prekey."""
    decode_one_time_prekey(record)


def check_own_sender_key(place: bytes, _: bytes, record: bytes) -> None:
    """Decode an own sender key; one of a group of ours says where it was made."""
    if place.startswith(GROUP_KEYS):
        group_key_from_bytes(record)
    else:
        own_sender_key_from_bytes(record)


def read_kyber_prekey(
    partition: bytes, row: bytes, record: bytes
) -> tuple[int, KyberPrekeyRecord, bool]:
    """Return the id of a Kyber prekey, the prekey, and whether it is a last-resort one."""
    return int.from_bytes(row), KyberPrekeyRecord.decode(record), partition == LAST_RESORT


def read_seen_base_key(partition: bytes, row: bytes, record: bytes) -> int | None:
    """Compare the mark of a seen base key; returns the id of a signed prekey that is full."""
    if record != SEEN_MARK:
        raise RecordCorrupted("the mark of a seen base key is something else")
    return int.from_bytes(partition) if row == FULL_ROW else None


def read_stripe_record(_: bytes, __: bytes, record: bytes) -> StripeRecord:
    """Return what is counted of a stripe."""
    return StripeRecord.decode(record)


def read_trust(tx: Transaction, place: bytes) -> tuple[TrustState, bool]:
    """Return how far the remote identity in a partition is trusted, and whether that is stale."""
    identity = find_identity(tx, address_from_key(place))
    if identity is None:
        raise RecordCorrupted("a remote identity stands in the wrong row: the store is damaged")
    return identity.trust, identity.stale


def _check_conversation(partition: bytes, _: bytes, record: bytes) -> None:
    """Decode how it stands with an account."""
    user_from_key(partition)
    ConversationRecord.decode(record)


def _check_consent(partition: bytes, _: bytes, record: bytes) -> None:
    """Decode what an account has consented to."""
    user_from_key(partition)
    ConsentRecord.decode(record)


def _check_receipt(partition: bytes, row: bytes, record: bytes) -> None:
    """Decode a receipt that is due or was sent; or the list of what is kept."""
    if not partition:
        decode_shelf(record)
    else:
        read_receipt(row if partition == DUE else NO_TIME + row, record)


CONTACT_CHECKS: Final[Mapping[Table, Callable[[bytes, bytes, bytes], object]]] = {
    Table.CONVERSATIONS: _check_conversation,
    Table.CONSENT: _check_consent,
    Table.RECEIPTS: _check_receipt,
}
"""What stands with accounts: of these nothing is told but that they decode."""


def read_waiting_upload(partition: bytes, row: bytes, record: bytes) -> int | None:
    """Decode what is known of a file: its upload, its end, who may view it once; or a list.

    Returns:
        When an upload that is not complete was begun, milliseconds since 1970; else None.
    """
    if partition == BLOB_ENDS:
        read_end(row, record)
    elif partition:
        decode_openable(record)
    elif row == OPENABLE:
        decode_shelf(record)
    else:
        upload = read_upload(row, record)
        return None if upload.complete else upload.created_at_ms
    return None


def read_session_list(place: bytes, _: bytes, record: bytes) -> bytes:
    """Return the partition of a session list that decodes."""
    SessionListRecord.decode(record)
    return place


def check_session(_: bytes, __: bytes, record: bytes) -> None:
    """Decode a session, without the skipped keys that belong to it."""
    StoredSession.decode(record)


def count_skipped_keys(_: bytes, __: bytes, record: bytes) -> int:
    """Return how many keys a bucket holds."""
    return len(decode_skipped_keys(record))


def check_spqr(_: bytes, row: bytes, record: bytes) -> None:
    """Decode a part of an SPQR ratchet; which one is said by its row."""
    for name, decode in _SPQR_ROWS.items():
        if row.startswith(name):
            decode(record)
            return
    raise RecordCorrupted("a part of an SPQR ratchet stands in the wrong row")


def read_outbox(partition: bytes, row: bytes, record: bytes) -> bytes | None:
    """Return the id of a message that waits, encrypted or not; None for others. All are decoded."""
    if partition == GROUP_OUTBOX:
        if len(row) != NUMBER_BYTES:
            raise RecordCorrupted("an outbox record has no number: the store is damaged")
        waiting = group_waiting_from_record(0, record)
        return waiting.message_id if isinstance(waiting.sent, EnvelopeCopies | None) else None
    if partition.startswith(TURNS) and partition != IN_FLIGHT:
        TurnRecord.decode(record)
        return None
    if not row:
        BacklogRecord.decode(record)
        return None
    if len(row) != NUMBER_BYTES:
        decode_row(record)
        return None
    item = OutboxRecord.decode(record)
    try:
        if item.envelope:
            Envelope.decode(item.envelope)
    except RemoteError as error:
        raise RecordCorrupted("an outbox record holds no envelope: the store is damaged") from error
    return item.message_id


def read_inbox(partition: bytes, row: bytes, record: bytes) -> Unconfirmed | None:
    """Return what the app has not confirmed; None for others. All are decoded."""
    if partition == ARRIVED:
        decode_arrival(record)
        return None
    if partition in (EXPIRES, ONCE):
        decode_row(record)
        return None
    item = decode_inbox_item(record)
    if not isinstance(item, InboxMessage):
        return Unconfirmed(None)
    if not item.expired:
        try:
            if item.digest:
                Frame.decode(item.content_body)
            else:
                decode_content(item.content_kind, item.content_body)
        except RemoteError as error:
            raise RecordCorrupted("an inbox record holds no content") from error
    return Unconfirmed(item.sent_at_ms)


def read_sent(partition: bytes, row: bytes, record: bytes) -> tuple[bytes, int] | None:
    """Return the id of a content that is kept, and when it was sent; None for others, decoded."""
    if not partition:
        decode_shelf(record)
        return None
    if partition.startswith(SENT_IDS):
        if row.startswith(OWN_COPIES):
            address_from_key(record)
        else:
            SentIdRecord.decode(record)
        return None
    if partition == ENDS:
        if record != SEEN_MARK:
            raise RecordCorrupted("the end of a sent message holds something else")
        return None
    item = SentRecord.decode(record)
    try:
        if item.content_kind:
            decode_content(item.content_kind, item.content_body)
    except RemoteError as error:
        raise RecordCorrupted("a record of a sent message holds no content") from error
    # A copy's own row has no time: that of the content has.
    return (row[-MESSAGE_ID_BYTES:], item.sent_at_ms) if item.sent_at_ms else None


def check_delivered(partition: bytes, _: bytes, record: bytes) -> None:
    """Check the mark of a received message; or the list of what is kept."""
    if not partition:
        decode_shelf(record)
    elif record != SEEN_MARK:
        raise RecordCorrupted("the mark of a received message is something else")


def check_retries(partition: bytes, _: bytes, record: bytes) -> None:
    """Decode what is noted of messages that were asked for again."""
    if not partition:
        decode_shelf(record)
    elif partition == BUDGET:
        RetryBudgetRecord.decode(record)
    else:
        decode_retry(record)
