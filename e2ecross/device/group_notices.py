# SPDX-License-Identifier: Apache-2.0
"""What an app hears of changes of a group: the difference of its states before and after.

Rules:
- Who comes in or goes out hears that and no more; who is out hears nothing.
- An act that was not seen before explains a difference; what none explains has become void, or
  counts again because something else has.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from e2ecross.address import UserId
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.wire.group import GroupId, MemberId, Role
from e2ecross.wire.group_commit import AddMember
from e2ecross.wire.group_records import GroupState

__all__ = ["Change", "notices_of"]

_Authors = dict[MemberId, set[UserId]]


@dataclass(slots=True)
class Change:
    """What has become of a group.

    Attributes:
        before: what its commits gave; no heads: it was not known.
        after: what they give now.
        came: who is in and was not, in the order of the state.
        went: who was in and is not, likewise.
        added: who was added by acts that were not seen before, and not removed since, and whose
            these are.
        removed: who was removed by them, or has left, likewise.
        given: who has got the role by them that he has now, likewise.
        settings: who has set the settings to what they are now.
        authors: whose any of the new commits are.
    """

    before: GroupState
    after: GroupState
    came: list[MemberId]
    went: list[MemberId]
    added: _Authors = field(default_factory=lambda: defaultdict(set))
    removed: _Authors = field(default_factory=lambda: defaultdict(set))
    given: _Authors = field(default_factory=lambda: defaultdict(set))
    settings: set[UserId] = field(default_factory=set)
    authors: set[UserId] = field(default_factory=set)

    @classmethod
    def of(cls, before: GroupState, graph: GroupGraph, seen: int) -> "Change":
        """Compare what all commits of a graph give with what the first of them (`seen`) gave."""
        view = GroupView(graph, graph.all)
        after = view.state()
        came = [each for each in after.members if each not in before.members]
        went = [each for each in before.members if each not in after.members]
        change = cls(before, after, came, went)
        for node in graph.nodes[seen:]:
            author = node.author.user
            change.authors.add(author)
            if view.is_void(node.place):
                continue
            for op in node.signed.commit.ops:
                if isinstance(op, AddMember):
                    change.added[op.member].add(author)
            for member, effect in node.effects.items():
                if effect.removes:
                    change.removed[member].add(author)
                    change.added.pop(member, None)  # who is in all the same was added after it
                if effect.role is not None and effect.role is change.after.members.get(member):
                    change.given[member].add(author)
            if node.settings == change.after.settings:
                change.settings.add(author)
        return change

    @property
    def back(self) -> list[MemberId]:
        """Who is in only because a removal became void: nobody has added him, or given him power.

        Of a group that was not known nobody is.
        """
        return [each for each in self.came if self.before.heads and not self._brought(each)]

    def _brought(self, member: MemberId) -> set[UserId]:
        found = self.added.get(member, set())
        has_power = self.after.members[member] is not Role.MEMBER
        return found or (self.given.get(member, set()) if has_power else set())

    def said(
        self, own: MemberId
    ) -> Iterator[tuple[NoticeKind, MemberId, set[UserId], Role | None]]:
        """What is to be said of each other member: what, of whom, by whose acts, and which role.

        Who has another account key now goes out with the old one, then comes in.
        """
        for member in self.went:
            found = self.removed.get(member, set())
            if not found:
                yield NoticeKind.GROUP_UNDONE, member, self.authors, None
            elif member.user in found:
                yield NoticeKind.GROUP_LEFT, member, {member.user}, None
            else:
                yield NoticeKind.GROUP_REMOVED, member, found, None
        for member in self.came:
            found = self._brought(member)
            if found:
                yield NoticeKind.GROUP_ADDED, member, found, None
            else:
                yield NoticeKind.GROUP_UNDONE, member, self.authors, None
        for member, role in self.after.members.items():
            if role is not self.before.members.get(member, Role.MEMBER):
                found = self.given.get(member, self.authors)
                yield NoticeKind.GROUP_ROLE, member, found, role


def notices_of(group: GroupId, own: MemberId, change: Change) -> list[Notice]:
    """Return what an app is to hear of a change.

    Args:
        group: which.
        own: the own account.
        change: what has become of it.
    """
    before, after = change.before, change.after
    if own not in before.members and own not in after.members:
        return []
    if own not in before.members:
        users = change.added.get(own, change.authors)
        return [Notice(NoticeKind.GROUP_JOINED, _one(users), group=group)]
    if own not in after.members:
        users = change.removed.get(own, change.authors)
        return [Notice(NoticeKind.GROUP_OUT, _one(users), group=group)]
    told: dict[tuple[NoticeKind, UserId | None, Role | None], list[UserId]] = {}
    for kind, member, authors, role in change.said(own):
        told.setdefault((kind, _one(authors), role), []).append(member.user)
    notices = [
        Notice(kind, user, group=group, users=tuple(users), role=role)
        for (kind, user, role), users in told.items()
    ]
    if after.settings != before.settings:
        user = _one(change.settings or change.authors)
        notices.append(Notice(NoticeKind.GROUP_SETTINGS, user, group=group))
    return notices


def _one(users: Iterable[UserId]) -> UserId | None:
    first, *others = users
    return None if others else first
