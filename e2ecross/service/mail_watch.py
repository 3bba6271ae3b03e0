# SPDX-License-Identifier: Apache-2.0
"""Mail that other processes have put into the database: seen soon, and rung for.

Rules:
- One question for all mailboxes that somebody waits for, ten times a second; none while nobody
  waits. So nobody has to tell of a deposit, and a deposit waits for nobody.
- Who waits has looked after taking a place. What came between that and the first question is seen
  by what is there then; what comes later, by what has changed.

Source: docs/service.md, waiting and holding.
"""

import asyncio
from functools import partial
from typing import Final, NoReturn

from e2ecross.address import Address
from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service.mail_bell import MailBell
from e2ecross.service.workers import Workers

__all__ = ["MailWatch"]

_SECONDS: Final = 0.1
"""Half of what mail from another process may be late."""


class MailWatch:
    """Watches the mailboxes that somebody waits for.

    Args:
        relay: is asked.
        workers: where.
        bell: is rung.
    """

    def __init__(self, relay: Relay, workers: Workers, bell: MailBell) -> None:
        self._relay = relay
        self._workers = workers
        self._bell = bell
        self._marks: dict[Address, tuple[int, int]] = {}

    async def run(self) -> NoReturn:
        """Watch until it is cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            await self._look()

    async def _look(self) -> None:
        before, self._marks = self._marks, {}
        waited_for = self._bell.waited_for()
        if not waited_for:
            return
        try:
            marks = await self._workers.read(partial(self._relay.mail_marks, waited_for))
        except BackendError:
            marks = before  # asked again soon; who fetches hears of it
        for address, mark in marks.items():
            # Not seen before: only that something is there tells.
            if mark != before.get(address, (0, mark[1])):
                self._bell.ring(address)
        self._marks = marks
