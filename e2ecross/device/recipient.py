# SPDX-License-Identifier: Apache-2.0
"""Whom a caller means: a user by its id or its text, or the account that an address stands for."""

from e2ecross.address import Address, Recipient, UserId
from e2ecross.arguments import require_type
from e2ecross.errors import InvalidArgument
from e2ecross.wire.group import GroupId, is_group_text

__all__ = ["recipient_address"]


def recipient_address(recipient: Recipient, name: str = "recipient") -> Address:
    """Return the address that a user stands for, or the one that was given.

    Args:
        recipient: what the caller has handed in.
        name: of the argument.

    Raises:
        InvalidArgument: it is none.
    """
    if isinstance(recipient, GroupId) or is_group_text(recipient):
        raise InvalidArgument(f"{name} is a group: send into it with client.group(...).send")
    require_type(name, recipient, Address, UserId, str)
    if isinstance(recipient, Address):
        return recipient
    if isinstance(recipient, str):
        try:
            recipient = UserId.parse(recipient)
        except InvalidArgument as error:
            raise InvalidArgument(f"{name} is not acceptable: {error}") from error
    return Address(recipient.app, recipient.user)
