# SPDX-License-Identifier: Apache-2.0
"""The files of blobs, in one folder beside a relay's file.

Rules:
- A blob has one file, named by the hexadecimal form of its key, SHA-256 of its id; `.part` follows
  as long as it is not complete. Nothing else in the folder is touched.
- What a file holds beyond what its row counts was never answered as kept, and is cut off; so is a
  name that came before its row.
- Written is what is on the disk: data is flushed, and so is a new name. Read and written by this
  account of the system only.
- What the system refuses comes out as `OSError`; who calls turns it into ours (`failures`).
- Whoever changes a file is inside the transaction that changes its row, so it is alone.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from e2ecross.relay.failures import folder_error

__all__ = ["BlobFiles", "make_folder"]

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_NAME: Final = re.compile(r"([0-9a-f]{64})(\.part)?")


def make_folder(folder: str) -> None:
    """Make a folder that is not there yet, for this account only; the one above it must be.

    Raises:
        BackendError: it cannot be made, or is something else.
    """
    with _failures(folder):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, _FOLDER_MODE)
        os.scandir(folder).close()


class BlobFiles:
    """The files in a folder, each by its key, 32 bytes.

    Args:
        folder: where; made if it is not there.

    Raises:
        BackendError: the folder cannot be used.
    """

    def __init__(self, folder: str) -> None:
        # Absolute, as the relay's file: a program may change its folder.
        self.folder: Final = os.path.abspath(folder)
        make_folder(self.folder)

    def failures(self) -> contextlib.AbstractContextManager[None]:
        """Return what turns errors of the system into `BackendError`."""
        return _failures(self.folder)

    def keys(self) -> list[bytes]:
        """Return whose files there are, each once."""
        with os.scandir(self.folder) as entries:
            found = {match[1] for entry in entries if (match := _NAME.fullmatch(entry.name))}
        return [bytes.fromhex(name) for name in sorted(found)]

    def settle(self, key: bytes, stored: int) -> bool:
        """Have the file of an incomplete blob be what its row says; return whether it can.

        What is too much goes. That something lacks is somebody else's doing.
        """
        part = self._part(key)
        if not part.exists():
            with contextlib.suppress(FileNotFoundError):
                self._whole(key).replace(part)  # renamed, and then the row was not written
        length = self._length(part)
        if length > stored:
            os.truncate(part, stored)
        return length >= stored

    def has(self, key: bytes, size: int) -> bool:
        """Tell whether the file of a complete blob is there, with no byte missing."""
        return self._length(self._whole(key)) >= size

    def append(self, key: bytes, stored: int, data: memoryview) -> None:
        """Write behind the `stored` bytes of an incomplete blob; it is settled."""
        part = self._part(key)
        try:
            with open(part, "r+b", buffering=0, opener=_create) as file:
                file.seek(stored)
                left = data
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(part, stored)  # where the disk is full, others need it
            raise
        if not stored:
            self._flush_names()

    def finish(self, key: bytes) -> None:
        """Give the file of a blob the name that complete ones have."""
        self._part(key).replace(self._whole(key))
        self._flush_names()

    def read(self, key: bytes, offset: int, length: int) -> bytes | None:
        """Return a range of a complete blob; None: it is not there."""
        try:
            with open(self._whole(key), "rb", buffering=0) as file:
                file.seek(offset)
                found = bytearray()
                while len(found) < length and (more := file.read(length - len(found))):
                    found += more
        except FileNotFoundError:
            self._require_folder()
            return None
        return bytes(found) if len(found) == length else None

    def remove(self, key: bytes) -> None:
        """Delete what there is of a blob."""
        self._part(key).unlink(missing_ok=True)
        self._whole(key).unlink(missing_ok=True)

    def _part(self, key: bytes) -> Path:
        return Path(self.folder, f"{key.hex()}.part")

    def _whole(self, key: bytes) -> Path:
        return Path(self.folder, key.hex())

    def _length(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            self._require_folder()
            return 0

    def _require_folder(self) -> None:
        # A disk that is not mounted must not look like files that are gone.
        os.stat(self.folder)

    def _flush_names(self) -> None:
        if sys.platform == "win32":  # a folder cannot be opened there
            return
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, _FILE_MODE)


@contextlib.contextmanager
def _failures(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a signal handler's, such as TimeoutError: it passes
            raise
        raise folder_error(folder, error) from error
