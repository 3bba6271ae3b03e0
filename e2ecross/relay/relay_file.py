# SPDX-License-Identifier: Apache-2.0
"""The file of a relay while it is open: what every call works with."""

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, SupportsIndex

from e2ecross.arguments import require_callable, require_file_name, require_type
from e2ecross.relay.database import Database
from e2ecross.relay.limits import RelayLimits

__all__ = ["RelayFile"]


class RelayFile:
    """An open file; to be closed, or used by `with`.

    Args:
        path: the file; created when it does not exist. It must name a file: processes share it.
        limits: bounds on what is carried and kept.
        clock: returns the time, milliseconds since 1970.

    Raises:
        InvalidArgument: an argument has the wrong type.
        BackendError: the file cannot be opened, is not a relay's, or has another schema.
    """

    def __init__(
        self, path: str | os.PathLike[str], limits: RelayLimits, clock: Callable[[], int]
    ) -> None:
        name = require_file_name("path", path)
        require_type("limits", limits, RelayLimits)
        require_callable("clock", clock)
        self._limits = limits
        self._clock = clock
        self._database = Database(name)

    @property
    def path(self) -> Path:
        """The file, absolute."""
        return Path(self._database.path)

    @property
    def limits(self) -> RelayLimits:
        """The bounds."""
        return self._limits

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.path}>"

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
        """Close the file; a second time does nothing. Calls of other threads are waited for."""
        self._database.close()
