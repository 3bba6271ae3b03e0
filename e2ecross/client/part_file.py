# SPDX-License-Identifier: Apache-2.0
"""The file in which a download grows, until it gets its name.

Rules:
- One download at a time writes it, of all threads and processes: another one would cut what already
  has its name. (On Windows nothing that is open gets another name.)
- It is a file of the own user, whoever made it.
- What the disk refuses is a `StoreError`; nothing is buffered, so nothing is left to fail later.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from e2ecross.client.spool import sync_folder
from e2ecross.device.batch import Progress
from e2ecross.errors import StoreBusy, StoreError

if sys.platform != "win32":
    import fcntl

__all__ = ["PartFile"]

_MODE: Final = 0o600
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class PartFile:
    """The file, from its beginning on; to be used by `with`.

    Args:
        path: of it.
        size: bytes that it is to have.
        progress: is told how many are right, after each `write`, and once if all are.

    Raises:
        StoreBusy: another download writes it.
        StoreError: it cannot be written.
    """

    __slots__ = ("_done", "_file", "_path", "_progress", "_size")

    def __init__(self, path: Path, size: int, progress: Progress | None) -> None:
        with _disk():
            number = os.open(path, _FLAGS, _MODE)
            try:
                _claim(number, path)
            except BaseException:
                os.close(number)
                raise
            self._file = open(number, "r+b", buffering=0)  # noqa: SIM115 - closed by `__exit__`
        self._path = path
        self._size = size
        self._progress = progress
        self._done = 0

    def __enter__(self) -> "PartFile":
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32":  # a process forked meanwhile would keep the lock
            with suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()

    def read(self, size: int, /) -> bytes:
        """Read what is there already; see `verified_prefix`."""
        with _disk():
            return self._file.read(size)

    def keep(self, length: int) -> int:
        """Cut it to that length, and go on there; returns the length."""
        with _disk():
            self._file.truncate(length)
            self._file.seek(length)
        self._done = length
        if length == self._size:  # nothing more is written
            self._tell()
        return length

    def write(self, data: memoryview, /) -> None:
        """Append what was verified."""
        left = data
        with _disk():
            while left:
                left = left[self._file.write(left) :]
        self._done += len(data)
        self._tell()

    def finish(self, path: str) -> None:
        """Give it its name, once all of it is on disk."""
        with _disk():
            os.fsync(self._file.fileno())
            if sys.platform == "win32":
                self._file.close()
            os.replace(self._path, path)
            sync_folder(self._path.parent)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._size)


def _claim(number: int, path: Path) -> None:
    """Have a file alone that was just opened."""
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode):
        raise StoreError("the part file of an attachment is no file: remove it")
    if sys.platform != "win32":
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy() from error
        except OSError:
            pass  # some file systems have no locks
        os.fchmod(number, _MODE)
    there = None
    with suppress(FileNotFoundError):
        there = os.stat(path, follow_symlinks=False)
    if there is None or not os.path.samestat(found, there):
        raise _busy()  # it was complete meanwhile, and has its name


def _busy() -> StoreBusy:
    return StoreBusy("another download of this file to this path is not over: try again then")


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses is a `StoreError`; what others raise is theirs."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a signal handler's, such as TimeoutError: it passes
            raise
        why = error.strerror or error
        raise StoreError(f"the file of an attachment cannot be written: {why}") from error
