# SPDX-License-Identifier: Apache-2.0
"""A store around another one: what a test changes of it, it overrides."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from e2ecross.stores import Store, Table, Transaction


class AroundStore:
    """Does what the other store does."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def stripes(self) -> int:
        return self.inner.stripes

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        return self.inner.transaction(stripe, moved=moved)

    def stripes_with(self, table: Table) -> Sequence[int]:
        return self.inner.stripes_with(table)

    def accept_move(self) -> None:
        self.inner.accept_move()

    def close(self) -> None:
        self.inner.close()
