# SPDX-License-Identifier: Apache-2.0
"""The facts of the demo in words: scenes become blocks, which a painter puts on the terminal.

Everything with a number, an address, a key or an error in it is taken from the facts.
"""

from collections.abc import Iterator
from typing import Final

from e2ecross.demo.blocks import Block, Grid, Heading, Pairs, Paragraph, Ticks
from e2ecross.demo.facts import (
    Attacks,
    FirstContact,
    Offline,
    Registration,
    RelayNotes,
    Replay,
    SafetyNumberPair,
    SafetyNumbers,
    Summary,
)
from e2ecross.demo.facts_content import AppsDiffer, Photo
from e2ecross.demo.facts_devices import FourDevices, Ghost, Linking
from e2ecross.demo.facts_groups import GroupAttacks, GroupScene
from e2ecross.demo.people import PEOPLE
from e2ecross.demo.phrases import listed, numbers, read, refused, short
from e2ecross.demo.scene import Scene
from e2ecross.demo.words_content import tell_apps_differ, tell_photo
from e2ecross.demo.words_devices import tell_four_devices, tell_ghost, tell_linking
from e2ecross.demo.words_groups import tell_group, tell_group_attacks

__all__ = ["opening", "tell"]

_GROUP: Final = 5


_STORIES: Final = {
    "flipped_bit": (
        "one bit flipped",
        "The back end alters letter {number} on its way. But each message carries a code that "
        "only {sender}'s and {recipient}'s apps can compute. Then the genuine copy arrives, and "
        "still opens: the forgery has changed nothing.",
    ),
    "moved": (
        "re-addressed from one app to another",
        "Letter {number} is a secret between {sender} and {recipient}. The back end hands it to "
        "{target} instead, and then with the address rewritten to fit. Neither opens, and the "
        "genuine copy does.",
    ),
    "sender_rewritten": (
        "in somebody else's name",
        "Letter {number} starts a session, so {recipient}'s app can decrypt it whoever is named on "
        "the envelope. But who sent it is also said inside, and the two must agree. The forgery "
        "uses up no key: the genuine copy still opens.",
    ),
}


def opening() -> Iterator[Block]:
    """Say what is going to be played."""
    yield Heading("Three apps, one back end that cannot read them")
    yield Paragraph(
        f"{listed(f'{person.name} uses {person.app}' for person in PEOPLE)}. They write to each "
        f"other through a relay that is run by people they need not trust. On the left is all "
        f"that the relay can see, on the right what a person sees. Their words are written in "
        f"advance, what comes of them is not: every result is checked as it happens."
    )


def tell(scene: Scene) -> Iterator[Block]:
    """Put a scene into blocks."""
    match scene:
        case Registration():
            return _registration(scene)
        case FirstContact():
            return _first_contact(scene)
        case Offline():
            return _offline(scene)
        case Attacks():
            return _attacks(scene)
        case Replay():
            return _replay(scene)
        case SafetyNumbers():
            return _safety_numbers(scene)
        case AppsDiffer():
            return tell_apps_differ(scene)
        case Linking():
            return tell_linking(scene)
        case FourDevices():
            return tell_four_devices(scene)
        case Photo():
            return tell_photo(scene)
        case Ghost():
            return tell_ghost(scene)
        case GroupScene():
            return tell_group(scene)
        case GroupAttacks():
            return tell_group_attacks(scene)
        case RelayNotes():
            return _relay_notes(scene)
        case Summary():
            return _summary(scene)


def _registration(scene: Registration) -> Iterator[Block]:
    yield Heading("Registration: keys are published")
    yield Paragraph(
        "Each app runs in its own process on its own store; they share nothing but the relay's "
        "file. Each draws its keys and publishes the public halves, so that others can write to "
        "it even while it is away."
    )
    yield Grid(
        ("account", "process", "store", "identity key", "prekeys"),
        tuple(
            (
                account.person.address,
                str(account.process_id),
                account.person.file,
                short(account.identity_key),
                f"2 kinds, 1 + {account.one_time_prekeys}",
            )
            for account in scene.accounts
        ),
    )


def _first_contact(scene: FirstContact) -> Iterator[Block]:
    ana, shop = scene.first.sender.name, scene.first.recipient.name
    yield Heading(f"First contact: {ana} writes to {shop}")
    yield Paragraph(
        f"They have never talked. {ana}'s app takes the shop's published keys from the relay and "
        f"sends prekey messages: they hold all that the shop's app needs to start the session."
    )
    yield Pairs(tuple(read(letter) for letter in scene.letters))
    yield Paragraph(
        f"The reply (letter {scene.reply.number}) turns the ratchet. Letters {scene.first.number} "
        f"and {scene.turned.number} are both {ana}'s, but on different keys, and the second is a "
        f"normal message:"
    )
    yield Grid(
        ("letter", "from", "kind", "ratchet key (public)", "number in its chain"),
        tuple(
            (
                str(letter.number),
                letter.sender.name,
                letter.view.kind,
                short(letter.view.message.ratchet_key),
                str(letter.view.message.counter),
            )
            for letter in scene.letters
            if letter.view.message is not None
        ),
    )


