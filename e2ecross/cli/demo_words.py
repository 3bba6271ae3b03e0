# SPDX-License-Identifier: Apache-2.0
"""The facts of the demo in words: scenes become blocks, which a painter puts on the terminal.

Everything with a number, an address, a key or an error in it is taken from the facts.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from e2ecross.cli.demo_blocks import Block, Grid, Heading, Pairs, Paragraph, Picture, Row, Ticks
from e2ecross.cli.demo_facts import (
    Attack,
    Attacks,
    Copy,
    FirstContact,
    FourDevices,
    Ghost,
    Letter,
    Linking,
    Offline,
    Registration,
    RelayNotes,
    Replay,
    SafetyNumberPair,
    SafetyNumbers,
    Scene,
    Summary,
)
from e2ecross.cli.demo_people import PEOPLE
from e2ecross.cli.describe import EnvelopeView

__all__ = ["opening", "tell"]

_HEX_BYTES: Final = 12
_KEY_HEX: Final = 10
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
        f"{_list(f'{person.name} uses {person.app}' for person in PEOPLE)}. They write to each "
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
        case Linking():
            return _linking(scene)
        case FourDevices():
            return _four_devices(scene)
        case Ghost():
            return _ghost(scene)
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
                _short(account.identity_key),
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
    yield Pairs(tuple(_read(letter) for letter in scene.letters))
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
                _short(letter.view.message.ratchet_key),
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
        f"same: letters {_numbers(scene.letters)} wait at the relay. The back end shuffles them; "
        f"a new process ({scene.new_process_id}) opens the old store, is handed "
        f"{_numbers(scene.delivered)}, and reads all of them. Then he answers."
    )
    yield Pairs(tuple(_read(letter) for letter in (*scene.delivered, scene.answer)))


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
            *(_refused(attack) for attack in scene.attacks),
            _read(letter, "Now the genuine copy."),
            *(_read(answer) for answer in scene.then),
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
            _read(scene.letter),
            *(_refused(attack) for attack in scene.attacks),
            *(_read(letter) for letter in scene.then),
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


def _linking(scene: Linking) -> Iterator[Block]:
    first, *others = scene.linked
    yield Heading(f"A second device: {first.device.name} shows a code")
    yield Paragraph(
        f"It belongs to nobody yet, and has nothing but this code, for the camera of "
        f"{first.phone.name}'s phone. The secret in it never passes the relay."
    )
    yield Picture(first.code)
    yield Paragraph(
        f"{first.device.name} asks whether it is to be linked to {first.asked_about}, and for the "
        f"digits on the phone's screen: {first.digits}. {first.phone.name} types them, and "
        f"confirms on the phone. Only then does the phone sign the list that has the new device: "
        f"others will know it by that, and not by what the relay says. "
        f"{_list(other.phone.name for other in others)} does the same "
        f"({_list(other.digits for other in others)})."
    )
    yield Grid(
        ("linked", "address", "process", "identity key", "signed list"),
        tuple(
            (
                each.device.name,
                each.device.address,
                str(each.process_id),
                _short(each.identity_key),
                f"number {each.list_number}, {each.devices} devices",
            )
            for each in scene.linked
        ),
    )


def _four_devices(scene: FourDevices) -> Iterator[Block]:
    letter, answer = scene.letter, scene.answer
    yield Heading("One message, four devices")
    yield Paragraph(
        f"{letter.sender.name} writes on her phone. It encrypts a copy for each device in "
        f"{letter.recipient.name}'s list, and one for her own laptop, each in a session of its "
        f"own, and hands all to the relay at once. The answer comes from {answer.sender.name}."
    )
    yield Pairs(
        (
            _read(letter),
            *map(_read_copy, scene.copies),
            _read(answer),
            *map(_read_copy, scene.answer_copies),
        )
    )


def _ghost(scene: Ghost) -> Iterator[Block]:
    letter, owner = scene.letter, scene.letter.recipient
    yield Heading("Attack: a device that nobody has linked")
    yield Paragraph(
        f"The relay writes {scene.address} into {owner.name}'s list, as number "
        f"{scene.list_number}, with keys of its own; but it cannot sign it as {owner.name}'s phone "
        f"would. {letter.sender.name}'s app fetches that list, for it seems to be newer, and goes "
        f"on with the genuine one: letter {letter.number} is encrypted for "
        f"{_list(scene.believed)}, and {scene.copies_for_ghost} times for the relay's device. So "
        f"that one writes itself."
    )
    yield Pairs((_read(letter), *map(_read_copy, scene.copies), _refused(scene.attack)))


def _relay_notes(scene: RelayNotes) -> Iterator[Block]:
    yield Heading("What the relay has learned")
    yield Grid(
        ("from", "to", "letters", "read there"),
        tuple(
            (x.sender.address, x.recipient.address, str(x.sent), f"{x.read} of {x.sent}")
            for x in scene.directions
        ),
    )
    sizes = _list(str(size) for size in scene.sizes)
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
            f"{scene.post_quantum} of {scene.letters_sent + scene.copies_made} of all these went "
            f"under post-quantum keys (message version 4)",
            f"{scene.attacks_refused} of {scene.attacks_tried} attacks were refused, and every "
            f"genuine letter was still read",
            f"{scene.pairs_equal} of {scene.pairs} safety numbers are the same on both sides",
            f"{scene.texts_found} of {scene.letters_sent} texts are known to the relay",
        )
    )


def _read(letter: Letter, *notes: str) -> Row:
    head = f"{letter.recipient.name}, from {letter.sender.name} (letter {letter.number})"
    return Row((*_seen(letter.view), *notes), head, f"“{letter.text}”", letter.recipient)


def _read_copy(copy: Copy) -> Row:
    letter = copy.letter
    of = "sent by" if copy.device.user == letter.sender.user else "from"
    head = f"{copy.device.name}, {of} {letter.sender.name} (letter {letter.number})"
    return Row(_seen(copy.view), head, f"“{letter.text}”", copy.device)


def _refused(attack: Attack) -> Row:
    return Row(
        (*_seen(attack.view), f"The back end {attack.done}."),
        f"✗ {attack.target.name}: {attack.error}",
        f"Refused: {attack.explanation}.",
        attack.target,
        refused=True,
    )


def _seen(view: EnvelopeView) -> tuple[str, ...]:
    """What the relay sees of an envelope: addresses, kind, size, hex."""
    encrypted = "" if view.message is None else view.message.encrypted
    shown = " ".join(encrypted[at : at + 2] for at in range(0, 2 * _HEX_BYTES, 2))
    return (
        f"{view.sender} → {view.recipient}",
        f"{view.kind} message, {view.envelope_bytes} bytes",
        f"{shown} …",
    )


def _short(key: str) -> str:
    return f"{key[:_KEY_HEX]}…"


def _groups(digits: str) -> str:
    groups = [digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP)]
    return "\n".join(" ".join(groups[at : at + 4]) for at in range(0, len(groups), 4))


def _numbers(letters: Iterable[Letter]) -> str:
    return _list(str(letter.number) for letter in letters)


def _list(items: Iterable[str]) -> str:
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
