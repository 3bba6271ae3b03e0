# SPDX-License-Identifier: Apache-2.0
"""What came of an attack: the verdicts, and which events of phones speak of it."""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from e2ecross.demo.web.cast import PHONES
from e2ecross.demo.web.journal import Event

__all__ = [
    "COMPARING",
    "NOTICED",
    "NOT_NOTICED",
    "REFUSED",
    "Outcome",
    "about",
    "name_of",
    "not_refused",
    "shows",
    "warns",
]

REFUSED: Final = "refused"
NOTICED: Final = "noticed"
NOT_NOTICED: Final = "not noticed"
COMPARING: Final = "only by comparing"


class Outcome(NamedTuple):
    """What the back end did, what came of it, and in a word; the latter are empty before."""

    did: str
    came: str = ""
    verdict: str = ""


def about(reader: str, message_id: str) -> Callable[[Event], bool]:
    """Return what says whether a phone's event shows a message, or tells why it does not."""

    def is_about(event: Event) -> bool:
        mine = event.get("phone") == reader and event.get("id") == message_id
        return mine and event["type"] in ("message", "notice")

    return is_about


def name_of(phone: str) -> str:
    """Return whose phone it is."""
    return PHONES[phone].name


def shows(phone: str, message_id: str, event: Event) -> bool:
    """Whether an event says that a phone shows a message (its id in hexadecimal)."""
    return event["type"] == "message" and about(phone, message_id)(event)


def warns(users: Collection[str], message_id: str, event: Event) -> bool:
    """Whether an event says that one of two users is warned of the other.

    Args:
        users: both accounts.
        message_id: of the message that it may be about, in hexadecimal: a warning about another
            message is none about this one. Empty: about whichever.
        event: what was said.
    """
    if event["type"] != "notice" or not event["alarm"]:
        return False
    own = PHONES[event["phone"]].user
    is_between = own in users and event["chat"] in users and event["chat"] != own
    return is_between and (not message_id or event["id"] in ("", message_id))


def not_refused(phone: str, found: Event | None) -> str:
    """Return a sentence of what a phone did, where it should have refused something."""
    how = "said nothing of it" if found is None else f"showed it: “{found['text']}”"
    return f"{name_of(phone)}'s phone {how}."
