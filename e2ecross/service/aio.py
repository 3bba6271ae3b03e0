# SPDX-License-Identifier: Apache-2.0
"""`AsyncClient`: a `Client` in a program of asyncio. Its calls run in threads.

Rules:
- The loop is never blocked: what a call does is arithmetic and commits, and happens in a thread.
- A call that is cancelled goes on in its thread, as if its answer was lost: a `send` that is
  repeated with the same `message_id` sends once.
- Nothing that `items` has fetched is lost by its cancellation: the next `items` hands it out.

Source: docs/service.md, clients in asyncio.
"""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, update_wrapper
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from e2ecross.address import Recipient
from e2ecross.arguments import require_type, require_whole_number
from e2ecross.client.client import Client
from e2ecross.client.groups import Group
from e2ecross.client.handing_out import HandingOut
from e2ecross.errors import BackendError, InvalidArgument, NotRegistered, StoreError
from e2ecross.service.async_group import AsyncGroup
from e2ecross.state.inbox import InboxItem
from e2ecross.wire.group import GroupId

__all__ = ["AsyncClient"]

P = ParamSpec("P")
T = TypeVar("T")

_MOST_THREADS: Final = 64
_FETCHED_AT_ONCE: Final = 100
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_SPREAD: Final = 0.2
_SHORTEST_ROUND: Final = 1.0
"""Seconds from one fetch that found nothing to the next, where the back end does not wait."""


