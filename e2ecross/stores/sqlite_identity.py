# SPDX-License-Identifier: Apache-2.0
"""Which file a `SQLiteStore` has opened, and that it still is that file, in no older state.

Who put a copy of the file in its place, under an open store, would make the device use message keys
a second time.

Rules:
- The file is known by device and inode, and so is its WAL, which holds what was committed last.
  Both are looked at before a transaction, so that no connection is opened to anything else and no
  WAL is made anew, and after a commit, before anything of it is released.
- The file counts its commits: its generation. A transaction that finds a lower one than this object
  has seen stands on an older state.
- A key that `rekey` is changing to is written down here before the file has it: whatever interrupts
  that, the next transaction finds one of the two in the file and goes on with it.
"""

import os
import sqlite3
from typing import Final

from e2ecross.errors import StoreCorrupted, WrongStoreKey
from e2ecross.stores.sealing import Sealer
from e2ecross.stores.sqlite_schema import check_version, pragma_value, read_meta

__all__ = ["OpenedFile", "Place", "Sealing", "Stamp", "place_of"]

Place = tuple[int, int]
"""Device and inode."""
Stamp = tuple[int, int]
"""Size, and time of the last change in nanoseconds. With a WAL they change when SQLite writes the
WAL back, and when anybody else writes into the file."""
Sealing = tuple[bytes, Sealer | None]
"""The sealing header and what it opened to: one value, because they change together."""

_ADVICE: Final = (
    "close this object; after putting back a copy, open it as restored (docs/storage.md)"
)


class OpenedFile:
    """What one store object knows of its file; a forked child has a copy of it.

    Args:
        path: absolute name of the file.
        place: where it was found.
        sealing: what it was opened with.
        generation: how many commits it counted.

    Attributes:
        closed: whether the store has been closed.
        next_sealing: what the file may have instead of `sealing`, by a `rekey` of this object.
        wal_bytes: how long the WAL was when it was last looked at.
    """

    __slots__ = (
        "_wal_path",
        "closed",
        "generation",
        "next_sealing",
        "path",
        "place",
        "sealing",
        "wal_bytes",
    )

    def __init__(self, path: str, place: Place, sealing: Sealing, generation: int) -> None:
        self.path = path
        self.place = place
        self.sealing = sealing
        self.generation = generation
        self.next_sealing: Sealing | None = None
        self.closed = False
        self.wal_bytes = 0
        self._wal_path = f"{os.path.realpath(path)}-wal"  # as SQLite names it

    def wal_place(self) -> Place | None:
        """Where the WAL is; None when there is none."""
        try:
            found = os.stat(self._wal_path)
        except FileNotFoundError:
            return None
        self.wal_bytes = found.st_size
        return found.st_dev, found.st_ino

    def check_place(self, wal: Place | None) -> Stamp:
        """Make sure that the file still is the one that was opened.

        Args:
            wal: where the WAL is that connections of this process have open, if there are any.

        Returns:
            For comparison with the next one.

        Raises:
            StoreCorrupted: it is another file, or none, or another WAL lies beside it.
            OSError: it cannot be looked at.
        """
        try:
            found = os.stat(self.path)
        except FileNotFoundError as exc:
            raise StoreCorrupted(
                f"the store {self.path} was removed or renamed while it was open: {_ADVICE}"
            ) from exc
        if (found.st_dev, found.st_ino) != self.place:
            raise StoreCorrupted(
                f"the store {self.path} was replaced by another file while it was open: {_ADVICE}"
            )
        if wal is not None and self.wal_place() != wal:
            raise StoreCorrupted(
                f"the WAL of the store {self.path}, which holds its last commits, was removed or "
                f"replaced while it was open: {_ADVICE}"
            )
        return found.st_size, found.st_mtime_ns

    def check_content(self, connection: sqlite3.Connection) -> None:
        """Make sure that schema, generation and key are none but what they may be; note them.

        Args:
            connection: inside a transaction, so that nothing is read or written under an old key.

        Raises:
            StoreTooNew: the schema is newer than ours.
            StoreCorrupted: an older state was put back, or something that is no store.
            WrongStoreKey: somebody else has changed the key.
        """
        check_version(pragma_value(connection, "user_version"))
        header, generation = read_meta(connection)
        if generation < self.generation:
            raise StoreCorrupted(
                f"an older state of the store {self.path} was put back while it was open: {_ADVICE}"
            )
        if header != self.sealing[0]:
            if self.next_sealing is None or header != self.next_sealing[0]:
                raise WrongStoreKey(
                    "the key of the store was changed: open it anew, with the new key"
                )
            self.sealing = self.next_sealing
        self.generation = generation


def place_of(path: str) -> Place:
    """Where the file is."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
