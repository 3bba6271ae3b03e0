# SPDX-License-Identifier: Apache-2.0
"""The scenes in which the back end tampers with single messages: each time an app refuses it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.demo.blocks import Block, Heading, Pairs, Paragraph, read, refused
from e2ecross.demo.director import Director, check
from e2ecross.demo.facts import Attack, Letter
from e2ecross.demo.people import ANA, BUDI, TOKO

__all__ = ["Attacks", "Replay", "flipped_bit", "readdressed", "replay", "sender_rewritten"]

_STORIES: Final = {
    "flipped_bit": (
        "one bit changed",
        "The back end changes message {number} on its way. But each message has a seal that only "
        "{sender}'s and {recipient}'s apps can make, and it does not fit any more. Then comes the "
        "untouched copy, and opens: the forgery has changed nothing.",
    ),
    "moved": (
        "handed to somebody else",
        "Message {number} is a secret between {sender} and {recipient}. The back end hands it to "
        "{target}; then once more, with that address written on it. Neither opens. {recipient}'s "
        "own copy does.",
    ),
    "sender_rewritten": (
        "in somebody else's name",
        "Message {number} is the first that {sender} sends to {recipient}. The back end writes "
        "another sender on it. But who has sent it also stands inside, encrypted, and the two must "
        "agree. The untouched copy still opens.",
    ),
}

_WHY: Final = {
    "flipped_bit": "It was changed on its way.",
    "moved": "It is addressed to another device.",
    "readdressed": "It was encrypted for another device.",
    "sender_rewritten": "Outside it names another sender than inside.",
    "replay": "It has come before.",
}


@dataclass(frozen=True, slots=True)
class Attacks:
    """Attacks on one letter, and how the conversation went on.

    Attributes:
        attacks: in the order in which they were tried.
        genuine: the letter, whose genuine copy was read after all of them.
        then: the messages after that.
    """

    attacks: tuple[Attack, ...]
    genuine: Letter
    then: tuple[Letter, ...]

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        title, story = _STORIES[self.attacks[0].name]
        letter = self.genuine
        yield Heading(f"Attack: {title}")
        yield Paragraph(
            story.format(
                number=letter.number,
                sender=letter.sender.name,
                recipient=letter.recipient.name,
                target=self.attacks[0].target.name,
            )
        )
        yield Pairs(
            (
                *(refused(attack, _WHY[attack.name]) for attack in self.attacks),
                read(letter, "Now the untouched copy."),
                *(read(answer) for answer in self.then),
            )
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """A letter that had been read was put into the mailbox again.

    Attributes:
        letter: read once before.
        attacks: each further delivery.
        then: the messages after that.
    """

    letter: Letter
    attacks: tuple[Attack, ...]
    then: tuple[Letter, ...]

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        reader, writer = self.letter.recipient.name, self.letter.sender.name
        anew = ""
        if self.letter.view.kind == "prekey":
            anew = (
                f" (It is an opening message again: since {writer}'s app could not open what "
                f"seemed to be {reader}'s, it begins anew with hers.)"
            )
        yield Heading("Attack: the same message twice")
        yield Paragraph(
            f"Message {self.letter.number} asks {reader} for money, and she has read it. The back "
            f"end has kept a copy, and hopes that she pays twice.{anew}"
        )
        yield Pairs(
            (
                read(self.letter),
                *(refused(attack, _WHY[attack.name]) for attack in self.attacks),
                *(read(letter) for letter in self.then),
            )
        )


def flipped_bit(director: Director) -> Attacks:
    """The back end flips one bit of a letter."""
    back_end = director.back_end
    letter = director.send(BUDI, ANA, "My train gets in at 9:40, platform 2.")
    flipped = back_end.flip_bit(letter)
    back_end.withhold(letter.recipient, letter.envelope)
    done = f"changes one bit: byte {flipped.byte} is {flipped.after:02x}, was {flipped.before:02x}"
    attack = director.attack(
        "flipped_bit", letter, ANA, flipped.envelope, done, "authentication_failed"
    )
    back_end.put(ANA, letter.envelope)
    director.deliver(letter)
    then = director.say(ANA, BUDI, "I will be there, with a thermos.")
    return Attacks((attack,), letter, (then,))


def readdressed(director: Director) -> Attacks:
    """The back end hands a letter from WhatsApp to Instagram to somebody on Messenger."""
    back_end = director.back_end
    letter = director.send(ANA, BUDI, "Don't tell the shop: their birthday cake is in my oven.")
    back_end.withhold(letter.recipient, letter.envelope)
    moved = director.attack(
        "moved",
        letter,
        TOKO,
        letter.envelope,
        f"puts it into the mailbox of {TOKO.address}",
        "envelope_mismatch",
    )
    rewritten = director.attack(
        "readdressed",
        letter,
        TOKO,
        back_end.readdress(letter, TOKO),
        f"also writes {TOKO.address} on the envelope",
        "authentication_failed",
    )
    back_end.put(BUDI, letter.envelope)
    director.deliver(letter)
    then = director.say(BUDI, ANA, "My lips are sealed. So is this chat.")
    return Attacks((moved, rewritten), letter, (then,))


def sender_rewritten(director: Director) -> Attacks:
    """The back end lets a first letter look as if somebody else had sent it."""
    back_end = director.back_end
    letter = director.send(TOKO, BUDI, "Hello Budi, Toko Kopi here. Tasting on Saturday at eleven?")
    check(letter.view.kind == "prekey", "the shop's first message to Budi starts no session")
    back_end.withhold(letter.recipient, letter.envelope)
    attack = director.attack(
        "sender_rewritten",
        letter,
        BUDI,
        back_end.rewrite_sender(letter.envelope, ANA),
        f"writes {ANA.address} on it as the sender",
        "envelope_mismatch",
    )
    back_end.put(BUDI, letter.envelope)
    director.deliver(letter)
    then = director.say(BUDI, TOKO, "Gladly! Ana says to look for the blue door.")
    return Attacks((attack,), letter, (then,))


def replay(director: Director) -> Replay:
    """The back end delivers a letter a second time."""
    letter = director.say(TOKO, ANA, "Your half kilo is ready: 140,000 rupiah, pay at the door.")
    attack = director.attack(
        "replay", letter, ANA, letter.envelope, "delivers it once more", "duplicate_message"
    )
    then = director.say(ANA, TOKO, "Got it. Paying once is enough for me :) See you at eleven!")
    return Replay(letter, (attack,), (then,))
