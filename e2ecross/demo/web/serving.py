# SPDX-License-Identifier: Apache-2.0
"""The two services of the page, in one loop: the back end of the phones, and the page itself.

Rules:
- Both are reached on this machine alone, each on a port of its own.
- Phones end first, then whoever waits is told, then the services: nothing waits for the other.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import uvicorn

from e2ecross.demo.people import DemoFailed
from e2ecross.demo.web.actions import Actions
from e2ecross.demo.web.journal import Journal
from e2ecross.demo.web.page import Page
from e2ecross.demo.web.play import Play
from e2ecross.demo.web.watched_relay import WatchedRelay
from e2ecross.service.asgi import create_app, stop
from e2ecross.service.limits import Rates, ServiceLimits
from e2ecross.service.served_connection import ServedConnection

__all__ = ["Serving"]

_GRACE_SECONDS: Final = 1
_KEEP_ALIVE_SECONDS: Final = 75
_CONNECTIONS: Final = 256
_LIMITS: Final = ServiceLimits(
    # All phones have one IP address, and ask often while the laptop is linked.
    failures_per_minute=1_000,
    open_per_second=1_000,
    open_burst=1_000,
    register_burst=100,
    connections=_CONNECTIONS,
    waiting_calls=_CONNECTIONS,
)


class _Server(uvicorn.Server):
    """uvicorn, which leaves signals to us, and says when it answers."""

    def __init__(self, app: object, lifespan: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                http=ServedConnection,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                lifespan=lifespan,  # type: ignore[arg-type]
                limit_concurrency=_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self.answers = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()


class Serving:
    """The page, its phones and their back end; a context manager that leaves nothing behind.

    Args:
        folder: where all files are.
        token: of this run; secret.
        page: the socket of the page, which listens.
        back_end: that of the back end.
    """

    def __init__(
        self, folder: Path, token: str, page: socket.socket, back_end: socket.socket
    ) -> None:
        port = page.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/{token}/"
        self._sockets = (back_end, page)
        self._journal = Journal()
        self._relay = WatchedRelay(folder, self._journal.add)
        self._back_end = create_app(
            self._relay, limits=_LIMITS, rates=lambda address: Rates(requests_per_second=200)
        )
        url = f"http://127.0.0.1:{back_end.getsockname()[1]}"
        self._play = Play(folder, self._relay, url, self._journal)
        self._actions = Actions(self._play)
        self._page = Page(token, port, self._journal, self._play.pictures, self._actions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._relay.close()

    async def run(self, ready: Callable[[str], None], ended: Awaitable[None]) -> None:
        """Serve until something has ended.

        Args:
            ready: called with the URL of the page once it answers.
            ended: what is waited for.

        Raises:
            DemoFailed: the phones do not start.
        """
        servers = [_Server(self._back_end, "on"), _Server(self._page, "off")]
        tasks = [
            asyncio.create_task(server.serve([bound]))
            for server, bound in zip(servers, self._sockets, strict=True)
        ]
        ending = asyncio.ensure_future(ended)
        try:
            for server in servers:
                await server.answers.wait()
            ready(self.url)
            await self._play_until(ending)
        finally:
            ending.cancel()
            await self._end(servers, tasks)

    async def _play_until(self, ending: "asyncio.Future[None]") -> None:
        starting = asyncio.create_task(asyncio.to_thread(self._play.start))
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():  # before they have started: they are ended while they do
            await asyncio.to_thread(self._play.end)
            with contextlib.suppress(DemoFailed):
                await starting
            return
        await starting
        await ending

    async def _end(self, servers: list[_Server], tasks: list[asyncio.Task[None]]) -> None:
        self._page.close()
        await asyncio.to_thread(self._play.end)
        self._journal.close()
        await asyncio.to_thread(self._actions.close)
        stop(self._back_end)
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)
