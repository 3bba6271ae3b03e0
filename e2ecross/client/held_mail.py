# SPDX-License-Identifier: Apache-2.0
"""What a `Client` has for itself of the mail of a store with stripes: one of many workers.

Rules:
- An item is handed over by whoever holds it, and by nobody else until its time is over. What a
  worker has left behind is looked for every 30 seconds, a fifth more or less.
- Confirming tells the back end first: so an account's next message goes to another worker only
  after its last one was handled. Where it cannot be told, the next `receive` does.
- Of what it has shown more than a minute ago, and of rows that a crash has left, the back end is
  told only after it has shown that the number still is that of the same envelope.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from e2ecross.arguments import require_list
from e2ecross.client.held_incoming import HeldArrival, acknowledge, tell
from e2ecross.client.link import Link
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.device.batch import Progress
from e2ecross.device.held_items import (
    by_stripe,
    confirm_in_stripe,
    find_free,
    forget_heard,
    hold_in_stripe,
    stripes_to_look_into,
)
from e2ecross.device.holder import Holder
from e2ecross.device.pace import Pace
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    RestoredStore,
    StoreCorrupted,
    StoreError,
    StoreMoved,
)
from e2ecross.state.context import Context
from e2ecross.state.inbox import InboxItem, receipt_of

__all__ = ["HeldMail"]

_MAX_FAILED: Final = 4
"""Stripes that the store has trouble with; each may take seconds, so no more are tried."""
_MAX_TOLD: Final = 1_000
"""Damaged items of which the app was told: once, unless there are more."""


class HeldMail:
    """Of one client of a store with stripes."""

    __slots__ = ("_acknowledging", "_context", "_damaged", "_holder", "_pace", "_told")

    def __init__(self, context: Context, acknowledging: Acknowledging | None = None) -> None:
        """Nothing was fetched yet.

        Args:
            context: of the device.
            acknowledging: that of the clients of other threads.
        """
        self._context = context
        self._acknowledging = acknowledging or Acknowledging()
        self._holder = Holder(context)
        self._pace = Pace()
        self._told: dict[tuple[int, int], None] = {}
        self._damaged: list[E2ECrossError] = []  # which the app has not been told of yet

    def for_thread(self) -> "HeldMail":
        """Return that of a client of another thread."""
        return HeldMail(self._context, self._acknowledging)

    def arrival(
        self, link: Link, limit: int, errors: list[E2ECrossError], progress: Progress | None
    ) -> HeldArrival:
        """Return what fetches, in one call of `receive`."""
        return HeldArrival(link, self._holder, self._acknowledging, limit, errors, progress)

    def look(self, arrival: HeldArrival, errors: list[E2ECrossError]) -> None:
        """Add to what is handed over what workers have left behind, if it is time to look for it.

        To be called before anything is fetched: else a worker that has much to do would never look.

        Args:
            arrival: gets the items, as many as it has room for.
            errors: gets what went wrong with the store, stripe by stripe.

        Raises:
            BackendError: it cannot be reached.
            RestoredStore: the store is older than what was seen of it.
        """
        if not self._pace.is_due(self._context):
            return
        self._pace.note(self._context)
        failed = 0
        for stripe in stripes_to_look_into(self._context):
            if arrival.room <= 0 or failed >= _MAX_FAILED:
                break
            try:
                found = find_free(self._context, self._acknowledging, stripe, arrival.room)
            except (RestoredStore, StoreCorrupted, StoreMoved):
                raise
            except StoreError as error:
                errors.append(error)
                failed += 1
                continue
            arrival.items += found.items
            self._acknowledging.note_unsure(stripe, found.unheard)
            for number, damage in found.damaged.items():
                if (stripe, number) not in self._told and len(self._told) < _MAX_TOLD:
                    self._told[stripe, number] = None
                    self._damaged.append(damage)
        if arrival.room <= 0:
            self._pace.forget()  # the next call goes on
        arrival.tell()

    def take_damaged(self) -> list[E2ECrossError]:
        """Return what was raised for damaged items, to be told in the place of no item; once."""
        damaged, self._damaged = self._damaged, []
        return damaged

    def confirm(self, link: Link, items: Iterable[InboxItem]) -> None:
        """Close items that `receive` has returned; see `Client.confirm`."""
        stripes = by_stripe(self._context, require_list("items", items))
        receipts = [receipt_of(item) for each in stripes.values() for item in each]
        shown = self._acknowledging.take_shown(self._context, receipts)
        acknowledged = frozenset[int]()
        with suppress(BackendError):  # the rows of the envelopes stay
            acknowledge(link, shown)
            acknowledged = frozenset(shown)
        left = [
            stripe
            for stripe, each in stripes.items()
            if confirm_in_stripe(self._context, self._acknowledging, stripe, each, acknowledged)
        ]
        if left and len(acknowledged) == len(shown):  # it can be reached
            with suppress(BackendError, StoreError):
                tell(link, self._acknowledging)
                for stripe in left:
                    forget_heard(self._context, self._acknowledging, stripe)

    def hold(self, link: Link, items: Iterable[InboxItem]) -> None:
        """Hold items for another minute; see `Client.hold`."""
        stripes = by_stripe(self._context, require_list("items", items))
        for stripe, each in stripes.items():
            hold_in_stripe(self._context, stripe, each)
        if stripes:
            for hold in self._holder.all():
                link.backend.fetch(self._context.address, link.token, 0, 0, hold=hold)
