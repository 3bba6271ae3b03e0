# SPDX-License-Identifier: Apache-2.0
"""The demo's scenes about what apps show, and about a file, in words; see `words`."""

from collections.abc import Iterator
from typing import Final

from e2ecross.demo.blocks import Block, Heading, Pairs, Paragraph, Row
from e2ecross.demo.facts_content import AppsDiffer, Photo, Received
from e2ecross.demo.phrases import listed, read, seen, short
from e2ecross.wire.capabilities import Capability

__all__ = ["tell_apps_differ", "tell_photo"]

_NAMES: Final = {
    Capability.OPTIONS: "polls",
    Capability.ANSWER: "answers to polls",
    Capability.EXPIRY: "messages that disappear",
    Capability.VIEW_ONCE: "messages to be viewed once",
}


def tell_apps_differ(scene: AppsDiffer) -> Iterator[Block]:
    """The scene as blocks."""
    ours, theirs = scene.announced
    lacking = [each for each in ours.capabilities if each not in theirs.capabilities]
    letter, refused = scene.letter, scene.refused
    yield Heading("What the other app cannot show is said before it is sent")
    yield Paragraph(
        f"Each device announces in the signed list what its app shows and obeys. Of what "
        f"{ours.person.name}'s {ours.person.app} can, {theirs.person.name}'s {theirs.person.app} "
        f"lacks {listed(map(_name, lacking))}."
    )
    yield Pairs(
        (
            Row(
                seen(letter.view),
                f"{letter.recipient.name}, from {letter.sender.name} (letter {letter.number})",
                f"A poll, as text: “{letter.text}” {letter.sender.name} was told before sending: "
                f"no {listed(map(_name, scene.told.lacking))} there.",
                letter.recipient,
            ),
            Row(
                ("nothing",),
                f"✗ {refused.sender.name}: {refused.error}",
                f"“{refused.text}” Refused, and not even encrypted: no "
                f"{listed(map(_name, refused.lacking))} there, so nobody would delete it.",
                refused.sender,
                refused=True,
            ),
        )
    )


def tell_photo(scene: Photo) -> Iterator[Block]:
    """The scene as blocks."""
    letter, attack = scene.letter, scene.attack
    first, second = scene.received
    yield Heading(f"A photo, from {scene.sender.app} to two devices on {letter.recipient.app}")
    yield Paragraph(
        f"{scene.sender.name}'s app encrypts it, and ends in the middle of the upload (process "
        f"{scene.ended_process_id}); a new process ({scene.new_process_id}) goes on from there. "
        f"Key and place travel in letter {letter.number}. Either device checks each of the "
        f"{scene.chunks} chunks before it keeps a byte of it, and fetches nothing again that was "
        f"right."
    )
    yield Pairs(
        (
            Row(
                (
                    f"{scene.uploaded_by} uploads a file",
                    f"{short(scene.relay_name)}, {scene.relay_size:,} bytes",
                    f"Interrupted after {scene.interrupted_at:,} bytes, then the rest.",
                ),
                f"{scene.sender.name}: the photo",
                f"{scene.size:,} bytes. The relay has a random name and a padded size: of "
                f"{scene.pieces_searched} pieces of the photo none was found in its files.",
                scene.sender,
            ),
            read(letter),
            _received(first, "Interrupted, then"),
            Row(
                (f"The back end swaps chunks {attack.chunks[0]} and {attack.chunks[1]}.",),
                f"✗ {attack.target.name}: {attack.error}",
                f"Refused: {attack.explanation}. Kept: the {second.kept:,} bytes before, which are "
                f"right.",
                attack.target,
                refused=True,
            ),
            _received(second, "Now the right file,"),
        )
    )


def _received(received: Received, what: str) -> Row:
    same = "the photo, as it was sent" if received.is_right else "ANOTHER FILE"
    return Row(
        ("somebody reads the file", f"{what} from byte {received.kept:,} on."),
        f"{received.device.name}: {same}",
        f"{received.size:,} bytes, {received.kept:,} of them before the interruption.",
        received.device,
    )


def _name(capability: int) -> str:
    return _NAMES.get(Capability(capability), str(capability))
