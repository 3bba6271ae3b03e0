# SPDX-License-Identifier: Apache-2.0
"""The scene of the demo in which apps differ in what they can show."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.demo.blocks import Block, Heading, Pairs, Paragraph, Row, listed, seen
from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts import Letter
from e2ecross.demo.people import ANA, BUDI, Person
from e2ecross.wire.capabilities import Capability, decode_capabilities

__all__ = ["Announced", "AppsDiffer", "NotSent", "apps_differ"]

_QUESTION: Final = "Which roast for Saturday?"
_LABELS: Final = ("Gayo", "Toraja")
_PASSING: Final = "My safe opens with 4-9-2. Forget it in an hour."
_HOUR: Final = "3600"
_NAMES: Final = {
    Capability.OPTIONS: "polls",
    Capability.ANSWER: "answers to polls",
    Capability.EXPIRY: "messages that disappear",
    Capability.VIEW_ONCE: "messages to be viewed once",
}


@dataclass(frozen=True, slots=True)
class Announced:
    """What the app of somebody shows and obeys.

    Attributes:
        person: whose.
        capabilities: by number, ascending: as the signed list at the relay has them.
    """

    person: Person
    capabilities: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NotSent:
    """A message that the sender's own app did not send, and what it said.

    Attributes:
        sender: who wanted to send it.
        recipient: to whom.
        text: what the sender typed.
        lacking: numbers of the capabilities that it needs, and the recipient lacks.
        error: the class of the error.
        code: its code.
        explanation: what the error said.
    """

    sender: Person
    recipient: Person
    text: str
    lacking: tuple[int, ...]
    error: str
    code: str
    explanation: str


@dataclass(frozen=True, slots=True)
class AppsDiffer:
    """A poll for an app that shows none, and what it would not protect.

    Attributes:
        announced: by both apps.
        told: what the sender was told of the poll, before it was sent.
        letter: the poll, sent all the same: its text is what stands in for it.
        refused: a message that disappears, which was not sent.
    """

    announced: tuple[Announced, ...]
    told: NotSent
    letter: Letter
    refused: NotSent

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        ours, theirs = self.announced
        lacking = [each for each in ours.capabilities if each not in theirs.capabilities]
        letter, refused = self.letter, self.refused
        yield Heading("What the other app cannot show is said before it is sent")
        yield Paragraph(
            f"Apps differ, and each announces what it can do, signed by its user's phone. Of what "
            f"{ours.person.name}'s {ours.person.app} can (in this demo), {theirs.person.name}'s "
            f"{theirs.person.app} lacks {listed(map(_name, lacking))}."
        )
        yield Pairs(
            (
                Row(
                    seen(letter.view),
                    f"{letter.recipient.name}, from {letter.sender.name} (message {letter.number})",
                    f"A poll, as text: “{letter.text}” {letter.sender.name} was told before "
                    f"sending that {letter.recipient.name}'s app has no "
                    f"{listed(map(_name, self.told.lacking))}.",
                    letter.recipient,
                ),
                Row(
                    ("nothing",),
                    f"✗ {refused.sender.name}'s own app refuses to send it",
                    f"“{refused.text}” {refused.recipient.name}'s app has no "
                    f"{listed(map(_name, refused.lacking))} and would keep it, so it was not even "
                    f"encrypted. ({refused.error})",
                    refused.sender,
                    refused=True,
                ),
            )
        )


def _name(capability: int) -> str:
    return _NAMES.get(Capability(capability), str(capability))


def apps_differ(director: Director) -> AppsDiffer:
    """Ana sends a poll to an app without polls, and what disappears to one that would keep it."""
    announced = tuple(_announced(director, person) for person in (ANA, BUDI))
    fallback = "\n".join((_QUESTION, *(f"{at}. {one}" for at, one in enumerate(_LABELS, 1))))
    poll = {"question": _QUESTION, "labels": "\n".join(_LABELS)}
    told, stands_in = _try(director, "try_poll", fallback, "lossy_content", poll)
    check(stands_in == fallback, f"Ana was told that {stands_in!r} would stand in for the poll")
    passing = {"text": _PASSING, "seconds": _HOUR}
    refused, _ = _try(director, "try_disappearing", _PASSING, "content_refused", passing)
    check(Capability.OPTIONS in told.lacking, f"Ana was told of {told.lacking} for a poll")
    check(refused.lacking == (Capability.EXPIRY,), f"Ana was told of {refused.lacking}")
    letter = director.post(ANA, BUDI, fallback, "send_poll", **poll)
    # Budi wrote last, so Ana's next message begins a chain: nothing before was encrypted in it.
    number = None if letter.view.message is None else letter.view.message.counter
    check(number == 0, f"what Ana's app refused was encrypted: the poll has number {number}")
    director.deliver(letter)
    return AppsDiffer(announced, told, letter, refused)


def _announced(director: Director, person: Person) -> Announced:
    entry = director.back_end.signed_list(person.user).list.find(person.device)
    ids = frozenset() if entry is None else decode_capabilities(entry.capabilities)
    return Announced(person, tuple(sorted(ids)))


def _try(
    director: Director, do: str, text: str, code: str, direction: dict[str, str]
) -> tuple[NotSent, str]:
    """Let Ana send what her app must refuse with this code; return that, and what would stand in.

    Raises:
        DemoFailed: it is not refused, or for another reason, or something has left.
    """
    answer = director.stage.ask(ANA, do, to=BUDI.user, **direction)
    check("refused" in answer, f"the app of Ana sent what it must not (to {do}): {answer}")
    error = take(answer, "refused", dict)
    found = error.get("code")
    check(found == code, f"it was refused to {do} with {found!r} instead of {code!r}")
    check(not director.back_end.waiting(BUDI), f"something has left when it was refused to {do}")
    not_sent = NotSent(
        sender=ANA,
        recipient=BUDI,
        text=text,
        lacking=tuple(map(int, take(answer, "lacking", list))),
        error=take(error, "type", str),
        code=code,
        explanation=take(error, "message", str),
    )
    return not_sent, take(answer, "fallback", str)
