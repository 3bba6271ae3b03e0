# SPDX-License-Identifier: Apache-2.0
"""A message into a group: encrypted once, and put into the outbox for all who have the key.

Rules:
- One transaction reads all that a message rests on, encrypts, advances the key, and keeps message,
  id and copies. Where anything is other than it was planned, nothing is written.
- No copy for a device without a row that says that it has the key.
- Other devices of the own account are recipients like all others: one ciphertext for all.
- A message id belongs to one message into one group. With the id of one that was promised nothing
  is encrypted again.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.conversation.negotiation import Plan, framed_needs
from e2ecross.crypto.secret import Secret, SecretTuple
from e2ecross.device.composing import (
    ALL_SHOWN,
    Composed,
    Draft,
    capabilities_of,
    compose,
    plan_of,
    require_allowed,
)
from e2ecross.device.group_granting import MAX_GRANTS, Granter
from e2ecross.device.group_members import counts_as_in, own_member
from e2ecross.device.group_planning import (
    Audience,
    GroupPlan,
    Standing,
    checked_now,
    destination_of,
    find_standing,
    has_room,
    is_still_so,
    members_at,
    was_gone_through,
    without_session,
)
from e2ecross.device.group_recipients import KEY_DIFFERS, find_recipients
from e2ecross.device.hints import hints_by
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, KeysNeeded
from e2ecross.device.uploading import note_media_sent
from e2ecross.errors import (
    RecordCorrupted,
    UnknownRecipient,
    UnlistedDevice,
    UntrustedIdentity,
    VersionDowngrade,
)
from e2ecross.protocol.sender_key import group_encrypt
from e2ecross.state.accounts import find_account
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, count_operation, read_epoch
from e2ecross.state.group_keys import GroupKey, find_group_key, list_granted, put_group_key
from e2ecross.state.group_outbox import (
    GroupWaiting,
    forget_in_group_outbox,
    put_copies,
    walk_group_outbox,
)
from e2ecross.state.groups import find_state, put_group
from e2ecross.state.sent_to_groups import (
    find_sent_to_group,
    keep_group_id,
    keep_sent_to_group,
    was_sent_to_group,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import (
    Framed,
    GroupPayload,
    PayloadContent,
    encode_content,
    encode_group_payload,
)
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.group import GroupDestination, GroupId, Role
from e2ecross.wire.group_records import GroupState
from e2ecross.wire.limits import MAX_COPIES, MAX_SENDER_KEY_MESSAGES

__all__ = [
    "GroupPosted",
    "OutgoingToGroup",
    "Sealed",
    "post_again",
    "post_into_group",
    "post_missing",
    "seal_for",
]

_LASTING: Final = frozenset(
    (
        KEY_DIFFERS,
        UnknownRecipient.code,
        UnlistedDevice.code,
        UntrustedIdentity.code,
        VersionDowngrade.code,
    )
)
"""Why a device is not reached the next time, either: it is not tried again with each message."""


class OutgoingToGroup(NamedTuple):
    """A message for a group, to be put into the outbox.

    Attributes:
        group: which.
        message_id: 16 bytes.
        is_new: whether the id was just drawn, so that nobody has heard of it.
    """

    group: GroupId
    message_id: bytes
    is_new: bool


class _SealedFields(NamedTuple):
    key: GroupKey
    numbers: tuple[int, ...]
    ciphertext: bytes


class Sealed(SecretTuple, _SealedFields):
    """A message that was encrypted for some devices.

    Attributes:
        key: the own key as it is after the message.
        numbers: of its rows in the outbox of groups.
        ciphertext: one message under that key.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class GroupPosted(Secret):
    """A message that is in the outbox of groups, or has been there.

    Attributes:
        outgoing: which.
        is_new: it was just put there.
        message: what it is, and what devices show of it; None: it is not kept any more.
        destination: the heads that it names; None likewise.
        numbers: of its rows in the outbox, as far as they are still there.
        recipients: for whom it was encrypted just now; or for whom it waits.
        problems: why it was not encrypted for others, by the code of an error.
        key: what it was encrypted with, as it was before; None: not now.
        ciphertext: what that has given.
        epoch: to tell the back end.
        moderator: the own account is owner or admin of the group.
    """

    outgoing: OutgoingToGroup
    is_new: bool
    message: Composed | None
    destination: GroupDestination | None
    numbers: tuple[int, ...]
    recipients: tuple[Address, ...]
    problems: Mapping[Address, str]
    key: GroupKey | None
    ciphertext: bytes
    epoch: int
    moderator: bool = False


