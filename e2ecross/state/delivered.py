# SPDX-License-Identifier: Apache-2.0
"""Which messages were received, so that a second copy of one is not shown again.

Rules:
- A message is told by its sender and its message id, whatever session and envelope it came in; a
  copy of what another own device has sent also by whom that was sent to, as an id belongs to its
  recipient.
- They are remembered for longer than any sender may send again; see `Policy`.
- What another own device has read before it came here is remembered as long.
"""

from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.state.accounts import user_key
from e2ecross.state.context import address_key
from e2ecross.state.policy import Policy
from e2ecross.state.prekey_store import SEEN_MARK
from e2ecross.state.shelf import Shelf
from e2ecross.stores.base import Table, Transaction

__all__ = [
    "note_delivered",
    "note_read_before",
    "tend_delivered",
    "was_delivered",
    "was_read_before",
]

_MAX_ROWS: Final = 1_000_000
"""A message every four seconds for all of the time; at about 1.2 KiB each in a file."""
_READ_BEFORE: Final = b"read"
_MAX_READ_BEFORE: Final = 10_000
"""Mostly a message has come to all devices before it is read on one."""


def was_delivered(
    tx: Transaction,
    policy: Policy,
    sender: Address,
    message_id: bytes,
    now_ms: int,
    peer: UserId | None = None,
) -> bool:
    """Tell whether a message (16 bytes of id) of this sender was received before.

    Of a copy of what another own device has sent, `peer` is the account that it was sent to;
    without it that is whether an envelope of this id was.
    """
    return _shelf(policy).find(tx, _row(sender, message_id, peer), now_ms) is not None


def note_delivered(
    tx: Transaction,
    policy: Policy,
    sender: Address,
    message_id: bytes,
    now_ms: int,
    peer: UserId | None = None,
) -> None:
    """Remember that a message was received; see `was_delivered`."""
    _shelf(policy).add(tx, _row(sender, message_id, peer), SEEN_MARK, now_ms)


def was_read_before(
    tx: Transaction, policy: Policy, sender: Address, message_id: bytes, now_ms: int
) -> bool:
    """Tell whether another own device had read a message (16 bytes of id) before it came here."""
    return _read_shelf(policy).find(tx, _row(sender, message_id, None), now_ms) is not None


def note_read_before(
    tx: Transaction, policy: Policy, sender: Address, message_id: bytes, now_ms: int
) -> None:
    """Remember that another own device has read a message, if it has not come here yet."""
    if not (
        was_delivered(tx, policy, sender, message_id, now_ms)
        or was_read_before(tx, policy, sender, message_id, now_ms)
    ):
        _read_shelf(policy).add(tx, _row(sender, message_id, None), SEEN_MARK, now_ms)


def tend_delivered(tx: Transaction, policy: Policy, now_ms: int) -> None:
    """See `Shelf.tend`."""
    for shelf in (_shelf(policy), _read_shelf(policy)):
        shelf.tend(tx, now_ms)


def _shelf(policy: Policy) -> Shelf:
    return Shelf(Table.DELIVERED, policy.delivered_kept_ms, _MAX_ROWS)


def _read_shelf(policy: Policy) -> Shelf:
    return Shelf(Table.DELIVERED, policy.delivered_kept_ms, _MAX_READ_BEFORE, _READ_BEFORE)


def _row(sender: Address, message_id: bytes, peer: UserId | None) -> bytes:
    return address_key(sender) + message_id + (b"" if peer is None else user_key(peer))
