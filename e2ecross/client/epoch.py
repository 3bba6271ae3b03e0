# SPDX-License-Identifier: Apache-2.0
"""The epoch: how many sending and prekey operations this store has committed.

Rules:
- It goes up in the same commit as the operation that it counts.
- What leaves the device carries it, and the back end keeps the highest. A store whose epoch is
  lower than that has been put back to an older state: it must not send before it is opened as
  restored, because its sessions would use message keys a second time.
"""

from typing import Final

from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.records import decode_epoch, encode_epoch

__all__ = ["EPOCH_ROW", "count_operation", "read_epoch", "set_epoch"]

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
