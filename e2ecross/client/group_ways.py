# SPDX-License-Identifier: Apache-2.0
"""What a `Group` has its client do: send into it, and tell the others of a change.

Rules:
- A change is made or not, and then told. That it cannot be told now is no reason to fail: another
  call does it.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from e2ecross.client.connected import Connected
from e2ecross.client.group_sending import GroupSending, announce_all
from e2ecross.client.link import Link
from e2ecross.client.planning import prepare
from e2ecross.client.sent import Sent
from e2ecross.device.composing import Draft
from e2ecross.device.group_posted import OutgoingToGroup
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.device.sending import checked_message_id
from e2ecross.errors import BackendError, NotRegistered
from e2ecross.state.context import Context
from e2ecross.wire.group import GroupId

__all__ = ["GroupWays"]

_MAX_QUESTIONS: Final = 3
"""How often the back end is asked before a change: lists may need another look."""

T = TypeVar("T")


class GroupWays(Connected):
    """Of a client."""

    __slots__ = ()

    def _send_into_group(self, group: GroupId, draft: Draft, message_id: bytes | None) -> Sent:
        link, failure = self._way_or_failure()
        if failure is None:
            self._announce(link)  # so that whoever joins has heard of the group
        is_new = message_id is None
        outgoing = OutgoingToGroup(group, checked_message_id(self._context, message_id), is_new)
        return GroupSending(link, outgoing, failure).send(draft)

    def _change_groups(self, change: Callable[[Context, KeysAsked], T | KeysNeeded]) -> T:
        """Make a change of the own account, and tell the others.

        Args:
            change: makes it, or says what has to be asked of the back end before.
        """
        link, failure = self._way_or_failure()
        asked = KeysAsked()
        for _ in range(_MAX_QUESTIONS):
            done = change(link.context, asked)
            if not isinstance(done, KeysNeeded):
                break
            if failure is None:
                _, failure = prepare(link, [done], asked)
            lost = failure or asked.lost  # else an account would be refused that was not asked for
            if lost is not None:
                raise lost
        else:
            raise BackendError("the devices of the accounts keep changing: try again")
        self._context.live.is_announced = False
        if failure is None:
            self._announce(link)
            self._flush(link)
        return done

    def _announce(self, link: Link) -> None:
        """Tell groups of own changes; what cannot be told now goes with another call."""
        try:
            announce_all(link)
        except NotRegistered:
            raise
        except BackendError:
            pass
