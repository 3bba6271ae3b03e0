# SPDX-License-Identifier: Apache-2.0
"""How groups are doing: who is in, what is held of each, the own key, what is on its way.

Rules:
- Only read, and numbers only: no id of a group, no name, no address, no key.
- What would be done with the next message is asked of those who would do it, and not done.
- A group whose records contradict each other is damaged as a whole: nothing else is told of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace

from e2ecross.address import Address
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.group_kdf import hash_commit
from e2ecross.device.group_members import own_member, require_group
from e2ecross.device.group_planning import is_key_due
from e2ecross.device.group_reading import GroupStatus, status_of
from e2ecross.device.group_recipients import find_recipients
from e2ecross.device.group_standing import Audience, destination_of, find_standing, present_at
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import NotInGroup, RecordCorrupted, StoreTooNew
from e2ecross.state.context import Context, address_from_key, open_context
from e2ecross.state.group_keys import GroupKey, find_group_key, read_grants
from e2ecross.state.group_outbox import GroupWaiting, walk_group_outbox
from e2ecross.state.groups import GROUP_STATE_ROW, group_from_key, load_graph
from e2ecross.state.policy import Policy
from e2ecross.stores.base import OneGate, Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.group import GroupId, Role
from e2ecross.wire.group_records import GroupCommitRecord, GroupRecord, GroupState, decode_grant
from e2ecross.wire.records import DeviceRecord

__all__ = [
    "GroupHealth",
    "GroupKeyHealth",
    "GroupQueueHealth",
    "GroupReachHealth",
    "check_grant",
    "judge_groups",
    "read_group",
    "read_group_commit",
]


@dataclass(frozen=True, slots=True)
class GroupKeyHealth:
    """What is sent into a group with.

    Attributes:
        age_ms: milliseconds since it was made, below 0 when it is dated in the future.
        messages: how many were sent under it, of 1,000.
        given: how many devices have it; None when that cannot be read.
        is_due: whether the next message takes a new one.
    """

    age_ms: int
    messages: int
    given: int | None
    is_due: bool = False


@dataclass(frozen=True, slots=True)
class GroupReachHealth:
    """Whom the next message goes to.

    Attributes:
        devices: how many get it.
        lacking: how many of those are given the key before it.
        unasked: of how many accounts the list of devices is asked for before it.
        problems: how many are not reached, by the code of what is in the way: such as
            "group_key_differs", an account that has another key than the member.
    """

    devices: int
    lacking: int
    unasked: int
    problems: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GroupQueueHealth:
    """What waits for the back end.

    Attributes:
        grants: envelopes that give a device the own key.
        messages: messages that are encrypted.
        anew: messages that are to be encrypted again, because the store was restored.
    """

    grants: int = 0
    messages: int = 0
    anew: int = 0


@dataclass(frozen=True, slots=True)
class GroupHealth:
    """A group.

    Attributes:
        status: whether anything can be done in it; None: it is damaged, and all that follows on
            `queue` is not known.
        commits: how many are held and decode.
        queue: what waits for the back end, of what is sent to its members.
        accepted: the user wants to be in it.
        members: how many are in.
        role: of the own account; None: it is out.
        back: how many are in only because a removal became void, and get nothing.
        unannounced: own commits that are not on their way yet.
        key: what is sent with; None: there is none, and the next message makes one.
        reach: whom the next message goes to; None where none is sent, or it cannot be told.
    """

    status: GroupStatus | None
    commits: int
    queue: GroupQueueHealth = field(default_factory=GroupQueueHealth)
    accepted: bool = False
    members: int = 0
    role: Role | None = None
    back: int = 0
    unannounced: int = 0
    key: GroupKeyHealth | None = None
    reach: GroupReachHealth | None = None


class _Open(OneGate):
    """A store that gives the transaction which is open, to who only reads."""

    def __init__(self, tx: Transaction) -> None:
        self.transaction = lambda stripe=0, *, moved=False: nullcontext(tx)
        self.close = lambda: None


def read_group(partition: bytes, row: bytes, record: bytes) -> GroupId:
    """Decode how it stands with a group, or what its commits give; returns which group it is."""
    group = group_from_key(partition)
    if row == GROUP_STATE_ROW:
        GroupState.decode(record)
    else:
        GroupRecord.decode(record)
    return group


def read_group_commit(partition: bytes, row: bytes, record: bytes) -> GroupId:
    """Decode a commit of a group; returns which group it is of."""
    group = group_from_key(partition)
    if hash_commit(GroupCommitRecord.decode(record).signed.data) != row:
        raise RecordCorrupted("a commit of a group stands in the wrong row: the store is damaged")
    return group


def check_grant(partition: bytes, row: bytes, record: bytes) -> None:
    """Decode that a device has the own key of a group."""
    group_from_key(partition)
    address_from_key(row)
    decode_grant(record)


def judge_groups(
    tx: Transaction,
    device: DeviceRecord,
    account: AccountRecord,
    held: tuple[Iterable[GroupId], Iterable[GroupId]],
    policy: Policy,
    now_ms: int,
) -> tuple[GroupHealth, ...]:
    """Tell how all groups are doing.

    Args:
        tx: on the store.
        device: the device's record.
        account: what is known of its account, as of any other; without a list nothing is told of
            another device than the first.
        held: which group each row of groups is of, and each commit.
        policy: what ages are measured by.
        now_ms: milliseconds since 1970.
    """
    key = None if account.held is None else account.held.list.account_key
    if key is None and device.address.device != PRIMARY:
        return ()  # it is damaged, and who the own account is in groups is not known
    store = _Open(tx)
    context = open_context(device, store, policy, lambda: now_ms, SYSTEM_ENTROPY, None, key)
    groups, commits, queues = held[0], Counter(held[1]), _read_queues(tx)
    return tuple(
        _judge(context, tx, group, commits[group], queues.get(group, GroupQueueHealth()), now_ms)
        for group in dict.fromkeys((*groups, *commits))
    )


def _read_queues(tx: Transaction) -> dict[GroupId, GroupQueueHealth]:
    found: dict[GroupId, GroupQueueHealth] = {}
    with suppress(RecordCorrupted, StoreTooNew):  # of the walk; each row is counted with its table
        for _, item in walk_group_outbox(tx):
            if isinstance(item, GroupWaiting):
                before = found.get(item.group, GroupQueueHealth())
                found[item.group] = _with(before, item)
    return found


def _with(queue: GroupQueueHealth, item: GroupWaiting) -> GroupQueueHealth:
    if item.sent is None:
        return replace(queue, anew=queue.anew + 1)
    if isinstance(item.sent, Envelope):
        return replace(queue, grants=queue.grants + 1)
    return replace(queue, messages=queue.messages + 1)


def _judge(
    context: Context,
    tx: Transaction,
    group: GroupId,
    commits: int,
    queue: GroupQueueHealth,
    now_ms: int,
) -> GroupHealth:
    try:
        record, state = require_group(tx, group)
        load_graph(context, tx, group)
    except (NotInGroup, RecordCorrupted, StoreTooNew):
        return GroupHealth(None, commits, queue)
    role = state.members.get(own_member(context))
    status = status_of(record, role)
    health = GroupHealth(
        status=status,
        commits=commits,
        queue=queue,
        accepted=record.accepted,
        members=len(state.members),
        role=role,
        back=len(record.back),
        unannounced=len(record.unannounced),
    )
    # What is damaged or too new here is counted with its table, and hides nothing else.
    with suppress(RecordCorrupted, StoreTooNew):
        key = find_group_key(tx, group)
        if key is not None:
            health = replace(health, key=_judge_key(tx, group, key, now_ms))
        if status is GroupStatus.ACTIVE:
            return _with_next(context, tx, group, key, health, now_ms)
    return health


def _judge_key(tx: Transaction, group: GroupId, key: GroupKey, now_ms: int) -> GroupKeyHealth:
    grants = read_grants(tx, group)
    given = None if grants is None else len(grants)
    return GroupKeyHealth(now_ms - key.created_at_ms, key.key.chain.message_number, given)


def _with_next(
    context: Context,
    tx: Transaction,
    group: GroupId,
    key: GroupKey | None,
    health: GroupHealth,
    now_ms: int,
) -> GroupHealth:
    """Add what the next message would find."""
    standing = find_standing(context, tx, group, Audience.STAYING)
    present = present_at(context, tx, standing, destination_of(standing).heads)
    found = find_recipients(context, tx, present, KeysAsked(), now_ms)
    grants: Mapping[Address, bytes] = {}
    if key is not None and health.key is not None:
        is_due = is_key_due(context, tx, standing, key, now_ms)
        health = replace(health, key=replace(health.key, is_due=is_due))
        if not is_due:
            grants = read_grants(tx, group) or {}
    return replace(
        health,
        reach=GroupReachHealth(
            devices=len(found.devices),
            lacking=sum(grants.get(each) != own for each, own in found.devices.items()),
            unasked=0 if found.needed is None else len(found.needed.wanted),
            problems=dict(Counter(found.problems.values())),
        ),
    )
