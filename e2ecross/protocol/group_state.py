# SPDX-License-Identifier: Apache-2.0
"""What a set of commits gives: which of them are void, who is in, with which role, the settings.

Rules:
- It is a function of the set alone: no order of arrival, no clock and no server comes in.
- An end of power voids what its holder did beside it, neither before nor after: who was removed,
  lowered or has left gains nothing by signing as if he did not know of it.
- Of crossing acts on one member the one that gives less power wins, but that an owner's promotion
  outranks a removal by an admin.
- Members may sign thousands of commits to keep everybody computing. So what is void is found for
  all commits in one pass, and sets are compared as bits wherever they can be.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from e2ecross.protocol.group_graph import GroupGraph, Node, places_in
from e2ecross.wire.group import GroupSettings, MemberId, Role
from e2ecross.wire.group_records import GroupState

__all__ = ["GroupView", "Standing", "ended_between"]

_POWER: Final = (Role.OWNER, Role.ADMIN)


class Standing(NamedTuple):
    """What somebody is in a group.

    Attributes:
        role: the role.
        rests: places of the commits that it rests on, as bits; of a member's none.
    """

    role: Role
    rests: int = 0


class _Acts:
    """Some commits of a graph, each of which is asked about whether it crosses another commit.

    Args:
        graph: the commits.
        places: of those, as bits.
    """

    def __init__(self, graph: GroupGraph, places: int) -> None:
        self._places = places
        self._before: dict[int, int] = {}  # what comes before this and all later ones
        before = -1
        for place in places_in(places):
            before &= graph.nodes[place].ancestors
            self._before[place] = before

    def cross(self, node: Node) -> bool:
        """Tell whether one of them comes neither before nor after a commit, which is none of them.

        It takes the same time for a thousand of them as for one.
        """
        unknown = self._places & ~node.ancestors
        first = unknown & -unknown
        if first >> node.place == 0:  # it arrived earlier, so it does not come after it either
            return bool(first)
        return not self._before[first.bit_length() - 1] >> node.place & 1


class GroupView:
    """The state that a closed set of a graph's commits gives. Each answer is computed once.

    Args:
        graph: the commits.
        places: which of them, as bits; with each its ancestors.
    """

    def __init__(self, graph: GroupGraph, places: int) -> None:
        self._graph = graph
        self._places = places
        self._void: int | None = None
        self._standings: dict[MemberId, Standing | None] = {}

    def role(self, member: MemberId) -> Role | None:
        """Return a member's role; None: not in the group."""
        standing = self.standing(member)
        return None if standing is None else standing.role

    def standing(self, member: MemberId) -> Standing | None:
        """Return a member's role and what it rests on; None: not in the group."""
        if member not in self._standings:
            self._standings[member] = self._find_standing(member)
        return self._standings[member]

    def is_void(self, place: int) -> bool:
        """Tell whether the commit at a place of the set does not count."""
        return not self.valid(1 << place)

    def valid(self, places: int) -> int:
        """Return those of some places that are in the set and count, as bits."""
        if self._void is None:
            self._void = self._find_void()
        return places & self._places & ~self._void

    def settings(self) -> GroupSettings:
        """Return the settings; those that nobody has changed are empty."""
        latest = self._latest(self.valid(self._graph.settings))
        nodes = [self._graph.nodes[place] for place in places_in(latest)]
        chosen = min(nodes, key=lambda node: (node.rank is not Role.OWNER, node.hash), default=None)
        return GroupSettings() if chosen is None or chosen.settings is None else chosen.settings

    def state(self) -> GroupState:
        """Return everything: heads, members in the order in which they get keys, settings."""
        ranked = []
        for member in self._graph.deeds:
            role = self.role(member)
            if role is not None:
                age = self._age(member) if role is Role.MEMBER else 0
                ranked.append((role, age, str(member.user), member.account_key, member))
        members = {member: role for role, _, _, _, member in sorted(ranked)}
        return GroupState(self._graph.heads_of(self._places), members, self.settings())

    def _find_standing(self, member: MemberId) -> Standing | None:
        graph, deeds = self._graph, self._graph.deeds_of(member)
        own, owner = deeds.own & self._places, self.valid(deeds.owner)
        if own:
            knowing = (p for p in places_in(owner) if not own & ~graph.nodes[p].ancestors)
            owner = sum(1 << place for place in knowing)
        if owner:
            return Standing(Role.OWNER, owner)
        weighty = self._latest(self.valid(deeds.weighty))
        if weighty and all(
            graph.nodes[place].effects[member].role in _POWER for place in places_in(weighty)
        ):
            return Standing(Role.ADMIN, weighty)
        return Standing(Role.MEMBER) if any(self._keeping(member)) else None

    def _keeping(self, member: MemberId) -> Iterator[Node]:
        """The acts that leave a member in, knowing of all that take the member out."""
        deeds = self._graph.deeds_of(member)
        removes = self.valid(deeds.removes)
        for place in places_in(self.valid(deeds.stays)):
            node = self._graph.nodes[place]
            unknown = removes & ~node.ancestors
            if not unknown:
                yield node
            elif unknown >> place:
                return  # no earlier act knows of it either

    def _age(self, member: MemberId) -> int:
        return min(node.ancestors.bit_count() for node in self._keeping(member))

    def _latest(self, places: int) -> int:
        """Those that are no ancestor of another of them."""
        latest = 0
        while places:
            place = places.bit_length() - 1
            latest |= 1 << place
            places &= ~(self._graph.nodes[place].ancestors | 1 << place)
        return latest

    # --- Void ---

    def _find_void(self) -> int:
        """Find all commits that do not count; who leaves or steps down does that in any case."""
        void = self._find_void_of_owners()
        graph, below = self._graph, self._places & ~self._graph.made
        found = void
        for author in graph.ended:
            deeds = graph.deeds[author]
            ended = _Acts(graph, deeds.ended & self._places & ~void)
            # Who had lost power to somebody of whom it does not know ends nothing by leaving.
            own = sum(
                1 << place
                for place in places_in(deeds.own & self._places)
                if graph.parting >> place & 1 or not ended.cross(graph.nodes[place])
            )
            left = _Acts(graph, own)
            for place in places_in(deeds.made & below):
                node = graph.nodes[place]
                if ended.cross(node) or left.cross(node):
                    found |= 1 << place
        if void:
            for place in places_in(below):
                node = graph.nodes[place]
                if node.rests & void and not node.is_own:
                    found |= 1 << place
        return found

    def _find_void_of_owners(self) -> int:
        """Find what owners did beside their leaving or stepping down, and what rests on that alone.

        In one pass, parents first: who makes owners that make owners does not decide how deep the
        stack is.
        """
        graph, void = self._graph, 0
        made = graph.made & self._places
        for author in graph.ended:
            deeds = graph.deeds[author]
            left = _Acts(graph, deeds.own & graph.parting & self._places)
            for place in places_in(deeds.made & made):
                if left.cross(graph.nodes[place]):
                    void |= 1 << place
        if void:
            for place in reversed(list(places_in(made))):
                rests = graph.nodes[place].rests
                if rests and not rests & ~void:
                    void |= 1 << place
        return void


def ended_between(graph: GroupGraph, before: int, after: int) -> bool:
    """Tell whether anybody lost membership or power from one state to a later one.

    Acts count, not who is in at the ends: who was removed and added again has lost it.

    Args:
        graph: the commits.
        before: the earlier closed set, as bits; part of the other.
        after: the later one.
    """
    return bool(GroupView(graph, after).valid(graph.takes & ~before))
