# SPDX-License-Identifier: Apache-2.0
"""Taking in what waits at the back end, for its own sake: a call of `receive` hands it over.

Rules:
- One of many workers takes in what is of the accounts in question, also what the back end holds for
  another one: who has an older message of theirs may be any of them, this one as well.
- It is with nobody then: who receives next gets it, in its place.
"""

from collections.abc import Collection
from typing import Final

from e2ecross.address import UserId
from e2ecross.client.held_incoming import HeldArrival
from e2ecross.client.incoming import Arrival
from e2ecross.client.link import Link
from e2ecross.device.acknowledging import Acknowledging
from e2ecross.device.arriving import read_sender
from e2ecross.device.holder import Holder
from e2ecross.wire.exchange import Waiting

__all__ = ["take_in_what_waits"]

_MAX_TAKEN_IN: Final = 1_000
"""Messages that are read before a device is taken out."""
_MAX_SHOWN: Final = 10_000
"""Envelopes among which one of many workers looks for them: as many as wait in a mailbox."""


def take_in_what_waits(link: Link, users: Collection[UserId]) -> None:
    """Move what waits into the inbox: who is taken out may have sent it before.

    Args:
        link: to the back end.
        users: accounts of whom somebody is taken out. Without stripes all that waits is taken in.

    Raises:
        BackendError: the back end cannot be reached.
        StoreError: the store cannot be read or written.
    """
    if not link.context.store.stripes:
        Arrival(link, _MAX_TAKEN_IN, [], None).fetch()
        return
    context, after, shown = link.context, 0, 0
    arrival = HeldArrival(
        *(link, Holder(context), Acknowledging(), _MAX_TAKEN_IN, [], None), for_nobody=True
    )
    while arrival.room > 0 and shown < _MAX_SHOWN:
        page = link.backend.fetch(context.address, link.token, _MAX_TAKEN_IN, after)
        if not page:
            break
        after, shown = page[-1].number, shown + len(page)
        arrival.take_in([each for each in page if _is_of(users, each)])
    arrival.tell()


def _is_of(users: Collection[UserId], waiting: Waiting) -> bool:
    sender = read_sender(waiting.envelope)
    return sender is not None and sender.user_id in users
