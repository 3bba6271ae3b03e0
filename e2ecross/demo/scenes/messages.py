# SPDX-License-Identifier: Apache-2.0
"""The scenes in which three people find each other: registering, writing, comparing keys.

Texts are dictated, results never: each is an app's answer or a row of the relay's file, and a wrong
one ends the demo.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.demo.blocks import (
    Block,
    Grid,
    Heading,
    Pairs,
    Paragraph,
    numbers,
    read,
    short,
)
from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts import Letter, SafetyNumberPair
from e2ecross.demo.people import ANA, BUDI, PEOPLE, TOKO, Person

__all__ = [
    "FirstContact",
    "Offline",
    "Registration",
    "SafetyNumbers",
    "first_contact",
    "offline",
    "register",
    "safety_numbers",
]

_DIGITS: Final = 5
_GROUPS_IN_A_LINE: Final = 4


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
    """Three processes have registered and published their keys."""

    accounts: tuple[Registered, ...]

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        first = self.accounts[0]
        yield Heading("Three apps register")
        yield Paragraph(
            f"Each app is a process of its own, with a file of its own for its secrets. All that "
            f"they share is the back end. Each makes its keys and publishes the public halves, so "
            f"that others can write to it even while it is away; a one-time key begins one "
            f"conversation. {first.person.address} means: {first.person.app}, account "
            f"{first.person.name}, device {first.person.device}."
        )
        yield Grid(
            ("device", "process", "its file", "public key", "one-time keys"),
            tuple(
                (
                    account.person.address,
                    str(account.process_id),
                    account.person.file,
                    short(account.identity_key),
                    str(account.one_time_prekeys),
                )
                for account in self.accounts
            ),
        )
        yield Paragraph(
            "What the people write is scripted. All else really happens as you watch, and the demo "
            "ends with an error if anything is not as it says here."
        )


@dataclass(frozen=True, slots=True)
class FirstContact:
    """Prekey messages, a reply, and the ratchet that it turned.

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

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        writer, shop = self.first.sender.name, self.first.recipient.name
        yield Heading(f"First contact: {writer} writes to {shop}")
        yield Paragraph(
            f"They have never talked. {writer}'s app fetches the shop's public keys from the back "
            f"end and encrypts with them. Until the shop has answered, {writer} sends opening "
            f"messages: they are longer, for they carry all that the shop's app needs to begin. On "
            f"the left is all that the back end can see, on the right what a person reads."
        )
        yield Pairs(tuple(read(letter) for letter in self.letters))
        yield Paragraph(
            f"Keys do not stay: every message has its own, and with each answer both sides mix in "
            f"new random ones. Whoever steals today's keys reads nothing of before, and after an "
            f"answer each way nothing more. So {writer}'s messages {self.first.number} and "
            f"{self.turned.number} carry different public keys:"
        )
        yield Grid(
            ("message", "from", "public key that it carries", "messages with it so far"),
            tuple(
                (
                    str(letter.number),
                    letter.sender.name,
                    short(letter.view.message.ratchet_key),
                    str(letter.view.message.counter + 1),
                )
                for letter in self.letters
                if letter.view.message is not None
            ),
        )


