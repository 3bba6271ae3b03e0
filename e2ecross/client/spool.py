# SPDX-License-Identifier: Apache-2.0
"""The folder of blobs that wait to be uploaded, each in a file of its own.

Rules:
- Nothing readable is in a file: it is what the store is given. Others on the machine read it all
  the same only with the user's rights.
- A name tells which device it is of, and no more; so what a killed process has left is found.
- An error of the disk is a `StoreError`, and what was half written is removed.
"""

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from e2ecross.errors import InvalidArgument, StoreError

__all__ = ["Spool", "sync_folder"]

_MODE: Final = 0o600


class Spool:
    """The folder, for one device."""

    __slots__ = ("_given", "_prefix")

    def __init__(self, folder: str | None, prefix: str) -> None:
        """Use a folder; None is the one that the system has for temporary files.

        Names of files of this device, and of no others, begin with `prefix`.
        """
        # Absolute, as a relay's: a program may change its folder.
        self._given = None if folder is None else Path(os.path.abspath(folder))
        self._prefix = prefix

    @property
    def _folder(self) -> Path:
        # Looked for when it is needed: a system may have none, and a client no files.
        return self._given or Path(tempfile.gettempdir())

    @contextmanager
    def new(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file; on disk when it is closed.

        Raises:
            StoreError: it cannot be written; like after any other error nothing is left of it.
        """
        try:
            path = self._folder / name
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            sync_folder(self._folder)
        except BaseException as error:
            self.remove(name)
            # One without a number is a signal handler's, such as TimeoutError: it passes.
            if isinstance(error, OSError) and error.errno is not None:
                raise _unwritten(error) from error
            raise

    def open(self, name: str) -> BinaryIO:
        """Open a file that was written, for reading.

        Raises:
            InvalidArgument: it is not there, or not any more.
            StoreError: it cannot be read.
        """
        with self.failures():
            try:
                return open(self._folder / name, "rb")
            except (FileNotFoundError, NotADirectoryError) as error:
                raise InvalidArgument(
                    "the spool file of this upload is gone: give the client the spool_dir that it "
                    "had, or cancel it, and upload the file again"
                ) from error

    @contextmanager
    def failures(self) -> Iterator[None]:
        """What the disk refuses to read is a `StoreError`."""
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise StoreError(f"a blob cannot be read from the spool folder: {why}") from error

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(OSError):
            (self._folder / name).unlink()

    def remove_left(self, wanted: Collection[str], oldest_ms: int) -> None:
        """Remove files of this device that nobody wants, written before that (since 1970)."""
        try:
            names = [each for each in os.listdir(self._folder) if each.startswith(self._prefix)]
        except OSError:
            return  # of a folder that is gone, nothing is left
        for name in names:
            with suppress(OSError):
                written_ms = (self._folder / name).stat().st_mtime * 1000
                if name not in wanted and written_ms < oldest_ms:
                    (self._folder / name).unlink()


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk, where the system can."""
    if os.name == "nt":  # folders cannot be opened there
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _unwritten(error: OSError) -> StoreError:
    return StoreError(f"a blob cannot be written to the spool folder: {error.strerror or error}")
