# SPDX-License-Identifier: Apache-2.0
"""The demo's scenes with a group in words; see `words`."""

from collections.abc import Iterator

from e2ecross.demo.blocks import Block, Grid, Heading, Pairs, Paragraph, Row
from e2ecross.demo.facts import GroupLetter
from e2ecross.demo.facts_groups import GroupAttacks, GroupScene
from e2ecross.demo.phrases import listed, refused, seen_in_group

__all__ = ["tell_group", "tell_group_attacks"]


def tell_group(scene: GroupScene) -> Iterator[Block]:
    """The scene as blocks."""
    first = scene.letters[0]
    yield Heading("A group over three apps")
    yield Paragraph(
        f"{first.sender.name} makes “{scene.name}”: her phone signs who is in it, and every app "
        f"checks the signature. A message is encrypted once, with a key that its writer's device "
        f"has given each other device in their session; the relay keeps it once, for "
        f"{len(first.devices)} devices. It sees for which, but no name, no members and no roles "
        f"(found in its files: {scene.names_found})."
    )
    yield Grid(
        ("account", "role, as all five devices show it"),
        tuple((member.user, member.role) for member in scene.members),
    )
    yield Pairs(tuple(map(_read, scene.letters)))


def tell_group_attacks(scene: GroupAttacks) -> Iterator[Block]:
    """The scene as blocks."""
    ghost, badged, hidden = scene.ghost, scene.badged, scene.hidden
    yield Heading("Attacks on the group: a ghost, a borrowed name, a hidden removal")
    yield Paragraph(
        f"Suppose that somebody has told the relay what only members know. It writes a change that "
        f"adds {ghost.address}, an account of its own, and signs that as {ghost.signed_by}, as "
        f"well as it can. The apps ignore it: {len(ghost.members)} members, as before, and "
        f"{ghost.copies_for_ghost} copies for the ghost. So the relay hands itself one. Then it "
        f"writes another member's name on message {badged.number}."
    )
    yield Pairs(
        (
            _read(ghost.letter),
            Row(
                (*seen_in_group(ghost.letter), "The back end gives itself a copy, too."),
                f"✗ {ghost.address}: {ghost.error}",
                "Nobody has given it the key that this was encrypted with.",
                ghost.letter.sender,
                refused=True,
            ),
            refused(scene.attack),
            _read(badged),
        )
    )
    yield Paragraph(
        f"{hidden.letter.sender.name} removes {hidden.removed.name}, to plan its birthday. The "
        f"relay takes that change out of the mailboxes of {hidden.hidden_from.name}'s devices "
        f"({hidden.withheld} envelopes), so that he goes on writing to the shop. But each message "
        f"names the newest changes. With her next one his apps know that they lack something "
        f"({hidden.code}), ask her for it, and tell him ({listed(dict.fromkeys(hidden.notices))}). "
        f"Of her message and his answer the shop gets {hidden.copies_for_removed} copies."
    )
    yield Pairs((_read(hidden.letter), _read(hidden.answer)))


def _read(letter: GroupLetter) -> Row:
    """A message into the group that was read."""
    return Row(
        seen_in_group(letter),
        f"{len(letter.devices)} devices, from {letter.sender.name} (message {letter.number})",
        f"“{letter.text}”",
        letter.sender,
    )
