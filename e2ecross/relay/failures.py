# SPDX-License-Identifier: Apache-2.0
"""Why a relay's file cannot be used, and what to do about it.

Rules:
- Decided by the result code, never by the text of an error. Where one code has several causes, the
  system is asked which it is: limits of the process, owner, permissions, names of the file.
- The file itself is not opened for that: closing a descriptor of it would drop SQLite's locks.
"""

import errno
import os
import sqlite3
import stat
import sys
from typing import Final

from e2ecross.errors import BackendError

__all__ = ["DRIVER_ERRORS", "backend_error", "folder_error", "require_single_file"]

DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite's driver raises; the second for damaged text in a schema."""

_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another process held it for too long: try again",
    sqlite3.SQLITE_LOCKED: "another connection held it for too long: try again",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the folder and the permissions",
    sqlite3.SQLITE_READONLY: "it cannot be written: check the permissions of file and folder",
    sqlite3.SQLITE_FULL: "the disk is full: make room and try again",
    sqlite3.SQLITE_IOERR: "reading or writing failed: check the disk",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore it or start with a new file",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite file: name another path; it was not changed",
}
_OPENING: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT}
_DESCRIPTORS: Final = 4
"""What SQLite opens: the file, its log, the index of that, and for a moment their folder."""
_ROOM: Final = 1024 * 1024
"""Bytes that one write may need; so near to the limit of file sizes, that is the cause."""


def backend_error(path: str, error: Exception) -> BackendError:
    """Say in our terms what went wrong with the file at `path`; raise the result `from` it."""
    if isinstance(error, OSError):
        cause = _no_descriptors() or _not_permitted(path)
        cause = cause or f"it cannot be opened: check the folder ({error.strerror})"
    else:
        # The low byte is the kind; the rest tells cases apart that are one to us.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        cause = _ADVICE.get(code, f"SQLite reports: {error}")
        if code in _OPENING:
            cause = _no_descriptors() or _not_permitted(path) or cause
        elif code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
            cause = _too_large(path) or cause
    return BackendError(f"the relay file {path} failed: {cause}")


def folder_error(folder: str, error: OSError) -> BackendError:
    """Say in our terms what went wrong with the files in a folder; raise the result `from` it."""
    if error.errno in _NO_ROOM:
        cause = "the disk is full: make room and try again"
    elif error.errno == errno.EFBIG:
        cause = "files of this process may not have as many bytes: raise the limit (ulimit -f)"
    else:
        cause = _no_descriptors() or f"check the folder and its permissions ({error.strerror})"
    return BackendError(f"the folder of files {folder} failed: {cause}")


def require_single_file(path: str) -> os.stat_result:
    """Return what the system says about a file that is to be opened.

    Raises:
        BackendError: it is no file, or has a second name, under which SQLite would keep another
            log beside it: two relays, each of which damages what the other one writes.
        OSError: there is none.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise BackendError(f"the relay file {path} failed: it is not a file, name another path")
    if found.st_nlink > 1:
        raise BackendError(
            f"the relay file {path} failed: it has {found.st_nlink} names (hard links), and may be "
            f"open under another one: keep one of them, or copy the file"
        )
    return found


def _no_descriptors() -> str | None:
    opened: list[int] = []
    try:
        while len(opened) < _DESCRIPTORS:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return "too few file descriptors are left: close files, or raise the limit (ulimit -n)"
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return None


def _not_permitted(path: str) -> str | None:
    for name, what in ((path, "it"), (os.path.dirname(path), "its folder")):
        try:
            found = os.stat(name)
        except OSError:
            continue  # the folder is named next, or neither is there
        if os.access(name, os.R_OK | os.W_OK if name == path else os.W_OK | os.X_OK):
            continue
        whose = ""
        if sys.platform != "win32":
            whose = f" of user {found.st_uid}, and this process is user {os.geteuid()}"
        return (
            f"{what} may not be read and written (mode {stat.S_IMODE(found.st_mode):o}{whose}): "
            f"check owner and permissions"
        )
    return None


def _too_large(path: str) -> str | None:
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return None
    sizes = [os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name)]
    if max(sizes, default=0) + _ROOM < limit:
        return None
    return (
        f"files of this process may have {limit} bytes at most, and that is reached: raise the "
        f"limit (ulimit -f)"
    )
