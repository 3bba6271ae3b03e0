# SPDX-License-Identifier: Apache-2.0
"""Sending by many workers: who sends from a backlog of a store with stripes, and what of it.

Rules:
- What the back end has leaves the outbox at once, in the transaction that holds the stripe against
  what the back end was told of it. Two copies of a store that both live are told apart there.
- What has left is sent, whatever becomes of that transaction: then its row goes with the next one.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from e2ecross.device.leftovers import Leftovers
from e2ecross.errors import RestoredStore, StoreError, StoreMoved
from e2ecross.state.backlog_times import claim_backlogs, free_backlogs, is_sweep_due, note_if_empty
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.outbox import Backlog, Waiting
from e2ecross.state.transactions import shuffled, stripe_transaction
from e2ecross.stores.base import Table

__all__ = ["forget_taken", "free_at_once", "stripes_to_sweep", "take_over"]

_MAX_BACKLOGS: Final = 50
"""Backlogs that are taken over at once: what the worker that dies then has delays."""


def stripes_to_sweep(context: Context) -> list[int]:
    """Return the stripes in which something waits, in a random order."""
    return shuffled(context, context.store.stripes_with(Table.OUTBOX))


def take_over(
    context: Context, leftovers: Leftovers, stripe: int, *, if_due: bool = False
) -> list[Backlog]:
    """Take over backlogs of a stripe that are due; see `claim_backlogs`.

    Args:
        context: of the device.
        leftovers: what has been sent goes first.
        stripe: which.
        if_due: look at no backlog where none is known to be due.
    """
    with leftovers.going(stripe) as forget, WitnessedTransaction(context, stripe) as tx:
        forget(tx)
        now_ms = context.clock()
        if if_due and not is_sweep_due(tx, now_ms):
            return []
        return claim_backlogs(context, tx, now_ms, _MAX_BACKLOGS)


def forget_taken(context: Context, leftovers: Leftovers, taken: Iterable[Waiting]) -> list[int]:
    """Forget what the back end has just taken; one transaction for each stripe.

    Returns:
        The stripes in which something else may be due.

    Raises:
        RestoredStore: the back end has known more of a stripe.
    """
    parts: dict[int, list[Waiting]] = {}
    for waiting in taken:
        stripe = context.stripe_of(waiting.backlog.recipient.user_id)
        parts.setdefault(stripe, []).append(waiting)
    due, refused = list[int](), list[StoreError]()
    for stripe, part in sorted(parts.items()):
        for waiting in part:
            leftovers.note_sent(waiting, stripe)
        try:
            with leftovers.going(stripe) as forget, WitnessedTransaction(context, stripe) as tx:
                forget(tx)
                if is_sweep_due(tx, context.clock()) and not note_if_empty(tx):
                    due.append(stripe)
        except (RestoredStore, StoreMoved) as error:
            leftovers.keep_sent(part, stripe)
            refused.append(error)
        except StoreError:
            continue
    if refused:
        raise refused[0]
    return due


def free_at_once(context: Context, backlogs: Iterable[Backlog]) -> None:
    """Let anybody send from backlogs at once, because who wanted to could not; as far as can be."""
    parts: dict[int, list[Backlog]] = {}
    for backlog in backlogs:
        parts.setdefault(context.stripe_of(backlog.recipient.user_id), []).append(backlog)
    for stripe, part in sorted(parts.items()):
        with suppress(StoreError), stripe_transaction(context, stripe) as tx:
            free_backlogs(tx, part)
