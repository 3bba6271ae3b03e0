# SPDX-License-Identifier: Apache-2.0
"""Receiving through a back end into a store with stripes: one of many workers.

Rules:
- What is fetched is held at the back end: no other worker gets it, nor anything else of its
  senders, until it is acknowledged or its time is over. It is acknowledged when the app has
  confirmed it, or at once if there is nothing for the app.
- One transaction for at most 32 envelopes of a stripe, stripe by stripe. As many as go well share
  it; one that does not goes alone, in its place.
- An envelope that fails because the store does stays at the back end, with the later ones of its
  sender, and stops nothing else.
- Messages into groups, which such a store cannot read, count as received.
"""

from collections.abc import Sequence
from typing import Final

from e2ecross.address import UserId
from e2ecross.client.link import Link
from e2ecross.client.remaining import ask_for
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.device.arriving import Arrived, decode_arrived, stripe_of_arrived
from e2ecross.device.batch import Progress
from e2ecross.device.held_collecting import (
    MAX_TOGETHER,
    HeldIntake,
    Taken,
)
from e2ecross.device.holder import Holder
from e2ecross.errors import (
    E2ECrossError,
    RecordCorrupted,
    RemoteError,
    RestoredStore,
    StoreCorrupted,
    StoreError,
    StoreMoved,
)
from e2ecross.state.inbox import InboxItem, receipt_of
from e2ecross.state.inbox_holds import hash_envelope, stripe_in
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.exchange import Waiting

__all__ = ["HeldArrival", "acknowledge", "tell"]

_MAX_LIMIT: Final = 1_000
_MAX_LEFT: Final = 1_000
"""Envelopes that one call may leave; they are held, so that the next one comes behind them."""
_MAX_FAILED: Final = 4
"""Stripes that the store has trouble with; each may take seconds, so no more are tried."""
_MAX_DAMAGED: Final = 100
"""Senders whose records are damaged; beyond that the store is, and no more is tried."""
_MAX_UNSURE: Final = 1_000
"""Envelopes of which the back end is asked at once whether it still has them."""
_STOPS: Final = (RestoredStore, StoreCorrupted, StoreMoved)


def acknowledge(link: Link, numbers: Sequence[int]) -> None:
    """Tell the back end which envelopes it need not hand out any more.

    Raises:
        BackendError: it cannot be reached.
    """
    if numbers:
        link.backend.acknowledge(link.context.address, link.token, numbers)


def tell(link: Link, acknowledging: Acknowledging, ignored: Sequence[int] = ()) -> None:
    """Tell the back end what is done with, as far as it has not heard of it.

    Args:
        link: to it.
        acknowledging: what it has to hear of. What it has not shown lately it is asked for before.
        ignored: numbers of what is of no use.

    Raises:
        BackendError: it cannot be reached; the next call tells it.
    """
    _ask_for_unsure(link, acknowledging)
    with acknowledging.telling() as numbers:
        acknowledge(link, [*numbers, *ignored])


def _ask_for_unsure(link: Link, acknowledging: Acknowledging) -> None:
    unsure = acknowledging.unsure(_MAX_UNSURE)
    found = ask_for(link, (each.number for each in unsure))
    hashes = {number: hash_envelope(data) for number, data in found.there.items()}
    answered = hashes.keys() | found.gone
    for each in unsure:
        if each.number in answered:
            is_there = hashes.get(each.number) == each.envelope_hash
            acknowledging.note_answer(each, is_there=is_there)


