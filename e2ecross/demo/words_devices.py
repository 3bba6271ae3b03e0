# SPDX-License-Identifier: Apache-2.0
"""The demo's scenes with several devices in words; see `words`."""

from collections.abc import Iterator

from e2ecross.demo.blocks import Block, Grid, Heading, Pairs, Paragraph, Picture
from e2ecross.demo.facts_devices import FourDevices, Ghost, Linking
from e2ecross.demo.phrases import listed, read, read_copy, refused, short

__all__ = ["tell_four_devices", "tell_ghost", "tell_linking"]


def tell_linking(scene: Linking) -> Iterator[Block]:
    """The scene as blocks."""
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
        f"{listed(other.phone.name for other in others)} does the same "
        f"({listed(other.digits for other in others)})."
    )
    yield Grid(
        ("linked", "address", "process", "identity key", "signed list"),
        tuple(
            (
                each.device.name,
                each.device.address,
                str(each.process_id),
                short(each.identity_key),
                f"number {each.list_number}, {each.devices} devices",
            )
            for each in scene.linked
        ),
    )


def tell_four_devices(scene: FourDevices) -> Iterator[Block]:
    """The scene as blocks."""
    letter, answer = scene.letter, scene.answer
    yield Heading("One message, four devices")
    yield Paragraph(
        f"{letter.sender.name} writes on her phone. It encrypts a copy for each device in "
        f"{letter.recipient.name}'s list, and one for her own laptop, each in a session of its "
        f"own, and hands all to the relay at once. The answer comes from {answer.sender.name}."
    )
    yield Pairs(
        (
            read(letter),
            *map(read_copy, scene.copies),
            read(answer),
            *map(read_copy, scene.answer_copies),
        )
    )


def tell_ghost(scene: Ghost) -> Iterator[Block]:
    """The scene as blocks."""
    letter, owner = scene.letter, scene.letter.recipient
    yield Heading("Attack: a device that nobody has linked")
    yield Paragraph(
        f"The relay writes {scene.address} into {owner.name}'s list, as number "
        f"{scene.list_number}, with keys of its own; but it cannot sign it as {owner.name}'s phone "
        f"would. {letter.sender.name}'s app fetches that list, for it seems to be newer, and goes "
        f"on with the genuine one: letter {letter.number} is encrypted for "
        f"{listed(scene.believed)}, and {scene.copies_for_ghost} times for the relay's device. So "
        f"that one writes itself."
    )
    yield Pairs((read(letter), *map(read_copy, scene.copies), refused(scene.attack)))
