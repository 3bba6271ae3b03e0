# SPDX-License-Identifier: Apache-2.0
"""For how long something waits in the outbox and in the inbox: for whoever watches a fleet.

Rules:
- When a message in the outbox was sent is told by what is kept of it. In the inbox the sender's
  clock counts: nothing else is known there.
- Of a store with stripes some are looked at, others each time: to watch must cost little.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.state.context import Context
from e2ecross.state.inbox import ITEMS
from e2ecross.state.outbox import BacklogName, find_row, read_backlog
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.state.sent import find_kept
from e2ecross.state.transactions import stripe_transaction
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.inbox_records import InboxMessage, decode_inbox_item

__all__ = ["Ages", "read_ages"]

_MAX_STRIPES: Final = 64
_MAX_ROWS: Final = 100
"""Backlogs, or items, of one stripe."""
_RANDOM_BYTES: Final = 8


class Ages(NamedTuple):
    """The age of the oldest message, milliseconds; 0 if there is none.

    Attributes:
        outbox: that the back end may not have.
        inbox: that the app has not confirmed.
    """

    outbox: int
    inbox: int


def read_ages(context: Context) -> Ages:
    """Look at what waits. What is damaged is left out.

    Raises:
        StoreError: the store cannot be read.
    """
    return Ages(
        _oldest(context, Table.OUTBOX, _times_in_outbox),
        _oldest(context, Table.INBOX, _times_in_inbox),
    )


def _oldest(
    context: Context, table: Table, times: Callable[[Context, Transaction], Iterator[int]]
) -> int:
    stripes = context.store.stripes_with(table)
    if context.store.stripes:  # stripe 0 is that of the own account, and locks all
        order = {stripe: context.entropy.bytes(_RANDOM_BYTES) for stripe in stripes if stripe}
        stripes = sorted(order, key=lambda stripe: order[stripe])[:_MAX_STRIPES]
    now_ms = oldest_ms = context.clock()
    for stripe in stripes:
        with stripe_transaction(context, stripe) as tx:
            oldest_ms = min(oldest_ms, *times(context, tx), now_ms)
    return now_ms - oldest_ms


def _times_in_outbox(context: Context, tx: Transaction) -> Iterator[int]:
    now_ms = context.clock()
    for backlog in islice(list_backlogs(tx), _MAX_ROWS):
        if backlog.name is not BacklogName.MESSAGES:
            continue
        with suppress(RecordCorrupted, StoreTooNew):
            record = read_backlog(tx, backlog)
            first = None if record is None else find_row(tx, backlog, record.first)
            if first is not None:
                to, policy = backlog.recipient, context.policy
                kept = find_kept(tx, policy, to, first.message_id, now_ms)
                if kept is not None:
                    yield kept.sent_at_ms


def _times_in_inbox(_: Context, tx: Transaction) -> Iterator[int]:
    for _number, data in islice(ITEMS.walk(tx), _MAX_ROWS):
        with suppress(RecordCorrupted, StoreTooNew):
            item = decode_inbox_item(data)
            if isinstance(item, InboxMessage):
                yield item.sent_at_ms
