# SPDX-License-Identifier: Apache-2.0
"""What a set of commits gives: which of them are void, who is in, with which role, the settings.

Rules:
- It is a function of the set alone: no order of arrival, no clock and no server comes in.
- An end of power voids what its holder did beside it, neither before nor after: who was removed,
  lowered or has left gains nothing by signing as if he did not know of it.
- Of crossing acts on one member the one that gives less power wins, but that an owner's promotion
  outranks a removal by an admin.

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


class GroupView:
    """The state that a closed set of a graph's commits gives. Each answer is computed once.

    Args:
        graph: the commits.
        places: which of them, as bits; with each its ancestors.
    """

    def __init__(self, graph: GroupGraph, places: int) -> None:
        self._graph = graph
        self._places = places
        self._void: dict[int, bool] = {}
        self._standings: dict[MemberId, Standing | None] = {}
        self._void_of_owners: int | None = None

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
        if place not in self._void:
            node = self._graph.nodes[place]
            is_owners = node.rank is Role.OWNER
            find = self._is_void_of_owner if is_owners else self._is_void_below_owner
            self._void[place] = not node.is_own and find(node)
        return self._void[place]

    def settings(self) -> GroupSettings:
        """Return the settings; those that nobody has changed are empty."""
        latest = self._latest_valid(self._graph.settings & self._places)
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
        deeds, inside = self._graph.deeds_of(member), self._places
        own = deeds.own & inside
        owner = 0
        for place in places_in(deeds.owner & inside):
            if not own & ~self._graph.nodes[place].ancestors and not self.is_void(place):
                owner |= 1 << place
        if owner:
            return Standing(Role.OWNER, owner)
        weighty = self._latest_valid(deeds.weighty & inside)
        if weighty and all(
            self._graph.nodes[place].effects[member].role in _POWER for place in places_in(weighty)
        ):
            return Standing(Role.ADMIN, weighty)
        return Standing(Role.MEMBER) if any(self._keeping(member)) else None

    def _keeping(self, member: MemberId) -> Iterator[Node]:
        """The acts that leave a member in, knowing of all that take the member out."""
        deeds, inside = self._graph.deeds_of(member), self._places
        removes = deeds.removes & inside
        for place in places_in(deeds.stays & inside):
            node = self._graph.nodes[place]
            unknown = self._last_valid(removes & ~node.ancestors)
            if unknown is None:
                if not self.is_void(place):
                    yield node
            elif unknown > place:
                return  # no earlier act knows of it either

    def _age(self, member: MemberId) -> int:
        return min(node.ancestors.bit_count() for node in self._keeping(member))

    def _last_valid(self, places: int) -> int | None:
        return next((place for place in places_in(places) if not self.is_void(place)), None)

    def _latest_valid(self, places: int) -> int:
        """Those that are not void, and no ancestor of another that is not void."""
        latest = before = 0
        for place in places_in(places):
            if not before >> place & 1 and not self.is_void(place):
                latest |= 1 << place
                before |= self._graph.nodes[place].ancestors
        return latest

    # --- Void ---

    def _is_void_of_owner(self, node: Node) -> bool:
        if self._void_of_owners is None:
            self._void_of_owners = self._find_void_of_owners()
        return bool(self._void_of_owners >> node.place & 1)

    def _find_void_of_owners(self) -> int:
        """Find what owners did beside their leaving or stepping down, and what rests on that alone.

        In one pass, parents first: who makes owners that make owners does not decide how deep the
        stack is.
        """
        graph, void = self._graph, 0
        for place in places_in(graph.parting & self._places):
            own = graph.nodes[place]
            for each in self._beside(own, graph.deeds_of(own.author).made):
                void |= 1 << each.place
        if void:
            for place in reversed(list(places_in(graph.made & self._places))):
                rests = graph.nodes[place].rests
                if rests and not rests & ~void:
                    void |= 1 << place
        return void

    def _is_void_below_owner(self, node: Node) -> bool:
        return (
            self._is_ended(node)
            or any(
                each.rank is Role.OWNER or not self._is_ended(each)
                for each in self._beside(node, self._graph.deeds_of(node.author).own)
            )
            or any(self.is_void(place) for place in places_in(node.rests))
        )

    def _is_ended(self, node: Node) -> bool:
        """Whether an owner has ended, beside a commit, what power its author had."""
        ended = self._graph.deeds_of(node.author).ended
        return any(not self.is_void(each.place) for each in self._beside(node, ended))

    def _beside(self, node: Node, places: int) -> Iterator[Node]:
        """Those of some commits of the set that neither come before a commit nor after it."""
        for place in places_in(places & self._places & ~node.ancestors):
            other = self._graph.nodes[place]
            if other.place != node.place and not other.ancestors >> node.place & 1:
                yield other


def ended_between(graph: GroupGraph, before: int, after: int) -> bool:
    """Tell whether anybody lost membership or power from one state to a later one.

    Acts count, not who is in at the ends: who was removed and added again has lost it.

    Args:
        graph: the commits.
        before: the earlier closed set, as bits; part of the other.
        after: the later one.
    """
    view = GroupView(graph, after)
    return any(not view.is_void(place) for place in places_in(graph.takes & after & ~before))
