# SPDX-License-Identifier: Apache-2.0
"""A message in the inbox: what is kept of it, and how an app is shown what is kept.

Rules:
- It is kept as it travelled. An app is shown what was in the frame; or, where that needs what the
  app did not announce, `UnsupportedContent`.
- Its digest is made of what was authenticated, and of the content as it was sent.
"""

from dataclasses import replace
from typing import Final

from e2ecross.address import UserId
from e2ecross.errors import RecordCorrupted, RemoteError
from e2ecross.state.context import Context
from e2ecross.state.message import DeviceMessage, Message
from e2ecross.state.message_refs import ref_of
from e2ecross.state.receipt import Receipt
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import (
    AnyContent,
    Content,
    Expiry,
    Frame,
    Framed,
    Media,
    MessageRef,
    UnsupportedContent,
    decode_content,
    encode_content,
    is_of_users,
)
from e2ecross.wire.group import GroupId
from e2ecross.wire.inbox_records import InboxMessage

__all__ = [
    "addressee_of",
    "end_of",
    "frame_of",
    "is_unsupported",
    "message_from_record",
    "message_to_record",
]

_GRACE_MS: Final = 60 * 60 * 1000
"""Clocks differ."""
_POST_KIND: Final = 3
_NO_KEY: Final = bytes(32)


def addressee_of(own: UserId, message: DeviceMessage) -> UserId | GroupId:
    """Return the group of a message, or the account that it is for: the own one is one end."""
    return message.group or (message.peer if message.sender.user_id == own else own)


def frame_of(content: AnyContent | None) -> Frame | Framed | None:
    """Return what is around a content, whether its kind is known or not; None if nothing is."""
    if isinstance(content, UnsupportedContent):
        return content.frame
    return content if isinstance(content, Framed) else None


def is_unsupported(content: AnyContent, capabilities: frozenset[int]) -> bool:
    """Tell whether a content, as it travelled, is none that an app with those ids is shown."""
    if not isinstance(content, Framed):
        return isinstance(content, UnsupportedContent)
    needed = {Capability.POST, content.content.CAPABILITY}
    if content.expiry is not None:
        needed.add(Capability.EXPIRY)
    if content.view_once:
        needed.add(Capability.VIEW_ONCE)
    return not needed <= capabilities


def end_of(sent_at_ms: int, expiry: Expiry | None, *, own_copy: bool) -> int | None:
    """Return when a message that nobody has read is over, milliseconds since 1970; None: never.

    An hour after its time, counted from when it was sent: a store that holds it back cannot make it
    outlive that. On the author's devices that time counts for all, at the others not for what
    begins with being read.
    """
    if expiry is None or (expiry.from_read and not own_copy):
        return None
    return sent_at_ms + 1000 * expiry.seconds + _GRACE_MS


def message_to_record(message: DeviceMessage) -> InboxMessage:
    """Return what is kept of a message, of which the content is as it travelled."""
    kind, body, digest = 0, b"", b""
    if message.content is not None:
        kind, body = encode_content(message.content)
    elif message.ref is not None:  # viewed once, from another own device: nothing to look at
        kind, digest = _POST_KIND, message.ref.digest
        body = Frame(_NO_KEY, message.expiry, message.view_once, "", b"").encode()
    return InboxMessage(
        *(message.sender, message.message_id, message.sent_at_ms, kind, body),
        *(message.identity_changed, message.version_downgraded),
        # Mostly it is the sender's account, which stands there already.
        None if message.peer == message.sender.user_id else message.peer,
        *(message.own_copy, message.historical),
        *(message.moderator, message.request, message.expired, message.blocked),
        digest=digest,
        group=message.group,
    )


def message_from_record(
    context: Context, record: InboxMessage, receipt: Receipt, *, redelivered: bool
) -> Message:
    """Return a message as an app is shown it.

    Raises:
        RecordCorrupted: it holds no content of a user.
    """
    content = shown = None
    expired = record.expired
    frame: Frame | Framed | None = None
    peer = record.peer or record.sender.user_id
    place = (record.message_id, record.sent_at_ms)
    ref = None
    try:
        if record.digest:  # an own copy that was to be viewed once
            frame = Frame.decode(record.content_body)
            ref = MessageRef(record.sender.user_id, place[0], record.digest, frame.expiry)
        elif not record.expired:
            content = _decode(record)
            frame = frame_of(content)
            own = context.address.user_id
            addressee = record.group or (peer if record.sender.user_id == own else own)
            ref = ref_of(record.sender, addressee, *place, content)
            is_unasked = record.request or record.blocked
            if is_unasked or (record.historical and not record.own_copy):
                content = _of_stranger(content, record.sender.user_id)
            shown = _show(content, context.policy.capabilities)
            if frame is not None and _is_over(context, record, frame):
                content = shown = ref = frame = None  # it has not been erased yet
                expired = True
    except RemoteError as error:
        raise RecordCorrupted("an inbox record holds no content: the store is damaged") from error
    return Message(
        *(record.sender, *place, shown, record.identity_changed),
        *(redelivered, receipt, record.version_downgraded),
        peer=peer,
        own_copy=record.own_copy,
        historical=record.historical,
        ref=ref,
        expiry=None if frame is None else frame.expiry,
        view_once=frame is not None and frame.view_once,
        request=record.request,
        expired=expired,
        blocked=record.blocked,
        moderator=record.moderator,
        group=record.group,
        framed=content if isinstance(content, Framed) and shown is content.content else None,
    )


def _is_over(context: Context, record: InboxMessage, frame: Frame | Framed) -> bool:
    end_ms = end_of(record.sent_at_ms, frame.expiry, own_copy=record.own_copy)
    return end_ms is not None and end_ms < context.clock()


def _decode(record: InboxMessage) -> AnyContent:
    content = decode_content(record.content_kind, record.content_body)
    if not is_of_users(content):
        raise RecordCorrupted("an inbox record holds what no app sees: the store is damaged")
    return content


def _of_stranger(content: AnyContent, sender: UserId) -> AnyContent:
    """Mark a file as one that is not fetched before its sender is accepted.

    Of what another own device has shared it is not known whether they were then.
    """
    if not isinstance(content, Framed) or not isinstance(content.content, Media):
        return content
    attachment = replace(content.content.attachment, requested_by=sender)
    return replace(content, content=replace(content.content, attachment=attachment))


def _show(content: AnyContent, capabilities: frozenset[int]) -> Content:
    if not isinstance(content, Framed):
        return content
    if is_unsupported(content, capabilities):
        return UnsupportedContent(content.kind, content.content_body)
    return content.content
