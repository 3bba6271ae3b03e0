# SPDX-License-Identifier: Apache-2.0
"""The database of a relay while it is open: what every call works with."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self, SupportsIndex

from e2ecross.arguments import (
    forgets_secrets,
    require_callable,
    require_file_name,
    require_type,
)
from e2ecross.errors import BackendError
from e2ecross.relay.blob_files import BlobFiles
from e2ecross.relay.blobs import settle_all
from e2ecross.relay.database import Database
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.sqlite_database import SQLiteDatabase

__all__ = ["DEFAULT_LIMITS", "POSTGRES", "RelayFile", "system_clock_ms"]

DEFAULT_LIMITS: Final = RelayLimits()

POSTGRES: Final = ("postgresql://", "postgres://")
"""How the address of a PostgreSQL database begins."""


def system_clock_ms() -> int:
    """Return the system's time, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class RelayFile:
    """An open database; to be closed, or used by `with`.

    Args:
        path: the file; created when it does not exist. It must name a file: processes share it. Or
            the address of a PostgreSQL database, `postgresql://…`, which may hold a password.
        limits: bounds on what is carried and kept.
        clock: returns the time, milliseconds since 1970.
        blob_dir: the folder of the files; made if it is not there. None: no files are kept. What
            processes that were killed have left in it is put right.

    Raises:
        InvalidArgument: an argument has the wrong type.
        BackendError: the file cannot be opened, is not a relay's, or has another schema; the
            database cannot or must not be used; or the folder cannot be used.
        ImportError: the extra `postgres` is not installed.
    """

    @forgets_secrets
    def __init__(
        self,
        path: str | os.PathLike[str],
        limits: RelayLimits,
        clock: Callable[[], int],
        blob_dir: str | os.PathLike[str] | None,
    ) -> None:
        name = require_file_name("path", path)
        require_type("limits", limits, RelayLimits)
        require_callable("clock", clock)
        self._limits = limits
        self._clock = clock
        folder = None if blob_dir is None else require_file_name("blob_dir", blob_dir)
        self._database = _open(name)
        try:
            self._blob_files = None if folder is None else BlobFiles(folder)
            if self._blob_files is not None:
                settle_all(self._database, self._blob_files, limits)
        except BaseException:
            self._database.close()
            raise

    @property
    def path(self) -> Path:
        """The file, absolute.

        Raises:
            BackendError: it is no file.
        """
        if not isinstance(self._database, SQLiteDatabase):
            raise BackendError(f"the database {self._database.name} is no file")
        return Path(self._database.name)

    @property
    def is_shared(self) -> bool:
        """Whether other processes are expected to write beside this one."""
        return self._database.is_shared

    @property
    def limits(self) -> RelayLimits:
        """The bounds."""
        return self._limits

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.name}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Relay cannot be pickled or copied: open its path again")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a second time does nothing. Calls of other threads are waited for."""
        self._database.close()


def _open(path: str) -> Database:
    if not path.startswith(POSTGRES):
        return SQLiteDatabase(path)
    from e2ecross.relay.postgres import PostgresDatabase  # has an extra

    return PostgresDatabase(path)
