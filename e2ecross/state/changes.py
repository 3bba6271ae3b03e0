# SPDX-License-Identifier: Apache-2.0
"""How often what is known of any account has changed: its list, its accepted or its pending key.

Rules:
- It is counted in the transaction that changes it. So who has gone through many accounts can tell
  from one number that he would find the same again.
- In a store with stripes nothing is counted: that number would be one for all of them, and what
  goes through many accounts is refused there.
"""

from typing import Final

from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.group_records import decode_changes, encode_changes

__all__ = ["CHANGES_ROW", "count_change", "read_changes"]

CHANGES_ROW: Final = b"changes"
_CHANGES: Final = Codec(encode_changes, decode_changes)


def read_changes(tx: Transaction) -> int:
    """Return how many changes have been counted."""
    return tx.get_value(Table.DEVICE, b"", CHANGES_ROW, _CHANGES) or 0


def count_change(tx: Transaction) -> None:
    """Count that the transaction changes the list, the accepted or the pending key of an account.

    It may be counted more than once.
    """
    if not tx.stripe_count():
        tx.put_value(Table.DEVICE, b"", CHANGES_ROW, read_changes(tx) + 1, _CHANGES)
