# SPDX-License-Identifier: Apache-2.0
"""Telling a group what the own account has changed in it.

Rules:
- Who was in and still is gets the new commits in a message into the group, under the key that is
  there. Who is out gets them pairwise, and who is in since then all commits, under a key that he is
  given.
- Commits are announced until the last of this is in the outbox: after a crash it is done again.
  Whoever has a commit takes it for known.
- When the own account is out, its key goes with the announcement.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from e2ecross.address import Address
from e2ecross.device.composing import capabilities_of
from e2ecross.device.device_lists import targets_by
from e2ecross.device.group_members import member_of, own_member
from e2ecross.device.group_planning import GroupPlan, is_still_so, room_of
from e2ecross.device.group_sealing import seal_for
from e2ecross.device.group_standing import Audience, find_standing, left_since, places_before
from e2ecross.device.leftovers import Leftovers
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.group_history import exit_of, list_commits_at, split_commits
from e2ecross.state.accounts import find_account
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.group_keys import drop_group_key, find_group_key, list_granted
from e2ecross.state.groups import load_graph, put_group, walk_groups
from e2ecross.state.outbox import put_control
from e2ecross.stores.base import Transaction
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import GroupCommits
from e2ecross.wire.group import GroupId, MemberId
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = ["list_unannounced", "post_announcement", "put_history"]


def list_unannounced(context: Context) -> dict[GroupId, tuple[bytes, ...]]:
    """Return the groups of which own commits are not announced yet, and these (hashes, 32 bytes).

    Of each first those who stay are told (`Audience.STAYING`: plan, give the key, post), then the
    others (`Audience.JOINING`).
    """
    with context.store.transaction() as tx:
        found = {group: record.unannounced for group, record in walk_groups(tx)}
        return {group: commits for group, commits in found.items() if commits}


def post_announcement(context: Context, leftovers: Leftovers, plan: GroupPlan) -> bool:
    """Put what an audience is told of own commits into the outbox; one transaction.

    To whoever is out now it is put in the backlog of each of his devices, with that for who is in
    since then. After that nothing is left to be announced.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        plan: for whom, `Audience.STAYING` or `JOINING`; those of `plan.lacking` whom nobody could
            give the key are left out.

    Returns:
        Whether the plan still holds. If not, nothing was written: plan again.

    Raises:
        NotInGroup: the group is not known here any more.
        GroupRefused: somebody has made a commit there that this release cannot read.
        RecordCorrupted: a record of the group is damaged.
    """
    group = plan.group
    with leftovers.going() as forget, WitnessedTransaction(context) as tx:
        forget(tx)
        key, now_ms = find_group_key(tx, group), context.clock()
        standing = find_standing(context, tx, group, plan.audience)
        if not is_still_so(standing, key, plan):
            return False
        graph, record = load_graph(context, tx, group), standing.record
        before = places_before(graph, record.unannounced)
        told = graph.all if plan.audience is Audience.JOINING else graph.all & ~before
        parts = split_commits(group, list_commits_at(graph, told))
        held = {*list_granted(tx, group)}
        devices = [each for each in plan.devices if each in held]
        if key is not None and devices:
            for part in parts[: room_of(key)]:
                message_id = context.entropy.bytes(MESSAGE_ID_BYTES)
                where = (plan.destination, message_id)
                key = seal_for(context, tx, key, *where, part, devices, now_ms).key
        if plan.audience is Audience.JOINING:
            for member in left_since(context, tx, standing):
                places = exit_of(graph, member) & ~before
                _tell_out(context, tx, member, split_commits(group, list_commits_at(graph, places)))
            put_group(tx, group, replace(record, unannounced=()))
            if own_member(context) not in standing.state.members:
                drop_group_key(tx, group)
        return True


def put_history(context: Context, device: Address) -> None:
    """Tell another device of the own account all commits of all groups; one transaction.

    Args:
        context: of device 1.
        device: one that was linked.
    """
    with context.store.transaction() as tx:
        for group, _ in walk_groups(tx):
            with suppress(RecordCorrupted):  # the others are told all the same
                graph = load_graph(context, tx, group)
                for part in split_commits(group, list_commits_at(graph, graph.all)):
                    put_control(tx, device, context.entropy.bytes(MESSAGE_ID_BYTES), part)


def _tell_out(
    context: Context, tx: Transaction, member: MemberId, told: Sequence[GroupCommits]
) -> None:
    """Tell devices of who is out what has taken him out: also those of the own account."""
    user = member.user
    if member_of(context, tx, user) != member:
        return
    account = find_account(tx, user)
    targets = targets_by(context, user, account, context.clock())
    for device in () if targets is None else targets.devices:
        if Capability.GROUPS in capabilities_of(account, device):
            for part in told:
                put_control(tx, device, context.entropy.bytes(MESSAGE_ID_BYTES), part)
