# SPDX-License-Identifier: Apache-2.0
"""Receiving through a back end: from waiting envelopes to items in the inbox.

Rules:
- Decrypt and keep in the inbox in one commit, acknowledge, hand over. As many as go well share a
  commit; one that does not goes alone, in its place.
- What is acknowledged was fetched just before, and is in the store byte for byte: a number alone
  says nothing at a back end that was put back to a backup.
- One envelope that fails, because the store does, stays at the back end and stops nothing else. So
  do the others of a sender whose records are damaged. A store that was put back to an older state
  stops everything.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from e2ecross.address import Address
from e2ecross.client.link import Link
from e2ecross.client.remaining import ask_for
from e2ecross.device.arriving import Arrived, decode_arrived, read_sender
from e2ecross.device.batch import Progress
from e2ecross.device.collecting import (
    is_taken_in,
    keep_failure,
    list_unacknowledged,
    take_in,
    take_in_all,
)
from e2ecross.errors import (
    E2ECrossError,
    RecordCorrupted,
    RemoteError,
    RestoredStore,
    StoreCorrupted,
    StoreError,
)
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.exchange import Waiting

__all__ = ["Arrival", "forget_what_is_gone"]

_AT_ONCE: Final = 256
"""Envelopes of one transaction: others who use the store wait for some 20 ms."""
_MAX_LIMIT: Final = 1_000
_MAX_LEFT: Final = 10_000
"""Envelopes that one call may leave at the back end: as many as wait in a mailbox."""
_MAX_DAMAGED: Final = 100
"""Senders whose records are damaged; beyond that the store is, and no more is tried."""


class Arrival:
    """Envelopes on their way from the back end into the inbox, in one call.

    Attributes:
        link: to the back end.
        has_used_prekeys: whether there were first messages among what the last `fetch` took in.
        taken: how many were gone through, also those that are not for the app.
        wait_ms: how long the back end may wait for the first, milliseconds.
    """

    def __init__(
        self,
        link: Link,
        limit: int,
        errors: list[E2ECrossError],
        progress: Progress | None,
    ) -> None:
        """Nothing is fetched yet.

        Args:
            link: to the back end.
            limit: how many envelopes one `fetch` takes in at most.
            errors: gets what went wrong with the store; such envelopes are not counted.
            progress: hears how many were taken in, of how many that were fetched.
        """
        self.link = link
        self.has_used_prekeys = False
        self.taken = 0
        self.wait_ms = 0
        self._limit = limit
        self._end = 0  # as many as `taken` may get to in one `fetch`
        self._after = 0  # the number behind which the next page begins
        self._errors = errors
        self._progress = progress
        self._fetched = self._left = 0
        self._damaged: set[Address] = set()  # senders

    @property
    def is_full(self) -> bool:
        """Whether the last `fetch` went through as many as it may."""
        return self.taken >= self._end

    def fetch(self) -> None:
        """Move waiting envelopes into the inbox; one that fails for now stays where it is.

        A second call goes on behind the first.

        Raises:
            BackendError: the back end cannot be reached.
            RestoredStore: the store is older than what was seen of it; nothing is acknowledged.
        """
        address, token = self.link.context.address, self.link.token
        self.has_used_prekeys = False
        self._end = self.taken + self._limit
        while not self._is_over():
            most = min(self._end - self.taken + self._left, _MAX_LIMIT)
            page = self.link.backend.fetch(address, token, most, self._after, self.wait_ms)
            self.wait_ms = 0
            if not page:
                break
            self._after = page[-1].number
            self._fetched += len(page)
            arrived: list[int] = []
            for start in range(0, len(page), _AT_ONCE):
                arrived += self._take_in(page[start : start + _AT_ONCE])
            if arrived:
                self.link.backend.acknowledge(address, token, arrived)
                self.link.leftovers.note_acknowledged(arrived)

    def _is_over(self) -> bool:
        return self.is_full or self._left >= _MAX_LEFT or len(self._damaged) >= _MAX_DAMAGED

    def _take_in(self, waiting: Sequence[Waiting]) -> list[int]:
        """Take in envelopes, in their order; returns the numbers of those that are in the store."""
        arrived: list[int] = []
        rest = [decode_arrived(self.link.context, *each) for each in waiting]
        while rest and not self._is_over():
            part = list(takewhile(self._is_undamaged, rest[: self._end - self.taken]))
            done = self._take_in_all(part)
            arrived += [each.number for each in part[:done]]
            self.taken += done
            if done < len(part) or not part:
                if self._take_in_alone(rest[done]):
                    arrived.append(rest[done].number)
                done += 1
            rest = rest[done:]
            if self._progress is not None:
                self._progress(self.taken, self._fetched)
        return arrived

    def _is_undamaged(self, arrived: Arrived) -> bool:
        return arrived.opened is None or arrived.opened[0].sender not in self._damaged

    def _take_in_all(self, part: Sequence[Arrived]) -> int:
        if not part:
            return 0
        try:
            done = take_in_all(self.link.context, self.link.leftovers, part)
        except (RestoredStore, StoreCorrupted):
            raise
        except StoreError:  # the first alone tells of it, if it goes on
            return 0
        self.has_used_prekeys |= any(
            each.opened is not None and each.opened[0].kind is MessageKind.PREKEY
            for each in part[:done]
        )
        return done

    def _take_in_alone(self, arrived: Arrived) -> bool:
        """The same for one that something is wrong with; tells whether it is in the store."""
        number, data, *_, opened = arrived
        sender = None if opened is None else opened[0].sender
        if sender is not None and sender in self._damaged:
            self._left += 1
            return False
        try:
            is_there = _take_in(self.link, number, data)
        except RecordCorrupted as error:
            self._errors.append(error)
            self._left += 1
            sender = read_sender(data)
            if sender is not None:
                self._damaged.add(sender)
        except (RestoredStore, StoreCorrupted):
            raise
        except StoreError as error:
            self._errors.append(error)
            self._left += 1
            if len(self._errors) >= self._limit:  # it is out of order for all of them
                self._left = _MAX_LEFT
        else:
            self.taken += 1  # what is gone counts, too: nobody is followed for ever
            return is_there
        return False


def forget_what_is_gone(link: Link) -> None:
    """Forget numbers of envelopes that the back end has no more, whose arrival it has heard of.

    They stay when the process ends between acknowledging and forgetting them.

    Raises:
        BackendError: the back end cannot be reached.
    """
    link.leftovers.note_acknowledged(ask_for(link, list_unacknowledged(link.context)).gone)


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
