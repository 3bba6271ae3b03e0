# SPDX-License-Identifier: Apache-2.0
"""Sent messages whose time is over: what was kept of them, to be sent again, goes."""

from typing import Final

from e2ecross.state.context import Context
from e2ecross.state.sent import forget_over

__all__ = ["forget_sent"]

_AT_ONCE: Final = 1_000
"""Others who use the store wait for some 20 ms."""


def forget_sent(context: Context) -> None:
    """Forget what was kept of sent messages whose time is over: at most 1,000 of them."""
    with context.store.transaction() as tx:
        forget_over(tx, context.policy, context.clock(), _AT_ONCE)