@dataclass(frozen=True, slots=True)
class Offline:
    """Written to while there was no process, and delivered out of order.

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

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        name = self.person.name
        yield Heading(f"{name} is offline, and his messages arrive out of order")
        yield Paragraph(
            f"{name}'s app has ended (process {self.ended_process_id}). Messages "
            f"{numbers(self.letters)} wait for him at the back end, which shuffles them. A new "
            f"process ({self.new_process_id}) opens {name}'s file, is handed "
            f"{numbers(self.delivered)}, and reads all of them. Then he answers."
        )
        yield Pairs(tuple(read(letter) for letter in (*self.delivered, self.answer)))


@dataclass(frozen=True, slots=True)
class SafetyNumbers:
    """Every pair compares."""

    pairs: tuple[SafetyNumberPair, ...]

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        yield Heading("Did the back end hand out the right keys?")
        yield Paragraph(
            "At the first contact an app has to take the keys that the back end gives it, and "
            "those could be the back end's own. So two people compare their safety number, which "
            "either app computes from both people's keys: aloud, or by scanning the other's "
            "screen. If it is equal, nobody stands between them."
        )
        yield Grid(
            ("two people", "the first one's screen", "the other one's screen", ""),
            tuple(_compared(pair) for pair in self.pairs),
        )


def _compared(pair: SafetyNumberPair) -> tuple[str, ...]:
    return (
        f"{pair.one.name}\n{pair.other.name}",
        _in_groups(pair.one_digits),
        _in_groups(pair.other_digits),
        f"{'equal' if pair.equal else 'DIFFERENT'}\n"
        f"{'scan matches' if pair.scanned else 'scan FAILS'}",
    )


def _in_groups(digits: str) -> str:
    groups = [digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS)]
    lines = range(0, len(groups), _GROUPS_IN_A_LINE)
    return "\n".join(" ".join(groups[at : at + _GROUPS_IN_A_LINE]) for at in lines)


def register(director: Director) -> Registration:
    """Start the three apps at once: each registers and publishes its keys."""
    answers = director.stage.enter(PEOPLE)
    accounts = []
    for person, answer in answers.items():
        account = director.back_end.account(person)
        own = (take(answer, "registration_id", int), take(answer, "identity_key", str))
        check(
            own == (account.registration_id, account.identity_key),
            f"the relay publishes other keys of {person.name} than the app has",
        )
        check(account.one_time_prekeys > 0, f"{person.name} has published no one-time prekeys")
        accounts.append(Registered(person, take(answer, "process_id", int), *account))
    processes = {account.process_id for account in accounts}
    check(len(processes) == len(PEOPLE), "the apps do not run in processes of their own")
    return Registration(tuple(accounts))


def first_contact(director: Director) -> FirstContact:
    """Ana writes to the shop; the answer turns the ratchet."""
    first = director.send(ANA, TOKO, "Hi! Do you have the Gayo beans again? I am on my last spoon.")
    second = director.send(ANA, TOKO, "The honey-processed ones, if there are any left.")
    director.deliver(first, second)
    reply = director.say(
        TOKO, ANA, "Hello Ana! Roasted this morning, the shop still smells of it. Keep you some?"
    )
    turned = director.say(ANA, TOKO, "Yes please! Half a kilo: Budi is visiting, très excité ☕")
    letters = (first, second, reply, turned)
    kinds = [letter.view.kind for letter in letters]
    check(kinds == ["prekey", "prekey", "signal", "signal"], f"the kinds are {kinds}")
    keys = [letter.view.message.ratchet_key for letter in letters if letter.view.message]
    check(
        len(keys) == len(letters) and keys[0] == keys[1] and len(set(keys)) == len(letters) - 1,
        "the reply has not turned the ratchet",
    )
    return FirstContact(letters, first, reply, turned)


def offline(director: Director) -> Offline:
    """Budi's app ends; Ana writes to him; the back end shuffles; a new process reads it all."""
    ended = director.stage.leave(BUDI)
    letters = (
        director.send(ANA, BUDI, "Budi! Are you still coming on Saturday?"),
        director.send(ANA, BUDI, "The shop keeps half a kilo of Gayo for us."),
        director.send(ANA, BUDI, "And bring your grinder, mine sounds like a tractor."),
    )
    delivered = (letters[2], letters[0], letters[1])
    director.back_end.reorder(BUDI, delivered)
    answer = director.stage.enter([BUDI])[BUDI]
    new = take(answer, "process_id", int)
    check(new != ended, "Budi's app has not been away")
    director.deliver(*delivered)
    reply = director.say(
        BUDI, ANA, "Just landed, my phone was off all day. Of course! The grinder is packed."
    )
    return Offline(BUDI, ended, new, letters, delivered, reply)


def safety_numbers(director: Director) -> SafetyNumbers:
    """Every two people compare: by reading the digits, and by scanning the other's code."""
    pairs = [_compare(director, *pair) for pair in itertools.combinations(PEOPLE, 2)]
    director.compared.extend(pairs)
    for pair in pairs:
        names = f"{pair.one.name} and {pair.other.name}"
        check(pair.equal, f"{names} see different safety numbers")
        check(pair.scanned, f"the codes of {names} do not match")
    check(len({pair.one_digits for pair in pairs}) == len(pairs), "two pairs have one number")
    return SafetyNumbers(tuple(pairs))


def _compare(director: Director, one: Person, other: Person) -> SafetyNumberPair:
    ours = director.stage.ask(one, "show_safety_number", of=other.user)
    theirs = director.stage.ask(other, "show_safety_number", of=one.user)
    digits = take(ours, "digits", str), take(theirs, "digits", str)
    scanned = _scan(director, one, other, theirs) and _scan(director, other, one, ours)
    return SafetyNumberPair(one, other, *digits, digits[0] == digits[1], scanned)


def _scan(director: Director, person: Person, other: Person, shown: dict[str, object]) -> bool:
    code = take(shown, "code", str)
    return take(director.stage.ask(person, "scan", of=other.user, code=code), "matches", bool)
