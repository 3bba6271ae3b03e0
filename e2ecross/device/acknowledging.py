# SPDX-License-Identifier: Apache-2.0
"""What the back end has to hear of in a store with stripes, and what it has heard of, by stripe.

Rules:
- A number is told alone only soon after the back end has shown it. One that was put back to a
  backup gives its numbers a second time: later it is asked first whether this still is the same
  envelope.
- What is not told now is told by the next `receive`. The rows of what was told go with the next
  commit of their stripe, or when somebody looks for what a crash has left.
- Clients of several threads share one. To tell, or to forget, a second time changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple

from e2ecross.state.context import Context
from e2ecross.state.inbox import forget_arrivals
from e2ecross.state.inbox_holds import HOLD_MS
from e2ecross.state.receipt import Receipt
from e2ecross.stores.base import Transaction

__all__ = ["Acknowledging", "Unsure"]

Forget = Callable[[Transaction], None]

_MAX_SHOWN: Final = 10_000
"""Items whose envelopes are remembered as shown lately; the others are asked for."""


class Unsure(NamedTuple):
    """An envelope that is done with, under a number that may be that of another one by now.

    Attributes:
        number: at the back end.
        stripe: where its row is.
        envelope_hash: of its bytes, 32 bytes; empty: it is not known any more.
    """

    number: int
    stripe: int
    envelope_hash: bytes


class Acknowledging:
    """Of one client, or of those of several threads: numbers of the back end."""

    __slots__ = ("_due", "_heard", "_shown", "_unsure")

    def __init__(self) -> None:
        """Nothing yet."""
        # Hashes of envelopes by stripe and number; never another dictionary: threads share it.
        self._due: dict[tuple[int, int], bytes] = {}
        self._unsure: dict[tuple[int, int], bytes] = {}
        self._heard: dict[int, set[int]] = {}
        self._shown: dict[int, int] = {}  # when the back end has shown the envelope of which item

    def note_shown(self, context: Context, numbers: Iterable[int]) -> None:
        """Note of which items the back end has just shown the envelopes.

        Args:
            context: of the device.
            numbers: of the items (`Receipt.number`).
        """
        now_ms = context.clock()
        for number in numbers:
            self._shown.pop(number, None)
            self._shown[number] = now_ms
        if len(self._shown) > _MAX_SHOWN:
            for number in list(self._shown)[:-_MAX_SHOWN]:
                self._shown.pop(number, None)

    def take_shown(self, context: Context, receipts: Iterable[Receipt]) -> list[int]:
        """Return the envelopes of items that are done with, as far as it has shown them lately."""
        now_ms = context.clock()
        shown = {receipt: self._shown.pop(receipt.number, None) for receipt in receipts}
        return sorted(
            receipt.backend_number
            for receipt, at_ms in shown.items()
            if receipt.backend_number and at_ms is not None and 0 <= now_ms - at_ms < HOLD_MS
        )

    def note_due(self, stripe: int, envelopes: Mapping[int, bytes]) -> None:
        """Note that the back end has to hear of envelopes that it has shown just now.

        Args:
            stripe: in which their rows are.
            envelopes: hashes of their bytes, 32 bytes, by number.
        """
        for number, envelope_hash in envelopes.items():
            self._due[stripe, number] = envelope_hash

    def note_unsure(self, stripe: int, envelopes: Mapping[int, bytes]) -> None:
        """Note the same of envelopes that it has shown a while ago; see `Unsure`."""
        for number, envelope_hash in envelopes.items():
            self._unsure[stripe, number] = envelope_hash

    def note_heard(self, stripe: int, numbers: Iterable[int]) -> None:
        """Note that the back end has heard of them, so that their rows can go."""
        self._heard.setdefault(stripe, set()).update(numbers)

    def unsure(self, most: int) -> list[Unsure]:
        """Return of which envelopes the back end has to be asked, by number; at most so many."""
        every = [Unsure(number, stripe, of) for (stripe, number), of in list(self._unsure.items())]
        return sorted(every)[:most]

    def note_answer(self, unsure: Unsure, *, is_there: bool) -> None:
        """Note whether the back end still has one of them."""
        number, stripe, envelope_hash = unsure
        self._unsure.pop((stripe, number), None)
        if is_there:
            self.note_due(stripe, {number: envelope_hash})
        else:
            self.note_heard(stripe, [number])

    @contextmanager
    def telling(self) -> Iterator[list[int]]:
        """Around a call: yields what the back end has to hear of; if it raises, it still has to."""
        taken = ((key, self._due.pop(key, None)) for key in list(self._due))
        due = {key: envelope_hash for key, envelope_hash in taken if envelope_hash is not None}
        try:
            yield sorted({number for _, number in due})
        except BaseException:
            self._unsure.update(due)
            raise
        for stripe, number in due:
            self.note_heard(stripe, [number])

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
