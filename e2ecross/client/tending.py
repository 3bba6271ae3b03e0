# SPDX-License-Identifier: Apache-2.0
"""What a `Client` does beside sending and receiving: `maintain`, and what `receive` does of it.

Rules:
- Each part is done whatever becomes of the others; what went wrong is told by all of them.
- One of many workers does all of it every 30 seconds, a fifth more or less: what another has left
  behind waits no longer. In between it sees to what its own call has left to be done.
- Where much waits, after an outage, one call sends a part of it, and the next one goes on: what it
  has received is held for a minute, and the app waits for it.
"""

from collections.abc import Callable
from typing import Final

from e2ecross.client.account import maintain_account, renew_list
from e2ecross.client.blob_answers import CheckedBlobs
from e2ecross.client.flushing import flush
from e2ecross.client.group_sending import announce_all
from e2ecross.client.held_incoming import HeldArrival
from e2ecross.client.hints import check_lists
from e2ecross.client.link import Link
from e2ecross.client.publishing import maintain_prekeys
from e2ecross.client.receipts import tend_conversations
from e2ecross.client.spool import Spool
from e2ecross.client.sweeping import stripes_in_turn
from e2ecross.client.uploads import tend_files
from e2ecross.device.controls import take_own_lists
from e2ecross.device.expiring import forget_sent
from e2ecross.device.group_taking import forget_unjoined
from e2ecross.device.pace import Pace
from e2ecross.device.prekey_upkeep import LastUpkeep
from e2ecross.device.receipts import put_receipts
from e2ecross.device.uploading import note_media_opened
from e2ecross.errors import E2ECrossError

__all__ = ["Tending", "attempt"]

_MAX_SWEPT: Final = 64
"""Stripes from which one call of `receive` sends what waits."""


class Tending:
    """Of one client."""

    __slots__ = ("_pace", "_prekeys")

    def __init__(self) -> None:
        """Nothing was done yet."""
        self._prekeys = LastUpkeep()
        self._pace = Pace()

    def maintain(
        self,
        link: Link,
        blobs: CheckedBlobs | None,
        spool: Spool,
        errors: list[E2ECrossError],
        send: Callable[[Link], object] = flush,
    ) -> None:
        """Do all of it; see `Client.maintain`. What is called with the link sends what waits."""
        context = link.context
        attempt(errors, lambda: self._maintain_prekeys(link))
        attempt(errors, lambda: maintain_account(link))
        attempt(errors, lambda: tend_conversations(context))
        attempt(errors, lambda: forget_sent(context))
        attempt(errors, lambda: tend_files(link, blobs, spool))
        if not context.store.stripes:
            attempt(errors, lambda: forget_unjoined(context))
            attempt(errors, lambda: announce_all(link, anew=True))
        attempt(errors, lambda: send(link))

    def after_fetch(
        self, link: Link, errors: list[E2ECrossError], *, has_used_prekeys: bool
    ) -> None:
        """Do what is due after something was received."""
        context = link.context
        if has_used_prekeys or self._prekeys.is_due(context):
            attempt(errors, lambda: self._maintain_prekeys(link))
            attempt(errors, lambda: renew_list(link))
        attempt(errors, lambda: check_lists(link))
        attempt(errors, lambda: put_receipts(context))
        attempt(errors, lambda: announce_all(link))
        attempt(errors, lambda: flush(link))

    def after_held(
        self,
        link: Link,
        blobs: CheckedBlobs | None,
        spool: Spool,
        errors: list[E2ECrossError],
        arrival: HeldArrival,
    ) -> None:
        """The same as one of many workers."""
        context, touched = link.context, set(arrival.stripes)
        attempt(errors, lambda: take_own_lists(context))
        attempt(errors, lambda: note_media_opened(context))
        attempt(errors, lambda: check_lists(link))
        if self._pace.is_due(context):
            self._pace.note(context)
            swept: list[bool] = []
            self.maintain(link, blobs, spool, errors, lambda link: swept.append(_sweep_some(link)))
            if swept == [False] and not errors:
                self._pace.forget()  # the next call goes on
            return
        if arrival.has_used_prekeys:
            attempt(errors, lambda: self._maintain_prekeys(link))
        attempt(errors, lambda: touched.update(put_receipts(context)))
        if touched:
            attempt(errors, lambda: flush(link, sorted(touched), if_due=True))

    def _maintain_prekeys(self, link: Link) -> None:
        self._prekeys.forget()  # in case it fails
        maintain_prekeys(link)
        self._prekeys.note(link.context)


def _sweep_some(link: Link) -> bool:
    """Deposit what waits in some stripes; tells whether those were all."""
    stripes = stripes_in_turn(link)
    flush(link, stripes[:_MAX_SWEPT])
    return len(stripes) <= _MAX_SWEPT


def attempt(errors: list[E2ECrossError], part: Callable[[], object]) -> None:
    """Do something, and note what is wrong with it."""
    try:
        part()
    except E2ECrossError as error:
        errors.append(error)