def _offline(scene: Offline) -> Iterator[Block]:
    name = scene.person.name
    yield Heading(f"{name} is offline, and his mail arrives out of order")
    yield Paragraph(
        f"{name}'s app has ended (process {scene.ended_process_id}). He can be written to all the "
        f"same: letters {numbers(scene.letters)} wait at the relay. The back end shuffles them; "
        f"a new process ({scene.new_process_id}) opens the old store, is handed "
        f"{numbers(scene.delivered)}, and reads all of them. Then he answers."
    )
    yield Pairs(tuple(read(letter) for letter in (*scene.delivered, scene.answer)))


def _attacks(scene: Attacks) -> Iterator[Block]:
    title, story = _STORIES[scene.attacks[0].name]
    letter = scene.genuine
    yield Heading(f"Attack: {title}")
    yield Paragraph(
        story.format(
            number=letter.number,
            sender=letter.sender.name,
            recipient=letter.recipient.name,
            target=scene.attacks[0].target.name,
        )
    )
    yield Pairs(
        (
            *(refused(attack) for attack in scene.attacks),
            read(letter, "Now the genuine copy."),
            *(read(answer) for answer in scene.then),
        )
    )


def _replay(scene: Replay) -> Iterator[Block]:
    yield Heading("Attack: a replay")
    yield Paragraph(
        f"{scene.letter.recipient.name} has read letter {scene.letter.number}. The back end kept "
        f"a copy, and hopes that it will be believed twice."
    )
    yield Pairs(
        (
            read(scene.letter),
            *(refused(attack) for attack in scene.attacks),
            *(read(letter) for letter in scene.then),
        )
    )


def _safety_numbers(scene: SafetyNumbers) -> Iterator[Block]:
    yield Heading("Safety numbers: did the relay hand out the right keys?")
    yield Paragraph(
        "It could have handed out its own. So people compare what their apps compute from the "
        "keys in use, by voice or by scanning each other's screen. Both ways agree:"
    )
    yield Grid(
        ("two people", "the first one's screen", "the other one's screen", ""),
        tuple(_compared(pair) for pair in scene.pairs),
    )


def _compared(pair: SafetyNumberPair) -> tuple[str, ...]:
    return (
        f"{pair.one.name}\n{pair.other.name}",
        _groups(pair.one_digits),
        _groups(pair.other_digits),
        f"{'equal' if pair.equal else 'DIFFERENT'}\n"
        f"{'scan matches' if pair.scanned else 'scan FAILS'}",
    )


def _relay_notes(scene: RelayNotes) -> Iterator[Block]:
    yield Heading("What the relay has learned")
    yield Grid(
        ("from", "to", "letters", "read there"),
        tuple(
            (x.sender.address, x.recipient.address, str(x.sent), f"{x.read} of {x.sent}")
            for x in scene.directions
        ),
    )
    sizes = listed(str(size) for size in scene.sizes)
    yield Paragraph(
        f"So it knows who writes to whom and when, public keys, and a rough size: texts of "
        f"{scene.text_sizes[0]} to {scene.text_sizes[1]} bytes became encrypted bodies of {sizes} "
        f"bytes. It does not know what was written: its file was searched after each letter, "
        f"{scene.searches} times, {scene.bytes_searched:,} bytes in all, for every text written so "
        f"far. Texts found: {scene.texts_found}. (The same search found "
        f"{scene.addresses_found:,} addresses.)"
    )


def _summary(scene: Summary) -> Iterator[Block]:
    yield Heading("In short")
    yield Ticks(
        (
            f"{scene.directions_working} of {scene.directions} directions between the three apps "
            f"work",
            f"{scene.letters_read} of {scene.letters_sent} letters were read, each once, by the "
            f"person it was for",
            f"{scene.copies_read} of {scene.copies_made} copies were read on other devices of both "
            f"ends",
            f"{scene.group_copies_read} of {scene.group_copies_made} copies of group messages were "
            f"read, each message encrypted once",
            f"{scene.post_quantum} of {scene.letters_sent + scene.copies_made} letters and copies "
            f"went under post-quantum keys (message version 4)",
            f"{scene.files_right} of {scene.files_wanted} copies of the photo are what was sent, "
            f"though each was interrupted",
            f"{scene.attacks_refused} of {scene.attacks_tried} attacks were refused, and every "
            f"genuine letter was still read",
            f"{scene.pairs_equal} of {scene.pairs} safety numbers are the same on both sides",
            f"{scene.texts_found} of {scene.letters_sent + scene.group_letters} texts are known to "
            f"the relay",
        )
    )


def _groups(digits: str) -> str:
    groups = [digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP)]
    return "\n".join(" ".join(groups[at : at + 4]) for at in range(0, len(groups), 4))
