# SPDX-License-Identifier: Apache-2.0
"""What leaves the outbox of groups next, and what becomes of it.

Rules:
- Grants that stand together go in one deposit, at most 64; the copies of a message in one. What
  stands behind goes when that was answered.
- Nothing waits for one recipient: who is refused, also because of a full mailbox, is left out. Who
  was not given a key does not have it.
- What an app was promised and a device does not get is told it in the same commit.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.device.group_granting import MAX_GRANTS
from e2ecross.device.leftovers import Leftovers
from e2ecross.errors import RecordCorrupted, RestoredStore
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, read_epoch
from e2ecross.state.group_keys import forget_grant
from e2ecross.state.group_outbox import (
    GroupWaiting,
    empty_in_group_outbox,
    forget_in_group_outbox,
    walk_group_outbox,
)
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.sent_to_groups import find_sent_to_group, is_group_id
from e2ecross.stores.base import Transaction
from e2ecross.wire.envelope import Envelope, EnvelopeCopies

__all__ = [
    "GroupDeposit",
    "GroupResult",
    "give_up_in_groups",
    "list_unsent",
    "next_deposit",
    "renew_group_outbox",
    "settle_in_groups",
]


_DAMAGED: Final = RecordCorrupted.code


class GroupDeposit(NamedTuple):
    """What goes in one call.

    Attributes:
        waiting: grants, for one `deposit_all`; or one message, for `deposit_copies`. Nothing: no
            more waits.
        epoch: to tell the back end.
    """

    waiting: tuple[GroupWaiting, ...]
    epoch: int


class GroupResult(NamedTuple):
    """What became of something that was deposited.

    Attributes:
        waiting: what.
        refused: why devices do not get it, by the code of an error.
        is_told: whether the app hears of it in another way.
    """

    waiting: GroupWaiting
    refused: Mapping[Address, str]
    is_told: bool = False


def next_deposit(context: Context, leftovers: Leftovers, after: int = 0) -> GroupDeposit:
    """Return what stands first in the outbox of groups, behind a number.

    What cannot be read is forgotten, and the app is told. What is to be encrypted anew is passed
    over (`list_unsent`).

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        after: the number of what was deposited last, and is not settled yet.
    """
    found: list[GroupWaiting] = []
    damaged: list[int] = []
    with leftovers.going(writes=False) as forget, WitnessedTransaction(context) as tx:
        forget(tx)
        for number, waiting in walk_group_outbox(tx, after):
            if isinstance(waiting, RecordCorrupted):
                damaged.append(number)
                continue
            if not waiting.data:
                continue
            is_grant = isinstance(waiting.sent, Envelope)
            if found and (not is_grant or len(found) == MAX_GRANTS):
                break
            found.append(waiting)
            if not is_grant:
                break
        forget_in_group_outbox(tx, damaged)
        user = context.address.user_id
        for _ in damaged:  # whose they were is lost with the rows
            put_notice(context, tx, Notice(NoticeKind.NOT_DELIVERED, user, code=_DAMAGED))
        return GroupDeposit(tuple(found), read_epoch(tx))


def list_unsent(context: Context) -> list[GroupWaiting]:
    """Return messages that are to be encrypted anew, since the store was restored.

    Each goes once more as it went first: plan, give the key, `group_sending.post_again`.
    """
    with context.store.transaction() as tx:
        return [
            each
            for _, each in walk_group_outbox(tx)
            if isinstance(each, GroupWaiting) and not each.data
        ]


def settle_in_groups(context: Context, results: Sequence[GroupResult]) -> None:
    """Note what became of what was deposited; one transaction.

    Where nobody was refused, `Leftovers.note_sent_to_groups` does it with the next commit.
    """
    with context.store.transaction() as tx:
        for result in results:
            waiting = result.waiting
            forget_in_group_outbox(tx, (waiting.number,))
            is_grant = isinstance(waiting.sent, Envelope)
            for device in result.refused if is_grant else ():
                forget_grant(tx, waiting.group, device)
            if not is_grant and not result.is_told:
                _tell(context, tx, waiting, result.refused)


def give_up_in_groups(context: Context, waiting: GroupWaiting, code: str) -> None:
    """Forget a message that cannot be encrypted anew, and tell the app; one transaction.

    Args:
        context: of the device.
        waiting: what.
        code: why: that of an error.
    """
    with context.store.transaction() as tx:
        forget_in_group_outbox(tx, (waiting.number,))
        _tell_lost(context, tx, waiting, code)


def renew_group_outbox(context: Context, tx: Transaction, now_ms: int) -> list[bytes]:
    """Have messages of the user that wait encrypted anew, as far as they are kept.

    What clients tell each other stays as it is: it was encrypted once, and is not again.

    Args:
        context: of the device.
        tx: the transaction that restores the store.
        now_ms: milliseconds since 1970.

    Returns:
        The ids (16 bytes) of those that are not kept any more; the app has a notice of each.
    """
    lost: list[bytes] = []
    user = context.address.user_id
    for number, waiting in walk_group_outbox(tx):
        if isinstance(waiting, RecordCorrupted):
            forget_in_group_outbox(tx, (number,))
            put_notice(context, tx, Notice(NoticeKind.NOT_DELIVERED, user, code=_DAMAGED))
            continue
        message_id = waiting.message_id
        if not isinstance(waiting.sent, EnvelopeCopies) or not is_group_id(tx, message_id, now_ms):
            continue
        if find_sent_to_group(tx, context.policy, message_id, now_ms) is not None:
            empty_in_group_outbox(tx, waiting)
            continue
        forget_in_group_outbox(tx, (number,))
        if message_id not in lost:
            _tell_lost(context, tx, waiting, RestoredStore.code)
            lost.append(message_id)
    return lost


def _tell(
    context: Context, tx: Transaction, waiting: GroupWaiting, refused: Mapping[Address, str]
) -> None:
    """Tell the app which devices do not get what it has sent; not what clients tell each other."""
    if not is_group_id(tx, waiting.message_id, context.clock()):
        return
    codes: dict[tuple[UserId, str], list[int]] = {}
    for device, code in refused.items():
        if device.user_id != context.address.user_id:
            codes.setdefault((device.user_id, code), []).append(device.device)
    for (user, code), devices in codes.items():
        put_notice(
            context,
            tx,
            Notice(
                NoticeKind.NOT_DELIVERED,
                user,
                tuple(sorted(devices)),
                messages=(waiting.message_id,),
                code=code,
                group=waiting.group,
            ),
        )


def _tell_lost(context: Context, tx: Transaction, waiting: GroupWaiting, code: str) -> None:
    put_notice(
        context,
        tx,
        Notice(
            NoticeKind.NOT_DELIVERED,
            context.address.user_id,
            messages=(waiting.message_id,),
            code=code,
            group=waiting.group,
        ),
    )
