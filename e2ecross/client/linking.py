# SPDX-License-Identifier: Apache-2.0
"""Linking a device: what both ends do alike.

Rules:
- An attempt goes from one state to the next, whichever thread sees to it, and each step is done
  once. What the other end, or the time, makes impossible ends it, and so does the user.
- Of an attempt that is over nothing is kept: the next one begins anew.
- A call of the back end that fails ends nothing, and may be repeated.
- Waiting asks the back end once a second, and not without end, whatever the clock says.
"""

import enum
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

from e2ecross.arguments import require_callable
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DeviceExists, LinkFailed, RemoteError
from e2ecross.protocol.linking import RESULT_WAIT_MS

__all__ = ["ANSWER", "OFFER", "RESULT", "Attempt", "LinkState", "Pause"]

OFFER: Final = 0
ANSWER: Final = 1
RESULT: Final = 2
"""The slots of a box at the back end."""

Pause = Callable[[float], object]
"""Waits for that many seconds, as `time.sleep` does."""

_SECONDS: Final = 1.0
"""Between two questions: a user who looks at both screens notices no delay."""
_MAX_QUESTIONS: Final = RESULT_WAIT_MS // 1000 + 1
"""As many as there are in the longest time that is waited: a clock may stand still."""

T = TypeVar("T")


class LinkState(enum.StrEnum):
    """How far linking a device has come."""

    WAITING = "waiting"
    """The other end has not been heard of."""
    WANTS_DIGITS = "wants_digits"
    """The new device: its user types the six digits that the phone shows."""
    WANTS_CONFIRMATION = "wants_confirmation"
    """The new device: the user confirms on the phone."""
    SHOWS_DIGITS = "shows_digits"
    """The phone: it shows the digits, and asks its user to confirm."""
    LINKED = "linked"
    """The device belongs to the account."""


class Attempt(Secret, Generic[T]):
    """One attempt to link, at one end; it holds what was drawn for it.

    Attributes:
        found: its state, or None when it is over.
    """

    __slots__ = ("_lock", "found")

    def __init__(self, first: T) -> None:
        """Begin in the first state."""
        self.found: T | None = first
        self._lock = Lock()

    def state(self) -> T:
        """Return its state.

        Raises:
            LinkFailed: it is over.
        """
        state = self.found
        if state is None:
            raise LinkFailed("this attempt to link is over: begin again with a new code")
        return state

    def advance(self, before: T, step: Callable[[], T]) -> T:
        """Do what leads from one state to the next, unless that was done; returns the state.

        Raises:
            LinkFailed: it is over.
            RemoteError: the step is impossible, and the attempt over from now on.
        """
        with self._lock:
            if self.found is before:
                try:
                    self.found = step()
                except (RemoteError, DeviceExists):
                    self.found = None
                    raise
        return self.state()

    def end(self, check: Callable[[T], None]) -> None:
        """End it, unless the check of its state raises; one that is over stays so."""
        with self._lock:
            if self.found is not None:
                check(self.found)
                self.found = None

    def stay(self, state: T, check: Callable[[], None]) -> None:
        """Do no step, but the check of whether it may stay in this state; raises as `advance`."""

        def step() -> T:
            check()
            return state

        self.advance(state, step)

    def fail(self, state: T, reason: str) -> LinkFailed:
        """End it, if it still is in this state; returns the error that says so."""
        with self._lock:
            if self.found is state:
                self.found = None
        return LinkFailed(reason)

    def wait(self, poll: Callable[[], LinkState], waiting: LinkState, pause: Pause) -> LinkState:
        """Ask until there is another state than that in which it waits; returns it.

        Raises:
            LinkFailed: it is over, or has taken too long.
            InvalidArgument: `pause` is no function.
        """
        require_callable("pause", pause)
        for _ in range(_MAX_QUESTIONS):
            state = poll()
            if state is not waiting:
                return state
            pause(_SECONDS)
        raise self.fail(self.state(), "linking has taken too long: begin again with a new code")
