# SPDX-License-Identifier: Apache-2.0
"""Which messages were received, so that a second copy of one is not shown again.

Rules:
- A message is told by its sender and its message id, whatever session and envelope it came in.
- They are remembered for longer than any sender may send again; see `Policy`.
"""

from typing import Final

from e2ecross.address import Address
from e2ecross.state.context import address_key
from e2ecross.state.policy import Policy
from e2ecross.state.prekey_store import SEEN_MARK
from e2ecross.state.shelf import Shelf
from e2ecross.stores.base import Table, Transaction

__all__ = ["date_delivered", "note_delivered", "was_delivered"]

_MAX_ROWS: Final = 1_000_000
"""A message every four seconds for all of the time; at about 200 bytes each."""


def was_delivered(
    tx: Transaction, policy: Policy, sender: Address, message_id: bytes, now_ms: int
) -> bool:
    """Tell whether a message (16 bytes of id) of this sender was received before."""
    return _shelf(policy).find(tx, _row(sender, message_id), now_ms) is not None


def note_delivered(
    tx: Transaction, policy: Policy, sender: Address, message_id: bytes, now_ms: int
) -> None:
    """Remember that a message (16 bytes of id) of this sender was received."""
    _shelf(policy).add(tx, _row(sender, message_id), SEEN_MARK, now_ms)


def date_delivered(tx: Transaction, policy: Policy, now_ms: int) -> None:
    """See `Shelf.date`."""
    _shelf(policy).date(tx, now_ms)


def _shelf(policy: Policy) -> Shelf:
    return Shelf(Table.DELIVERED, policy.delivered_kept_ms, _MAX_ROWS)


def _row(sender: Address, message_id: bytes) -> bytes:
    return address_key(sender) + message_id