class HeldArrival:
    """Envelopes on their way from the back end into the inbox, in one call.

    Attributes:
        link: to the back end.
        items: for the app, held for this client.
        has_used_prekeys: whether there were first messages among what the last `fetch` took in.
        stripes: in which that took something in.
        taken: how many were gone through, also those that are not for the app.
        wait_ms: how long the back end may wait for the first envelope, milliseconds.
    """

    def __init__(
        self,
        link: Link,
        holder: Holder,
        acknowledging: Acknowledging,
        limit: int,
        errors: list[E2ECrossError],
        progress: Progress | None,
        *,
        for_nobody: bool = False,
    ) -> None:
        """Nothing is fetched yet.

        Args:
            link: to the back end.
            holder: who this client is there.
            acknowledging: what the back end has to hear of.
            limit: how many items at most.
            errors: gets what went wrong with the store; such envelopes are not counted.
            progress: hears how many were taken in, of how many that were fetched.
            for_nobody: the items are not handed over: who receives next gets them.
        """
        self.link = link
        self.items: list[InboxItem] = []
        self.has_used_prekeys = False
        self.stripes: set[int] = set()
        self.taken = 0
        self.wait_ms = 0
        self._holder = holder
        self._acknowledging = acknowledging
        self._limit = limit
        self._end = 0  # as many as `taken` may get to in one `fetch`
        self._errors = errors
        self._progress = progress
        self._for_nobody = for_nobody
        self._fetched = self._left = self._failed = self._damaged = 0
        self._pending = 0  # of what was fetched not gone through
        self._ignored: list[int] = []
        self._busy: set[UserId] = set()

    @property
    def is_full(self) -> bool:
        """Whether the last `fetch` went through as many as it may."""
        return self.taken >= self._end

    @property
    def room(self) -> int:
        """How many more items may be handed over."""
        return self._limit - len(self.items)

    def in_order(self) -> list[InboxItem]:
        """Return the items by the numbers of their envelopes; of a stripe in its own order.

        So the items of one sender stay in order whatever numbers a back end gives.
        """
        numbered: list[tuple[int, int, InboxItem]] = []
        before, high = 0, 0
        for item in sorted(self.items, key=lambda item: receipt_of(item).number):
            receipt = receipt_of(item)
            stripe = stripe_in(receipt.number)
            high = max(high, receipt.backend_number) if stripe == before else receipt.backend_number
            before = stripe
            numbered.append((high, receipt.number, item))
        return [item for _, _, item in sorted(numbered, key=lambda each: each[:2])]

    def fetch(self) -> None:
        """Move waiting envelopes into the inbox; one that fails for now stays where it is.

        Raises:
            BackendError: the back end cannot be reached.
            RestoredStore: the store is older than what was seen of it.
            StoreMoved: it may lack commits.
        """
        self.tell()
        context, token, after, seen = self.link.context, self.link.token, 0, set[int]()
        self.has_used_prekeys, self.stripes = False, set()
        self._end, is_whole = self.taken + self._limit, False
        try:
            while not self._is_over():
                most = min(self._end - self.taken, self.room, _MAX_LIMIT)
                page = self.link.backend.fetch(
                    context.address, token, most, after, self.wait_ms, self._holder.present()
                )
                self.wait_ms = 0
                if not page:
                    break
                # From the first on each time: a hold of others may end meanwhile, and whoever went
                # on after the last one would get the later ones of a sender, not the earlier.
                fresh = [waiting for waiting in page if waiting.number not in seen]
                if not fresh:  # a back end that holds nothing, or holds that were over too soon
                    after = page[-1].number
                    continue
                seen.update(waiting.number for waiting in fresh)
                self.take_in(fresh)
                self.tell()
            is_whole = True
        finally:
            # Also where an answer was lost, or nobody gets what was taken in: it comes again when
            # its time is over, and the later ones of its senders must not come before it.
            if self._left or self._pending or not is_whole:
                self._holder.leave()

    def tell(self) -> None:
        """Tell the back end what is done with, as far as it has not heard of it.

        Raises:
            BackendError: it cannot be reached; the next call tells it.
        """
        ignored, self._ignored = self._ignored, []  # if they are not told, they come again
        tell(self.link, self._acknowledging, ignored)

    def take_in(self, page: Sequence[Waiting]) -> None:
        """Move envelopes that the back end has just shown into the inbox.

        Raises:
            RestoredStore: the store is older than what was seen of it.
            StoreMoved: it may lack commits.
        """
        context, stripes = self.link.context, dict[int, list[Arrived]]()
        self._fetched += len(page)
        self._pending = len(page)
        for number, data in page:
            each = decode_arrived(context, number, data)
            if each.kind is MessageKind.SENDER_KEY:
                self._count(1)
                self._ignored.append(number)
            else:
                stripe = stripe_of_arrived(context, number, each.sender)
                stripes.setdefault(stripe, []).append(each)
        for stripe, rest in sorted(stripes.items()):
            while rest:
                rest = rest[self._take_in_some(stripe, rest) :]
                if self._progress is not None:
                    self._progress(self.taken, self._fetched)

    def _is_over(self) -> bool:
        return (
            self.is_full
            or self.room <= 0
            or self._left >= _MAX_LEFT
            or self._failed >= _MAX_FAILED
            or self._damaged >= _MAX_DAMAGED
        )

    def _take_in_some(self, stripe: int, rest: Sequence[Arrived]) -> int:
        """Take in the first envelopes of a stripe; returns how many are gone through."""
        if self._failed >= _MAX_FAILED or self._damaged >= _MAX_DAMAGED:
            return self._leave(rest)
        part = rest[:MAX_TOGETHER]
        try:
            taken = self._intake(stripe, len(part)).take_in(part)
        except _STOPS:
            raise
        except StoreError:  # the first alone tells of it, if it goes on
            taken = Taken()
        self._note(stripe, part, taken)
        if taken.done == len(part):
            return taken.done
        return taken.done + self._take_in_alone(stripe, rest[taken.done :])

    def _take_in_alone(self, stripe: int, rest: Sequence[Arrived]) -> int:
        """The same for the first one, that something is wrong with."""
        arrived = rest[0]
        try:
            self._note(stripe, rest, self._open_alone(stripe, arrived))
        except RecordCorrupted as error:
            self._errors.append(error)
            self._damaged += 1
            return self._leave([arrived])
        except _STOPS:
            raise
        except StoreError as error:
            self._errors.append(error)
            self._failed += 1
            return self._leave(rest)
        return 1

    def _open_alone(self, stripe: int, arrived: Arrived) -> Taken:
        intake = self._intake(stripe, 1)
        try:
            return intake.take_in_alone(arrived)
        except RemoteError as error:
            return Taken(done=1) if self._is_gone(arrived) else intake.keep_failure(arrived, error)

    def _intake(self, stripe: int, envelopes: int) -> HeldIntake:
        """Return what takes in so many envelopes; the others that were fetched need room, too."""
        return HeldIntake(
            *(self.link.context, self._acknowledging, stripe),
            *(self.room - self._pending + envelopes, self._busy),
            {receipt_of(item).number for item in self.items},
            self._for_nobody,
        )

    def _is_gone(self, arrived: Arrived) -> bool:
        """Whether another worker has taken in what this one has fetched, and acknowledged it."""
        address, number = self.link.context.address, arrived.number
        waiting = self.link.backend.fetch(address, self.link.token, 1, number - 1)
        return (number, arrived.data) not in waiting

    def _note(self, stripe: int, part: Sequence[Arrived], taken: Taken) -> None:
        """Note what has become of the first envelopes of some."""
        self.stripes.add(stripe)
        self.items += taken.items
        shown = [*taken.shown, *(receipt_of(item).number for item in taken.items)]
        self._acknowledging.note_shown(self.link.context, shown)
        self._acknowledging.note_due(stripe, taken.settled)
        self._busy |= taken.busy
        self._left += taken.left
        self._count(taken.done, taken.left)
        done = part[: taken.done]
        self.has_used_prekeys |= any(each.kind is MessageKind.PREKEY for each in done)

    def _count(self, done: int, left: int = 0) -> None:
        self._pending -= done
        self.taken += done - left

    def _leave(self, arrived: Sequence[Arrived]) -> int:
        """Leave envelopes, and whatever else this call is shown of their senders."""
        self._busy |= {each.sender.user_id for each in arrived if each.sender is not None}
        self._left += len(arrived)
        self._pending -= len(arrived)
        return len(arrived)
