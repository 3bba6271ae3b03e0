# SPDX-License-Identifier: Apache-2.0
"""Sending what waits in a store with stripes, whoever has put it there.

Rules:
- A stripe is swept by itself, and each backlog goes in its order: what fails with one recipient, or
  with one stripe, delays nothing else.
- Keys are fetched in vain for a bounded number of backlogs; then what has to be encrypted first is
  left for the next call, and the rest goes on.
- Where the back end refuses a call as a whole, each backlog of it is tried alone. If nothing at all
  goes, that is not the fault of any: whoever comes next tries them at once. In other stripes one
  more call is made each, a few times. The next sweep begins with those that were not tried then.
- A device that the back end does not know has tried nothing in vain: when it has registered again,
  all goes at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from e2ecross.address import Address
from e2ecross.client.attempts import MAX_FAILURES, Failure
from e2ecross.client.depositing import deposit
from e2ecross.client.link import Link
from e2ecross.client.outgoing import Patience, Told, collect, settle_batch
from e2ecross.device.sweeping import free_at_once, stripes_to_sweep, take_over
from e2ecross.device.waiting import read_epochs_to_tell
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    MailboxFull,
    NotRegistered,
    RemoteError,
    RestoredStore,
    StoreError,
    StoreMoved,
    UntrustedIdentity,
)
from e2ecross.state.outbox import Backlog

__all__ = ["freeing", "stripes_in_turn", "sweep_beside", "sweep_outbox", "sweep_stripes"]

_AT_ONCE: Final = 50
"""Envelopes of one call."""
_MAX_ROUNDS: Final = 100
"""How often backlogs of a stripe are taken over in a call; each time something has gone before."""


def sweep_outbox(link: Link, told: Told) -> None:
    """Deposit what is due in all stripes; `told` gets what the back end tells.

    Raises:
        BackendError: the back end could not do it all; the first reason. The rest waits.
        StoreError: likewise, because a stripe cannot be read or written.
    """
    sweep_stripes(link, stripes_in_turn(link), told)


def stripes_in_turn(link: Link) -> list[int]:
    """Return the stripes in which something waits: last those that were last tried in vain."""
    turns = {stripe: turn for turn, stripe in enumerate(list(link.in_vain))}
    return sorted(stripes_to_sweep(link.context), key=lambda stripe: turns.get(stripe, -1))


def sweep_stripes(link: Link, stripes: Iterable[int], told: Told, *, if_due: bool = False) -> None:
    """The same of some stripes, in this order; or of those among them that know of something due.

    They know of what was put there since somebody looked. So what waits there costs nothing.
    """
    errors: list[E2ECrossError] = []
    in_vain, patience = 0, Patience()  # stripes, one after another
    for stripe in stripes:
        most = 1 if in_vain else MAX_FAILURES
        sweep = _Sweep(link, stripe, told, most, patience, if_due=if_due)
        try:
            sweep.run()
        except (RestoredStore, StoreMoved):
            raise
        except StoreError as error:
            errors.append(error)
        errors += sweep.errors
        in_vain = in_vain + 1 if sweep.is_in_vain else 0
        link.in_vain.pop(stripe, None)
        if sweep.is_in_vain:
            link.in_vain[stripe] = None
        if in_vain == MAX_FAILURES:
            break
    for reason in errors:
        if not isinstance(reason, MailboxFull | UntrustedIdentity):
            raise reason


def sweep_beside(link: Link, stripes: Iterable[int], told: Told) -> None:
    """The same beside something else that was sent there: what fails stays, and waits."""
    try:
        sweep_stripes(link, stripes, told)
    except (NotRegistered, RestoredStore, StoreMoved):
        raise
    except (BackendError, RemoteError, StoreError):
        pass


@contextmanager
def freeing(link: Link, backlogs: Iterable[Backlog]) -> Iterator[None]:
    """Around calls that send from backlogs: nobody leaves them alone if the device is unregistered.

    Raises:
        NotRegistered: the back end does not know this device.
    """
    try:
        yield
    except NotRegistered:
        if link.context.store.stripes:
            free_at_once(link.context, backlogs)
        raise


class _Sweep:
    """Of one stripe.

    Attributes:
        errors: why something stays.
        is_in_vain: whether nothing has gone, because calls have failed.
    """

    def __init__(
        self,
        link: Link,
        stripe: int,
        told: Told,
        most: int,
        patience: Patience,
        *,
        if_due: bool,
    ) -> None:
        """Nothing is sent yet; it is given up after so many calls that fail one after another."""
        self.errors: list[E2ECrossError] = []
        self.is_in_vain = False
        self._link = link
        self._stripe = stripe
        self._told = told
        self._most = most
        self._patience = patience
        self._if_due = if_due
        self._renewed: set[Address] = set()
        self._left: list[Backlog] = []  # nothing more is fetched for these
        self._unreached: list[Backlog] = []  # their keys could not be fetched
        self._failures = 0  # calls that have failed, one after another
        self._has_gone = False

    def run(self) -> None:
        """Send what is due."""
        for _ in range(_MAX_ROUNDS):
            link = self._link
            backlogs = take_over(link.context, link.leftovers, self._stripe, if_due=self._if_due)
            self._has_gone = False
            if backlogs:
                with freeing(self._link, backlogs):
                    self._send_all(backlogs)
            if not self._has_gone or self._is_given_up:
                return

    def _send_all(self, backlogs: Sequence[Backlog]) -> None:
        left, size = list(backlogs), len(backlogs)
        self._left, self._unreached = [], []
        in_vain: list[Backlog] = []
        while left and not self._is_given_up:
            part = left[:size]
            failure, going = self._send(part, is_last=len(part) == 1)
            if failure is None:
                left = [backlog for backlog in part if backlog in going] + left[size:]
                self._failures = 0
                continue
            size, self._failures = 1, self._failures + 1
            if len(part) == 1:  # else one of many may be the reason
                in_vain, left = [*in_vain, *part], left[1:]
            if len(part) == 1 or self._is_given_up:
                self.errors.append(failure)
        if not self._has_gone:
            left += in_vain
            if self._patience.left:  # else those that were not tried come before these
                left += self._unreached
            self.is_in_vain |= self._failures > 0
        left += self._left
        if left:
            free_at_once(self._link.context, left)

    @property
    def _is_given_up(self) -> bool:
        return self._failures >= self._most

    def _send(
        self, backlogs: Sequence[Backlog], *, is_last: bool
    ) -> tuple[Failure | None, set[Backlog]]:
        """Deposit what comes next in backlogs; tells why the call failed, or which may go on."""
        link, context = self._link, self._link.context
        batch = collect(link, backlogs, _AT_ONCE, self._renewed, self._patience)
        self._unreached += [
            backlog for backlog, error in batch.blocked.items() if isinstance(error, BackendError)
        ]
        failure = deposit(link, batch, read_epochs_to_tell(context, backlogs))
        self._told.note(batch)
        self._told.note_messages(batch)
        if failure is None or is_last:
            blocked = list(batch.blocked.values())
            settle_batch(link, batch, failure)
            self.errors += blocked
        if failure is not None:
            return failure, set()
        self._has_gone |= bool(batch.taken or batch.refused)
        self._left += batch.left
        gone, stays = bool(batch.items or batch.refused), {*batch.blocked, *batch.left}
        return None, {backlog for backlog in backlogs if gone and backlog not in stays}
