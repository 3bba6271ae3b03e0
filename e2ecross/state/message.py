# SPDX-License-Identifier: Apache-2.0
"""What a receiver hands to the app."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from e2ecross.address import Address, UserId
from e2ecross.errors import RemoteError
from e2ecross.state.receipt import Receipt
from e2ecross.wire.content import (
    AnyContent,
    Bytes,
    Content,
    ControlContent,
    Expiry,
    Framed,
    Media,
    MessageRef,
    Options,
    Text,
)
from e2ecross.wire.group import GroupId

__all__ = ["ControlMessage", "DeviceMessage", "FailedMessage", "Message"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # known to type checkers, and not installed

    C = TypeVar("C", bound=AnyContent, default=Content, covariant=True)
else:
    from typing import TypeVar

    C = TypeVar("C", covariant=True)


@dataclass(frozen=True, slots=True)
class Message(Generic[C]):
    """A message that was authenticated and decrypted.

    Attributes:
        sender: the device that sent it; authenticated.
        message_id: 16 bytes, chosen by the sender.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content: what the user sent; None where nothing is left of it (`expired`, or what the own
            user has sent from another device to be viewed once). Out of a `Client` it is the
            content itself, also of what came in a frame; what the app did not announce
            (`Policy.capabilities`) is `UnsupportedContent`. From `Device.decrypt`, which gives
            `Message[AnyContent]`, what goes in a frame is `Framed`.
        identity_changed: it came under another identity key than the accepted one.
        redelivered: it may have been handed over before a crash (`Client` only).
        receipt: by which `Client.confirm` finds it; None from `Device.decrypt`.
        version_downgraded: it started a session without post-quantum keys although the sender has
            offered them before, and `Policy.accept_version_downgrade` has accepted that.
        peer: the account that the conversation is with: the sender's, or of what the own user has
            sent, whom that was for. In a group it is the sender's, and says nothing.
        own_copy: the own user has sent it, from another device.
        historical: it is from before this device was linked, and device 1 of the own account says
            so; `sender` and the rest is as that device has kept it.
        ref: by which replies and acts name it, or None: it cannot be referred to, or it is from
            `Device.decrypt`.
        expiry: when it is to be gone, or None.
        view_once: it is to be shown once: tell `Client.opened`.
        request: it is of somebody who was not accepted yet, see `Client.accept`; or into a group
            that was not, see `Group.accept`.
        expired: its end had come before it could be shown, or another own device has shown it.
        blocked: it is of a blocked account, in a group.
        moderator: the sender was owner or admin of the group, where it stands and when it came.
        group: into which it was sent: that is the conversation then; None: to an account.
        framed: the content in the frame that it came in, for a `Timeline`; None if it had none.
    """

    sender: Address
    message_id: bytes
    sent_at_ms: int
    content: C | None
    identity_changed: bool
    redelivered: bool = False
    receipt: Receipt | None = field(default=None, repr=False, compare=False)
    version_downgraded: bool = False
    peer: UserId = field(kw_only=True)
    own_copy: bool = field(default=False, kw_only=True)
    historical: bool = field(default=False, kw_only=True)
    ref: MessageRef | None = field(default=None, kw_only=True)
    expiry: Expiry | None = field(default=None, kw_only=True)
    view_once: bool = field(default=False, kw_only=True)
    request: bool = field(default=False, kw_only=True)
    expired: bool = field(default=False, kw_only=True)
    blocked: bool = field(default=False, kw_only=True)
    moderator: bool = field(default=False, kw_only=True)
    group: GroupId | None = field(default=None, kw_only=True)
    framed: Framed | None = field(default=None, kw_only=True, repr=False, compare=False)

    @property
    def forwardable(self) -> bool:
        """Whether its content may be sent on to somebody else."""
        may_stay = self.expiry is None and not self.view_once
        return may_stay and isinstance(self.content, Text | Bytes | Media | Options)


DeviceMessage = Message[AnyContent]
"""A message as a device opens it, with the frame of its content; a `Client` hands over what is in
the frame."""


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """What one client tells another, authenticated and decrypted: from `Device.decrypt` alone.

    `Client` does what it asks for, and its app never sees it.

    Attributes:
        sender: the device that sent it; authenticated.
        message_id: 16 bytes, chosen by the sender.
        sent_at_ms: the sender's clock, milliseconds since 1970.
        content: what is asked for or told, a `RetryRequest` for example.
        identity_changed: it came under another identity key than the accepted one.
        version_downgraded: see `Message`.
    """

    sender: Address
    message_id: bytes
    sent_at_ms: int
    content: ControlContent
    identity_changed: bool
    version_downgraded: bool = False


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """Stands in the place of a message that could not be read; these bytes never will be.

    Attributes:
        sender: who sent it by what the envelope says (not authenticated), or None when the
            envelope itself could not be read.
        message_id: 16 bytes by what the envelope says, or None.
        error: why. `error.code` tells it to programs.
        redelivered: it may have been handed over before a crash.
        retrying: the sender was asked to send the message again, and may still do it, under the
            same message id; should the request be refused, another failure of that id says that it
            will not. False also where a sender was asked of whom nothing has been read
            here before: whether they trust this installation is for them to decide.
        receipt: by which `Client.confirm` finds it.
        group: where it may have been sent, as far as that is known; else None.
    """

    sender: Address | None
    message_id: bytes | None
    error: RemoteError
    redelivered: bool = False
    retrying: bool = False
    receipt: Receipt | None = field(default=None, repr=False, compare=False)
    group: GroupId | None = field(default=None, kw_only=True)
