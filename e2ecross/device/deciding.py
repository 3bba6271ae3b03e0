# SPDX-License-Identifier: Apache-2.0
"""Transactions of what the user decides about an account, which other own devices may be told."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2ecross.address import UserId
from e2ecross.device.device_lists import targets_of
from e2ecross.state.context import Context
from e2ecross.state.transactions import peer_view, stripe_transaction
from e2ecross.stores.base import Transaction

__all__ = ["decision_transaction"]


@contextmanager
def decision_transaction(context: Context, user: UserId) -> Iterator[Transaction]:
    """Begin a transaction of a decision about an account; yields the view of its stripe.

    It has the whole store where there are other own devices: what waits for them is of another
    stripe.
    """
    stripe = context.stripe_of(user)
    if stripe:
        with stripe_transaction(context, stripe) as tx:
            targets = targets_of(context, tx, context.address.user_id, context.clock())
        stripe = 0 if targets is not None and targets.devices else stripe
    with stripe_transaction(context, stripe) as tx:
        yield peer_view(context, tx, user)
