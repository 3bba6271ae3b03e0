# SPDX-License-Identifier: Apache-2.0
"""The threads that use the relay's file: one that writes, four that read.

Rules:
- SQLite has one writer; more threads would wait for each other inside of it.
- The loop of the service itself touches no file.
- How many calls wait for the writer is bounded. Of those that keep it for long (a piece of a file
  is flushed to the disk), one at a time stands in its line: others wait for one of them at most.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

__all__ = ["Workers"]

_READERS: Final = 4
T = TypeVar("T")


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
        future = asyncio.get_running_loop().run_in_executor(self._writer, work)
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
