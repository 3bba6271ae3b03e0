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

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.crypto.group_kdf import hash_context, make_distribution_id
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.composing import Draft
from e2ecross.device.group_members import counts_as_in
from e2ecross.device.group_recipients import find_recipients, list_devices, plan_content
from e2ecross.device.group_standing import (
    Audience,
    Standing,
    destination_of,
    find_standing,
    left_since,
    members_at,
    places_before,
    present_at,
)
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.protocol.group_state import GroupView, ended_between
from e2ecross.protocol.sender_key import generate_sender_key
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
from e2ecross.wire.group import GroupDestination, GroupId, MemberId
from e2ecross.wire.limits import MAX_PARENTS, MAX_SENDER_KEY_MESSAGES

__all__ = [
    "GroupPlan",
    "checked_now",
    "has_room",
    "is_key_due",
    "is_still_so",
    "plan_group",
    "room_of",
    "was_gone_through",
    "without_session",
]

_CHECKED_MS: Final = 60 * 60 * 1000
"""How long the recipients of a key are not gone through again: lists of devices expire."""

_ANNOUNCED: Final = 100
"""Messages that an announcement has room for under a key: 20,000 commits of the usual size."""


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
        needed = found.needed
        if needed is None and audience is Audience.JOINING:  # they are told pairwise
            left = left_since(context, tx, standing)
            needed = find_recipients(context, tx, left, asked, now_ms).needed
        if needed is not None:
            return plan._replace(needed=needed)
        if not found.devices:
            return plan._replace(problems=found.problems)
        scope = (named, holders, found.devices)
        key, grants = _find_or_make_key(context, tx, standing, audience, *scope, now_ms)
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
        known = members_at(context, tx, standing, heads)
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


def _find_or_make_key(
    context: Context,
    tx: Transaction,
    standing: Standing,
    audience: Audience,
    named: tuple[bytes, ...],
    holders: Collection[MemberId],
    devices: Mapping[Address, PublicKey],
    now_ms: int,
) -> tuple[GroupKey, Mapping[Address, bytes]]:
    """Return the key that a message may go under, and who has it; see `_who_has`."""
    key = find_group_key(tx, standing.group)
    if key is not None:
        scope = (named, holders, devices)
        grants = _who_has(context, tx, standing, audience, key, *scope, now_ms)
        if grants is not None:
            return key, grants
    key = _make_key(context, standing.group, named, now_ms)
    put_new_group_key(tx, standing.group, key)
    count_operation(tx)
    return key, {}


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
