# SPDX-License-Identifier: Apache-2.0
"""Sending into a group, and telling it what the own account has changed in it.

Rules:
- Encrypted once, in one commit; deposited behind the keys that read it.
- What the back end says of newer lists of devices is followed a few times: devices that are listed
  since get the key and a copy of the same envelope.
- What cannot be deposited now is promised, and goes with another call.
"""

from contextlib import suppress
from typing import Final

from e2ecross.address import UserId
from e2ecross.client.attempts import Failure
from e2ecross.client.group_depositing import ToldOfGroups, flush_groups
from e2ecross.client.group_planning import GroupPlanning
from e2ecross.client.link import Link
from e2ecross.client.planning import fetch_lists
from e2ecross.client.sent import Delivery, Sent
from e2ecross.device.bundles import NO_NEWS
from e2ecross.device.composing import ALL_SHOWN, Draft
from e2ecross.device.device_lists import find_behind, find_replaced, held_seqs
from e2ecross.device.group_announcing import list_unannounced, post_announcement
from e2ecross.device.group_missing import post_missing
from e2ecross.device.group_posted import GroupPosted, OutgoingToGroup
from e2ecross.device.group_sending import post_into_group
from e2ecross.device.group_standing import Audience
from e2ecross.device.posted import KeysNeeded
from e2ecross.errors import BackendError, GroupRefused, NotInGroup
from e2ecross.wire.group import GroupId

__all__ = ["GroupSending", "announce_all"]

_MAX_CATCH_UPS: Final = 3
"""How often newer lists are followed in one call."""
_MAX_STEPS: Final = 64
"""Of one of these: 64 devices each, and questions about them."""


class GroupSending:
    """A message on its way into a group, and what became of it."""

    def __init__(
        self, link: Link, outgoing: OutgoingToGroup, failure: Failure | None = None
    ) -> None:
        """Nothing is sent yet.

        Args:
            link: to the back end.
            outgoing: where, and under which id.
            failure: why the back end cannot be reached, if it cannot.
        """
        self._link = link
        self._outgoing = outgoing
        self._planning = GroupPlanning(link, outgoing.group, failure)
        self._told = ToldOfGroups()

    def send(self, draft: Draft) -> Sent:
        """Send it; see `Group.send`."""
        posted = self._post(draft)
        if self._planning.failure is not None:
            raise self._planning.failure
        flush_groups(self._link, self._told, posted.numbers, are_told=posted.is_new)
        for _ in range(_MAX_CATCH_UPS):
            before = len(posted.numbers)
            if self._has_newer_lists():
                posted = self._post_missing(posted)
            if len(posted.numbers) == before:
                break
            flush_groups(self._link, self._told, posted.numbers[before:], are_told=posted.is_new)
        return self._sent(posted)

    def _post(self, draft: Draft) -> GroupPosted:
        link, asked = self._link, self._planning.asked
        place = (link.context, link.leftovers, self._outgoing, draft)
        posted = post_into_group(*place, None, asked)
        if posted is not None:
            return posted
        for plan in self._planning.plans(draft=draft):
            if BackendError.code in plan.problems.values():
                self._require_reached()
            posted = post_into_group(*place, plan, asked)
            if posted is not None:
                return posted
        raise AssertionError("plans end with one that holds, or with an error")

    def _require_reached(self) -> None:
        """Raise where no other member would be reached now, either: then nothing is promised.

        Who could not be asked for would not get what is promised, and nobody would be told.
        """
        if self._planning.failure is not None:
            raise self._planning.failure
        flush_groups(self._link, self._told)

    def _has_newer_lists(self) -> bool:
        """Fetch newer lists of recipients that the back end tells of; tells whether any came."""
        context, told, seen = self._link.context, self._told, self._link.context.live.seqs
        seqs = {user: seq for user, seq in told.seqs.items() if seq > seen.get(user, 0)}
        behind = find_behind(context, seqs, told.gone) if seqs or told.gone else []
        told.gone = set()
        before = held_seqs(context, behind)
        newer, failed = fetch_lists(self._link, behind) if behind else (set[UserId](), None)
        # It may have come with a message that was taken in before it was accepted.
        newer |= find_replaced(context, before)
        if failed is None:
            seen.update(seqs)
        self._planning.asked.users.update(newer)
        return bool(newer)

    def _post_missing(self, posted: GroupPosted) -> GroupPosted:
        link = self._link
        for _ in range(_MAX_STEPS):
            found = post_missing(link.context, link.leftovers, posted, self._planning.asked)
            if found is None:
                break
            if isinstance(found, KeysNeeded):
                self._planning.ask(found)
            else:
                posted = found
        return posted

    def _sent(self, posted: GroupPosted) -> Sent:
        context, refused, news = self._link.context, self._told.refused, self._planning.news
        problems = {
            **dict.fromkeys(posted.recipients, ""),
            **{device: error.code for device, error in refused.items()},
            **posted.problems,
        }
        deliveries = []
        for device, problem in problems.items():
            brought = news.get(device, NO_NEWS)
            changed, downgraded = brought.identity_changed, brought.version_downgraded
            deliveries.append(Delivery(device, changed, downgraded, problem))
        plan, content, sent_at_ms, *_ = posted.message or (ALL_SHOWN, None, 0)
        return Sent(
            self._outgoing.message_id,
            tuple(deliveries),
            plan=plan,
            sender=context.address,
            peer=context.address.user_id,
            sent_at_ms=sent_at_ms,
            content=content,
            moderator=posted.moderator,
            group=self._outgoing.group,
        )


def announce_all(link: Link, *, anew: bool = False) -> None:
    """Put into the outbox what groups have not been told yet of changes of the own account.

    It costs nothing where this process has told them everything.

    Args:
        link: to the back end.
        anew: look all the same: another process may have been killed before it told them.

    Raises:
        BackendError: the back end cannot be reached: not all of it. Who cannot be asked for holds
            up no other group.
        NotRegistered: it does not know this device.
        StoreError: the store cannot be read or written.
    """
    live, lost = link.context.live, None
    if live.is_announced and not anew:
        return
    live.is_announced = True  # before it is so: another thread may change something meanwhile
    try:
        for group, commits in list_unannounced(link.context).items():
            with suppress(NotInGroup, GroupRefused):  # forgotten; or only a later release may
                lost = _tell(link, group, commits) or lost
        if lost is not None:
            raise lost
    except BaseException:
        live.is_announced = False
        raise


def _tell(link: Link, group: GroupId, commits: tuple[bytes, ...]) -> BackendError | None:
    """Announce own commits (hashes, 32 bytes each) to a group; see `_announce`."""
    announced = link.context.live.announced
    if announced.get(group) != commits:
        lost = _announce(link, group, Audience.STAYING)
        if lost is not None:
            return lost
        announced[group] = commits
    lost = _announce(link, group, Audience.JOINING)
    if lost is None:
        announced.pop(group, None)
    return lost


def _announce(link: Link, group: GroupId, audience: Audience) -> BackendError | None:
    """Announce what is untold; returns why somebody could not be asked for, if nothing was told.

    Else who cannot be asked for would never be told.

    Raises:
        BackendError: it was given up to reach the back end.
    """
    planning = GroupPlanning(link, group)
    for plan in planning.plans(audience):
        if planning.failure is not None:
            raise planning.failure
        if planning.asked.lost is not None:
            return planning.asked.lost
        if post_announcement(link.context, link.leftovers, plan):
            break
    return None
