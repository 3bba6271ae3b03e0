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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from types import TracebackType
from typing import Final

from e2ecross.address import UserId
from e2ecross.errors import RestoredStore
from e2ecross.state.context import Context, require_device
from e2ecross.state.stripe import read_stripe, save_stripe
from e2ecross.stores.base import Table, Transaction

__all__ = [
    "group_by_stripe",
    "own_view",
    "peer_transaction",
    "peer_view",
    "reading_transaction",
    "shuffled_stripes",
    "some_stripes",
    "stripe_transaction",
    "views_of_some",
]

_ORDER_BYTES: Final = 8
_AT_ONCE: Final = 64
"""Stripes that one call goes through, each in a transaction that another worker may wait for."""


def stripe_transaction(
    context: Context, stripe: int = 0, *, moved: bool = False
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


@contextmanager
def reading_transaction(context: Context) -> Iterator[Transaction]:
    """Begin a transaction that reads what is of the device and its own account; yields that view.

    Others go on meanwhile: it has some stripe, of which it reads nothing: what it reads is of
    another one. So it does not matter how it stands with that stripe.
    """
    if not context.store.stripes:
        with stripe_transaction(context) as tx:
            yield tx
        return
    stripe = 1 + int.from_bytes(context.entropy.bytes(_ORDER_BYTES)) % context.store.stripes
    with context.store.transaction(stripe) as tx:
        _require_life(context, tx)
        yield tx.at(0)


def peer_view(context: Context, tx: Transaction, user: UserId) -> Transaction:
    """Return where the rows of an account are, in a transaction that has them.

    That is one of its stripe, or of the whole store. Those of the own account any one has, to read.
    """
    if not context.store.stripes:
        return tx
    stripe = context.stripe_of(user)
    view = tx.at(stripe)
    if stripe:
        _bring_up(context, view)
    return view


def own_view(context: Context, tx: Transaction) -> Transaction:
    """Return where the rows of the own account are; whether they can be changed there see above."""
    return tx.at(0) if context.store.stripes else tx


def group_by_stripe(context: Context, users: Iterable[UserId]) -> dict[int, list[UserId]]:
    """Return which accounts are of which stripe, the stripes ascending, each account once."""
    groups: dict[int, list[UserId]] = {}
    for user in dict.fromkeys(users):
        groups.setdefault(context.stripe_of(user), []).append(user)
    return dict(sorted(groups.items()))


def some_stripes(context: Context, table: Table) -> Sequence[int]:
    """Return stripes that have rows of a table, at most 64, by chance; without stripes 0 alone.

    Workers that each go through some now and then have soon gone through all.
    """
    if not context.store.stripes:
        return (0,)
    return shuffled(context, context.store.stripes_with(table))[:_AT_ONCE]


def views_of_some(context: Context, tx: Transaction) -> Iterator[Transaction]:
    """Walk over views of stripes, 64 by chance, in a transaction of the whole store.

    Without stripes that is the one of the transaction itself.
    """
    if not context.store.stripes:
        yield tx
    for stripe in shuffled_stripes(context)[:_AT_ONCE]:
        view = tx.at(stripe)
        _bring_up(context, view)
        yield view


def shuffled_stripes(context: Context) -> list[int]:
    """Return all stripes but 0, in an order of chance."""
    return shuffled(context, range(1, context.store.stripes + 1))


def shuffled(context: Context, stripes: Sequence[int]) -> list[int]:
    """Return stripes in an order of chance: workers do not come to one all at once."""
    noise = iter(context.entropy.bytes(_ORDER_BYTES * len(stripes)))
    drawn = [(bytes(islice(noise, _ORDER_BYTES)), stripe) for stripe in stripes]
    return [stripe for _, stripe in sorted(drawn)]


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


def _require_life(context: Context, tx: Transaction) -> int:
    """Return how often the store was opened as restored: as often as this device knows."""
    life = require_device(tx).life
    if life != context.life:
        raise RestoredStore(
            f"the store of {context.address} was opened as restored meanwhile: open the device anew"
        )
    return life


def _bring_up(context: Context, view: Transaction) -> None:
    life = _require_life(context, view)
    if read_stripe(view).life < life:
        context.restore_stripe(context, view)
        save_stripe(view, read_stripe(view)._replace(life=life))
