# SPDX-License-Identifier: Apache-2.0
"""The script of the demo: a conversation between three apps over a back end that attacks it.

Three processes (`actor`), and later five, each with a store of its own, share one file: the
relay's. Each scene lets the people act, checks what comes of it, and returns facts. Texts are
dictated, results never: each is an app's answer or a row of the relay's file, and a wrong one ends
the demo. The scenes with several devices are in `scenes_devices`, those about what apps show and
about a photo in `scenes_content`, those with a group in `scenes_groups`.
"""

import itertools
from collections.abc import Callable
from typing import Final

from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts import (
    Attacks,
    FirstContact,
    Offline,
    Registered,
    Registration,
    RelayNotes,
    Replay,
    SafetyNumberPair,
    SafetyNumbers,
    Summary,
)
from e2ecross.demo.people import ANA, BUDI, PEOPLE, TOKO, Person
from e2ecross.demo.scene import Scene
from e2ecross.demo.scenes_content import apps_differ, photo
from e2ecross.demo.scenes_devices import four_devices, ghost, link_devices
from e2ecross.demo.scenes_groups import group, group_attacks
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.signal_message import VERSION_4

__all__ = ["SCENES"]


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


def flipped_bit(director: Director) -> Attacks:
    """The back end flips one bit of a letter."""
    back_end = director.back_end
    letter = director.send(BUDI, ANA, "My train gets in at 9:40, platform 2.")
    flipped = back_end.flip_bit(letter)
    back_end.withhold(letter.recipient, letter.envelope)
    done = f"flips one bit: byte {flipped.byte} is {flipped.after:02x}, was {flipped.before:02x}"
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
    check(letter.view.kind == "prekey", "the shop's first letter to Budi starts no session")
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


def relay_notes(director: Director) -> RelayNotes:
    """Add up what passed through the relay, and what it has of it."""
    directions = director.traffic()
    for one in directions:
        check(
            one.sent == one.read > 0,
            f"{one.recipient.name} has read {one.read} of {one.sent} letters of {one.sender.name}",
        )
    check(len(director.read) == len(set(director.read)), "a letter was read twice")
    keyless = len(director.letters) + len(director.copies_made) - _count_post_quantum(director)
    check(keyless == 0, f"{keyless} letters or copies went without post-quantum keys")
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
    )


def _count_post_quantum(director: Director) -> int:
    envelopes = [letter.envelope for letter in director.letters]
    envelopes += [copy.envelope for copy in director.copies_made]
    first_bytes = [Envelope.decode(envelope).ciphertext[:1] for envelope in envelopes]
    return first_bytes.count(VERSION_4.first_byte)


SCENES: Final[dict[str, Callable[[Director], Scene]]] = {
    "registration": register,
    "first_contact": first_contact,
    "offline": offline,
    "flipped_bit": flipped_bit,
    "readdressed": readdressed,
    "sender_rewritten": sender_rewritten,
    "replay": replay,
    "safety_numbers": safety_numbers,
    "apps_differ": apps_differ,
    "linking": link_devices,
    "four_devices": four_devices,
    "photo": photo,
    "ghost": ghost,
    "group": group,
    "group_attacks": group_attacks,
    "relay": relay_notes,
    "summary": summarise,
}
"""The scenes in order, by their names in the JSON document."""
