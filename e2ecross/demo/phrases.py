# SPDX-License-Identifier: Apache-2.0
"""What the demo's words are put together from: rows of what was read or refused, and lists."""

from collections.abc import Iterable
from typing import Final

from e2ecross.cli.describe import EnvelopeView
from e2ecross.demo.blocks import Row
from e2ecross.demo.facts import Attack, Copy, GroupLetter, Letter

__all__ = ["listed", "numbers", "read", "read_copy", "refused", "seen", "seen_in_group", "short"]

_HEX_BYTES: Final = 12
_KEY_HEX: Final = 10


def read(letter: Letter, *notes: str) -> Row:
    """A letter that was read; with notes on what the back end did."""
    head = f"{letter.recipient.name}, from {letter.sender.name} (letter {letter.number})"
    return Row((*seen(letter.view), *notes), head, f"“{letter.text}”", letter.recipient)


def read_copy(copy: Copy) -> Row:
    """A copy of a letter that was read."""
    letter = copy.letter
    of = "sent by" if copy.device.user == letter.sender.user else "from"
    head = f"{copy.device.name}, {of} {letter.sender.name} (letter {letter.number})"
    return Row(seen(copy.view), head, f"“{letter.text}”", copy.device)


def refused(attack: Attack) -> Row:
    """An attack that was refused."""
    return Row(
        (*seen(attack.view), f"The back end {attack.done}."),
        f"✗ {attack.target.name}: {attack.error}",
        f"Refused: {attack.explanation}.",
        attack.target,
        refused=True,
    )


def seen(view: EnvelopeView) -> tuple[str, ...]:
    """What the relay sees of an envelope: addresses, kind, size, hex."""
    return _seen(view, view.recipient)


def seen_in_group(letter: GroupLetter) -> tuple[str, ...]:
    """What the relay sees of a message for several devices."""
    return _seen(letter.view, f"{len(letter.devices)} devices")


def _seen(view: EnvelopeView, to: str) -> tuple[str, ...]:
    message = view.message or view.sender_key
    encrypted = "" if message is None else message.encrypted
    shown = " ".join(encrypted[at : at + 2] for at in range(0, 2 * _HEX_BYTES, 2))
    kind = view.kind.replace("_", "-")
    return f"{view.sender} → {to}", f"{kind} message, {view.envelope_bytes} bytes", f"{shown} …"


def short(key: str) -> str:
    """The beginning of a key, or of another value."""
    return f"{key[:_KEY_HEX]}…"


def numbers(letters: Iterable[Letter]) -> str:
    """The numbers of letters."""
    return listed(str(letter.number) for letter in letters)


def listed(items: Iterable[str]) -> str:
    """Items with commas and an "and"."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
