# SPDX-License-Identifier: Apache-2.0
"""What the demo finds out, scene by scene: plain values, which every output shows.

Each value comes from an app's answer or the relay's file, and was checked. Bytes are hexadecimal.
"""

from dataclasses import dataclass, replace

from e2ecross.address import Address
from e2ecross.cli.describe import EnvelopeView
from e2ecross.demo.people import Person
from e2ecross.wire.envelope import Envelope

__all__ = [
    "Attack",
    "Attacks",
    "Copy",
    "FirstContact",
    "GroupLetter",
    "Letter",
    "Offline",
    "Registered",
    "Registration",
    "RelayNotes",
    "Replay",
    "SafetyNumberPair",
    "SafetyNumbers",
    "Summary",
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
class Registered:
    """One account, as the relay's file knows it.

    Attributes:
        person: whose.
        process_id: of the app's process.
        registration_id: of the installation.
        identity_key: 33 bytes; the app has confirmed that it is its own.
        signed_prekey_id: of the published signed prekey.
        one_time_prekeys: how many of either kind, X25519 and Kyber, are published.
    """

    person: Person
    process_id: int
    registration_id: int
    identity_key: str
    signed_prekey_id: int
    one_time_prekeys: int


@dataclass(frozen=True, slots=True)
class Registration:
    """Scene 1: three processes have registered and published their keys."""

    accounts: tuple[Registered, ...]


@dataclass(frozen=True, slots=True)
class FirstContact:
    """Scene 2: prekey messages, a reply, and the ratchet that it turned.

    Attributes:
        letters: in the order of sending.
        first: the first prekey message.
        reply: the first message back: a normal one.
        turned: the first message after the reply: normal, on a new chain.
    """

    letters: tuple[Letter, ...]
    first: Letter
    reply: Letter
    turned: Letter


@dataclass(frozen=True, slots=True)
class Offline:
    """Scene 3: written to while there was no process, and delivered out of order.

    Attributes:
        person: who was away.
        ended_process_id: the process before, which had ended when the letters were written.
        new_process_id: the process that read them.
        letters: in the order of sending.
        delivered: the same in the order in which the relay handed them out and they were read.
        answer: the first message after that.
    """

    person: Person
    ended_process_id: int
    new_process_id: int
    letters: tuple[Letter, ...]
    delivered: tuple[Letter, ...]
    answer: Letter


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
class Attacks:
    """Scenes 4 and 5: attacks on one letter, and how the conversation went on.

    Attributes:
        attacks: in the order in which they were tried.
        genuine: the letter, whose genuine copy was read after all of them.
        then: the messages after that.
    """

    attacks: tuple[Attack, ...]
    genuine: Letter
    then: tuple[Letter, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """Scene 6: a letter that had been read was put into the mailbox again.

    Attributes:
        letter: read once before.
        attacks: each further delivery.
        then: the messages after that.
    """

    letter: Letter
    attacks: tuple[Attack, ...]
    then: tuple[Letter, ...]


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
class SafetyNumbers:
    """Scene 7: every pair compares."""

    pairs: tuple[SafetyNumberPair, ...]


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
class Traffic:
    """What the relay knows of one direction, and that all of it was read at the other end."""

    sender: Person
    recipient: Person
    sent: int
    read: int


@dataclass(frozen=True, slots=True)
class RelayNotes:
    """Scene 13: what the relay has learned.

    Attributes:
        directions: all six.
        sizes: the different sizes of encrypted bodies, bytes, ascending.
        text_sizes: shortest and longest text, bytes in UTF-8.
        searches: how often the relay's files were read and searched, with messages waiting.
        bytes_searched: how many bytes that were in all.
        texts_found: how many of the texts, or pieces of them, were found.
        addresses_found: how often the same search found the recipient's address: it works.
    """

    directions: tuple[Traffic, ...]
    sizes: tuple[int, ...]
    text_sizes: tuple[int, int]
    searches: int
    bytes_searched: int
    texts_found: int
    addresses_found: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The end: everything counted once more.

    Attributes:
        directions: how many directions there are between the three apps.
        directions_working: in how many of them everything sent was read, and something was.
        letters_sent: by all.
        letters_read: by whom they were for, as they were written.
        copies_made: for other devices of either account.
        copies_read: there, as they were written.
        group_letters: how many messages were written into the group.
        group_copies_made: of messages into the group, for all devices but the writer's.
        group_copies_read: there, as they were written.
        post_quantum: how many letters and copies went in messages of version 4: PQXDH and SPQR.
        files_wanted: how many times a file was to come to a device.
        files_right: how many of those files are, byte for byte, what was sent.
        attacks_tried: how many things the back end has forged, repeated or hidden.
        attacks_refused: how many of them were refused with the right error.
        pairs: how many pairs of people have compared safety numbers.
        pairs_equal: in how many of them both ways agreed.
        texts_found: how many texts the relay has.
    """

    directions: int
    directions_working: int
    letters_sent: int
    letters_read: int
    copies_made: int
    copies_read: int
    group_letters: int
    group_copies_made: int
    group_copies_read: int
    post_quantum: int
    files_wanted: int
    files_right: int
    attacks_tried: int
    attacks_refused: int
    pairs: int
    pairs_equal: int
    texts_found: int
