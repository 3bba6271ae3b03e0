# SPDX-License-Identifier: Apache-2.0
"""Before something is sent into a group: under which key, to whom, and who lacks that key.

Rules:
- A new key is made before the message if there is none, if a device has it that ought not to, if
  anybody has lost membership or power since it was made, or if it is used up or old.
- A plan is held against the store again in each transaction that follows it. Where anything that it
  rests on is another, nothing is written, and the caller plans again.
- Where nothing has changed since the recipients of a key were last gone through, they are those who
  have it: neither the rows of their accounts are read, nor the commits of the group.

Source: docs/wire-format.md, groups.
"""

import enum
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.crypto.group_kdf import hash_context, make_distribution_id
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.composing import Draft
from e2ecross.device.group_members import counts_as_in, require_group, require_role
from e2ecross.device.group_recipients import find_recipients, list_devices, plan_content
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.errors import GroupRefused
from e2ecross.protocol.group_graph import GroupGraph, places_in
from e2ecross.protocol.group_state import GroupView, ended_between
from e2ecross.protocol.sender_key import generate_sender_key
from e2ecross.state.changes import read_changes
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, count_operation
from e2ecross.state.group_keys import (
    NEVER_CHECKED,
    Checked,
    GroupKey,
    find_group_key,
    put_new_group_key,
    read_grants,
)
from e2ecross.state.groups import load_graph
from e2ecross.state.session_store import has_session
from e2ecross.stores.base import Transaction
from e2ecross.wire.group import GroupDestination, GroupId, MemberId, Role
from e2ecross.wire.group_commit import is_later_version
from e2ecross.wire.group_records import GroupRecord, GroupState
from e2ecross.wire.limits import MAX_PARENTS, MAX_SENDER_KEY_MESSAGES

__all__ = [
    "Audience",
    "GroupPlan",
    "Standing",
    "checked_now",
    "destination_of",
    "find_standing",
    "has_room",
    "is_key_due",
    "is_still_so",
    "places_before",
    "plan_group",
    "present_at",
    "room_of",
    "was_gone_through",
    "without_session",
]

_CHECKED_MS: Final = 60 * 60 * 1000
"""How long the recipients of a key are not gone through again: lists of devices expire."""

_ANNOUNCED: Final = 100
"""Messages that an announcement has room for under a key: 20,000 commits of the usual size."""


class Audience(enum.Enum):
    """Whom something is for that is sent into a group."""

    MEMBERS = "members"
    """Everybody who is in: what a user sends."""
    STAYING = "staying"
    """Who was in before own commits that are not announced, and still is."""
    JOINING = "joining"
    """Who is in since them."""


class Standing(NamedTuple):
    """A group as a transaction has read it.

    Attributes:
        group: which.
        record: how it stands with it.
        state: what its commits give.
        state_hash: context hash of all heads that are held, 32 bytes.
        changes: how many changes of accounts are counted.
    """

    group: GroupId
    record: GroupRecord
    state: GroupState
    state_hash: bytes
    changes: int


class GroupPlan(NamedTuple):
    """What is to be sent to whom, if nothing changes until then.

    Attributes:
        group: where.
        audience: for whom.
        needed: what has to be asked of the back end before; then all that follows is empty.
        destination: the heads that the message will name.
        chain_id: of the key that it goes under; 0 where there are no devices.
        state_hash: see `Standing`.
        changes: likewise.
        at_ms: when it was made, milliseconds since 1970.
        devices: who gets a copy, with their identity keys, 33 bytes each.
        lacking: those of them that have to be given the key first.
        problems: why nothing is sent to a device, by the code of an error; of an account as a whole
            to its device 1.
    """

    group: GroupId
    audience: Audience
    needed: KeysNeeded | None
    destination: GroupDestination
    chain_id: int
    state_hash: bytes
    changes: int
    at_ms: int
    devices: Mapping[Address, PublicKey]
    lacking: tuple[Address, ...]
    problems: Mapping[Address, str]


