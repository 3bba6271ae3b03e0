# SPDX-License-Identifier: Apache-2.0
"""The threads that use the relay's file: one that writes, four that read.

Rules:
- SQLite has one writer; more threads would wait for each other inside of it.
- The loop of the service itself touches no file.
- What waits for the writer at the same time and may share a commit shares it: each is answered
  after that.
- How many calls wait for the writer is bounded. Of those that keep it for long (a piece of a file
  is flushed to the disk), one at a time stands in its line: others wait for one of them at most.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

__all__ = ["Together", "Workers"]

_READERS: Final = 4
_MOST_TOGETHER: Final = 32
T = TypeVar("T")
A = TypeVar("A")


class Together(Generic[A, T]):
    """Calls of a kind that are done at once, as many as wait when the writer has its turn for one.

    Args:
        work: does some calls; returns for each in its place what it returns, or raises.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[T | Exception]]) -> None:
        self._work = work
        self._calls: deque[tuple[A, asyncio.Future[T]]] = deque()

    def add(self, call: A) -> "asyncio.Future[T]":
        """Put a call into the line, for a `do` that follows."""
        future = asyncio.get_running_loop().create_future()
        self._calls.append((call, future))
        return future

    def do(self) -> None:
        """Do what waits; in the thread that writes. Nothing, if an earlier turn has done it."""
        part = [self._calls.popleft() for _ in range(min(len(self._calls), _MOST_TOGETHER))]
        if not part:
            return
        came: Sequence[T | Exception]
        try:
            came = self._work([call for call, _ in part])
        except Exception as error:
            came = [error] * len(part)
        futures = [future for _, future in part]
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            futures[0].get_loop().call_soon_threadsafe(_tell, futures, came)


def _tell(futures: "list[asyncio.Future[T]]", came: Sequence[T | Exception]) -> None:
    for future, each in zip(futures, came, strict=True):
        if future.done():  # nobody waits any more
            continue
        if isinstance(each, Exception):
            future.set_exception(each)
        else:
            future.set_result(each)


class Workers:
    """The threads of one service; `close` waits for what they do.

    Args:
        most: how many calls may wait for the writer.
        most_slow: the same of those that keep it for long.
    """

    def __init__(self, most: int, most_slow: int) -> None:
        self._most = most
        self._most_slow = most_slow
        self._slow_queue = 0
        self._slow_turn = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, "e2ecross-writer")
        self._readers = ThreadPoolExecutor(_READERS, "e2ecross-reader")
        self.queue = 0

    @property
    def is_busy(self) -> bool:
        """Whether as many calls wait for the writer as may."""
        return self.queue >= self._most

    @property
    def is_slowly_busy(self) -> bool:
        """Whether as many calls that keep the writer for long wait for it as may."""
        return self.is_busy or self._slow_queue >= self._most_slow

    async def write_slowly(self, work: Callable[[], T]) -> T:
        """Do something that takes long in the thread that writes, one such after the other."""
        self._slow_queue += 1
        try:
            async with self._slow_turn:
                return await self.write(work)
        finally:
            self._slow_queue -= 1

    async def write(self, work: Callable[[], T]) -> T:
        """Do something in the thread that writes, when its turn comes."""
        return await self._in_line(asyncio.get_running_loop().run_in_executor(self._writer, work))

    async def write_together(self, together: Together[A, T], call: A) -> T:
        """Do a call in the thread that writes, when its turn comes, with others of its kind."""
        future = together.add(call)
        self._writer.submit(together.do)
        return await self._in_line(future)

    async def _in_line(self, future: "asyncio.Future[T]") -> T:
        self.queue += 1
        try:
            return await future
        finally:
            self.queue -= 1

    async def read(self, work: Callable[[], T]) -> T:
        """Do something in a thread that only reads."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def close(self) -> None:
        """Let the threads finish what they were given, and end."""
        self._writer.shutdown()
        self._readers.shutdown()
