# SPDX-License-Identifier: Apache-2.0
"""What `Client.send` takes and returns."""

from dataclasses import dataclass, field

from e2ecross.address import Address, Recipient, UserId
from e2ecross.conversation.negotiation import Plan
from e2ecross.device.composing import ALL_SHOWN
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.recipient import recipient_address
from e2ecross.device.sending import checked_message_id
from e2ecross.state.context import Context
from e2ecross.state.message_refs import ref_of
from e2ecross.wire.content import AnyContent, MessageRef
from e2ecross.wire.group import GroupId

__all__ = ["Delivery", "Sent", "outgoing"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of a sent message.

    Attributes:
        address: the device it is for: of the recipient, or another one of the own account.
        identity_changed: that device has another identity key than before, and
            `Policy.accept_changed_identity` has accepted it.
        version_downgraded: the session that was started for it has no post-quantum keys although
            that device has offered them before, and `Policy.accept_version_downgrade` has
            accepted that.
        problem: empty, or the code of the error for which this device has no copy (another of the
            recipient's has): `unlisted_device` (the back end has handed out another key for it),
            `unknown_recipient` (it has published no keys, or is not known any more),
            `mailbox_full`, `backend_refused`; or that of a bundle which is not acceptable, such as
            `invalid_signature`. With `backend_error` or `record_corrupted` the copy waits in the
            outbox (`Client.pending`), unless keys for it could not be fetched.
    """

    address: Address
    identity_changed: bool = False
    version_downgraded: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the back end has accepted.

    Attributes:
        message_id: 16 bytes.
        deliveries: the copies, one for each device of the recipient and each other device of the
            own account; but for devices that get nothing of it (`plan.plain`, of a `Delete`).
        list_expired: the list of the recipient's devices is older than
            `Policy.device_list_max_age_ms`: only device 1 was sent to.
        plan: what the recipient's devices show of it that were listed when it was encrypted.
        sender: the device that has sent it.
        peer: the account that the conversation is with; in a group the own one, and says nothing.
        sent_at_ms: milliseconds since 1970, as the recipient sees it.
        content: what was sent, with its frame, for a `Timeline`. None where the message had been
            sent before, and is not kept any more.
        moderator: the own account was owner or admin of the group that it was sent to.
        group: into which it was sent: that is the conversation then; None: to an account.
    """

    message_id: bytes
    deliveries: tuple[Delivery, ...]
    list_expired: bool = False
    plan: Plan = ALL_SHOWN
    sender: Address | None = field(default=None, compare=False)
    peer: UserId | None = field(default=None, compare=False)
    sent_at_ms: int = field(default=0, compare=False)
    content: AnyContent | None = field(default=None, repr=False, compare=False)
    moderator: bool = False
    group: GroupId | None = None

    @property
    def ref(self) -> MessageRef | None:
        """What names it in replies and acts; None if `content` is."""
        if self.content is None or self.sender is None or self.peer is None:
            return None
        to = self.group or self.peer
        return ref_of(self.sender, to, self.message_id, self.sent_at_ms, self.content)


def outgoing(
    context: Context, recipient: Recipient, message_id: bytes | None, *, is_shared: bool = False
) -> Outgoing:
    """Return a message for a recipient, under an id (16 bytes) or a new one.

    Args:
        context: of the device.
        recipient: whom it is for.
        message_id: its id; None: a new one is drawn.
        is_shared: see `Outgoing`.

    Raises:
        InvalidArgument: the recipient is none, or the id is none.
    """
    address = recipient_address(recipient)
    return Outgoing(address, checked_message_id(context, message_id), message_id is None, is_shared)
