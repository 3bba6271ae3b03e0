# SPDX-License-Identifier: Apache-2.0
"""Taking commits into a group: each judged by itself, and all that follows in one transaction.

Rules:
- What is refused is skipped, and changes nothing. Nothing at all is kept unless who has brought it
  is in the group before or after: who is out feeds commits to nobody. As long as the own account is
  out that is not asked, since a history comes in several parts.
- Signatures are checked in the transaction, each once, after everything that is cheaper.
- How many commits of one author are taken in a day is bounded; as long as the own account is out,
  how many bytes are held; and how many groups wait to be accepted.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from e2ecross.address import UserId
from e2ecross.device.group_held import HeldGroup, find_held, grow, new_held, put_grown
from e2ecross.device.group_members import member_of, own_member
from e2ecross.device.group_notices import Change, notices_of
from e2ecross.errors import RemoteError, UnknownGroupState, UnsupportedVersion
from e2ecross.protocol.group_commit import group_of, take_commit
from e2ecross.protocol.group_state import GroupView
from e2ecross.state.context import Context
from e2ecross.state.group_keys import drop_group_key
from e2ecross.state.groups import drop_group, put_group, walk_groups
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.stores.base import Transaction
from e2ecross.wire.content.group_commits import CommitBytes
from e2ecross.wire.group import GroupId, MemberId, Role
from e2ecross.wire.group_commit import SignedGroupCommit, read_version
from e2ecross.wire.group_records import GroupDay, GroupRecord
from e2ecross.wire.limits import MAX_GROUP_COMMITS_A_DAY, MAX_UNJOINED_GROUP_BYTES

__all__ = ["Taken", "forget_unjoined", "take_commits"]

_DAY_MS: Final = 24 * 60 * 60 * 1000
_MAX_PENDING_OF_ONE: Final = 8
"""Groups that wait to be accepted and of which one account was the first to tell."""
_MAX_OF_WHO_IS_OUT: Final = 64
"""New commits of one author who is out that are taken in a day: mostly he leaves once more."""
_POWER: Final = (Role.OWNER, Role.ADMIN)


class Taken(NamedTuple):
    """What has become of commits.

    Attributes:
        is_known: the group is known here, now.
        is_changed: some of them were taken in.
        is_lacking: others come after commits that are not held here: those are to be asked for.
    """

    is_known: bool = False
    is_changed: bool = False
    is_lacking: bool = False


def take_commits(
    context: Context,
    tx: Transaction,
    group: GroupId,
    commits: Sequence[CommitBytes],
    brought_by: MemberId,
    now_ms: int,
) -> Taken:
    """Take commits into a group, those that are valid and new.

    Args:
        context: of the device.
        tx: of the operation that has received them.
        group: the group that they are said to be of.
        commits: as they came, parents first.
        brought_by: who has sent them, by its accepted key; none of them has to be its own.
        now_ms: milliseconds since 1970.

    Raises:
        RecordCorrupted: what is held of the group is damaged.
    """
    before = find_held(context, tx, group)
    if before is not None and _is_over(before.record, now_ms):
        drop_group(tx, group)
        before = None
    if before is None:
        if not _begin(group, commits) or not _has_room(context, tx, brought_by.user, now_ms):
            return Taken()
        record = GroupRecord(heard_from=brought_by.user, heard_at_ms=now_ms)
        before = new_held(group, record)
    own = own_member(context)
    is_inside = own in before.state.members
    reading = _Reading(before, now_ms, is_inside=is_inside)
    reading.take(commits)
    is_heard = not is_inside or before.has(brought_by)
    after, is_changed = before, reading.graph is not before.graph
    if is_changed:
        grown, change = grow(context, before, reading.graph, now_ms)
        is_heard = is_heard or grown.has(brought_by)
        if is_heard:
            after = grown._replace(record=replace(grown.record, days=reading.days))
            put_grown(context, tx, before, after)
            for notice in notices_of(group, own, change):
                put_notice(context, tx, notice)
            _tell_of_keys(context, tx, group, change)
            if own in before.state.members and own not in change.after.members:
                drop_group_key(tx, group)
    if before.has(brought_by) and before.state.members[brought_by] in _POWER:
        _note_version(context, tx, after, reading.newest, brought_by)
    return Taken(
        is_known=bool(after.graph.nodes),
        is_changed=is_changed and is_heard,
        is_lacking=reading.is_lacking and is_heard,
    )


def forget_unjoined(context: Context) -> None:
    """Forget groups in which the own account never was, a day after they were heard of."""
    with context.store.transaction() as tx:
        _forget_unjoined(tx, context.clock())


def _forget_unjoined(tx: Transaction, now_ms: int) -> None:
    for group, record in walk_groups(tx):
        if _is_over(record, now_ms):
            drop_group(tx, group)


def _begin(group: GroupId, commits: Sequence[CommitBytes]) -> bool:
    """Whether commits begin with the first one of a group."""
    try:
        first = SignedGroupCommit.decode(*commits[0])
    except RemoteError:
        return False
    return first.commit.is_genesis and group_of(first) == group


def _is_over(record: GroupRecord, now_ms: int) -> bool:
    """Whether a group was heard of a day ago, and the own account was never in it."""
    return not record.joined_at_ms and not 0 <= now_ms - record.heard_at_ms < _DAY_MS


def _has_room(context: Context, tx: Transaction, user: UserId, now_ms: int) -> bool:
    """Whether one more group that an account tells of may wait to be accepted."""
    _forget_unjoined(tx, now_ms)
    heard_from = [record.heard_from for _, record in walk_groups(tx) if not record.accepted]
    is_own = user == context.address.user_id
    is_one_too_many = heard_from.count(user) >= _MAX_PENDING_OF_ONE
    return is_own or (len(heard_from) < context.policy.pending_groups and not is_one_too_many)


def _tell_of_keys(context: Context, tx: Transaction, group: GroupId, change: Change) -> None:
    """Tell the app of who is in from now on with another account key than the accepted one."""
    if own_member(context) in change.after.members:
        known = {each: member_of(context, tx, each.user) for each in change.came}
        users = tuple(each.user for each, other in known.items() if other not in (None, each))
        if users:
            notice = Notice(NoticeKind.GROUP_KEY_DIFFERS, None, group=group, users=users)
            put_notice(context, tx, notice)


def _note_version(
    context: Context, tx: Transaction, held: HeldGroup, version: int, brought_by: MemberId
) -> None:
    """Note the version of a commit that cannot be read, and tell the app once of each."""
    if version > held.record.outdated:
        group = held.graph.group_id
        put_group(tx, group, replace(held.record, outdated=version))
        notice = Notice(NoticeKind.GROUP_OUTDATED, brought_by.user, group=group)
        put_notice(context, tx, notice)


class _Reading:
    """Commits on their way into a group, one after the other.

    Attributes:
        graph: with those that were taken.
        is_lacking: others come after commits that are not held.
        newest: the highest version that could not be read, or 0.
    """

    def __init__(self, held: HeldGroup, now_ms: int, *, is_inside: bool) -> None:
        """Of a group; whether the own account is in it."""
        self.graph = held.graph
        self.is_lacking = False
        self.newest = 0
        self._members = held.state.members
        self._now_ms = now_ms
        self._is_inside = is_inside
        self._outside_bytes = (
            0 if is_inside else sum(len(node.signed.data) for node in held.graph.nodes)
        )
        days = (day for day in held.record.days if 0 <= now_ms - day.began_at_ms < _DAY_MS)
        self._days = {day.author: day for day in days}

    @property
    def days(self) -> tuple[GroupDay, ...]:
        """How many commits of each author were taken today."""
        return tuple(self._days.values())

    def take(self, commits: Iterable[CommitBytes]) -> None:
        """Take what is valid and new."""
        for data in commits:
            try:
                signed = SignedGroupCommit.decode(*data)
                if self._has_room(signed):
                    before, self.graph = self.graph, take_commit(self.graph, signed)
                    if self.graph is not before:
                        self._count(signed)
            except UnknownGroupState:
                self.is_lacking = True
            except UnsupportedVersion:
                self.newest = max(self.newest, read_version(data.commit))
            except RemoteError:
                continue

    def _has_room(self, signed: SignedGroupCommit) -> bool:
        if not self._is_inside:
            return self._outside_bytes + len(signed.data) <= MAX_UNJOINED_GROUP_BYTES
        author = signed.commit.author
        taken = self._day(author.user).commits
        if taken < _MAX_OF_WHO_IS_OUT:
            return True
        is_in = author in self._members or GroupView(self.graph, self.graph.all).role(author)
        return bool(is_in) and taken < MAX_GROUP_COMMITS_A_DAY

    def _count(self, signed: SignedGroupCommit) -> None:
        if self._is_inside:
            day = self._day(signed.commit.author.user)
            self._days[day.author] = day._replace(commits=day.commits + 1)
        else:
            self._outside_bytes += len(signed.data)

    def _day(self, author: UserId) -> GroupDay:
        return self._days.get(author) or GroupDay(author, self._now_ms, 0)
