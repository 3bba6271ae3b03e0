# SPDX-License-Identifier: Apache-2.0
"""Blobs: encrypted files that a relay keeps for a while, for whoever knows their ids.

Rules:
- A row has the key of a blob, SHA-256 of its id: with what is kept here, nobody opens one.
- A blob is of the account that began it, all its devices alike, and has the size that it was begun
  with. It is complete when all of it is stored; before that it cannot be read.
- First the file, flushed to the disk, then its row: what is counted is there after a crash. Where
  the row was not written, the file has too much, and `BlobFiles.settle` cuts it. A file goes before
  its row: then the row counts bytes that are not there, which is seen wherever it is used.
- One that was damaged from outside is gone for who reads or appends, and begun anew by its account.
- Expired ones are none, and are removed with the next that is begun, more than are begun. A clock
  that was put back makes them stay for longer.

Source: attachments.md 8.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.errors import BackendRefused, BlobGone
from e2ecross.relay.blob_files import BlobFiles
from e2ecross.relay.database import FILES, Connection, Database
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.rows import read_row, read_rows, require_row

__all__ = ["Blobs", "blob_gone", "key_of", "settle_all"]

_FORGET_BATCH: Final = 100
"""Expired blobs deleted with one call: more than a call begins, and little work."""
_SETTLE_BATCH: Final = 100
"""Files looked at in one transaction, so that others wait for a moment only."""


class _Row(NamedTuple):
    user: str
    size: int
    stored: int
    until_ms: int

    @property
    def is_complete(self) -> bool:
        return self.stored >= self.size


def key_of(blob_id: bytes) -> bytes:
    """Return what a blob is kept under, 32 bytes."""
    return hashlib.sha256(blob_id).digest()


def blob_gone() -> BlobGone:
    """Return the error for a blob that cannot be read or written, whatever the reason."""
    return BlobGone(
        "the back end has no such file, or not any more: ask the sender for it, or upload it anew"
    )


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blobs of a relay, inside one transaction.

    Attributes:
        connection: inside a transaction of the caller, alone on the file but for `size_to_read`.
        files: where their bytes are.
        limits: what an account may have, and for how long.
        now_ms: the time, milliseconds since 1970.
    """

    connection: Connection
    files: BlobFiles
    limits: RelayLimits
    now_ms: int

    def begin(self, key: bytes, user: str, size: int) -> int:
        """Begin a blob of an account, or return how many bytes of it are there.

        Raises:
            BackendRefused: it is another account's or has another size; or the account has too
                much.
        """
        self._forget_expired()
        row = self._read(key)
        if row is None:
            self._require_room(user, size)
        elif (row.user, row.size) != (user, size):
            raise BackendRefused(
                "this file was begun by another account or with another size: take another id"
            )
        elif self._is_sound(key, row):
            return row.stored
        # Of one that is damaged, or whose time is over, nothing stays.
        self.files.remove(key)
        self.connection.execute(
            'INSERT INTO blobs (id_sha256, "user", size, stored, until_ms) VALUES (?, ?, ?, 0, ?)'
            ' ON CONFLICT (id_sha256) DO UPDATE SET "user" = excluded."user",'
            " size = excluded.size, stored = 0, until_ms = excluded.until_ms",
            (key, user, size, self.now_ms + self.limits.blob_part_kept_ms),
        )
        return 0

    def append(self, key: bytes, user: str, offset: int, data: bytes) -> int:
        """Append to a blob of an account what is not there yet, and return how much there is.

        Raises:
            BlobGone: there is none.
            BackendRefused: it would leave a gap, or is beyond the size.
        """
        row = self._read(key)
        if row is None or row.user != user or not self._is_sound(key, row):
            raise blob_gone()
        end = offset + len(data)
        if offset > row.stored or end > row.size:
            raise BackendRefused(
                f"bytes {offset} to {end} of a file of {row.size}, of which {row.stored} are there:"
                f" go on where it stands"
            )
        if end <= row.stored:
            return row.stored
        self.files.append(key, row.stored, memoryview(data)[row.stored - offset :])
        until_ms = row.until_ms
        if end == row.size:
            self.files.finish(key)
            until_ms = self.now_ms + self.limits.blob_kept_ms
        self.connection.execute(
            "UPDATE blobs SET stored = ?, until_ms = ? WHERE id_sha256 = ?", (end, until_ms, key)
        )
        return end

    def size_to_read(self, key: bytes) -> int:
        """Return how many bytes a complete blob has.

        Raises:
            BlobGone: there is none.
        """
        row = self._read(key)
        if row is None or not row.is_complete:
            raise blob_gone()
        return row.size

    def delete(self, key: bytes, user: str) -> None:
        """Remove a blob if it is the account's."""
        found = read_row(
            self.connection,
            'SELECT id_sha256 FROM blobs WHERE id_sha256 = ? AND "user" = ?',
            (key, user),
            bytes,
        )
        if found is not None:
            self._remove(key)

    def settle(self, key: bytes) -> None:
        """Have the file of a blob be what its row says, after processes that were killed."""
        row = self._read_any(key)
        if row is None:
            self.files.remove(key)
        elif not row.is_complete:
            self.files.settle(key, row.stored)

    def _is_sound(self, key: bytes, row: _Row) -> bool:
        if row.is_complete:
            return self.files.has(key, row.size)
        return self.files.settle(key, row.stored)

    def _require_room(self, user: str, size: int) -> None:
        limits = self.limits
        count, taken = require_row(
            self.connection,
            "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs"
            ' WHERE "user" = ? AND until_ms > ?',
            (user, self.now_ms),
            *(int, int),
        )
        if count >= limits.blobs_per_user or taken + size > limits.blobs_per_user_bytes:
            raise BackendRefused(
                f"{user} has {count} files of {taken} bytes, this back end keeps up to "
                f"{limits.blobs_per_user} of {limits.blobs_per_user_bytes}: delete some, or wait "
                f"until they expire"
            )

    def _read(self, key: bytes) -> _Row | None:
        row = self._read_any(key)
        return None if row is None or row.until_ms <= self.now_ms else row

    def _read_any(self, key: bytes) -> _Row | None:
        row = read_row(
            self.connection,
            'SELECT "user", size, stored, until_ms FROM blobs WHERE id_sha256 = ?',
            (key,),
            *(str, int, int, int),
        )
        return None if row is None else _Row(*row)

    def _forget_expired(self) -> None:
        expired = read_rows(
            self.connection,
            "SELECT id_sha256 FROM blobs WHERE until_ms <= ? ORDER BY until_ms LIMIT ?",
            (self.now_ms, _FORGET_BATCH),
            bytes,
        )
        for (key,) in expired:
            self._remove(key)

    def _remove(self, key: bytes) -> None:
        self.files.remove(key)
        self.connection.execute("DELETE FROM blobs WHERE id_sha256 = ?", (key,))


def settle_all(database: Database, files: BlobFiles, limits: RelayLimits) -> None:
    """Have all files be what their rows say; files without a row go.

    A file is written inside the transaction that writes its row: none is of a process that is just
    writing.

    Raises:
        BackendError: the relay's file or the folder cannot be used.
    """
    keys = files.keys()
    for start in range(0, len(keys), _SETTLE_BATCH):

        def work(
            connection: Connection, batch: list[bytes] = keys[start : start + _SETTLE_BATCH]
        ) -> None:
            blobs = Blobs(connection, files, limits, 0)
            for key in batch:
                blobs.settle(key)

        database.write(work, FILES)
