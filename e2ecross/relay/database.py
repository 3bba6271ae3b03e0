# SPDX-License-Identifier: Apache-2.0
"""What a relay asks of its database, whichever it is.

Rules:
- A call of the relay is one transaction: a single state to read, or all of a change or nothing.
- A change names what it is about. Where several write at once these are locked before anything is
  read, each kind in one order: so what it has read stays, and no two wait for each other.
- Statements are written for both databases: with `?`, `x''`, and the name `user` quoted. No
  numbers behind `?`: Python 3.12.1 takes them for names, and warns.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar

from e2ecross.address import Address, UserId

__all__ = ["FILES", "SKIP_LOCKED", "Connection", "Database", "Lock", "Rows"]

FILES: Final = "files"
"""Locks the folder of files, and the rows that say what is in it."""

SKIP_LOCKED: Final = "/* FOR UPDATE SKIP LOCKED */"
"""Ends a query for what others may be working with, which is left to them; or stands after its
parts. SQLite has one writer, and to it this is a comment."""

Lock = Address | UserId | Literal["files"]
"""What a change is about: a device that is registered; or an account with all its devices, also
those that come and go; or `FILES`."""

T = TypeVar("T")


class Rows(Protocol):
    """What a statement has found, or changed."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401
        """Return the next row, or None."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection inside a transaction."""

    def execute(self, query: str, parameters: Sequence[object] = (), /) -> Rows:
        """Run a statement; values are `int`, `str`, `bytes` and None."""
        ...

    def executemany(self, query: str, parameters: Iterable[Sequence[object]], /) -> object:
        """Run a statement once for each of these."""
        ...


class Database(Protocol):
    """A relay's database while it is open."""

    @property
    def name(self) -> str:
        """Which it is, without anything that is secret."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether other processes are expected to write beside this one."""
        ...

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do some work in one transaction that only reads: a single state, beside any writer.

        Raises:
            BackendError: the database failed.
        """
        ...

    def write(self, work: Callable[[Connection], T], *locked: Lock) -> T:
        """Do some work in one transaction that may write; all of it or nothing.

        Args:
            work: what.
            locked: what it is about: nobody else changes these, or the rows of these.

        Raises:
            BackendError: the database failed; nothing was kept, unless it failed with the commit.
        """
        ...

    def size_bytes(self) -> int:
        """Return how large it is.

        Raises:
            BackendError: the database failed.
        """
        ...

    def close(self) -> None:
        """Close it; a second time does nothing."""
        ...
