# SPDX-License-Identifier: Apache-2.0
"""Errors of the store."""

from e2ecross.errors.root import E2ECrossError

__all__ = [
    "CommitUnknown",
    "DeviceExists",
    "NoDevice",
    "RecordCorrupted",
    "RestoredStore",
    "StoreBusy",
    "StoreClosed",
    "StoreCorrupted",
    "StoreError",
    "StoreMoved",
    "StoreTooNew",
    "WrongStoreKey",
]


class StoreError(E2ECrossError):
    """The store cannot do what was asked; nothing of the operation was saved."""

    code = "store_error"


class StoreBusy(StoreError):
    """Another process or thread held the store for too long; try again."""

    code = "store_busy"


class StoreMoved(StoreBusy):
    """The database has failed over or was restored; nothing is done before that is looked into.

    Attributes:
        found_ms_ago: how long ago that was first found, in milliseconds.
    """

    code = "store_moved"

    def __init__(self, found_ms_ago: int = 0, advice: str = "") -> None:
        """Say since when that is known, and what to do, if something else than it stands there."""
        super().__init__(f"the database has failed over or was restored{advice and ': '}{advice}")
        self.found_ms_ago = found_ms_ago


class CommitUnknown(StoreError):
    """The connection was lost during the commit: what was done may have been saved or not."""

    code = "commit_unknown"


class StoreClosed(StoreError):
    """The store has been closed; open it anew."""

    code = "store_closed"


class StoreCorrupted(StoreError):
    """The file is damaged, not an e2ecross store, or not the one that was opened any more."""

    code = "store_corrupted"


class RecordCorrupted(StoreError):
    """A stored record does not decode; the store is damaged.

    Attributes:
        row: the number of the row in a queue, 8 bytes, where a store that lists one cannot open it;
            else None.
    """

    code = "record_corrupted"
    row: bytes | None = None


class StoreTooNew(StoreError):
    """A newer release wrote this store; upgrade e2ecross.

    Attributes:
        found: the version that the store has.
        supported: the highest version that this release reads.
    """

    code = "store_too_new"

    def __init__(self, what: str, found: int, supported: int) -> None:
        """Name what is too new, its version, and ours."""
        super().__init__(
            f"{what} has version {found}, this release reads up to {supported}: upgrade e2ecross"
        )
        self.found = found
        self.supported = supported


class WrongStoreKey(StoreError):
    """The key does not open this store (or the store has none, or needs one)."""

    code = "wrong_store_key"


class RestoredStore(StoreError):
    """The store is older than the device's last message; open it as restored."""

    code = "restored_store"


class DeviceExists(StoreError):
    """The store already holds a device; use `Device.open`."""

    code = "device_exists"


class NoDevice(StoreError):
    """The store holds no device yet; use `Device.create`."""

    code = "no_device"
