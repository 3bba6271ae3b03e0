# SPDX-License-Identifier: Apache-2.0
"""Progress on standard error: one line that is written over, or now and then one in a log."""

import sys
from time import monotonic
from typing import Final, TextIO

__all__ = ["Progress"]

_LOG_EVERY_S: Final = 10.0
_WIDTH: Final = 79


class Progress:
    """Tells how far a run has come.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._started = self._told = monotonic()
        self._done = self._total = 0

    def begin(self, total: int) -> None:
        """Say how many steps there will be."""
        self._total = total

    def step(self, *where: str) -> None:
        """Say what comes next."""
        now = monotonic()
        self._done += 1
        if not self._is_terminal and now - self._told < _LOG_EVERY_S:
            return
        self._told = now
        text = f"{100 * (self._done - 1) // self._total:3} %  {now - self._started:4.0f} s  "
        self._write(text + ", ".join(where))

    def skip(self, steps: int) -> None:
        """Leave steps out."""
        self._done += steps

    def end(self) -> None:
        """Say how long it took, and leave the line."""
        self._write(f"100 %  {monotonic() - self._started:4.0f} s")
        if self._is_terminal:
            self._stream.write("\n")

    def _write(self, text: str) -> None:
        line = f"\r{text[:_WIDTH]:{_WIDTH}}" if self._is_terminal else f"{text}\n"
        self._stream.write(line)
        self._stream.flush()
