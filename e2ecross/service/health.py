# SPDX-License-Identifier: Apache-2.0
"""Whether the service lives, and whether it can do its work; without a token."""

import asyncio
from typing import Final

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service.exchange import Receive, Scope, Send
from e2ecross.service.mail_bell import MailBell
from e2ecross.service.workers import Workers
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["Alive", "Ready"]

_READY_SECONDS: Final = 1.0
_NOBODY: Final = bytes(TOKEN_BYTES)


class Alive:
    """`/healthz`: the process lives."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await _say(scope, send, 200, b"ok")


class Ready:
    """`/readyz`: a reading transaction works, and the service is not being stopped.

    Args:
        relay: is asked.
        workers: where.
        bell: knows whether the service is being stopped.
    """

    def __init__(self, relay: Relay, workers: Workers, bell: MailBell) -> None:
        self._relay = relay
        self._workers = workers
        self._bell = bell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await _say(scope, send, 200 if await self._is_ready() else 503)

    async def _is_ready(self) -> bool:
        if self._bell.is_stopped:
            return False
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._workers.read(lambda: self._relay.holder(_NOBODY))
        except (TimeoutError, BackendError):
            return False
        return True


async def _say(scope: Scope, send: Send, status: int, body: bytes = b"") -> None:
    other: list[tuple[bytes, bytes]] = []
    if scope["method"] not in ("GET", "HEAD"):
        status, body, other = 405, b"", [(b"allow", b"GET, HEAD")]
    headers = [
        *other,
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
