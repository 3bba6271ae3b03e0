# SPDX-License-Identifier: Apache-2.0
"""What a device knows of files: those that it brings to where files are kept, and whose they are.

Rules:
- A file may be sent once all of it is there.
- Nothing is fetched for somebody who was not accepted.

Source: attachments.md 7.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from e2ecross.address import UserId
from e2ecross.arguments import forgets_secrets
from e2ecross.device.composing import Composed
from e2ecross.errors import InvalidArgument
from e2ecross.protocol.attachment import encrypt_stream
from e2ecross.protocol.attachment_chunks import Sink, Source
from e2ecross.state.blob_ends import (
    Carried,
    forget_end,
    is_to_be_noted,
    list_over,
    may_be_opened,
    note_carried,
    note_opened,
)
from e2ecross.state.context import Context
from e2ecross.state.conversations import ContactState, find_conversation
from e2ecross.state.transactions import (
    own_view,
    peer_transaction,
    reading_transaction,
    stripe_transaction,
)
from e2ecross.state.uploads import find_upload, forget_upload, put_upload, walk_uploads
from e2ecross.stores.base import Transaction
from e2ecross.wire.attachment import Attachment, ShownAs
from e2ecross.wire.content import AnyContent, Expiry, Framed, Media
from e2ecross.wire.upload_records import UploadRecord

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = [
    "TidiedUploads",
    "add_upload",
    "encrypt_file",
    "forget_blobs",
    "forget_old_uploads",
    "forget_upload_of",
    "is_complete",
    "list_over_blobs",
    "list_uploads",
    "new_spool_name",
    "note_complete",
    "note_media_ahead",
    "note_media_opened",
    "note_media_sent",
    "require_accepted_sender",
    "spool_prefix",
]

_Messages = Iterable[tuple[UserId, bytes]]

_ID_BYTES: Final = 8
_RANDOM_BYTES: Final = 16
_MAX_AGE_MS: Final = 7 * 24 * 60 * 60 * 1000
"""What is not there by then is given up; what is, was sent, or is not going to be."""


def spool_prefix(context: Context) -> str:
    """What the names of files that hold blobs of this device begin with, and of no others."""
    return f"e2ecross-{context.inbox_id[:_ID_BYTES].hex()}-"


def new_spool_name(context: Context) -> str:
    """Draw the name of a file that will hold a blob."""
    return spool_prefix(context) + context.entropy.bytes(_RANDOM_BYTES).hex()


@forgets_secrets
def encrypt_file(
    context: Context,
    source: Source,
    size: int,
    sink: Sink,
    helper: "Executor",
    shown: ShownAs,
) -> Attachment:
    """Encrypt a file into a spool; see `encrypt_stream`."""
    return encrypt_stream(source, size, sink, context.entropy, helper, **shown)


def add_upload(context: Context, attachment: Attachment, name: str) -> UploadRecord:
    """Keep what is known of a file, of which the blob is on disk in a spool of that name."""
    record = UploadRecord(attachment, name, context.clock())
    with stripe_transaction(context) as tx:
        put_upload(tx, record)
    return record


def list_uploads(context: Context) -> list[UploadRecord]:
    """Return all files that are known, the oldest first."""
    with stripe_transaction(context) as tx:
        found = list(walk_uploads(tx))
    return sorted(found, key=lambda record: record.created_at_ms)


def is_complete(context: Context, blob_id: bytes) -> bool:
    """Tell whether all of a blob (32 bytes of id) is where files are kept.

    Raises:
        InvalidArgument: its upload was cancelled, or given up.
    """
    with stripe_transaction(context) as tx:
        return _require_upload(tx, blob_id).complete


def note_complete(context: Context, blob_id: bytes) -> None:
    """Note that all of a blob (32 bytes of id) is where files are kept.

    Raises:
        InvalidArgument: its upload was cancelled, or given up, meanwhile.
    """
    with stripe_transaction(context) as tx:
        put_upload(tx, replace(_require_upload(tx, blob_id), complete=True))


def _require_upload(tx: Transaction, blob_id: bytes) -> UploadRecord:
    record = find_upload(tx, blob_id)
    if record is None:
        raise InvalidArgument("this upload was cancelled, or given up: upload the file again")
    return record


def forget_upload_of(context: Context, blob_id: bytes) -> None:
    """Forget a file by the id of its blob, 32 bytes."""
    with stripe_transaction(context) as tx:
        forget_upload(tx, blob_id)


class TidiedUploads(NamedTuple):
    """What is to become of the spool folder.

    Attributes:
        unneeded: names of files of which the blob is where files are kept, or was given up.
        needed: names of files that are still to be sent.
        oldest_ms: what is not among them was left if it was written before that, since 1970.
    """

    unneeded: Sequence[str]
    needed: Collection[str]
    oldest_ms: int


def forget_old_uploads(context: Context) -> TidiedUploads:
    """Forget files that are older than a week."""
    oldest_ms = context.clock() - _MAX_AGE_MS
    with reading_transaction(context) as tx:
        found = list(walk_uploads(tx))
    old = [each.attachment.blob_id for each in found if each.created_at_ms < oldest_ms]
    if old:  # mostly there are none, and others go on
        with stripe_transaction(context) as tx:
            for blob_id in old:
                forget_upload(tx, blob_id)
    needed = {each.spool for each in found if not each.complete and each.created_at_ms >= oldest_ms}
    unneeded = [each.spool for each in found if each.spool not in needed]
    return TidiedUploads(unneeded, needed, oldest_ms)


def list_over_blobs(context: Context) -> list[bytes]:
    """Return ids (32 bytes) of blobs whose last message is over."""
    with reading_transaction(context) as tx:
        return list_over(tx, context.clock())


def forget_blobs(context: Context, blob_ids: Iterable[bytes]) -> None:
    """Forget blobs (32 bytes of id) that were deleted where files are kept, and their uploads."""
    with stripe_transaction(context) as tx:
        for blob_id in blob_ids:
            forget_end(tx, blob_id)
            forget_upload(tx, blob_id)


def require_accepted_sender(context: Context, attachment: Attachment) -> None:
    """Refuse what came from somebody who was not accepted, then or by now.

    Raises:
        InvalidArgument: accept them first.
    """
    sender = attachment.requested_by
    if sender is None:
        return
    with peer_transaction(context, sender) as tx:
        state = find_conversation(tx, sender).state
    if state != ContactState.ACCEPTED:
        raise InvalidArgument(
            f"attachment is of {sender}, who was not accepted: nothing is fetched for them before "
            f"Client.accept"
        )


def note_media_ahead(
    context: Context,
    content: AnyContent,
    expiry: Expiry | None,
    view_once: bool,
    messages: _Messages,
) -> None:
    """Note what messages will carry that are about to be encrypted; in a store with stripes.

    What is known of files is of stripe 0, and no recipient is. Of a message that is not sent then a
    blob is left for longer than it need be, or for as long as they are kept there.

    Args:
        context: of the device.
        content: of the messages.
        expiry: when they are to be gone, or None.
        view_once: they are to be looked at once.
        messages: the account that each is for, and its id, 16 bytes.
    """
    if not context.store.stripes or not isinstance(content, Media):
        return
    blob_id, now_ms = content.attachment.blob_id, context.clock()
    with reading_transaction(context) as tx:
        if not is_to_be_noted(tx, blob_id):
            return
    end_ms = None if expiry is None else now_ms + 1000 * expiry.seconds
    with stripe_transaction(context) as tx:
        for user, message_id in messages:
            if not may_be_opened(tx, user, message_id, now_ms):
                carried = Carried(user, message_id, now_ms, end_ms, view_once)
                note_carried(tx, blob_id, carried, now_ms)


def note_media_opened(context: Context) -> None:
    """Note what others have looked at, of whom this process has heard; in a store with stripes.

    What is lost before that goes with its time.
    """
    heard, now_ms = list(context.live.opened), context.clock()
    for each in heard:
        context.live.opened.pop(each, None)
    if not heard:
        return
    with reading_transaction(context) as tx:
        opened = [each for each in heard if may_be_opened(tx, *each, now_ms)]
    if opened:
        with stripe_transaction(context) as tx:
            for user, message_id in opened:
                note_opened(tx, user, (message_id,), now_ms)


def note_media_sent(
    context: Context, tx: Transaction, user: UserId, composed: Composed | None, message_id: bytes
) -> None:
    """Note what a message that has just been encrypted carries; see also `note_media_ahead`.

    Args:
        context: of the device.
        tx: the transaction that has encrypted it.
        user: the account that it is for; of a message into a group the own one.
        composed: the message.
        message_id: 16 bytes.

    Raises:
        InvalidArgument: the file is not where files are kept yet.
    """
    framed = None if composed is None else composed.content
    if composed is None or not isinstance(framed, Framed) or not isinstance(framed.content, Media):
        return
    blob_id, end_ms = framed.content.attachment.blob_id, None
    upload = find_upload(own_view(context, tx), blob_id)
    if upload is not None and not upload.complete:
        raise InvalidArgument("the file of the message is not uploaded yet: call Upload.run first")
    if tx.stripe_count():
        return  # it was noted before
    if framed.expiry is not None:
        end_ms = composed.sent_at_ms + 1000 * framed.expiry.seconds
    carried = Carried(user, message_id, composed.sent_at_ms, end_ms, framed.view_once)
    note_carried(tx, blob_id, carried, context.clock())