def post_into_group(
    context: Context,
    leftovers: Leftovers,
    outgoing: OutgoingToGroup,
    draft: Draft,
    plan: GroupPlan | None,
    asked: KeysAsked,
) -> GroupPosted | None:
    """Encrypt content for a group and put it into the outbox, unless it is or has been there.

    One transaction. Call it without a plan first: where nothing has changed since the message
    before, none is needed.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        outgoing: where, and under which id.
        draft: what the user sends (`draft_of` with `in_group`).
        plan: for whom; all that `plan.lacking` names were given the key, or are in
            `asked.unreachable`.
        asked: what was asked of the back end for it.

    Returns:
        Where it is. None: a plan is needed, or it does not hold any more; nothing was written.

    Raises:
        NotInGroup: the group is not known here, or the own account is not in it.
        GroupRefused: only owners and admins send there; or nothing can be sent there any more.
        LossyContent: some devices would not show all of it, and the user has not agreed to that.
        ContentRefused: some devices do not obey what protects somebody.
        InvalidArgument: the message id was used for other content, or in another group.
        RecordCorrupted: a record of the group is damaged.
    """
    group, message_id = outgoing.group, outgoing.message_id
    encoded = encode_content(draft.blank)
    with leftovers.going() as forget, WitnessedTransaction(context) as tx:
        forget(tx)
        now_ms = context.clock()
        if not outgoing.is_new and was_sent_to_group(tx, group, message_id, encoded, now_ms):
            return _find(context, tx, outgoing, now_ms)
        standing = find_standing(context, tx, group, Audience.MEMBERS)
        ready = _ready(context, tx, standing, plan, asked, now_ms)
        if ready is None:
            return None
        shown = _plan_content(context, tx, draft, ready.recipients)
        require_allowed(draft, shown)
        composed = compose(draft, shown, context.entropy, now_ms)
        keep_group_id(tx, group, message_id, encoded, now_ms)
        note_media_sent(context, tx, context.address.user_id, composed, message_id)
        if not standing.record.accepted:
            put_group(tx, group, replace(standing.record, accepted=True))
        posted = _post(context, tx, outgoing, composed, ready, now_ms)
        return replace(posted, moderator=_moderates(context, standing.state))


def post_again(
    context: Context,
    leftovers: Leftovers,
    waiting: GroupWaiting,
    plan: GroupPlan,
    asked: KeysAsked,
) -> GroupPosted | None:
    """Encrypt anew what waits for it, under the same id: the store was restored.

    One transaction; see `post_into_group`. What is not kept any more is forgotten.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        waiting: what; it has no data.
        plan: for whom.
        asked: what was asked of the back end for it.

    Returns:
        Where it is; nowhere, where it was not kept, or another thread was faster. None: the plan
        does not hold any more.

    Raises:
        NotInGroup: the own account is not in the group.
        GroupRefused: only owners and admins send there; or nothing can be sent there any more.
    """
    group, message_id = waiting.group, waiting.message_id
    outgoing = OutgoingToGroup(group, message_id, is_new=False)
    with leftovers.going() as forget, WitnessedTransaction(context) as tx:
        forget(tx)
        now_ms = context.clock()
        kept = find_sent_to_group(tx, context.policy, message_id, now_ms)
        rows = [each.number for each in _rows_of(tx, group, message_id) if not each.data]
        if kept is None or waiting.number not in rows:
            forget_in_group_outbox(tx, rows)
            return _find(context, tx, outgoing, now_ms)
        standing = find_standing(context, tx, group, Audience.MEMBERS)
        ready = _ready(context, tx, standing, plan, asked, now_ms)
        if ready is None:
            return None
        forget_in_group_outbox(tx, rows)
        composed = Composed(ALL_SHOWN, kept.content, kept.sent_at_ms)
        return _post(context, tx, outgoing, composed, ready, now_ms)


