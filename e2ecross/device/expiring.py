# SPDX-License-Identifier: Apache-2.0
"""What is kept for a time: it goes when that is over, and is not kept by a clock that was wrong."""

from contextlib import suppress
from typing import Final

from e2ecross.errors import RecordCorrupted
from e2ecross.state.blob_ends import tend_openable
from e2ecross.state.context import Context
from e2ecross.state.delivered import tend_delivered
from e2ecross.state.policy import Policy
from e2ecross.state.receipts import tend_receipts
from e2ecross.state.retry_budget import tend_attempts
from e2ecross.state.sent import forget_over, tend_sent
from e2ecross.state.sent_ids import tend_ids
from e2ecross.state.transactions import reading_transaction, some_stripes, stripe_transaction
from e2ecross.stores.base import Table, Transaction

__all__ = ["forget_sent", "tend_shelves"]

_AT_ONCE: Final = 1_000
"""Others who use the store wait for some 20 ms."""


def forget_sent(context: Context) -> None:
    """Forget what was kept whose time is over: of each kind at most 1,000 rows of a stripe."""
    now_ms, policy = context.clock(), context.policy
    for stripe in some_stripes(context, Table.STRIPE):
        if not stripe and _has_sent_nothing_to_itself(context):
            continue
        with stripe_transaction(context, stripe) as tx:
            forget_over(tx, policy, now_ms, _AT_ONCE)
            if stripe:  # of stripe 0 it is done with the prekeys
                tend_shelves(tx, policy, now_ms)


def _has_sent_nothing_to_itself(context: Context) -> bool:
    """Whether stripe 0 of many keeps nothing that was sent: mostly, and then others go on."""
    if not context.store.stripes:
        return False
    with reading_transaction(context) as tx:
        return not tx.partitions(Table.SENT, limit=1)


def tend_shelves(tx: Transaction, policy: Policy, now_ms: int) -> None:
    """Delete what is forgotten, also where nothing new is kept; put times right that are after now.

    At most 1,000 rows of each shelf.
    """
    with suppress(RecordCorrupted):  # whoever looks for something there says so
        tend_ids(tx, now_ms)
        tend_sent(tx, policy, now_ms)
        tend_delivered(tx, policy, now_ms)
        tend_attempts(tx, now_ms)
        tend_receipts(tx, now_ms)
        tend_openable(tx, now_ms)
