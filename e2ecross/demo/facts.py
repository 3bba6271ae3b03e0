# SPDX-License-Identifier: Apache-2.0
"""What the demo finds out in more than one scene: plain values, which every output shows.

Each value comes from an app's answer or the relay's file, and was checked. Bytes are hexadecimal.
What one scene alone finds out stands beside it, in `scenes`.
"""

from dataclasses import dataclass, replace

from e2ecross.address import Address
from e2ecross.cli.describe import EnvelopeView
from e2ecross.demo.people import Person
from e2ecross.wire.envelope import Envelope

__all__ = [
    "Attack",
    "Copy",
    "Foiled",
    "GroupLetter",
    "Letter",
    "Received",
    "SafetyNumberPair",
    "Traffic",
]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of the conversation, as the relay held it and as it was written.

    Attributes:
        number: from 1, in the order of sending.
        sender: who wrote it.
        recipient: to whom.
        text: what the sender typed.
        view: what the relay can read of it.
        envelope: the envelope as the relay held it.
        devices: addresses of all devices that a copy was made for, by what the sender's app says.
    """

    number: int
    sender: Person
    recipient: Person
    text: str
    view: EnvelopeView
    envelope: bytes
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupLetter:
    """A message into the group: one ciphertext, and a copy of its envelope for each device.

    Attributes:
        number: from 1, in the order of sending into the group.
        sender: who wrote it.
        text: what was written.
        view: what the relay can read of the copy for the first of the devices.
        envelope: that copy.
        devices: addresses of all that a copy waited for.
        kept: how many times the relay keeps the ciphertext.
    """

    number: int
    sender: Person
    text: str
    view: EnvelopeView
    envelope: bytes
    devices: tuple[str, ...]
    kept: int

    def copy_for(self, address: str) -> bytes:
        """The envelope with an address as its recipient."""
        return replace(Envelope.decode(self.envelope), recipient=Address.parse(address)).encode()


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a letter for another device than the one that the letter is shown for.

    Attributes:
        letter: what it is a copy of.
        device: whose it is; of the sender's own account or of the recipient's.
        view: what the relay can read of it.
        envelope: as the relay held it.
    """

    letter: Letter
    device: Person
    view: EnvelopeView
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing that the back end tried, and how it was refused.

    Attributes:
        name: "flipped_bit", "moved", "readdressed", "sender_rewritten", "replay", "ghost" or
            "badged".
        letter: the message it was done to, or that it answers.
        target: whose app was given the result.
        view: what can be read of the envelope that was delivered.
        done: what the back end did, in words.
        error: the class of the error.
        code: its code.
        explanation: what the error said.
    """

    name: str
    letter: Letter | GroupLetter
    target: Person
    view: EnvelopeView
    done: str
    error: str
    code: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Foiled:
    """Anything that the back end tried, and that came to nothing.

    Attributes:
        name: as of an `Attack`; also "swapped_chunks", "ghost_member" or "hidden_removal".
        target: whose app has noticed it.
        code: of the error that it found.
    """

    name: str
    target: Person
    code: str


@dataclass(frozen=True, slots=True)
class SafetyNumberPair:
    """A safety number, computed by two apps on their own.

    Attributes:
        one: the first person.
        other: the second person.
        one_digits: what the first app shows, 60 digits.
        other_digits: what the second app shows.
        equal: whether they are the same.
        scanned: whether each app accepted the code that the other showed.
    """

    one: Person
    other: Person
    one_digits: str
    other_digits: str
    equal: bool
    scanned: bool


@dataclass(frozen=True, slots=True)
class Received:
    """A file as it came to a device, in two goes.

    Attributes:
        device: which.
        kept: how many bytes were there after the first go, all of them right.
        went_on: how many were there after the first chunk of the second.
        size: how many in the end.
        is_right: whether they are, byte for byte, those that were sent.
    """

    device: Person
    kept: int
    went_on: int
    size: int
    is_right: bool


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the relay knows of one direction, and that all of it was read at the other end."""

    sender: Person
    recipient: Person
    sent: int
    read: int
