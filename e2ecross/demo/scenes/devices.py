# SPDX-License-Identifier: Apache-2.0
"""The scenes of the demo with several devices: linking, copies, and a device that nobody linked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e2ecross.demo.blocks import (
    Block,
    Grid,
    Heading,
    Pairs,
    Paragraph,
    Picture,
    listed,
    read,
    read_copy,
    refused,
    short,
)
from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts import Attack, Copy, Letter
from e2ecross.demo.ghost import GhostDevice
from e2ecross.demo.people import ANA, BUDI, COMPANIONS, LAPTOP, TABLET, Person

__all__ = [
    "FourDevices",
    "Ghost",
    "LinkedDevice",
    "Linking",
    "four_devices",
    "ghost",
    "link_devices",
]

_GHOST_NUMBER: Final = 3


@dataclass(frozen=True, slots=True)
class LinkedDevice:
    """A device that was linked, as its user and the relay saw it.

    Attributes:
        device: it.
        phone: what it was linked with.
        process_id: of its app's process.
        code: what it showed, which the phone has scanned; used up.
        asked_about: the account that it asked its user about.
        digits: what the phone showed, and the user typed.
        identity_key: its own, 33 bytes.
        list_number: of the list that has it, in the relay's file.
        devices: how many are in that list.
    """

    device: Person
    phone: Person
    process_id: int
    code: str
    asked_about: str
    digits: str
    identity_key: str
    list_number: int
    devices: int


@dataclass(frozen=True, slots=True)
class Linking:
    """Two accounts get a second device each."""

    linked: tuple[LinkedDevice, ...]

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        first, *others = self.linked
        yield Heading(f"A second device: {first.device.name} shows a code")
        yield Paragraph(
            f"It belongs to nobody yet. {first.phone.name} scans its code with her phone. The "
            f"secret in the code never passes the back end."
        )
        yield Picture(first.code)
        yield Paragraph(
            f"{first.device.name} asks whether it is to be linked to {first.asked_about}, and for "
            f"the six digits that the phone shows: {first.digits}. {first.phone.name} types them, "
            f"and confirms on the phone. Only then does the phone sign the new list of her "
            f"devices. Other apps go by that signature, whatever the back end says. "
            f"{listed(other.phone.name for other in others)} does the same "
            f"({listed(other.digits for other in others)})."
        )
        yield Grid(
            ("new device", "its address", "process", "public key", "devices on the list"),
            tuple(
                (
                    each.device.name,
                    each.device.address,
                    str(each.process_id),
                    short(each.identity_key),
                    str(each.devices),
                )
                for each in self.linked
            ),
        )


@dataclass(frozen=True, slots=True)
class FourDevices:
    """A letter and its answer, each read on all other devices of both accounts.

    Attributes:
        letter: written on a phone.
        copies: of it.
        answer: written on another device.
        answer_copies: of that.
    """

    letter: Letter
    copies: tuple[Copy, ...]
    answer: Letter
    answer_copies: tuple[Copy, ...]

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        letter, answer = self.letter, self.answer
        yield Heading("One message, four devices")
        yield Paragraph(
            f"{letter.sender.name} writes on her phone. It makes a copy for each device on "
            f"{letter.recipient.name}'s list and one for her own laptop, and encrypts each with "
            f"keys of its own. The answer comes from {answer.sender.name}, and also reaches all."
        )
        yield Pairs(
            (
                read(letter),
                *map(read_copy, self.copies),
                read(answer),
                *map(read_copy, self.answer_copies),
            )
        )


@dataclass(frozen=True, slots=True)
class Ghost:
    """The relay adds a device of its own to an account.

    Attributes:
        address: of that device.
        list_number: of the list that the relay has forged.
        letter: written while the relay showed that list.
        copies: of it.
        copies_for_ghost: how many were made for the relay's device.
        believed: addresses of the devices that the sender's app believes in afterwards.
        attack: what the relay's device wrote, and how that was refused.
    """

    address: str
    list_number: int
    letter: Letter
    copies: tuple[Copy, ...]
    copies_for_ghost: int
    believed: tuple[str, ...]
    attack: Attack

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        letter, owner = self.letter, self.letter.recipient
        yield Heading("Attack: a device that nobody has linked")
        yield Paragraph(
            f"The back end writes a device of its own, {self.address}, on the list of "
            f"{owner.name}'s devices. But it cannot sign that list as {owner.name}'s phone would. "
            f"{letter.sender.name}'s app sees that, and goes on with the genuine one: it encrypts "
            f"message {letter.number} for {listed(self.believed)}, and makes "
            f"{self.copies_for_ghost or 'no'} copies for the back end's device. So that device "
            f"writes to {letter.sender.name} itself."
        )
        why = f"It comes from no device that {owner.name} has linked."
        yield Pairs((read(letter), *map(read_copy, self.copies), refused(self.attack, why)))


def link_devices(director: Director) -> Linking:
    """Ana links a laptop, Budi a tablet: a code, six digits, and the list is signed last."""
    answers = director.stage.enter(COMPANIONS)
    linked = []
    for phone, device in ((ANA, LAPTOP), (BUDI, TABLET)):
        process_id = take(answers[device], "process_id", int)
        linked.append(_link(director, phone, device, process_id))
        director.linked.append(device)
    return Linking(tuple(linked))


def _link(director: Director, phone: Person, device: Person, process_id: int) -> LinkedDevice:
    ask, signed_list = director.stage.ask, director.back_end.signed_list
    code = take(ask(device, "show_code", name=device.name), "code", str)
    before = signed_list(phone.user)
    ask(phone, "scan_code", code=code)
    asked_about = take(ask(device, "wait_for_phone"), "user", str)
    check(asked_about == phone.user, f"{device.name} asks to be linked to {asked_about}")
    shown = ask(phone, "show_digits")
    name, digits = take(shown, "name", str), take(shown, "digits", str)
    check(name == device.name, f"{phone.name} is asked about {name!r}")
    check(len(digits) == 6 and digits.isdecimal(), f"{phone.name} is shown {digits!r} as digits")
    ask(device, "type_digits", digits=digits)
    check(signed_list(phone.user) == before, "the list was signed before the user has confirmed")
    ask(phone, "confirm_device")
    own = ask(device, "finish_linking")
    check(own.get("address") == device.address, f"{device.name} has become {own}")
    ask(phone, "maintain")  # the new device has published its keys
    for each in (phone, device):
        notices = [item.get("notice") for item in director.receive(each)]
        wanted = ["device_linked"] * (each is phone)
        check(notices == wanted, f"{each.name} was told {notices} of the new device")
    signed, identity_key = signed_list(phone.user), take(own, "identity_key", str)
    entry = signed.list.find(device.device)
    check(
        entry is not None and entry.identity_key.hex() == identity_key,
        f"the list at the relay does not have {device.name}",
    )
    return LinkedDevice(
        device=device,
        phone=phone,
        process_id=process_id,
        code=code,
        asked_about=asked_about,
        digits=digits,
        identity_key=identity_key,
        list_number=signed.list.seq,
        devices=len(signed.list.devices),
    )


def four_devices(director: Director) -> FourDevices:
    """Ana writes on her phone, Budi answers on his tablet; the other devices get copies."""
    letter = director.send(ANA, BUDI, "Which beans are you grinding? I can smell them from here.")
    copies = director.copies(letter, TABLET, LAPTOP)
    director.deliver(letter)
    director.deliver_copies(copies)
    answer = director.send(TABLET, ANA, "Gayo, of course. I write from the tablet, hands full.")
    answer_copies = director.copies(answer, LAPTOP, BUDI)
    director.deliver(answer)
    director.deliver_copies(answer_copies)
    return FourDevices(letter, copies, answer, answer_copies)


def ghost(director: Director) -> Ghost:
    """The back end puts a device of its own into Budi's list, and writes to Ana from it."""
    back_end = director.back_end
    genuine, device = back_end.signed_list(BUDI.user), GhostDevice(BUDI, _GHOST_NUMBER)
    forged = device.forge_list(genuine)
    back_end.put_list(forged)
    letter = director.send(ANA, BUDI, "The door code is the year of the first roast. Only for you.")
    copies = director.copies(letter, TABLET, LAPTOP)
    director.deliver(letter)
    director.deliver_copies(copies)
    believed = director.stage.ask(ANA, "show_devices", of=BUDI.user)
    addresses = tuple(map(str, take(believed, "devices", list)))
    check(set(addresses) == {BUDI.address, TABLET.address}, f"Ana's app believes in {addresses}")
    back_end.put_list(genuine)
    attack = director.attack(
        "ghost",
        letter,
        ANA,
        device.write(director.stage.relay_file, ANA, "It's Budi, on a new tablet. The code again?"),
        f"writes as {device.address}, a device of its own",
        "unlisted_device",
    )
    return Ghost(
        address=str(device.address),
        list_number=forged.list.seq,
        letter=letter,
        copies=copies,
        copies_for_ghost=letter.devices.count(str(device.address)),
        believed=addresses,
        attack=attack,
    )
