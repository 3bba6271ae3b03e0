# SPDX-License-Identifier: Apache-2.0
"""What the demo finds out where apps differ, and of a file; see `facts`."""

from dataclasses import dataclass

from e2ecross.demo.facts import Copy, Letter
from e2ecross.demo.people import Person

__all__ = ["Announced", "AppsDiffer", "FileAttack", "NotSent", "Photo", "Received"]


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
    """Scene 8: a poll for an app that shows none, and what it would not protect.

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
class FileAttack:
    """What the back end did to a file, and how that was refused.

    Attributes:
        name: "swapped_chunks".
        target: whose device asked for the file.
        chunks: which of them changed places, from 1.
        error: the class of the error.
        code: its code.
        explanation: what the error said.
    """

    name: str
    target: Person
    chunks: tuple[int, int]
    error: str
    code: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Photo:
    """Scene 11: a photo goes to two devices of another app.

    Attributes:
        sender: whose it is.
        size: of its file, bytes.
        relay_name: what the relay keeps it under, 32 bytes.
        relay_size: how many bytes that are: padded, and with the hashes of its chunks.
        uploaded_by: the account that the relay has noted with it.
        chunks: how many there are.
        interrupted_at: how many bytes were at the relay when the sender's app ended.
        ended_process_id: its process.
        new_process_id: the process that went on.
        went_on: how many bytes were there after the first piece that this one sent.
        pieces_searched: how many pieces of the photo were looked for in the relay's files.
        letter: the message that carries its descriptor.
        copies: of it.
        attack: on the way to the second device.
        received: by both devices; the second one's first go was ended by the attack.
    """

    sender: Person
    size: int
    relay_name: str
    relay_size: int
    uploaded_by: str
    chunks: int
    interrupted_at: int
    ended_process_id: int
    new_process_id: int
    went_on: int
    pieces_searched: int
    letter: Letter
    copies: tuple[Copy, ...]
    attack: FileAttack
    received: tuple[Received, ...]
