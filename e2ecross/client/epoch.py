# SPDX-License-Identifier: Apache-2.0
"""The epoch: how many sending and prekey operations this store has committed.

Rules:
- It goes up in the same commit as the operation that it counts.
- What leaves the device carries it, and the back end keeps the highest. A store whose epoch is
  lower than that has been put back to an older state: it must not send before it is opened as
  restored, because its sessions would use message keys a second time.
"""

from dataclasses import replace
from typing import Final

from e2ecross.client.context import require_device, save_device
from e2ecross.errors import RestoredStore
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.records import decode_epoch, encode_epoch

__all__ = [
    "EPOCH_ROW",
    "MAX_EPOCH",
    "check_epoch",
    "count_operation",
    "read_epoch",
    "set_epoch",
]

MAX_EPOCH: Final = 2**63 - 1
"""The highest that a back end has room for."""
EPOCH_ROW: Final = b"epoch"


def read_epoch(tx: Transaction) -> int:
    """Return how many operations were committed."""
    data = tx.get(Table.DEVICE, b"", EPOCH_ROW)
    return 0 if data is None else decode_epoch(data)


def set_epoch(tx: Transaction, epoch: int) -> None:
    """Write the epoch."""
    tx.put(Table.DEVICE, b"", EPOCH_ROW, encode_epoch(epoch))


def count_operation(tx: Transaction) -> int:
    """Count the operation that this transaction commits; returns the new epoch."""
    epoch = read_epoch(tx) + 1
    set_epoch(tx, epoch)
    return epoch


def check_epoch(tx: Transaction, epoch: int) -> None:
    """Compare the store with the epoch that the back end has heard of.

    Raises:
        RestoredStore: the store is older.
    """
    if epoch <= read_epoch(tx):
        return
    device = require_device(tx)
    if not device.adopts_epoch:
        raise RestoredStore(
            "the back end has seen later messages of this device than the store remembers: it was "
            "restored from a backup or copied. Open it with Device.open(store, restored=True)"
        )
    set_epoch(tx, epoch)
    save_device(tx, replace(device, adopts_epoch=False))
