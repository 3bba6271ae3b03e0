# SPDX-License-Identifier: Apache-2.0
"""Receiving through a back end: from waiting envelopes to items in the inbox.

Rules:
- Decrypt and keep in the inbox in one commit, acknowledge, hand over.
- What is acknowledged was fetched just before, and is in the store byte for byte: a number alone
  says nothing at a back end that was put back to a backup.
- One envelope that fails, because the store does, stays at the back end and stops nothing else. So
  do the others of a sender whose records are damaged. A store that was put back to an older state
  stops everything.
"""

from typing import Final

from e2ecross.address import Address
from e2ecross.client.link import Link
from e2ecross.device.collecting import (
    forget_acknowledged,
    is_taken_in,
    keep_failure,
    list_unacknowledged,
    read_sender,
    take_in,
)
from e2ecross.errors import (
    E2ECrossError,
    RecordCorrupted,
    RemoteError,
    RestoredStore,
    StoreCorrupted,
    StoreError,
)

__all__ = ["fetch_into_inbox", "forget_what_is_gone"]

_MAX_LIMIT: Final = 1_000
_MAX_LEFT: Final = 10_000
"""Envelopes that one call may leave at the back end: as many as wait in a mailbox."""
_MAX_DAMAGED: Final = 100
"""Senders whose records are damaged; beyond that the store is, and no more is tried."""


def fetch_into_inbox(link: Link, limit: int, errors: list[E2ECrossError]) -> None:
    """Move waiting envelopes into the inbox; one that fails for now stays where it is.

    Args:
        link: to the back end.
        limit: how many envelopes at most.
        errors: gets what went wrong with the store; such envelopes are not counted.

    Raises:
        BackendError: the back end cannot be reached.
        RestoredStore: the store is older than what was seen of it; nothing is acknowledged.
    """
    after = taken = left = 0
    damaged: set[Address] = set()
    while taken < limit and left < _MAX_LEFT and len(damaged) < _MAX_DAMAGED:
        most = min(limit - taken + left, _MAX_LIMIT)
        batch = link.backend.fetch(link.context.address, link.token, most, after)
        if not batch:
            break
        arrived: list[int] = []
        for number, data in batch:
            if taken == limit:
                break
            after = number
            sender = read_sender(data) if damaged else None
            if sender is not None and sender in damaged:
                left += 1
                continue
            try:
                if _take_in(link, number, data):
                    arrived.append(number)
                taken += 1  # what is gone counts, too: nobody is followed for ever
            except RecordCorrupted as error:
                errors.append(error)
                left += 1
                sender = read_sender(data)
                if sender is not None:
                    damaged.add(sender)
            except (RestoredStore, StoreCorrupted):
                raise
            except StoreError as error:
                errors.append(error)
                left += 1
                if len(errors) >= limit:  # it is out of order for all of them
                    left = _MAX_LEFT
                    break
        if arrived:
            link.backend.acknowledge(link.context.address, link.token, arrived)
            forget_acknowledged(link.context, arrived)


def forget_what_is_gone(link: Link) -> None:
    """Forget numbers of envelopes that the back end has no more, whose arrival it has heard of.

    They stay when the process ends between acknowledging and forgetting them.

    Raises:
        BackendError: the back end cannot be reached.
    """
    known = list_unacknowledged(link.context)
    if known:
        lowest = min(known) - 1
        waiting = link.backend.fetch(link.context.address, link.token, _MAX_LIMIT, lowest)
        there = {number for number, _ in waiting}
        high = max(there) if len(waiting) == _MAX_LIMIT else max(known)
        gone = [number for number in known if number <= high and number not in there]
        forget_acknowledged(link.context, gone)


def _take_in(link: Link, number: int, data: bytes) -> bool:
    """Put what an envelope holds into the inbox, or that it cannot be read.

    Returns:
        Whether it is in the store. If not, something else may stand under its number by now.
    """
    context = link.context
    try:
        take_in(context, number, data)
    except RemoteError as error:
        if not is_taken_in(context, number, data):
            if _is_gone(link, number, data):
                return False
            keep_failure(context, number, data, error)
    return True


def _is_gone(link: Link, number: int, data: bytes) -> bool:
    """Tell whether another process has taken in what this one has fetched, and acknowledged it."""
    waiting = link.backend.fetch(link.context.address, link.token, 1, number - 1)
    return (number, data) not in waiting
