# SPDX-License-Identifier: Apache-2.0
"""How an operation begins a transaction: of what it has for itself.

Rules:
- What names an account is done in the stripe of that account, all of it in one transaction.
- What is of the device itself, or names accounts of many stripes, has the whole store.
- A store with stripes that was opened as restored is not rewritten in one transaction: a stripe is
  brought up to it by whoever needs it first, before they see anything of it.
- A device that was opened before that does nothing any more: what it remembers is of before.
"""

import sys
from contextlib import AbstractContextManager
from types import TracebackType

from e2ecross.address import UserId
from e2ecross.errors import RestoredStore
from e2ecross.state.context import Context, require_device
from e2ecross.state.stripe import read_stripe, save_stripe
from e2ecross.stores.base import Transaction

__all__ = ["peer_transaction", "peer_view", "stripe_transaction"]


def stripe_transaction(
    context: Context, stripe: int, *, moved: bool = False
) -> AbstractContextManager[Transaction]:
    """Begin a transaction of a stripe of the device's store; 0: of all of it.

    Args:
        context: of the device.
        stripe: which.
        moved: see `Store.transaction`.

    Raises:
        RestoredStore: the store has stripes, and was opened as restored meanwhile.
    """
    store = context.store
    return _StripeTransaction(context, stripe, moved) if store.stripes else store.transaction()


def peer_transaction(context: Context, user: UserId) -> AbstractContextManager[Transaction]:
    """Begin a transaction of the stripe of an account."""
    return stripe_transaction(context, context.stripe_of(user))


def peer_view(context: Context, tx: Transaction, user: UserId) -> Transaction:
    """Return where the rows of an account are, in a transaction that has them.

    That is one of its stripe, or of the whole store. Those of the own account any one has, to read.
    """
    if not context.store.stripes:
        return tx
    view = tx.at(context.stripe_of(user))
    _bring_up(context, view)
    return view


class _StripeTransaction:
    """A transaction of a stripe, which was brought up to the last restore; a context manager."""

    __slots__ = ("_context", "_exit", "_moved", "_stripe")

    def __init__(self, context: Context, stripe: int, moved: bool) -> None:
        self._context = context
        self._stripe = stripe
        self._moved = moved

    def __enter__(self) -> Transaction:
        inner = self._context.store.transaction(self._stripe, moved=self._moved)
        self._exit = inner.__exit__
        tx = inner.__enter__()
        try:
            _bring_up(self._context, tx)
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
        self._exit(kind, error, traceback)


def _bring_up(context: Context, view: Transaction) -> None:
    life = require_device(view).life
    if life != context.life:
        raise RestoredStore(
            f"the store of {context.address} was opened as restored meanwhile: open the device anew"
        )
    if read_stripe(view).life < life:
        context.restore_stripe(context, view)
        save_stripe(view, read_stripe(view)._replace(life=life))
