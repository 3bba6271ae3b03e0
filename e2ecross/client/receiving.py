# SPDX-License-Identifier: Apache-2.0
"""Fetching until there is something for the app: what is not for it ends no app's loop.

Rules:
- A fetch may bring only what clients tell each other, or what another client of the same mailbox
  was faster with. No item would mean to the app that nothing waits: another fetch follows.
- Not for ever: the back end and other clients say what there is to go through.
- The back end is let wait only when nothing was there, so that nothing that is due waits for mail.
"""

from collections.abc import Callable
from typing import Final, Protocol

from e2ecross.client.tending import attempt
from e2ecross.errors import E2ECrossError

__all__ = ["Fetching", "fetch_some"]

_MAX_GONE_THROUGH: Final = 10_000
"""Envelopes in one call: as many as wait in a mailbox."""


class Fetching(Protocol):
    """What `fetch_some` has to know of an arrival.

    Attributes:
        taken: how many envelopes were gone through, also those that are not for the app.
        wait_ms: how long the back end may wait for the first, milliseconds.
    """

    taken: int
    wait_ms: int

    @property
    def is_full(self) -> bool:
        """Whether it went through as many as it may, so that more may wait."""
        ...


def fetch_some(
    arrival: Fetching,
    wait_ms: int,
    errors: list[E2ECrossError],
    fetch: Callable[[], None],
    has_found: Callable[[], bool],
) -> None:
    """Fetch until something is found, something is wrong, or nothing more waits.

    Args:
        arrival: of the call.
        wait_ms: how long the back end may wait in the end, milliseconds; 0: not at all.
        errors: what is wrong; gets what `fetch` raises.
        fetch: lets the arrival fetch once.
        has_found: tells whether there is something for the app.
    """
    for each in (0, wait_ms) if wait_ms else (0,):
        arrival.wait_ms = each
        while True:
            attempt(errors, fetch)
            if has_found() or errors:
                return
            if not arrival.is_full or arrival.taken >= _MAX_GONE_THROUGH:
                break
