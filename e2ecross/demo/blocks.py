# SPDX-License-Identifier: Apache-2.0
"""What the demo's text is made of: blocks that a painter puts on the terminal, and their phrases.

A scene becomes facts, and facts tell themselves in blocks (`Scene`). Everything with a number, an
address, a key or an error in it is taken from the facts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from e2ecross.cli.describe import EnvelopeView
from e2ecross.demo.facts import Attack, Copy, GroupLetter, Letter
from e2ecross.demo.people import Person

__all__ = [
    "Block",
    "Grid",
    "Heading",
    "Ledger",
    "Pairs",
    "Paragraph",
    "Picture",
    "Row",
    "Scene",
    "listed",
    "numbers",
    "read",
    "read_copy",
    "read_in_group",
    "refused",
    "seen",
    "seen_in_group",
    "short",
]

_HEX_BYTES: Final = 8
_KEY_HEX: Final = 10
_KINDS: Final = {
    "prekey": "opening message",
    "signal": "message",
    "sender_key": "group message",
}


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a scene."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text, to be wrapped."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One event in two views.

    Attributes:
        left: lines of what the back end saw or did; the last line may be wrapped.
        head: who saw it at the other end.
        body: what they saw, to be wrapped.
        person: whose screen it is.
        refused: whether it was an attack that the app refused.
    """

    left: tuple[str, ...]
    head: str
    body: str
    person: Person
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Pairs:
    """Events: what the back end saw beside what a person saw."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A small table; cells may have several lines."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Results, one per line, each behind what it is about; close together, for a summary.

    Attributes:
        title: what they are the results of.
        rows: what it is about, and what came of it.
        good: whether each of them is marked as good.
    """

    title: str
    rows: tuple[tuple[str, str], ...]
    good: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A text as a QR code, where that can be drawn."""

    text: str


Block = Heading | Paragraph | Pairs | Grid | Ledger | Picture


class Scene(Protocol):
    """The facts of a scene: a dataclass of plain values, which `json_output` shows as they are."""

    def tell(self) -> Iterator[Block]:
        """Put them into words."""
        ...


def read(letter: Letter, *notes: str) -> Row:
    """A message that was read; with notes on what the back end did."""
    head = f"{letter.recipient.name}, from {letter.sender.name} (no. {letter.number})"
    return Row((*seen(letter.view), *notes), head, f"“{letter.text}”", letter.recipient)


def read_copy(copy: Copy) -> Row:
    """A copy of a message that was read."""
    letter = copy.letter
    of = "sent by" if copy.device.user == letter.sender.user else "from"
    head = f"{copy.device.name}, {of} {letter.sender.name} (no. {letter.number})"
    return Row(seen(copy.view), head, f"“{letter.text}”", copy.device)


def read_in_group(letter: GroupLetter) -> Row:
    """A message into the group that was read."""
    devices, sender = len(letter.devices), letter.sender
    head = f"{devices} devices, from {sender.name} (no. {letter.number})"
    return Row(seen_in_group(letter), head, f"“{letter.text}”", sender)


def refused(attack: Attack, why: str) -> Row:
    """An attack that was refused, and why, as one would say it."""
    return Row(
        (*seen(attack.view), f"The back end {attack.done}."),
        f"✗ {attack.target.name}'s app refuses it",
        f"{why} ({attack.error})",
        attack.target,
        refused=True,
    )


def seen(view: EnvelopeView) -> tuple[str, ...]:
    """What the back end sees of an envelope: addresses, kind, size, the encrypted bytes."""
    return _seen(view, view.recipient)


def seen_in_group(letter: GroupLetter) -> tuple[str, ...]:
    """What the back end sees of a message for several devices."""
    return _seen(letter.view, f"{len(letter.devices)} devices")


def _seen(view: EnvelopeView, to: str) -> tuple[str, ...]:
    message = view.message or view.sender_key
    encrypted = "" if message is None else message.encrypted
    shown = " ".join(encrypted[at : at + 2] for at in range(0, 2 * _HEX_BYTES, 2))
    size = f"{_KINDS.get(view.kind, view.kind)}, {view.envelope_bytes:,} bytes"
    return f"{view.sender} → {to}", size, f"encrypted: {shown} …"


def short(key: str) -> str:
    """The beginning of a key, or of another value."""
    return f"{key[:_KEY_HEX]}…"


def numbers(letters: Iterable[Letter]) -> str:
    """The numbers of messages."""
    return listed(str(letter.number) for letter in letters)


def listed(items: Iterable[str]) -> str:
    """Items with commas and an "and"."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