def plan_group(
    context: Context,
    group: GroupId,
    asked: KeysAsked,
    audience: Audience = Audience.MEMBERS,
    draft: Draft | None = None,
) -> GroupPlan:
    """Go through the recipients of what is to be sent, and make a new key if one is due.

    One transaction. If the plan needs keys, fetch them (`client/planning.prepare`, with the same
    `asked`) and plan again. Then give the key to those who lack it, 64 at a time
    (`device/group_granting.py`), and send (`device/group_sending.py`).

    Args:
        context: of the device.
        group: where it is to be sent.
        asked: what was asked of the back end for it.
        audience: for whom it is.
        draft: what the user sends; None: it is nothing of the user's.

    Raises:
        LossyContent, ContentRefused: see `plan_content`.
        NotInGroup: the group is not known here, or the own account is not in it.
        GroupRefused: only owners and admins send there; or nothing can be sent there any more.
        RecordCorrupted: a record of the group is damaged.
    """
    with WitnessedTransaction(context) as tx:
        now_ms = context.clock()
        standing = find_standing(context, tx, group, audience)
        named, holders, members = _scope(context, tx, standing, audience, now_ms)
        found = find_recipients(context, tx, members, asked, now_ms)
        plan = _plan(standing, audience, named, now_ms)
        if found.needed is not None:
            return plan._replace(needed=found.needed)
        if not found.devices:
            return plan._replace(problems=found.problems)
        key = find_group_key(tx, group)
        scope = (named, holders, found.devices)
        grants = None
        if key is not None:
            grants = _who_has(context, tx, standing, audience, key, *scope, now_ms)
        if key is None or grants is None:
            key, grants = _make_key(context, group, named, now_ms), {}
            put_new_group_key(tx, group, key)
            count_operation(tx)
        lacking = [each for each, own in found.devices.items() if grants.get(each) != own]
        problems = dict(found.problems)
        wanted = without_session(tx, lacking, asked, problems)
        if wanted:
            keys = {each: frozenset(numbers) for each, numbers in wanted.items()}
            return plan._replace(needed=KeysNeeded(keys))
        devices = {each: own for each, own in found.devices.items() if each not in problems}
        if draft is not None:
            plan_content(context, tx, draft, devices)
        return plan._replace(
            chain_id=key.key.chain_id,
            devices=devices,
            lacking=tuple(each for each in lacking if each not in problems),
            problems=problems,
        )


def find_standing(
    context: Context, tx: Transaction, group: GroupId, audience: Audience
) -> Standing:
    """Read a group into which something is to be sent; raises as `plan_group`."""
    record, state = require_group(tx, group)
    if is_later_version(record.outdated):
        raise GroupRefused(f"nothing can be sent into {group}: upgrade e2ecross")
    if audience is Audience.MEMBERS:
        role = require_role(context, state)
        if record.full:
            raise GroupRefused(f"nothing can be sent into {group} any more: make a new group")
        if state.settings.only_admins_send and role is Role.MEMBER:
            raise GroupRefused(f"only owners and admins send into {group}")
    state_hash = hash_context(group.value, state.heads)
    return Standing(group, record, state, state_hash, read_changes(tx))


def is_still_so(standing: Standing, key: GroupKey | None, plan: GroupPlan) -> bool:
    """Tell whether all that a plan rests on is as it was then."""
    is_same_key = key is not None and key.key.chain_id == plan.chain_id
    return (
        (is_same_key or not plan.devices)
        and standing.state_hash == plan.state_hash
        and standing.changes == plan.changes
    )


def room_of(key: GroupKey) -> int:
    """Return how many more messages may be sent under a key."""
    return MAX_SENDER_KEY_MESSAGES - key.key.chain.message_number


def _members_at(
    context: Context, tx: Transaction, standing: Standing, heads: tuple[bytes, ...]
) -> Collection[MemberId]:
    """Return who is a member at heads, 32 bytes each, in the order in which they get keys."""
    if heads == standing.state.heads:
        return standing.state.members
    graph = load_graph(context, tx, standing.group)
    return GroupView(graph, graph.behind(heads)).state().members


def present_at(
    context: Context, tx: Transaction, standing: Standing, heads: tuple[bytes, ...]
) -> Collection[MemberId]:
    """Return which members at heads, 32 bytes each, are in the group now, and not only *back*.

    A message names 16 heads at most: beside them may stand a removal that is known here.
    """
    members = _members_at(context, tx, standing, heads)
    record, state = standing.record, standing.state
    return {each: None for each in members if counts_as_in(record, state, each)}


def was_gone_through(standing: Standing, key: GroupKey, now_ms: int) -> bool:
    """Tell whether those who have a key are the recipients of what is sent to all members now."""
    checked = key.checked
    return (
        checked.heads == standing.state_hash
        and checked.changes == standing.changes
        and 0 <= now_ms - checked.at_ms < _CHECKED_MS
    )


def checked_now(plan: GroupPlan) -> Checked:
    """What is noted in a key whose recipients were gone through by a plan."""
    return Checked(plan.state_hash, plan.changes, plan.at_ms)


def destination_of(standing: Standing) -> GroupDestination:
    """Return the heads that a message for all members names: of more than 16 the smallest."""
    return GroupDestination(standing.group, standing.state.heads[:MAX_PARENTS])


def has_room(context: Context, key: GroupKey, messages: int, now_ms: int) -> bool:
    """Tell whether so many messages may be sent under a key: it is neither used up nor old."""
    age_ms = now_ms - key.created_at_ms
    return room_of(key) >= messages and 0 <= age_ms < context.policy.sender_key_max_age_ms


