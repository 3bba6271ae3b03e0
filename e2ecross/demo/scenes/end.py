# SPDX-License-Identifier: Apache-2.0
"""The end of the demo: what the back end has learned, and all of it on one screen.

`Summary` in words, the line with the time after it included, is for a terminal of 80 by 24: at most
23 lines of at most 80 columns, also where the terminal knows ASCII only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from e2ecross.demo.blocks import Block, Grid, Heading, Ledger, Paragraph, listed
from e2ecross.demo.director import Director, check
from e2ecross.demo.facts import Foiled, Traffic
from e2ecross.demo.people import PEOPLE, Person
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.signal_message import VERSION_4

__all__ = ["RelayNotes", "Summary", "relay_notes", "summarise"]

_TRIED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "flipped_bit": (("changed one bit of a message", "{name}'s app refused it"),),
    "moved": (("gave a message to somebody else, twice", "{name}'s app refused both"),),
    "readdressed": (),  # the second time
    "sender_rewritten": (("wrote another sender on a message", "{name}'s app refused it"),),
    "replay": (("delivered a message once more", "{name}'s app refused it"),),
    "swapped_chunks": (("swapped two pieces of the photo", "{name} refused them"),),
    "ghost": (("added a device of its own to Budi's", "{name}'s app ignored and refused it"),),
    "ghost_member": (("added a stranger to the group", "{name}'s app ignored it"),),
    "badged": (("wrote another sender on a group message", "{name}'s app refused it"),),
    "hidden_removal": (("hid that a group member was removed", "{name}'s apps found out"),),
}
"""Of each attack what the back end did, and how it ended."""


@dataclass(frozen=True, slots=True)
class RelayNotes:
    """What the relay has learned.

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

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        yield Heading("What the back end has learned")
        yield Grid(
            ("from", "to", "messages", "read there"),
            tuple(
                (x.sender.address, x.recipient.address, str(x.sent), f"{x.read} of {x.sent}")
                for x in self.directions
            ),
        )
        sizes = listed(f"{size:,}" for size in self.sizes)
        shortest, longest = self.text_sizes
        yield Paragraph(
            f"It knows who writes to whom and when, sees public keys, and a rough size: texts of "
            f"{shortest} to {longest} bytes all became {sizes} encrypted bytes. What was written "
            f"it does not know: after each message all its files were searched for every text so "
            f"far, {self.searches} times, {self.bytes_searched:,} bytes in all. Of the texts "
            f"{self.texts_found or 'none'} were found; of addresses, by the same search, "
            f"{self.addresses_found:,}."
        )
        yield Paragraph(
            "What it still can do: keep messages to itself, or delay them; and give out wrong keys "
            "at a first contact, which only comparing safety numbers shows."
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything counted once more.

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
        attacks: what was tried in vain, in that order.
        linked: devices that were linked.
        photo_bytes: size of the photo.
        group_members: how many accounts were in the group.
        sent_over_network: how many of the letters went over a network; None if that was left out.
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
    attacks: tuple[Foiled, ...]
    linked: tuple[Person, ...]
    photo_bytes: int
    group_members: int
    sent_over_network: int | None

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        *people, shop = PEOPLE
        names = ", ".join(f"{person.name} ({person.app})" for person in people)
        yield Heading("In short: three apps, one back end that could read nothing")
        title = f"{names} and the shop {shop.name} ({shop.app}) talked:"
        yield Ledger(title, self._results(), good=True)
        each_time = _all(self.attacks_refused, self.attacks_tried, "each time")
        yield Ledger(
            f"The back end attacked {self.attacks_tried} times, {each_time} in vain:",
            tuple(
                (did, ended.format(name=each.target.name))
                for each in self.attacks
                for did, ended in _TRIED[each.name]
            ),
        )

    def _results(self) -> tuple[tuple[str, str], ...]:
        directions = _all(self.directions_working, self.directions, f"all {self.directions}")
        devices = listed(device.name for device in self.linked)
        copies = _all(self.copies_read, self.copies_made, f"all {self.copies_made}")
        in_group = _all(self.group_copies_read, self.group_copies_made, "all")
        pairwise = _all(self.post_quantum, self.letters_sent + self.copies_made, "all")
        equal = _all(self.pairs_equal, self.pairs, f"all {self.pairs}")
        texts = self.letters_sent + self.group_letters
        return (
            (
                "messages",
                f"{self.letters_sent} between the three apps, in {directions} directions; "
                f"{_all(self.letters_read, self.letters_sent, 'all')} read, once each",
            ),
            ("devices", f"{devices} linked by code; {copies} copies read"),
            (
                "photo",
                f"{self.photo_bytes:,} bytes to {self.files_wanted} devices, cut off on the way; "
                f"unchanged on {_all(self.files_right, self.files_wanted, 'both')}",
            ),
            (
                "group",
                f"{self.group_members} people on three apps, {self.group_letters} messages, each "
                f"encrypted once; {in_group} read",
            ),
            *self._over_network(),
            (
                "keys",
                f"{equal} safety numbers agree; {pairwise} messages have post-quantum keys",
            ),
            (
                "back end",
                f"saw who wrote to whom, when, how much; found {self.texts_found or 'none'} of the "
                f"{texts} texts",
            ),
        )

    def _over_network(self) -> list[tuple[str, str]]:
        sent = self.sent_over_network
        if sent is None:  # its scene has said what it needs
            return []
        how_many = "all" if sent == self.letters_sent else sent
        return [
            (
                "network",
                f"{how_many} of the messages went over HTTP, with the back end as a service",
            )
        ]


def _all(done: int, wanted: int, all_of_them: str) -> str:
    return all_of_them if done == wanted else f"{done} of {wanted}"


def relay_notes(director: Director) -> RelayNotes:
    """Add up what passed through the relay, and what it has of it."""
    directions = director.traffic()
    for one in directions:
        check(
            one.sent == one.read > 0,
            f"{one.recipient.name} has read {one.read} of {one.sent} messages of {one.sender.name}",
        )
    check(len(director.read) == len(set(director.read)), "a message was read twice")
    keyless = len(director.letters) + len(director.copies_made) - _count_post_quantum(director)
    check(keyless == 0, f"{keyless} messages or copies went without post-quantum keys")
    check(director.copies_read == director.copies_made, "a copy was not read")
    made = {(letter, device) for letter in director.group_letters for device in letter.devices}
    check(set(director.group_copies_read) == made, "a message into the group was not read")
    search = director.search
    check(search.addresses_found > 0, "the search of the relay's file finds nothing at all")
    check(search.texts_found == 0, "the relay's file holds text")
    text_sizes = [len(letter.text.encode()) for letter in director.letters]
    bodies = {x.view.message.encrypted_bytes for x in director.letters if x.view.message}
    return RelayNotes(
        directions=directions,
        sizes=tuple(sorted(bodies)),
        text_sizes=(min(text_sizes), max(text_sizes)),
        searches=search.searches,
        bytes_searched=search.bytes_searched,
        texts_found=search.texts_found,
        addresses_found=search.addresses_found,
    )


def summarise(director: Director) -> Summary:
    """Count everything once more."""
    directions = director.traffic()
    return Summary(
        directions=len(directions),
        directions_working=sum(one.sent == one.read > 0 for one in directions),
        letters_sent=len(director.letters),
        letters_read=len(director.read),
        copies_made=len(director.copies_made),
        copies_read=len(director.copies_read),
        group_letters=len(director.group_letters),
        group_copies_made=sum(len(letter.devices) for letter in director.group_letters),
        group_copies_read=len(set(director.group_copies_read)),
        post_quantum=_count_post_quantum(director),
        files_wanted=director.files_wanted,
        files_right=sum(each.is_right for each in director.files_received),
        attacks_tried=director.attacks_tried,
        attacks_refused=len(director.attacks_refused),
        pairs=len(director.compared),
        pairs_equal=sum(pair.equal and pair.scanned for pair in director.compared),
        texts_found=director.search.texts_found,
        attacks=tuple(director.attacks_refused),
        linked=tuple(director.linked),
        photo_bytes=director.photo_bytes,
        group_members=director.group_members,
        sent_over_network=director.sent_over_network,
    )


def _count_post_quantum(director: Director) -> int:
    envelopes = [letter.envelope for letter in director.letters]
    envelopes += [copy.envelope for copy in director.copies_made]
    first_bytes = [Envelope.decode(envelope).ciphertext[:1] for envelope in envelopes]
    return first_bytes.count(VERSION_4.first_byte)
