# SPDX-License-Identifier: Apache-2.0
"""Under which ids the copies of a message go.

Rules:
- All go under the message's own, in one call: so the back end sees that they belong together.
- An id that the caller has chosen may be that of messages to others, too. Copies for the own
  account, which gets them all, then go under another one, and hold the message with its id inside,
  as if sent again: the back end and the other own devices take one for no second copy of another.
"""

from typing import NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.device.sending import checked_message_id
from e2ecross.errors import InvalidArgument
from e2ecross.state.context import Context
from e2ecross.state.sent_ids import claim_own_copies
from e2ecross.stores.base import Transaction

__all__ = ["CopyIds", "Outgoing", "choose_ids"]


class Outgoing(NamedTuple):
    """A message for a user, to be put into the outbox.

    Attributes:
        address: the recipient: any device, which stands for its account.
        message_id: 16 bytes.
        is_new: whether the id was just drawn, so that nobody has heard of it.
        is_shared: whether the caller gives the id to messages for others, too.
    """

    address: Address
    message_id: bytes
    is_new: bool
    is_shared: bool = False

    @property
    def name(self) -> tuple[UserId, bytes]:
        """Which message it is, whatever device of the recipient stands for the account."""
        return self.address.user_id, self.message_id


class CopyIds(NamedTuple):
    """Ids of a message, 16 bytes each: that of its copies, and that of those for own devices."""

    message: bytes
    own_copies: bytes

    def of(self, address: Address, peer: UserId) -> bytes:
        """That of the copy for a device, if the conversation is with that account."""
        return self.message if address.user_id == peer else self.own_copies


def choose_ids(
    context: Context,
    tx: Transaction,
    message: Outgoing,
    conversation: Address,
    now_ms: int,
    *,
    has_others: bool,
) -> CopyIds:
    """Return the ids of the copies of a message that is encrypted for the first time.

    Args:
        context: of the device.
        tx: the transaction that encrypts it.
        message: which.
        conversation: with whom; see `Posted`.
        now_ms: milliseconds since 1970.
        has_others: whether there are other own devices. One that is linked later may get several.

    Raises:
        InvalidArgument: a note for the own devices, with the id of a message to others of which
            they have copies under it.
    """
    message_id = message.message_id
    if message.is_new:
        return CopyIds(message_id, message_id)
    is_to_self = conversation.user_id == context.address.user_id
    may_claim = is_to_self or (has_others and not message.is_shared)
    if may_claim and claim_own_copies(tx, conversation, message_id, now_ms):
        return CopyIds(message_id, message_id)
    if is_to_self:
        raise InvalidArgument(
            "message_id must be a new one: copies of a message to others went under it to the own "
            "devices"
        )
    return CopyIds(message_id, checked_message_id(context, None))
