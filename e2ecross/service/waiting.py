# SPDX-License-Identifier: Apache-2.0
"""Waiting for mail: a fetch that finds nothing answers when something has come, or with its time.

Source: docs/service.md, waiting and holding.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from e2ecross.relay import Relay
from e2ecross.service import replies
from e2ecross.service.calls import Answer
from e2ecross.service.exchange import Exchange, Receive
from e2ecross.service.mail_bell import MailBell, Place
from e2ecross.service.replies import Reply
from e2ecross.service.workers import Workers
from e2ecross.wire.service_mail import FetchRequest

__all__ = ["MailWaiting"]

_MS: Final = 1000
_TOO_MANY_SECONDS: Final = 1.0


class MailWaiting:
    """Waits for mail.

    Args:
        relay: is asked when a hold ends.
        workers: where.
        bell: wakes.
    """

    def __init__(self, relay: Relay, workers: Workers, bell: MailBell) -> None:
        self._relay = relay
        self._workers = workers
        self._bell = bell

    async def fetch(
        self, exchange: Exchange, asked: FetchRequest, ask: Callable[[], Awaitable[Answer]]
    ) -> Answer | Reply | None:
        """Return what `ask` does, as soon as there is mail or the time is over.

        An answer if too many wait; None if the caller has gone away.
        """
        with self._bell.place(asked.address) as place:
            if place is None:
                return replies.wait_first(_TOO_MANY_SECONDS)
            gone = asyncio.ensure_future(_watch(exchange.receive, place))
            started = time.monotonic()
            try:
                return await self._look(asked, ask, place)
            finally:
                exchange.waited = time.monotonic() - started
                gone.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await gone

    async def _look(
        self, asked: FetchRequest, ask: Callable[[], Awaitable[Answer]], place: Place
    ) -> Answer | None:
        ends = time.monotonic() + asked.wait_ms / _MS
        while True:
            place.look()
            answer = await ask()
            left = ends - time.monotonic()
            if answer.delivered or left <= 0 or self._bell.is_stopped:
                return answer
            if asked.hold_ms:
                left = min(left, await self._until_release(asked))
            await place.wait(left)
            if place.is_left:
                return None

    async def _until_release(self, asked: FetchRequest) -> float:
        """Return for how many seconds nothing is set free by itself."""
        held = partial(self._relay.held_for_ms, asked.address)
        ms = await self._workers.read(held)
        return asked.wait_ms / _MS if ms is None else max(ms, 1) / _MS


async def _watch(receive: Receive, place: Place) -> None:
    """Notice that the caller goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    place.leave()
