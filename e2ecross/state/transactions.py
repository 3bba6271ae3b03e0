# SPDX-License-Identifier: Apache-2.0
"""How an operation begins a transaction: of what it has for itself.

Rules:
- What names an account is done in the stripe of that account, all of it in one transaction.
- What is of the device itself, or names accounts of many stripes, has the whole store.
"""

from contextlib import AbstractContextManager

from e2ecross.address import UserId
from e2ecross.state.context import Context
from e2ecross.stores.base import Transaction

__all__ = ["peer_transaction", "stripe_transaction"]


def stripe_transaction(context: Context, stripe: int) -> AbstractContextManager[Transaction]:
    """Begin a transaction of a stripe of the device's store; 0: of all of it."""
    return context.store.transaction(stripe)


def peer_transaction(context: Context, user: UserId) -> AbstractContextManager[Transaction]:
    """Begin a transaction of the stripe of an account."""
    return stripe_transaction(context, context.stripe_of(user))
