# SPDX-License-Identifier: Apache-2.0
"""What a fuzzing target is, and how bytes become decisions.

Rules:
- A target is a function of bytes that returns what came of them, as one word. It raises nothing:
  whatever comes out of it is a finding.
- It is the same function in the suite, which replays `tests/corpus/`, and under `atheris`.
- Its seeds are made anew each time, so that they stay acceptable when a format changes.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from e2ecross.errors import E2ECrossError

__all__ = ["ACCEPTED", "Source", "Target", "outcome"]

ACCEPTED: Final = "accepted"


class Target(NamedTuple):
    """One entry point.

    Attributes:
        run: what is held against the bytes; returns `ACCEPTED`, or the `code` of the error.
        seeds: makes inputs, at least one of which is accepted.
        max_bytes: of inputs that are worth trying.
    """

    run: Callable[[bytes], str]
    seeds: Callable[[], Sequence[bytes]]
    max_bytes: int = 4096


def outcome(action: Callable[[], object], *allowed: type[E2ECrossError]) -> str:
    """Do something; say what came of it, if it is success or one of these errors."""
    try:
        action()
    except allowed as error:
        return error.code
    return ACCEPTED


class Source:
    """Decisions taken from bytes, front to back; when they are used up, every decision is 0."""

    def __init__(self, data: bytes) -> None:
        """Take the bytes."""
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return max(len(self._data) - self._at, 0)

    def take(self, count: int) -> bytes:
        """The next bytes; fewer at the end."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def number(self, count: int = 1) -> int:
        """A number of that many bytes."""
        return int.from_bytes(self.take(count))

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1, of one byte."""
        return self.number() % limit

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)
