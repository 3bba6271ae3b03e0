# SPDX-License-Identifier: Apache-2.0
"""Sending through a back end: from a content to an envelope that the back end has.

Rules:
- Encrypt and keep in the outbox in one commit, deposit, forget.
- What is sent is also kept for a time, in case the recipient cannot read it.
- A message that is sent again goes under another message id and holds the first one inside: the
  back end cannot tell it from a new one.
"""

from e2ecross.address import Address
from e2ecross.client.link import (
    NO_NEWS,
    BundleNews,
    Link,
    ensure_session,
    repair_sessions,
)
from e2ecross.device.sending import encrypt_content
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    LocalError,
    MailboxFull,
    RecordCorrupted,
    RemoteError,
    UnknownRecipient,
)
from e2ecross.state.epoch import read_epoch, witnessed_transaction
from e2ecross.state.outbox import (
    Waiting,
    find_in_outbox,
    list_outbox,
    put_into_outbox,
    remove_from_outbox,
    replace_in_outbox,
)
from e2ecross.state.sent import KeptMessage, find_kept, forget_kept, keep_other_id, keep_sent
from e2ecross.state.trust import RemoteIdentity, find_identity, note_asked
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import Content, Resent, RetryRequest
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = ["flush_outbox", "prepare_message"]

_FINAL = (UnknownRecipient, BackendRefused, RemoteError)
"""What the back end says and will say again."""


def prepare_message(
    link: Link, address: Address, content: Content, message_id: bytes
) -> tuple[bytes | None, BundleNews]:
    """Encrypt a message and put it into the outbox, unless it is or has been there.

    Args:
        link: to the back end.
        address: the recipient.
        content: what the user sends.
        message_id: 16 bytes.

    Returns:
        Its row in the outbox, None when it was sent before; and what the bundle has brought that
        it took.

    Raises:
        E2ECrossError: as `ensure_session` and `Device.encrypt`.
    """
    context = link.context
    with context.store.transaction() as tx:
        row = find_in_outbox(tx, address, message_id)
        kept = find_kept(tx, context.policy, address, message_id, context.clock())
    if row is not None or kept is not None:
        return row, NO_NEWS
    try:
        return _encrypt_message(link, address, content, message_id)
    except RecordCorrupted:
        if not repair_sessions(context, address):
            raise
    return _encrypt_message(link, address, content, message_id)


def flush_outbox(link: Link, wanted: bytes | None = None) -> None:
    """Deposit what waits in the outbox; only what becomes of the wanted row is reported.

    Raises:
        UnknownRecipient: the back end does not know the wanted row's recipient.
        MailboxFull: the wanted row's recipient has no room; it was taken back.
        BackendRefused: the back end refuses the wanted row.
        BackendError: the back end cannot be reached; everything else stays.
    """
    store = link.context.store
    with witnessed_transaction(link.context) as tx:  # nothing leaves before the witness knows
        listed, epoch = list_outbox(tx), read_epoch(tx)
    renewed: set[Address] = set()
    for waiting in listed:
        envelope = waiting.envelope
        if envelope is None:
            envelope = _encrypt_waiting(link, waiting, renewed)
            if envelope is None:
                continue
            with store.transaction() as tx:
                epoch = read_epoch(tx)
        final: BackendError | RemoteError | None = None
        try:
            link.backend.deposit(link.token, envelope.encode(), epoch=epoch)
        except _FINAL as error:
            final = error
        except MailboxFull as error:
            if waiting.row != wanted and not waiting.can_be_dropped:
                continue  # it was promised to be sent, and will be when there is room
            final = error
        with store.transaction() as tx:
            remove_from_outbox(tx, waiting.row)
            if final is not None:
                _forget(link, tx, envelope)
        if final is not None and waiting.row == wanted:
            raise final


def _encrypt_message(
    link: Link, address: Address, content: Content, message_id: bytes
) -> tuple[bytes, BundleNews]:
    context = link.context
    news = ensure_session(link, address, fresh=False)
    with witnessed_transaction(context) as tx:
        now_ms = context.clock()
        envelope = encrypt_content(context, tx, address, content, message_id, now_ms)
        keep_sent(tx, context.policy, address, message_id, content, now_ms)
        return put_into_outbox(tx, envelope), news


def _encrypt_waiting(link: Link, waiting: Waiting, renewed: set[Address]) -> Envelope | None:
    """Encrypt what waits for it, or give it up; what the back end cannot do now is tried again.

    With the first of each recipient that needs it a new session is started; the others use that.
    """
    context, address = link.context, waiting.recipient
    with context.store.transaction() as tx:
        before = find_identity(tx, address)
    for attempt in range(2):
        try:
            fresh = waiting.fresh_session and address not in renewed
            ensure_session(link, address, fresh=fresh)
            if fresh:
                renewed.add(address)
            return _encrypt_now(link, waiting, before)
        except RecordCorrupted:
            if attempt or not repair_sessions(context, address):
                raise
        except (*_FINAL, LocalError):
            break
    with context.store.transaction() as tx:
        remove_from_outbox(tx, waiting.row)
    return None


def _encrypt_now(link: Link, waiting: Waiting, before: RemoteIdentity | None) -> Envelope | None:
    context, address = link.context, waiting.recipient
    with witnessed_transaction(context) as tx:
        now_ms = context.clock()
        waits = {other.row: other for other in list_outbox(tx)}.get(waiting.row)
        if waits is None or waits.envelope is not None:  # another thread was faster
            return None if waits is None else waits.envelope
        if waiting.request is not None:
            message_id = waiting.message_id
            content: RetryRequest | Resent = waiting.request
            envelope = encrypt_content(context, tx, address, content, message_id, now_ms)
            keep_sent(tx, context.policy, address, message_id, waiting.request, now_ms)
            if before is None or before.asked_at_ms:
                note_asked(tx, address, now_ms)
        else:
            kept = find_kept(tx, context.policy, address, waiting.message_id, now_ms)
            if kept is None or not may_be_sent_again(tx, kept):
                remove_from_outbox(tx, waiting.row)
                return None
            message_id = context.entropy.bytes(MESSAGE_ID_BYTES)
            content = Resent(kept.message_id, kept.sent_at_ms, kept.content)
            envelope = encrypt_content(context, tx, address, content, message_id, now_ms)
            keep_other_id(tx, context.policy, kept, message_id, now_ms)
        replace_in_outbox(tx, waiting, envelope)
        return envelope


def may_be_sent_again(tx: Transaction, kept: KeptMessage) -> bool:
    """Tell whether the recipient is still who the message was for, or trusted by the user.

    Else a back end that brings up a key of its own could ask for what was sent to another.
    """
    identity = find_identity(tx, kept.recipient)
    if identity is None or identity.pending_key is not None:
        return False
    return identity.identity_key == kept.identity_key or not identity.by_policy


def _forget(link: Link, tx: Transaction, envelope: Envelope) -> None:
    context = link.context
    forget_kept(tx, context.policy, envelope.recipient, envelope.message_id, context.clock())
