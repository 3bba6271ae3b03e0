# SPDX-License-Identifier: Apache-2.0
"""What the demo finds out in its scenes with a group; see `facts`."""

from dataclasses import dataclass

from e2ecross.demo.facts import Attack, GroupLetter
from e2ecross.demo.people import Person

__all__ = ["GhostMember", "GroupAttacks", "GroupScene", "HiddenRemoval", "Member"]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in the group, as an app shows it.

    Attributes:
        user: the account.
        role: "owner", "admin" or "member".
    """

    user: str
    role: str


@dataclass(frozen=True, slots=True)
class GroupScene:
    """Scene 13: a group over three apps.

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
    """Scene 14: the relay adds a member, writes another sender on a message, hides a removal."""

    ghost: GhostMember
    badged: GroupLetter
    attack: Attack
    hidden: HiddenRemoval
