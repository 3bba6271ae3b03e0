# SPDX-License-Identifier: Apache-2.0
"""The scenes of the demo with a group over three apps, and what the back end tries to do to it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from e2ecross.demo.blocks import (
    Block,
    Grid,
    Heading,
    Pairs,
    Paragraph,
    Row,
    read_in_group,
    refused,
    seen_in_group,
)
from e2ecross.demo.director import Director, check, take
from e2ecross.demo.facts import Attack, Foiled, GroupLetter
from e2ecross.demo.ghost import GhostAccount
from e2ecross.demo.people import ANA, BUDI, LAPTOP, TABLET, TOKO, Person

__all__ = [
    "GhostMember",
    "GroupAttacks",
    "GroupScene",
    "HiddenRemoval",
    "Member",
    "group",
    "group_attacks",
]

_NAME: Final = "Saturday at the blue door"
_DEVICES: Final = (ANA, LAPTOP, BUDI, TABLET, TOKO)


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in the group, as an app shows it.

    Attributes:
        user: the account.
        role: "owner", "admin" or "member".
    """

    user: str
    role: str


_ALL: Final = (Member(ANA.user, "owner"), Member(BUDI.user, "member"), Member(TOKO.user, "member"))


@dataclass(frozen=True, slots=True)
class GroupScene:
    """A group over three apps.

    Attributes:
        name: of the group.
        group: what names it.
        members: as every app shows them.
        letters: read by all other devices.
        names_found: how many times name and id of the group were found in the relay's files.
    """

    name: str
    group: str
    members: tuple[Member, ...]
    letters: tuple[GroupLetter, ...]
    names_found: int

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        first = self.letters[0]
        yield Heading("A group over three apps")
        yield Paragraph(
            f"{first.sender.name} makes “{self.name}”. Her phone signs who is in it, and every app "
            f"checks that. A message is encrypted once and kept once for the {len(first.devices)} "
            f"other devices; the key to it went to each of them before, encrypted. The back end "
            f"sees which devices a message is for, but no name, no members, no roles. Its files "
            f"were searched for the group's name and id, and {self.names_found or 'none'} found."
        )
        yield Grid(
            ("account", "role, as all five devices show it"),
            tuple((member.user, member.role) for member in self.members),
        )
        yield Pairs(tuple(map(read_in_group, self.letters)))


@dataclass(frozen=True, slots=True)
class GhostMember:
    """The relay writes itself into the group, and hands itself a copy.

    Attributes:
        address: the relay's own device.
        signed_by: whom the change names as who made it.
        members: as the app that got that change shows them afterwards.
        letter: written then.
        copies_for_ghost: how many its sender made for the relay's device.
        error: the class of the error of the relay's own app, with a copy that it gave itself.
        code: its code.
    """

    address: str
    signed_by: str
    members: tuple[Member, ...]
    letter: GroupLetter
    copies_for_ghost: int
    error: str
    code: str


@dataclass(frozen=True, slots=True)
class HiddenRemoval:
    """The relay hides from one member that another was removed.

    Attributes:
        removed: who was.
        hidden_from: whose devices did not get the change.
        withheld: how many envelopes with it the relay has kept from them.
        letter: the next one of who has removed him.
        code: why it could not be read, before the change was asked for.
        notices: what the app was told when the answer came.
        answer: written then.
        copies_for_removed: how many were made of both letters for who was removed.
        told_removed: what the app of who was removed was told.
    """

    removed: Person
    hidden_from: Person
    withheld: int
    letter: GroupLetter
    code: str
    notices: tuple[str, ...]
    answer: GroupLetter
    copies_for_removed: int
    told_removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupAttacks:
    """The relay adds a member, writes another sender on a message, hides a removal."""

    ghost: GhostMember
    badged: GroupLetter
    attack: Attack
    hidden: HiddenRemoval

    def tell(self) -> Iterator[Block]:
        """See `Scene`."""
        ghost, badged, hidden = self.ghost, self.badged, self.hidden
        yield Heading("Attacks on the group: a stranger, a borrowed name, a hidden removal")
        yield Paragraph(
            f"A stranger: suppose that somebody has told the back end what only members know. It "
            f"adds {ghost.address}, an account of its own, and signs as {ghost.signed_by}, but "
            f"without her key. {ghost.letter.sender.name}'s app ignores that: it shows "
            f"{len(ghost.members)} members, as before, and makes {ghost.copies_for_ghost or 'no'} "
            f"copies for the stranger. So the back end hands itself one."
        )
        yield Pairs(
            (
                read_in_group(ghost.letter),
                Row(
                    (*seen_in_group(ghost.letter), "The back end gives itself a copy, too."),
                    f"✗ {ghost.address} cannot open it",
                    f"Nobody has given it the key. ({ghost.error})",
                    ghost.letter.sender,
                    refused=True,
                ),
            )
        )
        yield Paragraph(
            f"A borrowed name: group message {badged.number} is {badged.sender.name}'s. The back "
            f"end writes another member's name on it."
        )
        why = "It was not encrypted with a key of the sender that it names."
        yield Pairs((refused(self.attack, why), read_in_group(badged)))
        yield Paragraph(
            f"A hidden removal: {hidden.letter.sender.name} takes {hidden.removed.name} out, to "
            f"plan its birthday. The back end keeps that from {hidden.hidden_from.name}'s devices "
            f"({hidden.withheld} messages withheld), so that he goes on writing to the shop. But "
            f"each message names the newest changes. With {hidden.letter.sender.name}'s next one "
            f"his apps notice that they lack one, ask for it, and tell him. Of her message and his "
            f"answer there are {hidden.copies_for_removed or 'no'} copies for the shop."
        )
        yield Pairs((read_in_group(hidden.letter), read_in_group(hidden.answer)))


