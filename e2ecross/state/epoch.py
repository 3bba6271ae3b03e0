# SPDX-License-Identifier: Apache-2.0
"""The epoch: how many sending and prekey operations were committed in a stripe of this store.

Rules:
- Each stripe has its own; a store that has none has the one of stripe 0.
- It goes up in the same commit as the operation that it counts.
- What leaves the device carries it, and the back end keeps the highest; so does the witness, if
  there is one. A store whose epoch is lower than theirs has been put back to an older state: it
  must not send before it is opened as restored, because its sessions would use message keys a
  second time.
- A lower number at the back end or the witness is normal: the commit comes first.
- A device remembers the highest epoch that it has seen: in its own commits, in what the back end
  answers, at the witness, which is asked each time. Whatever releases something compares the store
  with that first, inside its transaction: an older state may be put under an open store.
"""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Final, NoReturn

from e2ecross.errors import BackendError, RecordCorrupted, RestoredStore, WitnessFailed
from e2ecross.state.context import Context, require_device, save_device
from e2ecross.state.publication import read_publication
from e2ecross.state.stripe import read_stripe, save_stripe
from e2ecross.state.transactions import stripe_transaction
from e2ecross.state.witness import CheckedWitness
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.records import DeviceRecord
from e2ecross.wire.stripe_record import StripeRecord

__all__ = [
    "WitnessedReceipt",
    "WitnessedRestore",
    "WitnessedTransaction",
    "check_backend_epoch",
    "count_operation",
    "read_epoch",
    "set_epoch",
    "sum_epochs",
]

_MAX_ADOPTED: Final = 2**62
"""The highest epoch that is taken over from a back end: a lying one must not use up the numbers."""


def read_epoch(tx: Transaction) -> int:
    """Return how many operations were committed."""
    return read_stripe(tx).epoch


def set_epoch(tx: Transaction, epoch: int) -> None:
    """Write the epoch."""
    save_stripe(tx, read_stripe(tx)._replace(epoch=epoch))


def count_operation(tx: Transaction) -> int:
    """Count the operation that this transaction commits; returns the new epoch."""
    stripe = read_stripe(tx)
    epoch = stripe.epoch + 1
    save_stripe(tx, stripe._replace(epoch=epoch))
    return epoch


def sum_epochs(tx: Transaction) -> int:
    """Return how many operations were committed in all stripes; in a transaction of all of them.

    Of 64 bits: a back end may have made them higher.
    """
    return sum(_read_epochs(tx).values()) % 2**64


def _read_epochs(tx: Transaction) -> dict[int, int]:
    """Return by stripe how many operations were committed; some that have none are left out.

    So is, of many, one whose record is damaged: nothing leaves from there, and others go on.
    """
    rows, epochs = tx.scan_all(Table.STRIPE), dict[int, int]()
    while True:
        try:
            stripe, _, _, record = next(rows)
            epochs[stripe] = StripeRecord.decode(record).epoch
        except StopIteration:
            return epochs
        except RecordCorrupted:
            if not tx.stripe_count():
                raise


def _can_be_told(tx: Transaction, stripe: int) -> bool:
    """Whether it can be told how many operations were committed in a stripe."""
    try:
        read_stripe(tx.at(stripe))
    except RecordCorrupted:
        return False
    return True


class WitnessedTransaction:
    """A transaction of an operation whose result leaves the device; a context manager.

    The store is first held against the highest epoch that was seen. After the commit the witness
    hears how far the store has come; what the block returns is not released when that fails.

    Raises:
        RestoredStore: somebody has seen the store further ahead. Nothing was changed.
        WitnessFailed: the witness cannot be asked; or told, then the transaction is committed.
    """

    # A class and not a generator, which takes a microsecond longer.
    __slots__ = ("_context", "_exit", "_stripe", "_tx")

    def __init__(self, context: Context, stripe: int = 0) -> None:
        """Of a stripe of the device's store, or of all of it; nothing is begun yet."""
        self._context = context
        self._stripe = stripe

    def __enter__(self) -> Transaction:
        context = self._context
        inner = self._begin()
        # First the end, as a with statement does: whose is this object, theirs is the transaction.
        self._exit = inner.__exit__
        tx = self._tx = inner.__enter__()
        try:
            if context.witness is not None:
                self._ask(context.witness)
            epoch = read_stripe(tx).epoch
            if context.watch.seen(self._stripe) > epoch:
                context.watch.refuse(epoch, self._stripe)
        except BaseException:
            self._exit(*sys.exc_info())
            raise
        return tx

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._exit(kind, error, traceback)
            return
        try:
            epoch = read_stripe(self._tx).epoch
        except BaseException:
            self._exit(*sys.exc_info())
            raise
        self._exit(None, None, None)
        context = self._context
        if epoch > context.watch.seen(self._stripe):
            context.watch.note(epoch, stripe=self._stripe)
        if context.witness is not None:
            self._tell(context.witness, epoch)

    def _begin(self) -> AbstractContextManager[Transaction]:
        return stripe_transaction(self._context, self._stripe)

    def _ask(self, witness: CheckedWitness) -> None:
        self._context.watch.note(witness.read(), "the witness")

    def _tell(self, witness: CheckedWitness, epoch: int) -> None:
        witness.tell(epoch)


