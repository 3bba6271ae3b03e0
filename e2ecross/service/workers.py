# SPDX-License-Identifier: Apache-2.0
"""The threads that use the relay's file: one that writes, four that read.

Rules:
- SQLite has one writer; more threads would wait for each other inside of it.
- The loop of the service itself touches no file.
- How many calls wait for the writer is bounded.
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
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._writer = ThreadPoolExecutor(1, "e2ecross-writer")
        self._readers = ThreadPoolExecutor(_READERS, "e2ecross-reader")
        self.queue = 0

    @property
    def is_busy(self) -> bool:
        """Whether as many calls wait for the writer as may."""
        return self.queue >= self._most

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