def group(director: Director) -> GroupScene:
    """Ana makes a group with people on two other apps; each message is encrypted once."""
    answer = director.stage.ask(ANA, "create_group", name=_NAME, users=f"{BUDI.user} {TOKO.user}")
    director.group = take(answer, "group", str)
    for device in _DEVICES[1:]:
        notices = _notices(director.receive(device))
        check(notices == ("group_joined",), f"{device.name} was told {notices} of the group")
    for person in (BUDI, TOKO):
        director.stage.ask(person, "accept_group", group=director.group)
    letters = (
        director.say_to_group(ANA, "Three apps, one group! Who is in for Saturday?", _DEVICES),
        director.say_to_group(TOKO, "We are: eleven o'clock, and the roaster is on.", _DEVICES),
        director.say_to_group(TABLET, "Me too. I bring the grinder, and ear plugs.", _DEVICES),
    )
    kept = letters[0].kept  # later ones also go to devices that the relay has told of meanwhile
    check(kept == 1, f"the relay keeps a message into the group {kept} times")
    for device in _DEVICES:
        shown = _members(director, device)
        check(shown == _ALL, f"{device.name} shows {shown} as the group's members")
    director.group_members = len(_ALL)
    found = director.back_end.read_files()
    names = (_NAME.encode(), director.group.encode(), bytes.fromhex(director.group[6:]))
    count = sum(map(found.count, names))
    check(count == 0, "the relay's files hold the group's name or id")
    return GroupScene(_NAME, director.group, _ALL, letters, count)


def group_attacks(director: Director) -> GroupAttacks:
    """The back end adds a member, writes another sender on a message, and hides a removal."""
    ghost = _add_ghost(director)
    badged = director.send_into_group(ANA, "The beans are on me this time.", _DEVICES)
    back_end, genuine = director.back_end, badged.copy_for(TOKO.address)
    back_end.withhold(TOKO, genuine)
    attack = director.attack(
        "badged",
        badged,
        TOKO,
        back_end.rewrite_sender(genuine, BUDI),
        f"writes {BUDI.address} on it as the sender",
        "unknown_sender_key",
    )
    back_end.put(TOKO, genuine)
    director.deliver_to_group(badged, _DEVICES)
    return GroupAttacks(ghost, badged, attack, _hide_removal(director))


def _add_ghost(director: Director) -> GhostMember:
    """Add a member; suppose that somebody has told the relay what the members alone know."""
    stage, back_end = director.stage, director.back_end
    director.attacks_tried += 1
    with GhostAccount(stage.relay_file) as account:
        forged = account.forge_change(stage.folder / ANA.file, director.group, BUDI)
        back_end.put(BUDI, forged)
        items = director.receive(BUDI)
        check(not items, f"Budi's app has shown {items} of a change that nobody has signed")
        members = _members(director, BUDI)
        check(members == _ALL, f"Budi's app shows {members} as the group's members")
        letter = director.send_into_group(BUDI, "Is anybody else coming with us?", _DEVICES)
        address = str(account.address)
        back_end.put_at(address, letter.copy_for(address))
        error, code = account.read()
    check(code == "unknown_sender_key", f"the relay's own app got {error} with its copy")
    director.deliver_to_group(letter, _DEVICES)
    copies = letter.devices.count(address)
    ghost = GhostMember(address, ANA.address, members, letter, copies, error, code)
    director.attacks_refused.append(Foiled("ghost_member", BUDI, code))
    return ghost


def _hide_removal(director: Director) -> HiddenRemoval:
    """Ana takes the shop out, to plan its birthday; the relay keeps that from Budi's devices."""
    ask, back_end = director.stage.ask, director.back_end
    director.attacks_tried += 1
    ask(ANA, "remove_member", group=director.group, user=TOKO.user)
    withheld = sum(back_end.empty(device) for device in (BUDI, TABLET))
    told_removed = _notices(director.receive(TOKO))
    check(told_removed == ("group_out",), f"the shop's app was told {told_removed}")
    told = _notices(director.receive(LAPTOP))
    check(told == ("group_removed",), f"Ana's laptop was told {told}")
    inside = [device for device in _DEVICES if device is not TOKO]
    letter = director.send_into_group(ANA, "Now without the shop: it turns ten!", inside)
    director.deliver_to_group(letter, [ANA, LAPTOP])
    code, notices = "", list[str]()
    for device in (BUDI, TABLET):
        items = director.receive(device)
        code = _code_of_failure(items, device)
        check(not director.receive(ANA), "Ana's app shows what another app asks of it")
        items = director.receive(device)
        notices += _notices(item for item in items if "notice" in item)
        director.check_read(letter, device, [item for item in items if "notice" not in item])
    answer = director.say_to_group(BUDI, "I know just the baker. Not a word!", inside)
    check(not director.receive(TOKO), "the shop's app has got something of a group that it left")
    copies = (*letter.devices, *answer.devices).count(TOKO.address)
    hidden = HiddenRemoval(
        TOKO, BUDI, withheld, letter, code, tuple(notices), answer, copies, told_removed
    )
    director.attacks_refused.append(Foiled("hidden_removal", BUDI, code))
    return hidden


def _code_of_failure(items: Sequence[dict[str, Any]], device: Person) -> str:
    check(len(items) == 1 and "error" in items[0], f"{device.name} got {items}, and no failure")
    code = take(take(items[0], "error", dict), "code", str)
    check(code == "unknown_group_state", f"{device.name} could not read it because of {code}")
    return code


def _notices(items: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(str(item.get("notice", item)) for item in items)


def _members(director: Director, device: Person) -> tuple[Member, ...]:
    shown = take(director.stage.ask(device, "show_group", group=director.group), "members", list)
    return tuple(Member(user, role) for user, role in shown)