class WitnessedReceipt(WitnessedTransaction):
    """The same for a message that is read, whether or not the witness can be asked or told.

    The key that opened it is gone: held back, it would be lost. The next operation that sends
    asks and tells the witness, or fails.
    """

    __slots__ = ()

    def _ask(self, witness: CheckedWitness) -> None:
        with suppress(WitnessFailed):
            super()._ask(witness)

    def _tell(self, witness: CheckedWitness, epoch: int) -> None:
        with suppress(WitnessFailed):
            super()._tell(witness, epoch)


class WitnessedRestore(WitnessedTransaction):
    """The same for an operation that makes a store usable of which somebody has seen more.

    The caller has asked the witness, and lets the store go on above it. The store may be at another
    server than before.
    """

    __slots__ = ()

    def _begin(self) -> AbstractContextManager[Transaction]:
        return stripe_transaction(self._context, 0, moved=True)

    def _ask(self, witness: CheckedWitness) -> None:
        """Ask nothing: what the witness knows would refuse the store."""


def check_backend_epoch(context: Context, told: Mapping[int, int], *, moved: bool = False) -> None:
    """Hold the store against what the back end has seen of this device; one transaction.

    A store that was just restored or imported takes over the back end's epochs, once.

    Args:
        context: of the device.
        told: by stripe the highest epoch that the back end was told, from 0 on.
        moved: whether the store may be at another server than before.

    Raises:
        RestoredStore: one of the back end's is higher, or of a stripe that the store does not have.
        BackendError: it is one that cannot be, and would be taken over.
    """
    with stripe_transaction(context, 0, moved=moved) as tx:
        device, epochs = require_device(tx), _read_epochs(tx)
        foreign = {stripe: told[stripe] for stripe in told if stripe > context.store.stripes}
        if device.imported_at_ms:
            foreign = {}  # of a store that the identity was in before, and that is none any more
        behind = {
            stripe: epoch
            for stripe, epoch in told.items()
            if epoch > epochs.get(stripe, 0) and stripe <= context.store.stripes
            if stripe in epochs or _can_be_told(tx, stripe)
        }
        is_refused = any(foreign.values()) or (bool(behind) and not device.adopts_epoch)
        if device.adopts_epoch and not is_refused:
            _require_not_put_back(context, epochs)
            _adopt(tx, device, behind)
        elif is_refused and device.restored_epoch:
            # Opened as restored it would be as it is: somebody has seen more since it was restored.
            save_device(tx, replace(device, restored_epoch=0))
    for stripe, epoch in behind.items():
        context.watch.note(epoch, "the back end", stripe)
    if is_refused:
        _refuse(context, epochs, {**behind, **foreign})


def _require_not_put_back(context: Context, epochs: Mapping[int, int]) -> None:
    """Refuse a store that is older than when this device has used it."""
    for stripe in (0, *epochs):
        epoch = epochs.get(stripe, 0)
        if context.watch.seen(stripe) > epoch:
            context.watch.refuse(epoch, stripe)


def _refuse(context: Context, epochs: Mapping[int, int], behind: Mapping[int, int]) -> NoReturn:
    if not context.store.stripes and behind.keys() == {0}:
        context.watch.refuse(epochs.get(0, 0))
    stripes = sum(1 for epoch in behind.values() if epoch)
    raise RestoredStore(
        f"the back end knows more operations of this device than its store, in {stripes} stripes: "
        f"an older copy of the store was put back, or two copies are in use. Nothing was changed. "
        f"If no newer copy exists, open this one with Device.open(store, restored=True)"
    )


def _adopt(tx: Transaction, device: DeviceRecord, told: Mapping[int, int]) -> None:
    """Let the stripes that the back end knows more of go on behind that."""
    if any(epoch > _MAX_ADOPTED for epoch in told.values()):
        raise BackendError("the back end answered with an impossible epoch: try again")
    for stripe, epoch in told.items():
        set_epoch(tx.at(stripe), epoch)
    if read_publication(tx):  # made since, and not older than what is there
        device = replace(device, publication_epoch=count_operation(tx))
    if device.restored_epoch:
        device = replace(device, restored_epoch=sum_epochs(tx))
    save_device(tx, replace(device, adopts_epoch=False))
