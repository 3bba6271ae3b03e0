# SPDX-License-Identifier: Apache-2.0
"""A database that has failed over or was restored: transactions that begin again after a look.

Rules:
- It is found where a transaction begins, before anything is done. So that transaction begins once
  more when it was looked into, and nothing that was done before is done twice.
- For a minute nothing is done: what was encrypted in a commit that was lost may still be on its way
  to the back end. That minute is of the database's clock, because those of workers differ.
- Then whoever has a back end asks it what it has seen of the device. It knows no more than the
  store: no commit was lost whose messages have left, and the server is taken for the one of before.

Source: docs/fleet.md, After a fail-over.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import Final

from e2ecross.errors import StoreMoved
from e2ecross.state.context import Context
from e2ecross.stores.base import Store, Table, Transaction

__all__ = ["at_moved_server", "that_resumes"]

_QUIET_MS: Final = 60_000
"""Twice as long as a back end over HTTP is waited for."""


def that_resumes(context: Context, look_into: Callable[[StoreMoved], None]) -> Context:
    """Return the context of a device whose transactions begin again after a move was looked into.

    Args:
        context: of the device.
        look_into: finds out whether a commit was lost, and raises if it cannot be told that none
            was.
    """
    if not context.store.stripes:
        return context  # there is no server that could be another one
    return replace(context, store=_ResumingStore(context.store, look_into))


def at_moved_server(context: Context) -> Context:
    """Return the context of a device whose transactions do not ask whether the server has moved."""
    return replace(context, store=_MovedStore(context.store))


class _OtherStore:
    """A store as it is, but for how its transactions begin; for classes of those.

    Args:
        store: that store.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def stripes(self) -> int:
        """See `Store.stripes`."""
        return self._store.stripes

    def stripes_with(self, table: Table) -> Sequence[int]:
        """See `Store.stripes_with`."""
        return self._store.stripes_with(table)

    def accept_move(self) -> None:
        """See `Store.accept_move`."""
        self._store.accept_move()

    def close(self) -> None:
        """See `Store.close`."""
        self._store.close()


class _MovedStore(_OtherStore):
    """A store at whatever server."""

    __slots__ = ()

    def transaction(
        self, stripe: int = 0, *, moved: bool = True
    ) -> AbstractContextManager[Transaction]:
        """See `Store.transaction`."""
        return self._store.transaction(stripe, moved=True)


class _ResumingStore(_OtherStore):
    """A store at a server that is looked into when it is another one."""

    __slots__ = ("_look_into",)

    def __init__(self, store: Store, look_into: Callable[[StoreMoved], None]) -> None:
        super().__init__(store)
        self._look_into = look_into

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        """See `Store.transaction`."""
        return _ResumingTransaction(self, stripe, moved=moved)

    def begin(self, stripe: int, *, moved: bool) -> AbstractContextManager[Transaction]:
        """Return a transaction that does not begin again."""
        return self._store.transaction(stripe, moved=moved)

    def resume(self, found: StoreMoved) -> None:
        """Take the server for the one of before, if no commit was lost.

        Raises:
            StoreMoved: it is too early to tell, or the back end cannot be asked.
            RestoredStore: commits were lost.
        """
        left_ms = _QUIET_MS - found.found_ms_ago
        if left_ms > 0:
            raise StoreMoved(found.found_ms_ago, f"try again in {-(-left_ms // 1000)} s")
        self._look_into(found)
        self._store.accept_move()


class _ResumingTransaction:
    """A transaction that begins once more when the server has moved, and that was looked into."""

    __slots__ = ("_inner", "_is_moved", "_store", "_stripe")

    def __init__(self, store: _ResumingStore, stripe: int, *, moved: bool) -> None:
        self._store = store
        self._stripe = stripe
        self._is_moved = moved
        self._inner = store.begin(stripe, moved=moved)

    def __enter__(self) -> Transaction:
        try:
            return self._inner.__enter__()
        except StoreMoved as error:
            found = error
        self._store.resume(found)
        self._inner = self._store.begin(self._stripe, moved=self._is_moved)
        return self._inner.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._inner.__exit__(kind, error, traceback)
