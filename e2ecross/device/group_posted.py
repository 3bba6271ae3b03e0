# SPDX-License-Identifier: Apache-2.0
"""A message on its way into the outbox of groups, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.secret import Secret
from e2ecross.device.composing import (
    Composed,
)
from e2ecross.state.group_keys import GroupKey
from e2ecross.wire.group import GroupDestination, GroupId

__all__ = ["GroupPosted", "OutgoingToGroup"]


class OutgoingToGroup(NamedTuple):
    """A message for a group, to be put into the outbox.

    Attributes:
        group: which.
        message_id: 16 bytes.
        is_new: whether the id was just drawn, so that nobody has heard of it.
    """

    group: GroupId
    message_id: bytes
    is_new: bool


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class GroupPosted(Secret):
    """A message that is in the outbox of groups, or has been there.

    Attributes:
        outgoing: which.
        is_new: it was just put there.
        message: what it is, and what devices show of it; None: it is not kept any more.
        destination: the heads that it names; None likewise.
        numbers: of its rows in the outbox, as far as they are still there.
        recipients: for whom it was encrypted just now; or for whom it waits.
        problems: why it was not encrypted for others, by the code of an error.
        key: what it was encrypted with, as it was before; None: not now.
        ciphertext: what that has given.
        epoch: to tell the back end.
        moderator: the own account is owner or admin of the group.
    """

    outgoing: OutgoingToGroup
    is_new: bool
    message: Composed | None
    destination: GroupDestination | None
    numbers: tuple[int, ...]
    recipients: tuple[Address, ...]
    problems: Mapping[Address, str]
    key: GroupKey | None
    ciphertext: bytes
    epoch: int
    moderator: bool = False
