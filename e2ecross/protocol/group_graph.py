# SPDX-License-Identifier: Apache-2.0
"""The graph of a group's commits: who comes after whom, and which have an effect on whom.

Rules:
- Places are numbers in order of arrival, parents first; a set of places is a whole number, one bit
  for each. Nothing that is computed from a set may depend on the order of its places.
- What stands in a node was fixed when its commit was judged, and never changes.
- A graph does not change either: `with_node` makes another one.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from e2ecross.errors import UnknownGroupState
from e2ecross.wire.group import GroupId, GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import SignedGroupCommit
from e2ecross.wire.limits import MAX_GROUP_ANCESTORS, MAX_GROUP_COMMITS, MAX_PARENTS

__all__ = ["Deeds", "Effect", "GroupGraph", "Node", "places_in"]


class Effect(NamedTuple):
    """What a commit does to a member.

    Attributes:
        role: what the member is after it; None: out.
        removes: it takes the member out.
        lowers: it gives the member less power than before.
        leaves: it is the member's own: leaving, or stepping down.
    """

    role: Role | None
    removes: bool = False
    lowers: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A commit in its graph.

    Attributes:
        place: its number.
        hash: of the commit, 32 bytes.
        signed: the commit, verified.
        ancestors: places of all that it comes after, as bits.
        rank: the role that its author has at its ancestors; of the genesis owner.
        rests: places of what gave that role, as bits; none of the genesis and of a member's.
        effects: on each member that it says something of.
        settings: what it sets the settings to; None: it leaves them.
    """

    place: int
    hash: bytes
    signed: SignedGroupCommit
    ancestors: int
    rank: Role
    rests: int
    effects: Mapping[MemberId, Effect]
    settings: GroupSettings | None = None

    @property
    def author(self) -> MemberId:
        """Who made it."""
        return self.signed.commit.author

    @property
    def is_own(self) -> bool:
        """Whether its author leaves or steps down by it."""
        effect = self.effects.get(self.author)
        return effect is not None and effect.leaves


class Deeds(NamedTuple):
    """Places of the commits that have to do with one member, as bits.

    Attributes:
        owner: which make the member an owner.
        stays: which leave the member in.
        weighty: of owners or of the member, and taking or giving power: they decide who is admin.
        removes: which take the member out.
        own: the member's own: leaving, stepping down.
        ended: by which other owners end what power the member has.
        made: which the member has made, but for its own leaving and stepping down.
    """

    owner: int = 0
    stays: int = 0
    weighty: int = 0
    removes: int = 0
    own: int = 0
    ended: int = 0
    made: int = 0

    def with_node(self, node: Node, member: MemberId) -> "Deeds":
        """The same with one more commit, of the member or with an effect on it."""
        bit, is_owners = 1 << node.place, node.rank is Role.OWNER
        made = member == node.author and not node.is_own
        effect = node.effects.get(member)
        if effect is None:
            return self._replace(made=self.made | bit)  # it is the author's
        takes = effect.removes or effect.lowers
        added = (
            effect.role is Role.OWNER,
            effect.role is not None,
            (effect.leaves or is_owners) and (takes or effect.role in _POWER),
            effect.removes,
            effect.leaves,
            is_owners and takes and not effect.leaves,
            made,
        )
        return Deeds(*(old | bit if new else old for old, new in zip(self, added, strict=True)))


@dataclass(frozen=True, slots=True)
class GroupGraph:
    """All commits of a group that are held; closed: with each its parents.

    Attributes:
        group_id: which group.
        nodes: the commits, by place.
        places: place of each commit hash.
        tips: places of the commits that no other comes after, as bits.
        deeds: of each member that a commit says something of.
        settings: places of the commits that change the settings, as bits.
        takes: places of those that take power or membership from anybody, as bits.
        parting: places of the commits by which owners leave or step down, as bits.
        made: places of all others that owners have made, as bits.
        ended: who has made commits, and had or gave an end to the power to, wherever that stands.
    """

    group_id: GroupId
    nodes: tuple[Node, ...] = ()
    places: Mapping[bytes, int] = field(default_factory=dict)
    tips: int = 0
    deeds: Mapping[MemberId, Deeds] = field(default_factory=dict)
    settings: int = 0
    takes: int = 0
    parting: int = 0
    made: int = 0
    ended: frozenset[MemberId] = frozenset()

    def __repr__(self) -> str:
        return f"<GroupGraph of {self.group_id}, {len(self.nodes)} commits>"

    @property
    def all(self) -> int:
        """The places of all commits, as bits."""
        return (1 << len(self.nodes)) - 1

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The hashes of the commits that no other comes after, ascending, 32 bytes each."""
        return tuple(sorted(self.nodes[place].hash for place in places_in(self.tips)))

    def heads_of(self, places: int) -> tuple[bytes, ...]:
        """The same of a closed set of places."""
        tips, before = [], 0
        for place in places_in(places):
            if not before >> place & 1:
                tips.append(self.nodes[place].hash)
                before |= self.nodes[place].ancestors
        return tuple(sorted(tips))

    @property
    def is_full(self) -> bool:
        """Whether it is over: no member can make one more commit that others take in."""
        newest = self.behind(self.heads[:MAX_PARENTS]).bit_count()
        return len(self.nodes) >= MAX_GROUP_COMMITS or newest > MAX_GROUP_ANCESTORS

    def find(self, commit_hash: bytes) -> Node | None:
        """Return the commit with a hash (32 bytes), or None."""
        place = self.places.get(commit_hash)
        return None if place is None else self.nodes[place]

    def deeds_of(self, member: MemberId) -> Deeds:
        """Return what has to do with a member."""
        return self.deeds.get(member, _NO_DEEDS)

    def behind(self, heads: Iterable[bytes]) -> int:
        """Return the places of these commits (hashes, 32 bytes each) and all their ancestors.

        Raises:
            UnknownGroupState: one of them is not held.
        """
        found = 0
        for each in heads:
            node = self.find(each)
            if node is None:
                raise UnknownGroupState("changes of the group are missing here: they are asked for")
            found |= node.ancestors | 1 << node.place
        return found

    def with_node(self, node: Node) -> "GroupGraph":
        """Return the graph with one more commit, whose place is the next."""
        bit = 1 << node.place
        deeds, ended = dict(self.deeds), self.ended
        for member in {*node.effects, node.author}:
            each = deeds[member] = self.deeds_of(member).with_node(node, member)
            if each.made and (each.own or each.ended) and member not in ended:
                ended |= {member}
        takes = any(effect.removes or effect.lowers for effect in node.effects.values())
        is_owners, own = node.rank is Role.OWNER, node.is_own
        return GroupGraph(
            self.group_id,
            (*self.nodes, node),
            {**self.places, node.hash: node.place},
            self.tips & ~node.ancestors | bit,
            deeds,
            self.settings if node.settings is None else self.settings | bit,
            self.takes | bit if takes else self.takes,
            self.parting | bit if is_owners and own else self.parting,
            self.made | bit if is_owners and not own else self.made,
            ended,
        )


def places_in(bits: int) -> Iterator[int]:
    """Go through the places of a set, the last first."""
    while bits:
        place = bits.bit_length() - 1
        yield place
        bits ^= 1 << place


_POWER: Final = (Role.OWNER, Role.ADMIN)
_NO_DEEDS: Final = Deeds()
