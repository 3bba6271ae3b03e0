# SPDX-License-Identifier: Apache-2.0
"""What a client is through with, and whose rows go with its next commit.

Rules:
- Forgetting is no reason for a commit of its own. A crash before the next one does once more what
  is harmless: the back end knows the id of what is deposited again, and the store the number of
  what is handed out again.
- What was sent goes with the next commit in its stripe. What was heard of is of stores without
  stripes; see `acknowledging.py`.
- Clients of several threads may share one: each step on a set is one of Python's own, and to forget
  what another one has forgotten changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from e2ecross.errors import RecordCorrupted
from e2ecross.state.group_outbox import forget_in_group_outbox
from e2ecross.state.in_flight import remove_from_flight, remove_sent
from e2ecross.state.inbox import forget_arrivals
from e2ecross.state.outbox import Waiting
from e2ecross.stores.base import Transaction

__all__ = ["Leftovers"]

Forget = Callable[[Transaction], None]


class Leftovers:
    """Of one client, or of those of several threads: what the back end has taken and heard of."""

    __slots__ = ("_acknowledged", "_in_groups", "_sent")

    def __init__(self) -> None:
        """Nothing yet."""
        self._sent: dict[int, set[Waiting]] = {}
        self._acknowledged: set[int] = set()
        self._in_groups: set[int] = set()

    def note_sent(self, waiting: Waiting, stripe: int = 0) -> None:
        """Note that the back end has this, which stands in a stripe."""
        self._sent.setdefault(stripe, set()).add(waiting)

    def keep_sent(self, waiting: Iterable[Waiting], stripe: int) -> None:
        """Let this stay where it stands: it went out of a store that was put back."""
        self._sent.get(stripe, set()).difference_update(waiting)

    def note_sent_to_groups(self, numbers: Iterable[int]) -> None:
        """Note that the back end has what stands in the outbox of groups under these numbers."""
        self._in_groups.update(numbers)

    def note_acknowledged(self, numbers: Iterable[int]) -> None:
        """Note that the back end will not hand out what it had under these numbers again."""
        self._acknowledged.update(numbers)

    @contextmanager
    def going(self, stripe: int = 0, *, writes: bool = True) -> Iterator[Forget]:
        """Around a transaction: yields what forgets it all in there, and drops it if that commits.

        Where the transaction fails it goes with the next one.

        Args:
            stripe: of the transaction.
            writes: whether the transaction has anything else to write, mostly. Else what was heard
                of, which nothing that is read there depends on, waits for one that has.
        """
        sent = set(self._sent.get(stripe, ()))
        in_groups = set() if stripe else set(self._in_groups)
        acknowledged = set(self._acknowledged) if writes and not stripe else set()

        def forget(tx: Transaction) -> None:
            forget_arrivals(tx, acknowledged)
            forget_in_group_outbox(tx, in_groups)
            for waiting in sent:
                remove_from_flight(tx, waiting)
            if not sent:  # mostly in a store with stripes: then it has been forgotten at once
                return
            try:
                with tx.savepoint():
                    for waiting in sent:
                        remove_sent(tx, waiting)
            except RecordCorrupted:  # in one lane, which is mended when it is sent from
                for waiting in sent:
                    with suppress(RecordCorrupted), tx.savepoint():
                        remove_sent(tx, waiting)

        yield forget
        if sent:
            self._sent[stripe] -= sent
        self._in_groups -= in_groups
        self._acknowledged -= acknowledged
