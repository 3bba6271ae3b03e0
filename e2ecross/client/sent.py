# SPDX-License-Identifier: Apache-2.0
"""What `Client.send` takes and returns."""

from dataclasses import dataclass

from e2ecross.address import Address, UserId
from e2ecross.arguments import require_type
from e2ecross.device.bundles import BundleNews
from e2ecross.device.posting import Outgoing
from e2ecross.device.sending import checked_message_id, require_other_device
from e2ecross.errors import E2ECrossError, InvalidArgument
from e2ecross.state.context import Context

__all__ = ["Delivery", "Recipient", "Sent", "outgoing", "sent_or_error"]

Recipient = Address | UserId | str
"""A user, or its text, such as "instagram:budi"; or the address of a device."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of a sent message.

    Attributes:
        address: the device it is for.
        identity_changed: that device has another identity key than before, and
            `Policy.accept_changed_identity` has accepted it.
        version_downgraded: the session that was started for it has no post-quantum keys although
            that device has offered them before, and `Policy.accept_version_downgrade` has
            accepted that.
    """

    address: Address
    identity_changed: bool = False
    version_downgraded: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the back end has accepted.

    Attributes:
        message_id: 16 bytes.
        deliveries: the copies, one for each device.
    """

    message_id: bytes
    deliveries: tuple[Delivery, ...]


def outgoing(context: Context, recipient: Recipient, message_id: bytes | None) -> Outgoing:
    """Return a message for a recipient, under an id (16 bytes) or a new one.

    Raises:
        InvalidArgument: the recipient is none, or this device; or the id is none.
    """
    address = _recipient_address(recipient)
    require_other_device(context, address, "recipient")
    return Outgoing(address, checked_message_id(context, message_id), message_id is None)


def sent_or_error(message: Outgoing, outcome: BundleNews | E2ECrossError) -> Sent | E2ECrossError:
    """Return what the caller gets for a message: what its bundle has brought, or its error."""
    if isinstance(outcome, E2ECrossError):
        return outcome
    delivery = Delivery(message.address, outcome.identity_changed, outcome.version_downgraded)
    return Sent(message.message_id, (delivery,))


def _recipient_address(recipient: Recipient) -> Address:
    require_type("recipient", recipient, Address, UserId, str)
    if isinstance(recipient, Address):
        return recipient
    if isinstance(recipient, str):
        try:
            recipient = UserId.parse(recipient)
        except InvalidArgument as error:
            raise InvalidArgument(f"recipient is not acceptable: {error}") from error
    return Address(recipient.app, recipient.user)
