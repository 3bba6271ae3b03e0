# SPDX-License-Identifier: Apache-2.0
"""What one envelope leaves in the store: in the inbox, and of all that it says beside its content.

Rules:
- It is kept in the commit that has used up its message key, with the number of the envelope.
- A message is shown once, however often and in whatever envelope it comes.
- What names another account than that of the sender is in that account's stripe. Only messages of
  other own devices do, and for those a transaction has the whole store.
"""

from e2ecross.device.answering import request_again
from e2ecross.device.arriving import AnyMessage
from e2ecross.device.consenting import take_consent
from e2ecross.device.controls import take_control
from e2ecross.device.conversations import Admitted, admit, is_heard, note_sent_to
from e2ecross.device.group_collecting import take_in_group
from e2ecross.device.group_retrying import request_group_message
from e2ecross.device.hints import note_hints
from e2ecross.device.receipts import note_arrived, note_sent_elsewhere
from e2ecross.device.receiving import Received, decrypt_envelope, message_from
from e2ecross.device.self_sync import note_seen
from e2ecross.errors import IdentityChangedError, RemoteError
from e2ecross.state.context import Context
from e2ecross.state.conversations import is_blocked
from e2ecross.state.delivered import note_delivered, was_delivered
from e2ecross.state.inbox import note_arrival, put_failure, put_message, put_notice
from e2ecross.state.message import ControlMessage, DeviceMessage
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.transactions import peer_view
from e2ecross.state.trust import require_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import Payload, is_of_users
from e2ecross.wire.content import Receipt as ContentReceipt
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.inbox_records import NOT_HELD, InboxHold
from e2ecross.wire.sender_key_message import SenderKeyMessage

__all__ = ["put_unread", "take_in_opened"]


def take_in_opened(
    context: Context,
    tx: Transaction,
    number: int,
    data: bytes,
    envelope: Envelope,
    message: AnyMessage,
    hold: InboxHold = NOT_HELD,
) -> int:
    """Read an envelope that was not taken in before, and keep what it holds.

    Args:
        context: of the device.
        tx: the transaction that takes it in.
        number: of the envelope at the back end.
        data: the envelope, encoded.
        envelope: decoded.
        message: what is in it.
        hold: of the item, in a store with stripes.

    Returns:
        The number of the item, or 0: it gave none.

    Raises:
        RemoteError: it cannot be read. Roll back to before it.
    """
    if isinstance(message, SenderKeyMessage):
        take_in_group(context, tx, envelope, message)
        note_arrival(tx, number, data)
        return 0
    received = decrypt_envelope(context, tx, envelope, message, context.clock())
    item = _keep(context, tx, envelope, received, hold)
    note_arrival(tx, number, data, 0 if hold is NOT_HELD else item)
    return item


def _keep(
    context: Context, tx: Transaction, envelope: Envelope, received: Received, hold: InboxHold
) -> int:
    """Keep what was received in the commit that has used up its message key."""
    message, payload = message_from(received), received.payload
    now_ms, item = context.clock(), 0
    by_policy = _note_policy(context, tx, received)
    is_trusted = not received.identity_changed or by_policy
    admitted: Admitted | None = None
    names = (message.sender, message.message_id, now_ms, payload.peer)
    if not was_delivered(tx, context.policy, *names):
        note_delivered(tx, context.policy, *names)
        if payload.peer is not None:
            note_delivered(tx, context.policy, message.sender, payload.message_id, now_ms)
        if isinstance(message, ControlMessage):
            take_control(context, tx, received, message.content, now_ms)
        elif is_of_users(message.content):
            take_consent(context, tx, message, is_trusted=is_trusted)
            admitted = _admit(context, tx, message, now_ms)
            if admitted is not None:
                item = put_message(context, tx, admitted.message, hold)
    if is_trusted:
        if payload.sender.user_id == context.address.user_id:
            _note_own(context, tx, payload, now_ms)
        account = note_hints(context, tx, payload, now_ms)
        if admitted is not None:
            note_arrived(context, tx, admitted, account, now_ms)
    elif admitted is None and is_heard(context, tx, message.sender.user_id):
        # The app sees no requests and no second copies, but a changed identity is never silent.
        error = IdentityChangedError(
            f"a request or a second copy of a message came from {message.sender} under a new "
            f"identity key: compare the safety number, then accept the key",
            received.trusted,
            received.trusted_key,
        )
        item = put_failure(context, tx, envelope, error, retrying=False, hold=hold)
    return item


def _admit(
    context: Context, tx: Transaction, message: DeviceMessage, now_ms: int
) -> Admitted | None:
    """Return a message as it is kept for the app, if it is to be handed over."""
    admitted = admit(context, tx, message, now_ms)
    if message.own_copy:
        at_peer = peer_view(context, tx, message.peer)
        note_sent_elsewhere(at_peer, message.peer, message.content, now_ms)
    if admitted is not None:
        context.live.typing.pop((message.sender, message.group), None)  # nobody types what is sent
    return admitted


def _note_own(context: Context, tx: Transaction, payload: Payload, now_ms: int) -> None:
    """Note what a message of another own device says beside its content."""
    note_seen(context, tx, payload.sender.device, now_ms)
    if payload.peer is not None and not isinstance(payload.content, ContentReceipt):
        at_peer = peer_view(context, tx, payload.peer)
        note_sent_to(context, at_peer, payload.peer, is_copy=True)


def _note_policy(context: Context, tx: Transaction, received: Received) -> bool:
    """Tell the app what the policy has accepted; returns whether that was an identity key."""
    sender, trusted, key = received.payload.sender, received.trusted, received.trusted_key
    user = sender.user_id
    by_policy = received.identity_changed and require_identity(tx, trusted).identity_key == key
    if by_policy:
        put_notice(context, tx, Notice(NoticeKind.IDENTITY_CHANGED, user, (trusted.device,), key))
    if received.version_downgraded:
        put_notice(context, tx, Notice(NoticeKind.VERSION_DOWNGRADED, user, (sender.device,)))
    return by_policy


def put_unread(
    context: Context,
    tx: Transaction,
    number: int,
    data: bytes,
    envelope: Envelope | None,
    message: AnyMessage | None,
    error: RemoteError,
    hold: InboxHold = NOT_HELD,
) -> int:
    """Keep the failure to read an envelope that was not taken in before; see `keep_failure`.

    Returns:
        The number of the item, or 0: the app hears nothing of this sender.
    """
    item, group, retrying = 0, None, False
    if envelope is None or not is_blocked(tx, envelope.sender.user_id):
        if envelope is None:
            pass
        elif isinstance(message, SenderKeyMessage):
            group, retrying = request_group_message(context, tx, envelope, message, error)
        elif envelope.kind is not MessageKind.SENDER_KEY:  # else it would fail again
            retrying = request_again(context, tx, envelope, message, error)
        item = put_failure(context, tx, envelope, error, retrying=retrying, group=group, hold=hold)
    note_arrival(tx, number, data, 0 if hold is NOT_HELD else item)
    return item
