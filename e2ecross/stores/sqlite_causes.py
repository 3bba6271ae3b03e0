# SPDX-License-Identifier: Apache-2.0
"""Why a file cannot be used, where SQLite says only that it cannot.

Looked for when something has failed already, so it may cost what it costs. A cause is named when it
is found, never guessed: what is not found leaves the general advice of `sqlite_errors`.
"""

import errno
import os
from contextlib import suppress
from typing import Final

__all__ = ["find_cause"]

_DESCRIPTORS: Final = 3  # the file, its WAL and its index
_MARGIN_BYTES: Final = 64 * 1024  # an index grows by 32 KiB at once, everything else by less
_NO_DESCRIPTOR: Final = frozenset((errno.EMFILE, errno.ENFILE))


def find_cause(path: str, number: int | None = None) -> str | None:
    """Say what keeps this process from using the file, or those that SQLite keeps beside it.

    Args:
        path: the file of a store.
        number: the operating system's error number, where it is known.

    Returns:
        What is wrong and what to do, or None when nothing was found.
    """
    if number in _NO_DESCRIPTOR or _lacks_descriptors():
        return (
            "no file descriptor is left for it: close files and stores that are not needed, or "
            "raise the limit (ulimit -n)"
        )
    return _size_limit(path, number) or _permission(path)


def _lacks_descriptors() -> bool:
    opened: list[int] = []
    try:
        for _ in range(_DESCRIPTORS):
            opened.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401
    except OSError as exc:
        return exc.errno in _NO_DESCRIPTOR
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return False


def _size_limit(path: str, number: int | None) -> str | None:
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    sizes = [found.st_size for _, found in _files(path)]
    if number == errno.EFBIG or max(sizes, default=0) + _MARGIN_BYTES >= limit:
        return f"the file-size limit of {limit} bytes is reached: raise it (ulimit -f)"
    return None


def _permission(path: str) -> str | None:
    for name, found in _files(path):
        if os.access(name, os.R_OK | os.W_OK):
            continue
        user = os.geteuid() if hasattr(os, "geteuid") else found.st_uid
        if found.st_uid != user:
            return (
                f"{name} belongs to user {found.st_uid}, and this process runs as user {user}: run "
                "it as the owner, or give the files of the store to this user"
            )
        return (
            f"{name} cannot be read and written (mode {found.st_mode & 0o777:04o}, or a file "
            "system that is read-only): change that"
        )
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
        return f"files cannot be made in its folder {folder}: check its owner and permissions"
    return None


def _files(path: str) -> list[tuple[str, os.stat_result]]:
    """The files of a store that there are; SQLite names them after what a link leads to."""
    files = []
    for ending in ("", "-wal", "-shm", "-journal"):
        name = f"{os.path.realpath(path)}{ending}"
        with suppress(OSError):
            files.append((name, os.stat(name)))
    return files
