# SPDX-License-Identifier: Apache-2.0
"""Which copies of a message are deposited together.

Rules:
- Those that stand alone in their backlogs go at once, in one call: what goes for the own account
  the back end takes only if it takes one for the recipient's, and it knows them by their message
  id.
- Those for the own account that have an id of their own go in the next call.
- What stands behind something else goes in the order of its backlog; then nothing for the own
  account goes before it, if that is all that there is for the recipient.
"""

from typing import NamedTuple

from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.posted import Posted
from e2ecross.state.outbox import Waiting

__all__ = ["Item", "Parts", "split"]


class Item(NamedTuple):
    """A copy that is to be deposited: of which message, where it is, its envelope encoded."""

    message: Outgoing
    waiting: Waiting
    data: bytes


class Parts(NamedTuple):
    """The copies of a message.

    Attributes:
        message: which.
        group: go at once, in one call.
        apart: go after them, in one call.
        behind: go in the order of their backlogs.
    """

    message: Outgoing
    group: list[Item]
    apart: list[Item]
    behind: list[Waiting]


def split(message: Outgoing, posted: Posted) -> Parts:
    """Tell which copies of a message go at once, and which later."""
    parts = Parts(message, [], [], [])
    are_held_up = False
    for copy in posted.copies:  # those for the recipient come first
        waiting = copy.waiting
        is_for_recipient = waiting.backlog.recipient.user_id == posted.conversation.user_id
        if copy.is_alone and copy.data and (is_for_recipient or not are_held_up):
            is_apart = waiting.message_id != message.message_id
            item = Item(message, waiting, copy.data)
            (parts.apart if is_apart else parts.group).append(item)
        else:
            parts.behind.append(waiting)
        are_held_up = not parts.group and (is_for_recipient or are_held_up)
    return parts
