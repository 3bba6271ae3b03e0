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

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.secret import SecretTuple
from e2ecross.device.composing import (
    ALL_SHOWN,
    Composed,
    Draft,
    compose,
)
from e2ecross.device.group_members import own_member
from e2ecross.device.group_planning import (
    GroupPlan,
    checked_now,
    has_room,
    is_still_so,
    was_gone_through,
)
from e2ecross.device.group_posted import GroupPosted, OutgoingToGroup
from e2ecross.device.group_recipients import KEY_DIFFERS, plan_content, who_obeys
from e2ecross.device.group_sealing import seal_for
from e2ecross.device.group_standing import Audience, Standing, destination_of, find_standing
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.device.uploading import note_media_sent
from e2ecross.errors import (
    InvalidArgument,
    RecordCorrupted,
    UnknownRecipient,
    UnlistedDevice,
    UntrustedIdentity,
    VersionDowngrade,
)
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, read_epoch
from e2ecross.state.group_keys import GroupKey, find_group_key, list_granted
from e2ecross.state.group_outbox import (
    GroupWaiting,
    forget_in_group_outbox,
    walk_group_outbox,
)
from e2ecross.state.groups import find_state, put_group
from e2ecross.state.sent_ids import is_taken_id
from e2ecross.state.sent_to_groups import (
    find_sent_to_group,
    keep_group_id,
    keep_sent_to_group,
    was_sent_to_group,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import (
    encode_content,
)
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.envelope import EnvelopeCopies
from e2ecross.wire.group import GroupDestination, GroupId, Role
from e2ecross.wire.group_records import GroupState

__all__ = ["post_again", "post_into_group"]

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
        InvalidArgument: the message id was used for other content, or in another group, or for a
            message to somebody in this one.
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
        shown = plan_content(context, tx, draft, ready.recipients)
        _require_free_id(tx, outgoing, ready.recipients, now_ms)
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
        recipients = tuple(who_obeys(context, tx, kept.content, ready.recipients))
        ready = _Ready(ready.key, ready.destination, recipients, ready.problems)
        return _post(context, tx, outgoing, composed, ready, now_ms)


def _require_free_id(
    tx: Transaction, outgoing: OutgoingToGroup, recipients: Iterable[Address], now_ms: int
) -> None:
    """Refuse the id of a message that went to a recipient, who would be shown that one alone."""
    if outgoing.is_new:
        return
    conversations = {*recipients, *(each.user_id.device(PRIMARY) for each in recipients)}
    if is_taken_id(tx, conversations, outgoing.message_id, now_ms):
        raise InvalidArgument("message_id must be a new one: a message to a member has it")


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
        at, others = context.live.unreached.get(standing.group, (None, {}))
        problems = dict(others) if at == key.checked else {}
        return _Ready(key, destination_of(standing), tuple(granted), problems)
    held, problems = {*granted}, dict(plan.problems)
    for each in plan.devices:
        if each not in held:
            error = asked.unreachable.get(each)
            if error is None:
                return None
            problems[each] = error.code
    recipients = tuple([each for each in plan.devices if each in held])
    # The next message goes to all who have the key: to nobody else than this one.
    if {*problems.values()} <= _LASTING and held == {*recipients}:
        key = key.with_checked(checked_now(plan))
        context.live.unreached.pop(standing.group, None)
        if problems:
            context.live.unreached[standing.group] = (key.checked, problems)
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
