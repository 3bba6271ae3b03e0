# SPDX-License-Identifier: Apache-2.0
"""Which commits of a group somebody is given who lacks some, and how many go into one message.

Rules:
- A member is given all that it lacks. Who is out is given the commits that ended its membership and
  what they come after, and nothing that came later.
- What cannot be told from the commits that are held is not guessed: heads that are not known count
  as not given.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from e2ecross.protocol.group_graph import GroupGraph, places_in
from e2ecross.protocol.group_state import GroupView
from e2ecross.wire.content import CommitBytes, GroupCommits
from e2ecross.wire.group import GroupId, MemberId
from e2ecross.wire.limits import MAX_GROUP_COMMITS_BYTES

__all__ = ["exit_of", "lacking", "list_commits_at", "split_commits"]

_ROOM: Final = MAX_GROUP_COMMITS_BYTES - 64
"""Bytes for commits in one message, beside the id of the group."""
_AROUND: Final = 16
"""What stands around a commit and its signature there, bytes: three tags with their lengths."""


def lacking(graph: GroupGraph, heads: Iterable[bytes]) -> int:
    """Return the places of the commits that come after none of these (hashes, 32 bytes each).

    Of heads that are not held nothing follows.
    """
    return graph.all & ~graph.behind(each for each in heads if graph.find(each) is not None)


def exit_of(graph: GroupGraph, member: MemberId) -> int:
    """Return the places of the commits by which a former member is out, and of their ancestors.

    None of who never was a member, or is one.
    """
    view = GroupView(graph, graph.all)
    deeds = graph.deeds_of(member)
    if not deeds.stays or view.role(member) is not None:
        return 0
    inside = _closed(graph, deeds.stays)
    if GroupView(graph, inside).role(member) is None:  # what has let it in crosses with its end
        return inside
    found = _ending(graph, member, inside, _valid(view, deeds.removes))
    # Else nobody has removed it: somebody has ended the power of who had let it in.
    return found or _ending(graph, member, inside, _valid(view, graph.takes))


def list_commits_at(graph: GroupGraph, places: int) -> list[CommitBytes]:
    """Return the commits at these places, parents first."""
    nodes = (graph.nodes[place] for place in reversed(list(places_in(places))))
    return [CommitBytes(node.signed.data, node.signed.signature) for node in nodes]


def split_commits(group: GroupId, commits: Sequence[CommitBytes]) -> list[GroupCommits]:
    """Return what tells of commits, in as few messages as their order allows."""
    parts: list[GroupCommits] = []
    part: list[CommitBytes] = []
    room = 0
    for each in commits:
        size = len(each.commit) + len(each.signature) + _AROUND
        if part and size > room:
            parts.append(GroupCommits(group, tuple(part)))
            part = []
        if not part:
            room = _ROOM
        part.append(each)
        room -= size
    return [*parts, GroupCommits(group, tuple(part))] if part else parts


def _ending(graph: GroupGraph, member: MemberId, inside: int, candidates: int) -> int:
    """Return those of some commits, with ancestors, that leave out who is in by the others."""
    found = 0
    for place in places_in(candidates):
        with_it = _closed(graph, 1 << place)
        if not found >> place & 1 and GroupView(graph, inside | with_it).role(member) is None:
            found |= with_it
    return found


def _valid(view: GroupView, places: int) -> int:
    return sum(1 << place for place in places_in(places) if not view.is_void(place))


def _closed(graph: GroupGraph, places: int) -> int:
    for place in places_in(places):
        places |= graph.nodes[place].ancestors
    return places
