# SPDX-License-Identifier: Apache-2.0
"""How far a store has come, stripe by stripe; without stripes that is the number of stripe 0."""

from collections.abc import Mapping

from e2ecross.stores import Store, Table
from e2ecross.wire.stripe_record import StripeRecord

__all__ = ["Epochs", "are_covered", "highest", "read_epochs"]

Epochs = Mapping[int, int]
"""By stripe; 0 where there is none."""


def read_epochs(store: Store) -> Epochs:
    """How far a store has come."""
    with store.transaction() as tx:
        rows = [(stripe, record) for stripe, _, _, record in tx.scan_all(Table.STRIPE)]
    return {stripe: StripeRecord.decode(record).epoch for stripe, record in rows}


def highest(*epochs: Epochs) -> dict[int, int]:
    """Of each stripe the highest."""
    found: dict[int, int] = {}
    for each in epochs:
        for stripe, epoch in each.items():
            found[stripe] = max(found.get(stripe, 0), epoch)
    return found


def are_covered(epochs: Epochs, by: Epochs) -> bool:
    """Whether of each stripe a number is known that is as high."""
    return all(epoch <= by.get(stripe, 0) for stripe, epoch in epochs.items())
