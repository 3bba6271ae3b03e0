# SPDX-License-Identifier: Apache-2.0
"""By what an item of an inbox is found again when the app confirms it."""

from typing import NamedTuple

__all__ = ["Receipt"]


class Receipt(NamedTuple):
    """Which item of which inbox.

    Attributes:
        inbox: tells the inboxes of installations apart, 32 bytes; not secret.
        number: of the item, from 1 on.
    """

    inbox: bytes
    number: int
