# SPDX-License-Identifier: Apache-2.0
"""What waits in the outbox and the inbox, and for how long.

Rules:
- When a message in the outbox was sent is told by what is kept of it; what is no message of the
  user's (a request for one, say) is counted and has no age.
- In the inbox the sender's clock counts: nothing else is known there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from e2ecross.device.health_records import Unconfirmed, read_inbox, read_outbox, read_sent
from e2ecross.device.health_tables import read_table
from e2ecross.stores.base import Table, Transaction

__all__ = ["QueueHealth", "judge_queues", "read_queues"]


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """What waits.

    Attributes:
        outbox: envelopes that the back end may not have yet.
        outbox_oldest_ms: age of the oldest message among them, milliseconds, or None.
        inbox: items that the app has not confirmed.
        inbox_oldest_ms: age of the oldest message among them, milliseconds, below 0 when all are
            dated in the future, or None.
    """

    outbox: int
    outbox_oldest_ms: int | None
    inbox: int
    inbox_oldest_ms: int | None


def read_queues(views: Sequence[Transaction], now_ms: int) -> QueueHealth:
    """Look at the queues of stripes alone. What does not decode is left out.

    Args:
        views: of the stripes.
        now_ms: milliseconds since 1970.

    Raises:
        StoreError: the store cannot be read.
    """
    outbox: list[bytes | None] = []
    inbox: list[Unconfirmed | None] = []
    sent: list[tuple[bytes, int] | None] = []
    for view in views:
        waiting = read_table(Table.OUTBOX, view.scan(Table.OUTBOX), read_outbox)[1]
        outbox += waiting
        if waiting:  # else all that is kept there would be read for nothing
            sent += read_table(Table.SENT, view.scan(Table.SENT), read_sent)[1]
        inbox += read_table(Table.INBOX, view.scan(Table.INBOX), read_inbox)[1]
    return judge_queues(outbox, sent, inbox, now_ms)


def judge_queues(
    outbox: Iterable[bytes | None],
    sent: Iterable[tuple[bytes, int] | None],
    inbox: Iterable[Unconfirmed | None],
    now_ms: int,
) -> QueueHealth:
    """Count what waits.

    Args:
        outbox: what `read_outbox` has found.
        sent: what `read_sent` has found.
        inbox: what `read_inbox` has found.
        now_ms: milliseconds since 1970.
    """
    waiting = [message_id for message_id in outbox if message_id is not None]
    wanted = set(waiting)
    ages_ms = [now_ms - each[1] for each in sent if each is not None and each[0] in wanted]
    items = [item.sent_at_ms for item in inbox if item is not None]
    dated = [now_ms - at_ms for at_ms in items if at_ms is not None]
    return QueueHealth(
        outbox=len(waiting),
        outbox_oldest_ms=max(ages_ms, default=None),
        inbox=len(items),
        inbox_oldest_ms=max(dated, default=None),
    )