def post_missing(
    context: Context, leftovers: Leftovers, posted: GroupPosted, asked: KeysAsked
) -> GroupPosted | KeysNeeded | None:
    """Give a message also to devices that are listed since: the key as it was, and a copy.

    One transaction, at most 64 devices.

    Args:
        context: of the device.
        leftovers: are forgotten in the same commit.
        posted: a message that was just put into the outbox.
        asked: what was asked of the back end for it.

    Returns:
        The message with those devices among its recipients; or what is needed for that. None: no
        device lacks it.

    Raises:
        NotInGroup: the own account is not in the group any more.
        GroupRefused: nothing can be sent into the group any more.
    """
    key, destination = posted.key, posted.destination
    if key is None or destination is None:
        return None
    with leftovers.going() as forget, WitnessedTransaction(context) as tx:
        forget(tx)
        now_ms, group = context.clock(), posted.outgoing.group
        standing = find_standing(context, tx, group, Audience.MEMBERS)
        members = members_at(context, tx, standing, destination.heads)
        record, state = standing.record, standing.state
        present = [each for each in members if counts_as_in(record, state, each)]
        found = find_recipients(context, tx, present, asked, now_ms)
        if found.needed is not None:
            return found.needed
        problems = {**posted.problems, **found.problems}
        new = [each for each in found.devices if each not in posted.recipients]
        wanted = without_session(tx, new, asked, problems)
        if wanted:
            return KeysNeeded({user: frozenset(each) for user, each in wanted.items()})
        new = sorted((each for each in new if each not in problems), key=str)[:MAX_GRANTS]
        if not new:
            return None
        now = find_group_key(tx, group)
        is_present = now is not None and now.key.chain_id == key.key.chain_id
        granter = Granter(context, tx, group, key, now_ms, is_noted=is_present)
        for device in new:
            granter.grant(device, key.key)
        copies = EnvelopeCopies(
            posted.outgoing.message_id, context.address, tuple(new), posted.ciphertext
        )
        number = put_copies(tx, group, copies)
        return replace(
            posted,
            numbers=(*posted.numbers, number),
            recipients=(*posted.recipients, *new),
            problems=problems,
            epoch=read_epoch(tx),
        )


def seal_for(
    context: Context,
    tx: Transaction,
    key: GroupKey,
    destination: GroupDestination,
    message_id: bytes,
    content: PayloadContent,
    recipients: Sequence[Address],
    sent_at_ms: int,
) -> Sealed:
    """Encrypt content once for devices that have the key, and put it into the outbox.

    Args:
        context: of the device.
        tx: the operation's transaction.
        key: of the group; the advanced one is written.
        destination: the group, and the heads that the message names.
        message_id: 16 bytes.
        content: what is said.
        recipients: one device or more, none of which is this one.
        sent_at_ms: milliseconds since 1970.

    Raises:
        SessionExhausted: the key has sent all that it may.
    """
    group = destination.group_id
    payload = GroupPayload(
        sender=context.address,
        destination=destination,
        message_id=message_id,
        registration_id=context.registration_id,
        sent_at_ms=sent_at_ms,
        content=content,
        hints=hints_by(find_account(tx, context.address.user_id), None),
    )
    after, ciphertext = group_encrypt(
        *(key.key, key.distribution_id, encode_group_payload(payload), context.entropy),
        MAX_SENDER_KEY_MESSAGES,
    )
    advanced = key.with_key(after)
    put_group_key(tx, group, advanced)
    count_operation(tx)
    listed = sorted(recipients, key=str)
    numbers = []
    for start in range(0, len(listed), MAX_COPIES):
        part = tuple(listed[start : start + MAX_COPIES])
        copies = EnvelopeCopies(message_id, context.address, part, ciphertext)
        numbers.append(put_copies(tx, group, copies))
    return Sealed(advanced, tuple(numbers), ciphertext)


class _ReadyFields(NamedTuple):
    key: GroupKey | None
    destination: GroupDestination
    recipients: tuple[Address, ...]
    problems: Mapping[Address, str]


class _Ready(SecretTuple, _ReadyFields):
    """What a message can be sent with now.

    Attributes:
        key: of the group; None: nobody gets a copy.
        destination: the heads that it names.
        recipients: devices that have the key.
        problems: why others get no copy.
    """

    __slots__ = ()