def _in_thread(
    method: Callable[Concatenate[Client, P], T],
) -> Callable[Concatenate["AsyncClient", P], Coroutine[Any, Any, T]]:
    async def call(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(lambda: method(self._client_of_thread(), *args, **kwargs))

    update_wrapper(call, method)
    return call


class AsyncClient:
    """The calls of a `Client`, to be awaited; each in a thread of its own few.

    To be closed, or used by `async with`. What goes wrong is raised as by `Client`.

    Args:
        client: over any store and back end. `Client(..., wait_ms=25_000)` lets `items` hear of mail
            as soon as it comes, where the back end can wait.
        threads: how many calls at once, 1 to 64; `items` has one more.

    Raises:
        InvalidArgument: an argument has the wrong type or range.
    """

    def __init__(self, client: Client, threads: int = 4) -> None:
        require_type("client", client, Client)
        require_whole_number("threads", threads, 1, _MOST_THREADS)
        self.client = client
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(threads, "e2ecross-client")
        self._waiting = ThreadPoolExecutor(1, "e2ecross-items")
        self._arriving: Future[list[InboxItem]] | None = None
        self._arrived = HandingOut(client)
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncClient of {self.client.device.address}>"

    async def aclose(self) -> None:
        """Take no more calls, and wait for those that run; for `items` as long as it waits.

        The `Client`, its store and its back end stay open.
        """
        self._is_closed = True
        for pool in (self._threads, self._waiting):
            await asyncio.to_thread(pool.shutdown)

    async def items(self) -> AsyncIterator[InboxItem]:
        """Hand out what arrives, for ever, in order; to be confirmed as what `receive` returns.

        After a `BackendError` it pauses for 1, 2, … 30 seconds and goes on. One at a time.

        Raises:
            NotRegistered: as from `Client.receive`, like every other error but `BackendError`.
        """
        pause = _FIRST_PAUSE
        while not self._is_closed:
            while await self._has_some():
                yield self._arrived.items.popleft()
            started = time.monotonic()
            try:
                found = await self._arrival()
            except NotRegistered:
                raise
            except BackendError:
                await asyncio.sleep(pause * random.uniform(1 - _SPREAD, 1 + _SPREAD))  # noqa: S311
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            if not found:
                await asyncio.sleep(max(started + _SHORTEST_ROUND - time.monotonic(), 0))

    async def _arrival(self) -> bool:
        """Wait for a fetch, also one that a cancelled `items` has left; whether it found any."""
        if self._arriving is None:
            self._arriving = self._waiting.submit(self._arrived.receive, _FETCHED_AT_ONCE)
        arriving = self._arriving
        # Waited for by its end alone, so that to be cancelled here does not cancel it.
        ended = asyncio.wrap_future(arriving)
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            ended.add_done_callback(_retrieve)
            raise
        except BaseException:
            self._arriving = None
            raise
        self._arriving = None
        self._arrived.items.extend(arriving.result())
        return bool(self._arrived.items)

    async def _has_some(self) -> bool:
        """Whether something waits here that no other worker has got meanwhile."""
        if self._arrived.is_to_hold():
            try:
                await self.hold(())
            except (BackendError, StoreError):
                self._arrived.let_go()
        return bool(self._arrived.items)

    async def _run(self, call: Callable[[], T]) -> T:
        self._require_open()
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _require_open(self) -> None:
        if self._is_closed:
            raise InvalidArgument("the AsyncClient has been closed: make another one")

    def _client_of_thread(self) -> Client:
        """Return the client of this thread: one is used by one thread at a time."""
        client: Client | None = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = self.client.for_thread()
        return client

    async def receive(self, limit: int = _FETCHED_AT_ONCE) -> list[InboxItem]:
        """See `Client.receive`; it takes its turn with `items`, and may wait as long.

        What one that is cancelled has fetched is handed out after a restart: rather use `items`.
        """
        self._require_open()
        receiving = partial(self._arrived.client.receive, limit)
        return await asyncio.get_running_loop().run_in_executor(self._waiting, receiving)

    async def hold(self, items: Iterable[InboxItem]) -> None:
        """See `Client.hold`; with them goes what `items` has still to hand out."""
        # Not by the client of a thread: the back end holds for the one that has received.
        await self._run(lambda: self._arrived.hold(items))

    update_wrapper(hold, Client.hold)

    async def create_group(
        self,
        name: str,
        users: Iterable[Recipient],
        *,
        app_data: bytes = b"",
        only_admins_send: bool = False,
    ) -> AsyncGroup:
        """See `Client.create_group`."""

        def create() -> Group:
            client = self._client_of_thread()
            return client.create_group(
                name, users, app_data=app_data, only_admins_send=only_admins_send
            )

        return self._group(await self._run(create))

    async def group(self, group: GroupId) -> AsyncGroup:
        """See `Client.group`."""
        return self._group(await self._run(lambda: self._client_of_thread().group(group)))

    async def groups(self) -> list[AsyncGroup]:
        """See `Client.groups`."""
        found = await self._run(lambda: self._client_of_thread().groups())
        return [self._group(each) for each in found]

    def _group(self, group: Group) -> AsyncGroup:
        return AsyncGroup(self._run_on_group, group.id)

    async def _run_on_group(self, group: GroupId, call: Callable[[Group], T]) -> T:
        return await self._run(lambda: call(Group(self._client_of_thread(), group)))

    register = _in_thread(Client.register)
    maintain = _in_thread(Client.maintain)
    pending = _in_thread(Client.pending)
    confirm = _in_thread(Client.confirm)
    send = _in_thread(Client.send)
    send_many = _in_thread(Client.send_many)
    plan = _in_thread(Client.plan)
    forward = _in_thread(Client.forward)
    upload = _in_thread(Client.upload)
    uploads = _in_thread(Client.uploads)
    download = _in_thread(Client.download)
    open_attachment = _in_thread(Client.open_attachment)
    accept = _in_thread(Client.accept)
    block = _in_thread(Client.block)
    unblock = _in_thread(Client.unblock)
    requests = _in_thread(Client.requests)
    mark_read = _in_thread(Client.mark_read)
    opened = _in_thread(Client.opened)
    typing = _in_thread(Client.typing)
    devices = _in_thread(Client.devices)
    link_device = _in_thread(Client.link_device)
    unlink = _in_thread(Client.unlink)
    leave = _in_thread(Client.leave)
    restore_devices = _in_thread(Client.restore_devices)
    share_history = _in_thread(Client.share_history)


def _retrieve(ended: "asyncio.Future[list[InboxItem]]") -> None:
    """Take note of an exception that nobody waits for here: the next `items` gets it."""
    if not ended.cancelled():
        ended.exception()
