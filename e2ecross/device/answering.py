# SPDX-License-Identifier: Apache-2.0
"""Broken sessions heal: asking for a message that could not be read, and sending one again.

Rules:
- A request is content in an encrypted payload: the back end cannot tell it from a message, and
  nobody can forge it. It goes in a new session, because either end may have lost the old one.
- A message is looked up by who asks, authenticated, and its id; never by the id alone. It goes
  again only to the identity that it was for, or to one that the user has accepted since.
- The session that a request came in is sent with from then on: the peer has said that it cannot
  read the other one.
- Everything is counted (`state/retry_budget.py`), and a message that was received is not asked for.
  What is asked for and will not be sent is told the app.
"""

from e2ecross.address import Address
from e2ecross.device.receiving import DecodedMessage, Received
from e2ecross.device.settling import hold, report
from e2ecross.device.waiting import may_be_sent_again
from e2ecross.errors import (
    IdentityChangedError,
    RemoteError,
    UnlistedDevice,
    UnsupportedVersion,
)
from e2ecross.state.context import Context
from e2ecross.state.delivered import was_delivered
from e2ecross.state.outbox import Backlog, BacklogName, put_control, put_resend, read_backlog
from e2ecross.state.retry_budget import Request, spend_answer, spend_request
from e2ecross.state.sent import MAX_RESENDS, count_resend, find_kept, first_id
from e2ecross.state.session_store import send_with_session
from e2ecross.state.trust import find_identity, require_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import GroupRetryRequest, RetryRequest
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.limits import MESSAGE_ID_BYTES
from e2ecross.wire.signal_message import PreKeySignalMessage

__all__ = ["answer_request", "ask_for", "request_again"]

_NOT_HEALED = (IdentityChangedError, UnlistedDevice, UnsupportedVersion)
"""The same message would fail for the same reason."""


def request_again(
    context: Context,
    tx: Transaction,
    envelope: Envelope,
    message: DecodedMessage | None,
    error: RemoteError,
) -> bool:
    """Put a request for a message that could not be read into the outbox, if there is sense in it.

    Args:
        context: of the device.
        tx: the transaction that keeps the failure.
        envelope: as it arrived; what it says is not authenticated.
        message: the Signal message in it, if that could be decoded.
        error: why it could not be read.

    Returns:
        Whether the sender will be asked, and is somebody of whom something was read before: then
        the message may still come. While the user has to decide about the sender's identity key,
        the request waits for that.
    """
    sender, now_ms = envelope.sender, context.clock()
    if envelope.recipient != context.address or sender == context.address:
        return False
    if isinstance(error, _NOT_HEALED):
        return False
    if was_delivered(tx, context.policy, sender, envelope.message_id, now_ms):
        return False
    inner = message.message if isinstance(message, PreKeySignalMessage) else message
    request = RetryRequest(
        message_id=envelope.message_id,
        ratchet_key=None if inner is None else inner.ratchet_key,
        counter=0 if inner is None else inner.counter,
        reason=error.code,
    )
    return ask_for(context, tx, sender, request)


def ask_for(
    context: Context, tx: Transaction, sender: Address, request: RetryRequest | GroupRetryRequest
) -> bool:
    """Put a request for a message into the outbox, if it may be made.

    That for a message into a group goes in the session that there is, if its other end was heard
    of: it is a sender key that is missing.

    Args:
        context: of the device.
        tx: the transaction that keeps the failure.
        sender: of the message.
        request: which message, and why.

    Returns:
        See `request_again`.
    """
    identity = find_identity(tx, sender)
    in_group = isinstance(request, GroupRetryRequest)
    names = (sender, request.message_id, context.clock())
    allowed = spend_request(context, tx, *names, in_group=in_group)
    if allowed is Request.REFUSED:
        return False
    is_heard_of = identity is not None and not identity.asked_at_ms
    put_control(
        tx,
        sender,
        context.entropy.bytes(MESSAGE_ID_BYTES),
        request,
        fresh_session=allowed is Request.IN_NEW_SESSION and not (is_heard_of and in_group),
    )
    if identity is not None and identity.pending_key is not None:
        hold(context, tx, Backlog(BacklogName.REQUESTS, sender), identity.pending_key)
        return False
    return is_heard_of


def answer_request(
    context: Context, tx: Transaction, received: Received, request: RetryRequest
) -> None:
    """Do what an authentic request asks for, in the transaction that received it.

    While the user has to decide about the requester's identity key, the answer waits for that.
    """
    requester, now_ms = received.payload.sender, context.clock()
    identity = require_identity(tx, requester)
    pending = identity.pending_key
    if received.identity_key not in (identity.identity_key, pending):
        return  # a late message of an identity that is not the accepted one any more
    if received.is_under_other_key and requester.device != PRIMARY:
        return  # nothing was sent to it: another account key vouches for it, not the accepted one
    if pending is None:
        send_with_session(tx, requester, received.base_key, identity.identity_key)
    kept = find_kept(tx, context.policy, requester, request.message_id, now_ms)
    if kept is None:  # or it is none of what users sent: that is told nobody
        message_id = first_id(tx, context.policy, requester, request.message_id, now_ms)
        report(context, tx, requester, message_id, request.reason, has_left=True)
    elif (
        (pending is None and not may_be_sent_again(tx, kept))
        or kept.resends >= MAX_RESENDS
        or not spend_answer(context, tx, requester, now_ms)
    ):
        report(context, tx, requester, kept.copy_id, request.reason, has_left=True)
    else:
        count_resend(tx, context.policy, kept, now_ms)
        put_resend(tx, requester, kept.copy_id)
        backlog = Backlog(BacklogName.REQUESTS, requester)
        record = read_backlog(tx, backlog)
        untrusted = pending or (record.untrusted_key if record is not None else b"")
        if untrusted:
            hold(context, tx, backlog, untrusted, added=kept.copy_id)
