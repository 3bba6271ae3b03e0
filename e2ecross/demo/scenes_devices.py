# SPDX-License-Identifier: Apache-2.0
"""The scenes of the demo with several devices: linking, copies, and a device that nobody linked."""

from typing import Final

from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts_devices import FourDevices, Ghost, LinkedDevice, Linking
from e2ecross.demo.ghost import GhostDevice
from e2ecross.demo.people import ANA, BUDI, COMPANIONS, LAPTOP, TABLET, Person

__all__ = ["four_devices", "ghost", "link_devices"]

_GHOST_NUMBER: Final = 3


def link_devices(director: Director) -> Linking:
    """Ana links a laptop, Budi a tablet: a code, six digits, and the list is signed last."""
    answers = director.stage.enter(COMPANIONS)
    linked = []
    for phone, device in ((ANA, LAPTOP), (BUDI, TABLET)):
        process_id = take(answers[device], "process_id", int)
        linked.append(_link(director, phone, device, process_id))
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
