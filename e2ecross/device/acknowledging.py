# SPDX-License-Identifier: Apache-2.0
"""What the back end has to hear of in a store with stripes, and what it has heard of, by stripe.

Rules:
- What is not told now is told by the next `receive`. The rows of what was told go with the next
  commit of their stripe, or when somebody looks for what a crash has left.
- Clients of several threads share one. To tell, or to forget, a second time changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from e2ecross.state.inbox import forget_arrivals
from e2ecross.stores.base import Transaction

__all__ = ["Acknowledging"]

Forget = Callable[[Transaction], None]


class Acknowledging:
    """Of one client, or of those of several threads: numbers of the back end."""

    __slots__ = ("_due", "_heard")

    def __init__(self) -> None:
        """Nothing yet."""
        self._due: dict[int, set[int]] = {}
        self._heard: dict[int, set[int]] = {}

    def note_due(self, stripe: int, numbers: Iterable[int]) -> None:
        """Note that the back end has to hear of envelopes that are in the store, and done with."""
        self._due.setdefault(stripe, set()).update(numbers)

    def note_heard(self, stripe: int, numbers: Iterable[int]) -> None:
        """Note that the back end has heard of them, so that their rows can go."""
        self._heard.setdefault(stripe, set()).update(numbers)

    @contextmanager
    def telling(self) -> Iterator[list[int]]:
        """Around a call: yields what the back end has to hear of; if it raises, it still has to."""
        due = {stripe: self._due.pop(stripe, set()) for stripe in list(self._due)}
        told = self._due
        try:
            yield sorted(number for numbers in due.values() for number in numbers)
            told = self._heard
        finally:
            for stripe, numbers in due.items():
                told.setdefault(stripe, set()).update(numbers)

    @contextmanager
    def going(self, stripe: int) -> Iterator[Forget]:
        """Around a transaction of a stripe: yields what forgets the rows of its envelopes in there.

        Where the transaction fails they go with the next one.
        """
        heard = self._heard.pop(stripe, set())

        def forget(tx: Transaction) -> None:
            forget_arrivals(tx, heard)

        try:
            yield forget
        except BaseException:
            self.note_heard(stripe, heard)
            raise