def is_key_due(
    context: Context, tx: Transaction, standing: Standing, key: GroupKey, now_ms: int
) -> bool:
    """Tell whether the next message of a user makes a new key in the place of this one."""
    named = destination_of(standing).heads
    present = present_at(context, tx, standing, named)
    names = (context, tx, standing, Audience.MEMBERS, key, named, present)
    return _who_has(*names, {}, now_ms) is None


def without_session(
    tx: Transaction, devices: Iterable[Address], asked: KeysAsked, problems: dict[Address, str]
) -> dict[UserId, set[int]]:
    """Return which of some devices there is no session with, and that were not asked for before.

    Args:
        tx: the operation's transaction.
        devices: which.
        asked: what was asked of the back end before.
        problems: why others cannot be reached, by the code of an error; added to.
    """
    wanted: dict[UserId, set[int]] = {}
    for each in devices:
        error = asked.unreachable.get(each)
        if error is not None:
            problems[each] = error.code
        elif not has_session(tx, each):
            wanted.setdefault(each.user_id, set()).add(each.device)
    return wanted


def places_before(graph: GroupGraph, unannounced: Collection[bytes]) -> int:
    """Return the places of what is known to others: not of own commits, nor what follows them.

    Args:
        graph: the commits of the group.
        unannounced: hashes of own commits, 32 bytes each, that nobody has been told of.
    """
    new = [node.place for each in unannounced if (node := graph.find(each)) is not None]
    bits = sum(1 << place for place in new)
    places = graph.all & ~bits
    for place in places_in(places):
        if graph.nodes[place].ancestors & bits:
            places &= ~(1 << place)
    return places


def _scope(
    context: Context, tx: Transaction, standing: Standing, audience: Audience, now_ms: int
) -> tuple[tuple[bytes, ...], Collection[MemberId], Collection[MemberId]]:
    """Return the heads to name, who may have the key there, and who is sent to."""
    named = destination_of(standing).heads
    present = present_at(context, tx, standing, named)
    if audience is Audience.MEMBERS:
        return named, present, present
    graph = load_graph(context, tx, standing.group)
    before = places_before(graph, standing.record.unannounced)
    then = GroupView(graph, before).state()
    if audience is Audience.JOINING:
        return named, present, [each for each in present if each not in then.members]
    staying = [each for each in present if each in then.members]
    key, heads = find_group_key(tx, standing.group), then.heads[:MAX_PARENTS]
    if heads and key is not None:
        known = _members_at(context, tx, standing, heads)
        holders = {each: None for each in known if counts_as_in(standing.record, then, each)}
        names = (context, tx, standing, audience, key, heads, holders)
        if _who_has(*names, {}, now_ms) is not None:
            return heads, holders, staying
    # A new key is made where the next message stands, so that it need not be made twice.
    return named, present, staying


def _who_has(
    context: Context,
    tx: Transaction,
    standing: Standing,
    audience: Audience,
    key: GroupKey,
    named: tuple[bytes, ...],
    holders: Collection[MemberId],
    devices: Mapping[Address, PublicKey],
    now_ms: int,
) -> Mapping[Address, bytes] | None:
    """Return who has a key, if a message may go under it that names these heads; None: it may not.

    Nobody but the holders may have it. Of some devices it is known that they are of members, and
    their identity keys (33 bytes).
    """
    messages = 1 if audience is Audience.MEMBERS else _ANNOUNCED
    if not has_room(context, key, messages, now_ms):
        return None
    grants = read_grants(tx, standing.group)
    if grants is None or (not grants and key.key.chain.message_number):
        return None  # who has it is not known
    others = {each: own for each, own in grants.items() if devices.get(each) != own}
    if list_devices(context, tx, holders, others) != others:
        return None
    if key.checked.heads != hash_context(standing.group.value, named):
        graph = load_graph(context, tx, standing.group)
        made, then = graph.behind(key.heads), graph.behind(named)
        if made & ~then or ended_between(graph, made, then):
            return None
    return grants


def _make_key(context: Context, group: GroupId, named: tuple[bytes, ...], now_ms: int) -> GroupKey:
    own = context.identity_key_pair.public
    distribution_id = make_distribution_id(group.value, named, str(context.address), own)
    key = generate_sender_key(context.entropy)
    return GroupKey(key, distribution_id, named, now_ms, NEVER_CHECKED)


def _plan(
    standing: Standing, audience: Audience, named: tuple[bytes, ...], now_ms: int
) -> GroupPlan:
    destination = GroupDestination(standing.group, named)
    fixed = (standing.state_hash, standing.changes, now_ms)
    return GroupPlan(standing.group, audience, None, destination, 0, *fixed, {}, (), {})