def _ready(
    context: Context,
    tx: Transaction,
    standing: Standing,
    plan: GroupPlan | None,
    asked: KeysAsked,
    now_ms: int,
) -> _Ready | None:
    """Return who gets a message; None: a plan is needed, or it does not hold any more."""
    key = find_group_key(tx, standing.group)
    if plan is not None and not is_still_so(standing, key, plan):
        return None
    if plan is not None and not plan.devices:
        return _Ready(None, plan.destination, (), plan.problems)
    if key is None or not has_room(context, key, 1, now_ms):
        return None
    try:
        granted = list_granted(tx, standing.group)
    except RecordCorrupted:  # the next plan takes a new key
        return None
    if plan is None:
        if not was_gone_through(standing, key, now_ms):
            return None
        return _Ready(key, destination_of(standing), tuple(granted), {})
    held, problems = {*granted}, dict(plan.problems)
    for each in plan.devices:
        if each not in held:
            error = asked.unreachable.get(each)
            if error is None:
                return None
            problems[each] = error.code
    recipients = tuple([each for each in plan.devices if each in held])
    if {*problems.values()} <= _LASTING:
        key = key.with_checked(checked_now(plan))
    return _Ready(key, plan.destination, recipients, problems)


def _post(
    context: Context,
    tx: Transaction,
    outgoing: OutgoingToGroup,
    composed: Composed,
    ready: _Ready,
    now_ms: int,
) -> GroupPosted:
    """Encrypt a message, and keep what is kept of it."""
    message_id, key, sent = outgoing.message_id, ready.key, None
    content, sent_at_ms = composed.content, composed.sent_at_ms
    if key is not None and ready.recipients:
        where = (ready.destination, message_id)
        sent = seal_for(context, tx, key, *where, content, ready.recipients, sent_at_ms)
    keep_sent_to_group(
        *(tx, context.policy, ready.destination, message_id),
        *(content, sent_at_ms, now_ms),
    )
    return GroupPosted(
        outgoing=outgoing,
        is_new=True,
        message=composed,
        destination=ready.destination,
        numbers=() if sent is None else sent.numbers,
        recipients=ready.recipients,
        problems=ready.problems,
        key=None if sent is None else key,
        ciphertext=b"" if sent is None else sent.ciphertext,
        epoch=read_epoch(tx),
    )


def _plan_content(
    context: Context, tx: Transaction, draft: Draft, recipients: Iterable[Address]
) -> Plan:
    """Return what devices of others show: all of them read frames, and mostly that is enough."""
    framed, ends = draft.blank, dict[Address, frozenset[int]]()
    if isinstance(framed, Framed):
        needs = framed_needs(framed.content, framed.expiry, view_once=framed.view_once)
        if needs > {Capability.POST}:
            own = context.address.user_id
            others = [each for each in recipients if each.user_id != own]
            ends = {each: capabilities_of(find_account(tx, each.user_id), each) for each in others}
    return plan_of(draft, ends)


def _find(context: Context, tx: Transaction, outgoing: OutgoingToGroup, now_ms: int) -> GroupPosted:
    """Return a message that was posted before, and what of it still waits."""
    kept = find_sent_to_group(tx, context.policy, outgoing.message_id, now_ms)
    composed, destination = None, None
    if kept is not None:
        composed = Composed(ALL_SHOWN, kept.content, kept.sent_at_ms)
        destination = kept.destination
    rows = _rows_of(tx, outgoing.group, outgoing.message_id)
    recipients = [
        each for row in rows if isinstance(row.sent, EnvelopeCopies) for each in row.sent.recipients
    ]
    numbers, state = tuple(each.number for each in rows), find_state(tx, outgoing.group)
    return GroupPosted(
        *(outgoing, False, composed, destination, numbers, tuple(recipients), {}),
        *(None, b"", read_epoch(tx)),
        moderator=state is not None and _moderates(context, state),
    )


def _moderates(context: Context, state: GroupState) -> bool:
    return state.members.get(own_member(context), Role.MEMBER) is not Role.MEMBER


def _rows_of(tx: Transaction, group: GroupId, message_id: bytes) -> list[GroupWaiting]:
    return [
        each
        for _, each in walk_group_outbox(tx)
        if isinstance(each, GroupWaiting) and (each.group, each.message_id) == (group, message_id)
    ]
