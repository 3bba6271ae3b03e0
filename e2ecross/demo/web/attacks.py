# SPDX-License-Identifier: Apache-2.0
"""The attacks of the page's back end: each is done for real, and what came of it is observed.

Rules:
- One at a time.
- What came of it is what the phones have shown or answered. Where that is not what the library
  promises, it is said like everything else.
"""

import itertools
import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from e2ecross.demo.people import DemoFailed
from e2ecross.demo.web.attacks_on_accounts import add_device, add_member, restore, swap_keys
from e2ecross.demo.web.attacks_on_mail import flip, hide, readdress, replay
from e2ecross.demo.web.hands import Hands
from e2ecross.demo.web.notices import fault, sentence
from e2ecross.demo.web.outcome import Outcome
from e2ecross.demo.web.phones import PhoneRefused
from e2ecross.demo.web.play import Play
from e2ecross.errors import E2ECrossError

__all__ = ["Attacks"]


class _Attack(NamedTuple):
    """An attack, and what it is about in a sentence."""

    work: Callable[[Hands], Outcome]
    plan: str


_ONCE: Final = "swap_keys"
"""A first contact is one once."""
_ATTACKS: Final[Mapping[str, _Attack]] = {
    "flip": _Attack(flip, "It flips one bit of a message on its way."),
    "replay": _Attack(replay, "It delivers the last message once more."),
    "readdress": _Attack(readdress, "It puts a message for one into the mailbox of another."),
    "add_device": _Attack(add_device, "It gives Ana a third device."),
    "add_member": _Attack(add_member, "It puts a member of its own into the group."),
    "hide": _Attack(hide, "It drops a message."),
    "restore": _Attack(restore, "Ana's phone is set back to an old copy of its store."),
    _ONCE: _Attack(swap_keys, "It swaps the keys of a first contact, both ways."),
}


_JUST_DONE_SECONDS: Final = 0.2
"""How long one that has been told to be done may take until the next can begin."""


class Attacks:
    """All attacks on a play; for several threads."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._hands = Hands(play)
        self._numbers = itertools.count(1)
        self._running = threading.Lock()

    def knows(self, name: str) -> bool:
        """Tell whether there is an attack of that name."""
        return name in _ATTACKS

    def begin(self, name: str) -> int:
        """Begin an attack; what comes of it is said as events with the number that is returned.

        Raises:
            DemoFailed: another one runs, or this one cannot be done any more.
        """
        if name == _ONCE and self._play.has("citra"):
            raise DemoFailed("a first contact is one only once: start the demo again for another")
        if not self._running.acquire(timeout=_JUST_DONE_SECONDS):
            raise DemoFailed("the back end is busy with another attack")
        number = next(self._numbers)
        self._tell(number, name, Outcome(_ATTACKS[name].plan), "running")
        threading.Thread(target=self._run, args=(number, name), daemon=True).start()
        return number

    def close(self) -> None:
        """Close what attacks have opened."""
        self._hands.close()

    def _run(self, number: int, name: str) -> None:
        work, plan = _ATTACKS[name]
        try:
            outcome = work(self._hands)
        except (DemoFailed, PhoneRefused, E2ECrossError, sqlite3.Error, OSError) as error:
            outcome = Outcome(plan, sentence(f"it could not be done: {error}"))
        except Exception as error:  # of whichever kind: it is a fault of the demo
            outcome = Outcome(plan, fault(error))
        self._tell(number, name, outcome, "done")
        self._running.release()

    def _tell(self, number: int, name: str, outcome: Outcome, state: str) -> None:
        told = {"type": "attack", "number": number, "name": name, **outcome._asdict()}
        self._play.journal.add({**told, "state": state})
