# SPDX-License-Identifier: Apache-2.0
"""By what an item of an inbox is found again when the app confirms it."""

from typing import NamedTuple

__all__ = ["Receipt"]


class Receipt(NamedTuple):
    """Which item of which inbox.

    Attributes:
        inbox: tells the inboxes of installations apart, 32 bytes; not secret.
        number: of the item, from 1 on; in a store with stripes `stripe << 40 | number`.
        backend_number: of the envelope that is acknowledged when the item is confirmed; 0: none.
    """

    inbox: bytes
    number: int
    backend_number: int = 0
