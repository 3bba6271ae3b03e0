# SPDX-License-Identifier: Apache-2.0
"""From the outbox of groups to copies that the back end has.

Rules:
- All of it goes in its order: keys before what is read with them. Where the back end cannot be
  reached it stays, and goes with another call.
- Each recipient is taken or refused on its own. Who is refused, also for a full mailbox, gets
  nothing of it any more, and holds up nobody.
- Of lists the back end may speak for the accounts alone that something was deposited for, and the
  own one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.client.answers import CheckedDeposit
from e2ecross.client.depositing import FINAL
from e2ecross.client.group_planning import GroupPlanning
from e2ecross.client.link import Link
from e2ecross.device.group_deposits import (
    GroupResult,
    give_up_in_groups,
    list_unsent,
    next_deposit,
    settle_in_groups,
)
from e2ecross.device.group_sending import post_again
from e2ecross.errors import (
    E2ECrossError,
    GroupRefused,
    MailboxFull,
    NotInGroup,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.state.group_outbox import GroupWaiting
from e2ecross.wire.envelope import Envelope

__all__ = ["ToldOfGroups", "flush_groups"]

_IS_REFUSAL: Final = (*FINAL, MailboxFull)
"""Of a call as a whole: each will be refused again."""


@dataclass(slots=True)
class ToldOfGroups:
    """What the back end has told with its answers to deposits for groups.

    Attributes:
        refused: who got nothing of what the caller waits for, and why.
        seqs: the newest lists of devices, by account.
        gone: accounts with devices that it does not know.
    """

    refused: dict[Address, E2ECrossError] = field(default_factory=dict)
    seqs: dict[UserId, int] = field(default_factory=dict)
    gone: set[UserId] = field(default_factory=set)


def flush_groups(
    link: Link,
    told: ToldOfGroups,
    wanted: Collection[int] = (),
    *,
    are_told: bool = False,
) -> None:
    """Deposit what waits for groups; up to what the caller waits for, if that is something.

    Args:
        link: to the back end.
        told: gets what the back end tells.
        wanted: numbers in the outbox that the caller waits for.
        are_told: whether the caller tells the app what becomes of them: they were not promised
            before.

    Raises:
        NotRegistered: the back end does not know this device.
        BackendError: it cannot be reached; what is left waits.
        RestoredStore: the back end has seen the store further ahead.
        StoreError: the store cannot be read or written.
    """
    context, left = link.context, set(wanted)
    for waiting in () if wanted else list_unsent(context):
        _encrypt_again(link, waiting)
    while not wanted or left:
        items, epoch = next_deposit(context, link.leftovers)
        if not items:
            return
        results = []
        for waiting, refused in _deposit(link, items, epoch, told):
            is_wanted = waiting.number in left
            if is_wanted:
                told.refused |= refused
            codes = {device: error.code for device, error in refused.items()}
            if codes:
                results.append(GroupResult(waiting, codes, is_wanted and are_told))
        if results:
            settle_in_groups(context, results)
        numbers = [waiting.number for waiting in items]
        link.leftovers.note_sent_to_groups(numbers)
        left -= {*numbers}


_Outcome = tuple[GroupWaiting, dict[Address, E2ECrossError]]


def _deposit(
    link: Link, items: Sequence[GroupWaiting], epoch: int, told: ToldOfGroups
) -> list[_Outcome]:
    """Deposit grants, or one message; returns who got nothing of each, and why."""
    recipients = [_recipients(waiting) for waiting in items]
    try:
        answer = _call(link, items, epoch)
    except NotRegistered:
        raise
    except _IS_REFUSAL as error:
        if len(items) == 1:
            return [(items[0], dict.fromkeys(recipients[0], error))]
        return [each for one in items for each in _deposit(link, [one], epoch, told)]
    link.context.watch.note(answer.epochs[0], "the back end")
    users = {link.context.address.user_id, *(a.user_id for each in recipients for a in each)}
    told.seqs.update({user: seq for user, seq in answer.seqs.items() if user in users})
    outcomes: list[_Outcome] = []
    place = 0
    for waiting, devices in zip(items, recipients, strict=True):
        refused: dict[Address, E2ECrossError] = {}
        for device in devices:
            reason = answer.refused.get(place)
            place += 1
            if reason is not None:
                refused[device] = reason
            if isinstance(reason, UnknownRecipient):
                told.gone.add(device.user_id)
        outcomes.append((waiting, refused))
    return outcomes


def _call(link: Link, items: Sequence[GroupWaiting], epoch: int) -> CheckedDeposit:
    if isinstance(items[0].sent, Envelope):
        envelopes = [waiting.data for waiting in items]
        return link.backend.deposit_all(link.token, envelopes, {0: epoch})
    return link.backend.deposit_copies(link.token, items[0].data, {0: epoch})


def _recipients(waiting: GroupWaiting) -> Sequence[Address]:
    sent = waiting.sent
    if sent is None:
        return ()
    return (sent.recipient,) if isinstance(sent, Envelope) else sent.recipients


def _encrypt_again(link: Link, waiting: GroupWaiting) -> None:
    """Encrypt a message anew whose copies were taken back, or give it up."""
    try:
        planning = GroupPlanning(link, waiting.group)
        for plan in planning.plans():
            asked = planning.asked
            if post_again(link.context, link.leftovers, waiting, plan, asked) is not None:
                return
    except (NotInGroup, GroupRefused) as error:
        give_up_in_groups(link.context, waiting, error.code)
