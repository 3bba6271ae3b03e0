# SPDX-License-Identifier: Apache-2.0
"""The savepoint of a transaction that keeps back what is written in it."""

from types import TracebackType
from typing import Protocol

__all__ = ["Blocks", "Savepoint"]


class Blocks(Protocol):
    """A transaction that knows of a block in it."""

    def begin_block(self) -> None:
        """Begin a savepoint."""

    def keep_block(self) -> None:
        """End a savepoint well."""

    def undo_block(self, error: BaseException) -> None:
        """End a savepoint whose block has raised."""


class Savepoint:
    """A block of a transaction; as long as it has not ended, the transaction does not commit."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Blocks) -> None:
        """Of a transaction; not begun yet."""
        self._transaction = transaction

    def __enter__(self) -> None:
        self._transaction.begin_block()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._transaction.undo_block(error)
            return
        try:
            self._transaction.keep_block()
        except BaseException as exc:
            self._transaction.undo_block(exc)
            raise
