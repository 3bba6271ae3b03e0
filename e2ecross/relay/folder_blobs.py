# SPDX-License-Identifier: Apache-2.0
"""A folder that keeps files as a relay does, without tokens: for tests and local use."""

import os
from collections.abc import Callable
from typing import Final

from e2ecross.address import Address
from e2ecross.arguments import require_file_name
from e2ecross.relay.blob_calls import BlobCalls
from e2ecross.relay.blob_files import make_folder
from e2ecross.relay.database import Connection
from e2ecross.relay.limits import RelayLimits
from e2ecross.relay.relay_file import DEFAULT_LIMITS, system_clock_ms

__all__ = ["FolderBlobs"]

_DATABASE: Final = "blobs.db"


class FolderBlobs(BlobCalls):
    """Files in a folder, under the rules of `e2ecross.BlobStore`; to be closed, or used by `with`.

    It is the part of a `Relay` that keeps files, with a relay's file of its own in the folder, in
    which nobody is registered: a token has to be 32 bytes, and any will do. So whoever can call it
    can write for every account. Several threads and processes may use one folder.

    Each method also raises `BackendError` when the folder cannot be used or this was closed.

    Args:
        folder: where; made if it is not there.
        limits: those of blobs count.
        clock: returns the time, milliseconds since 1970.

    Raises:
        InvalidArgument: an argument has the wrong type.
        BackendError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        limits: RelayLimits = DEFAULT_LIMITS,
        clock: Callable[[], int] = system_clock_ms,
    ) -> None:
        name = require_file_name("folder", folder)
        make_folder(name)
        super().__init__(os.path.join(name, _DATABASE), limits, clock, name)

    def _require_holder(self, connection: Connection, address: Address, token: bytes) -> None:
        return  # whoever reaches the folder may write
