# SPDX-License-Identifier: Apache-2.0
"""The epoch: how many sending and prekey operations this store has committed.

Rules:
- It goes up in the same commit as the operation that it counts.
- What leaves the device carries it, and the back end keeps the highest; so does the witness, if
  there is one. A store whose epoch is lower than theirs has been put back to an older state: it
  must not send before it is opened as restored, because its sessions would use message keys a
  second time.
- A lower number at the back end or the witness is normal: the commit comes first.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Final

from e2ecross.errors import BackendError, RestoredStore, WitnessFailed
from e2ecross.state.context import Context, require_device, save_device
from e2ecross.state.publication import read_publication
from e2ecross.state.witness import CheckedWitness
from e2ecross.stores.base import Codec, Store, Table, Transaction
from e2ecross.wire.records import decode_epoch, encode_epoch

__all__ = [
    "EPOCH_ROW",
    "check_epoch",
    "count_operation",
    "read_epoch",
    "require_epoch",
    "set_epoch",
    "witnessed_receipt",
    "witnessed_transaction",
]

EPOCH_ROW: Final = b"epoch"
_EPOCH: Final = Codec(encode_epoch, decode_epoch)
_MAX_ADOPTED: Final = 2**62
"""The highest epoch that is taken over from a back end: a lying one must not use up the numbers."""


def read_epoch(tx: Transaction) -> int:
    """Return how many operations were committed."""
    return tx.get_value(Table.DEVICE, b"", EPOCH_ROW, _EPOCH) or 0


def set_epoch(tx: Transaction, epoch: int) -> None:
    """Write the epoch."""
    tx.put_value(Table.DEVICE, b"", EPOCH_ROW, epoch, _EPOCH)


def count_operation(tx: Transaction) -> int:
    """Count the operation that this transaction commits; returns the new epoch."""
    epoch = read_epoch(tx) + 1
    set_epoch(tx, epoch)
    return epoch


def witnessed_transaction(context: Context) -> AbstractContextManager[Transaction]:
    """A transaction, and after its commit the witness hears how far the store has come.

    For every operation whose result leaves the device: what the block returns is not released
    when the witness cannot be told.

    Raises:
        WitnessFailed: it cannot be told. The transaction is committed.
    """
    if context.witness is None:
        return context.store.transaction()
    return _witnessed(context.store, context.witness)


def witnessed_receipt(context: Context) -> AbstractContextManager[Transaction]:
    """The same for a message that was read: its plaintext is released in any case.

    The key that opened it is gone: held back, it would be lost. The next operation that sends
    tells the witness, or fails.
    """
    if context.witness is None:
        return context.store.transaction()
    return _witnessed_receipt(context.store, context.witness)


@contextmanager
def _witnessed(store: Store, witness: CheckedWitness) -> Iterator[Transaction]:
    with store.transaction() as tx:
        yield tx
        epoch = read_epoch(tx)
    witness.tell(epoch)


@contextmanager
def _witnessed_receipt(store: Store, witness: CheckedWitness) -> Iterator[Transaction]:
    with suppress(WitnessFailed), _witnessed(store, witness) as tx:
        yield tx


def require_epoch(epoch: int, known: int, who: str) -> None:
    """Refuse a store that somebody has seen further ahead.

    Args:
        epoch: the store's.
        known: the highest that they know.
        who: they, in the error's message.

    Raises:
        RestoredStore: theirs is higher.
    """
    if known > epoch:
        raise RestoredStore(
            f"{who} knows {known} operations of this device, its store only {epoch}: an older "
            f"copy of the store was put back, or two copies are in use. Nothing was changed. If "
            f"no newer copy exists, open this one with Device.open(store, restored=True)"
        )


def check_epoch(tx: Transaction, backend_epoch: int) -> None:
    """Hold the store against what the back end has seen of this device; before the first deposit.

    A store that was just restored or imported takes over the back end's epoch, once.

    Raises:
        RestoredStore: the back end's is higher.
        BackendError: it answered with something that is no epoch.
    """
    device, epoch = require_device(tx), read_epoch(tx)
    if type(backend_epoch) is not int or backend_epoch < 0:
        raise BackendError("the back end answered with something that is no epoch: try again")
    if device.adopts_epoch:
        if backend_epoch > _MAX_ADOPTED:
            raise BackendError("the back end answered with an impossible epoch: try again")
        set_epoch(tx, max(epoch, backend_epoch))
        if read_publication(tx):  # made since, and not older than what is there
            device = replace(device, publication_epoch=count_operation(tx))
        save_device(tx, replace(device, adopts_epoch=False))
    else:
        require_epoch(epoch, backend_epoch, "the back end")
