# SPDX-License-Identifier: Apache-2.0
"""Strangers, accepted and blocked accounts: what the user decides, and what follows for messages.

Rules:
- What the user decides holds on all devices of the account: the others are told, and the decision
  with the greatest number counts, whoever hears of it when.
- Writing to somebody accepts them. Where nothing was decided before, the copies tell the other own
  devices; else it is a decision itself, and a copy undoes none.
- Of what blocked accounts send, and of what strangers send beyond the bound, nothing is kept.
- A change of what stands with an account, and whether it may be sent device lists, is one commit.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.device.deciding import decision_transaction
from e2ecross.device.device_lists import targets_of
from e2ecross.device.group_signals import share_group
from e2ecross.errors import InvalidArgument
from e2ecross.state.accounts import NOTHING_KNOWN, find_account, find_list, put_account
from e2ecross.state.blob_ends import note_opened
from e2ecross.state.context import Context
from e2ecross.state.conversations import (
    ContactState,
    find_conversation,
    put_conversation,
    walk_all_conversations,
    walk_conversations,
)
from e2ecross.state.delivered import was_read_before
from e2ecross.state.inbox_message import addressee_of, end_of, frame_of
from e2ecross.state.message import DeviceMessage
from e2ecross.state.message_refs import ref_of
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.outbox import Backlog, BacklogName, forget_backlog, put_control
from e2ecross.state.receipts import forget_due, list_due
from e2ecross.state.transactions import own_view, peer_view, stripe_transaction
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import ConversationState, ConversationStates, Receipt, Typing
from e2ecross.wire.conversation_records import ConversationRecord
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.group import GroupId
from e2ecross.wire.limits import MAX_CONVERSATION_STATES, MESSAGE_ID_BYTES

__all__ = [
    "Admitted",
    "accept",
    "admit",
    "admit_in_group",
    "block",
    "is_heard",
    "list_requests",
    "note_sent_to",
    "note_typing",
    "put_states",
    "take_states",
    "unblock",
    "without_what_is_over",
]

_MAX_NUMBER: Final = 2**64 - 1
_MAX_TOLD: Final = 5_000
"""Conversations that a new device is told of."""
_TYPING_MS: Final = 60_000
"""Typing that was sent longer ago has waited in the mailbox: it is over. Clocks differ."""


# --- What the user decides ------------------------------------------------------------------


def accept(context: Context, user: UserId, *, receipts: bool = True, typing: bool = True) -> None:
    """Accept an account; see `Client.accept`."""
    record = ConversationRecord(
        ContactState.ACCEPTED, no_receipts=not receipts, no_typing=not typing
    )
    _decide(context, user, record)


def block(context: Context, user: UserId) -> None:
    """Block an account; see `Client.block`."""
    _decide(context, user, ConversationRecord(ContactState.BLOCKED))


def unblock(context: Context, user: UserId) -> None:
    """Make an account a stranger again; see `Client.unblock`."""
    _decide(context, user, ConversationRecord(ContactState.STRANGER))


def list_requests(context: Context) -> list[UserId]:
    """Return strangers of whom messages wait to be answered; see `Client.requests`."""
    found: list[UserId] = []
    for stripe in context.store.stripes_with(Table.CONVERSATIONS) if context.store.stripes else [0]:
        with stripe_transaction(context, stripe) as tx:
            found += [user for user, record in walk_conversations(tx) if record.waiting]
    return found


def note_sent_to(context: Context, tx: Transaction, user: UserId, *, is_copy: bool = False) -> None:
    """Accept an account because the user writes to it, in the commit of the message.

    Args:
        context: of the device.
        tx: the transaction that encrypts the message, or has received a copy of it; of a store
            with stripes the view of the account's.
        user: the account.
        is_copy: another own device has sent it: perhaps before the user has blocked the account.
    """
    if user == context.address.user_id:
        return
    known = find_conversation(tx, user)
    if known.state == ContactState.ACCEPTED:
        return
    if not known.number:  # the copies tell the other own devices
        _put(context, tx, user, replace(known, state=ContactState.ACCEPTED, waiting=0))
    elif not is_copy:  # a copy may be older than what was decided
        number = _next(known)
        decided = replace(known, state=ContactState.ACCEPTED, waiting=0, number=number)
        _put(context, tx, user, decided)
        # In a store with stripes the others are told of no message, nor what follows from one.
        if not tx.stripe_count():
            _tell(context, tx, [(user, decided)])


def put_states(context: Context, device: int) -> None:
    """Tell a device that was linked what the user has decided; at most of 5,000 conversations.

    Args:
        context: of device 1.
        device: the number of the other one.
    """
    with stripe_transaction(context) as tx:
        known = [
            (user, record)
            for user, record in walk_all_conversations(tx)
            if record.state or record.number
        ]
        known.sort(key=lambda each: each[1].state, reverse=True)  # blocked ones first
        _tell(context, tx, known[:_MAX_TOLD], device)


def take_states(context: Context, tx: Transaction, states: ConversationStates) -> None:
    """Follow what the user has decided on another own device, where nothing later is known."""
    for state in states.states:
        view = peer_view(context, tx, state.user)
        known = find_conversation(view, state.user)
        told = ConversationRecord(
            state.state,
            no_receipts=state.no_receipts,
            no_typing=state.no_typing,
            number=state.number,
        )
        if state.user != context.address.user_id and _order(told) > _order(known):
            waiting = 0 if told.state else known.waiting
            _put(context, view, state.user, replace(told, waiting=waiting))


def _decide(context: Context, user: UserId, record: ConversationRecord) -> None:
    if user == context.address.user_id:
        raise InvalidArgument("user must be another account than this device's own")
    with decision_transaction(context, user) as tx:
        known = find_conversation(tx, user)
        if replace(record, number=known.number, waiting=known.waiting) == known:
            return
        decided = replace(record, number=_next(known))
        _put(context, tx, user, decided)
        _tell(context, tx, [(user, decided)])


def _next(known: ConversationRecord) -> int:
    return min(known.number + 1, _MAX_NUMBER)


def _order(record: ConversationRecord) -> tuple[int, int, bool, bool]:
    """By which of two decisions counts; of two with one number that which gives less away."""
    return record.number, record.state, record.no_receipts, record.no_typing


def _put(context: Context, tx: Transaction, user: UserId, record: ConversationRecord) -> None:
    put_conversation(tx, user, record)
    account, is_accepted = find_account(tx, user), record.state == ContactState.ACCEPTED
    if (account or NOTHING_KNOWN).written is not is_accepted:
        put_account(tx, user, replace(account or NOTHING_KNOWN, written=is_accepted))
    if not is_accepted:
        _forget_what_waits(context, tx, user)


def _forget_what_waits(context: Context, tx: Transaction, user: UserId) -> None:
    """Let nothing leave for an account by itself any more; what the user has sent to it does."""
    forget_due(tx, [each for each in list_due(tx) if each.user == user])
    listed = find_list(tx, user)
    numbers = (PRIMARY,) if listed is None else tuple(each.device for each in listed.devices)
    for number in numbers:
        forget_backlog(tx, Backlog(BacklogName.REQUESTS, user.device(number)))
    for place in [each for each in context.live.typing if each[0].user_id == user]:
        context.live.typing.pop(place, None)


def _tell(
    context: Context,
    tx: Transaction,
    known: Sequence[tuple[UserId, ConversationRecord]],
    device: int | None = None,
) -> None:
    """Tell another own device, or all, how it stands with accounts."""
    own, view = context.address.user_id, own_view(context, tx)
    targets = targets_of(context, tx, own, context.clock())
    others = () if targets is None else tuple(targets.devices)
    states = [
        ConversationState(
            *(user, int(record.state)), record.no_receipts, record.no_typing, record.number
        )
        for user, record in known
    ]
    for start in range(0, len(states), MAX_CONVERSATION_STATES):
        told = ConversationStates(tuple(states[start : start + MAX_CONVERSATION_STATES]))
        for address in others:
            if device in (None, address.device):
                put_control(view, address, context.entropy.bytes(MESSAGE_ID_BYTES), told)


# --- What is handed over --------------------------------------------------------------------


class Admitted(NamedTuple):
    """A message that is handed over.

    Attributes:
        message: as it is kept in the inbox.
        conversation: how it stands with its sender; None of a copy from another own device.
    """

    message: DeviceMessage
    conversation: ConversationRecord | None


def admit(
    context: Context, tx: Transaction, message: DeviceMessage, now_ms: int
) -> Admitted | None:
    """Return a message, which has just been received, as it is handed over.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        message: what came; no second copy.
        now_ms: milliseconds since 1970.

    Returns:
        None: it counts as received, and that is all: its sender is blocked, or a stranger of whom
        enough waits; or it is a receipt that the app does not show.
    """
    user, known = message.sender.user_id, None
    if not message.own_copy:
        known = find_conversation(tx, user)
        if known.state == ContactState.BLOCKED:
            return None
    if isinstance(message.content, Receipt):
        if message.content.what == Receipt.READ:
            _note_opened(context, tx, user, message.content.message_ids, now_ms)
        shown = _shown(context, tx, user, message.content, known)
        if shown is None:
            return None
        message = replace(message, content=shown)
        if shown.group_id:  # the user has accepted the group
            return Admitted(replace(message, group=GroupId(shown.group_id)), known)
    is_own = user == context.address.user_id
    if known is not None and known.state == ContactState.STRANGER and not is_own:
        if known.waiting >= context.policy.request_messages:
            return None
        put_conversation(tx, user, replace(known, waiting=known.waiting + 1))
        message = replace(message, request=True)
    return Admitted(_as_shown(context, tx, message, now_ms), known)


def _note_opened(
    context: Context, tx: Transaction, user: UserId, message_ids: Sequence[bytes], now_ms: int
) -> None:
    """Note what was looked at; what is known of files is of stripe 0, and so later."""
    if tx.stripe_count():
        context.live.note_opened(user, message_ids)
    else:
        note_opened(tx, user, message_ids, now_ms)


def admit_in_group(
    context: Context, tx: Transaction, message: DeviceMessage, now_ms: int
) -> Admitted:
    """Return a message into a group, which has just been received, as it is handed over.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        message: what came; no second copy, and no receipt.
        now_ms: milliseconds since 1970.
    """
    known = None if message.own_copy else find_conversation(tx, message.sender.user_id)
    if known is not None and known.state == ContactState.BLOCKED:
        message = replace(message, blocked=True)
    return Admitted(_as_shown(context, tx, message, now_ms), known)


def is_heard(context: Context, tx: Transaction, user: UserId) -> bool:
    """Tell whether the app may hear of what an account sends, whatever that is."""
    known = find_conversation(tx, user)
    if known.state == ContactState.STRANGER and user != context.address.user_id:
        return known.waiting < context.policy.request_messages
    return known.state != ContactState.BLOCKED


def without_what_is_over(context: Context, message: DeviceMessage, now_ms: int) -> DeviceMessage:
    """Return a message without its content, if its time is over or it was to be viewed once.

    The latter of what the own user has sent from another device.
    """
    content = message.content
    frame = frame_of(content)
    if content is None or frame is None:
        return message
    end_ms = end_of(message.sent_at_ms, frame.expiry, own_copy=message.own_copy)
    if end_ms is not None and now_ms > end_ms:
        return replace(message, content=None, expired=True)
    if message.own_copy and frame.view_once:
        addressee = addressee_of(context.address.user_id, message)
        where = (message.sender, addressee, message.message_id, message.sent_at_ms)
        ref = ref_of(*where, content)
        return replace(message, content=None, ref=ref, expiry=frame.expiry, view_once=True)
    return message


def note_typing(
    context: Context, tx: Transaction, sender: Address, typing: Typing, sent_at_ms: int
) -> None:
    """Note for the next `receive` that a contact has begun to write, or stopped.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        sender: the device that tells it.
        typing: what it tells.
        sent_at_ms: when it was sent by the sender's clock, milliseconds since 1970.
    """
    user = sender.user_id
    is_over = abs(context.clock() - sent_at_ms) > _TYPING_MS
    if is_over or Capability.TYPING not in context.policy.capabilities:
        return
    state, group = find_conversation(tx, user).state, None
    is_shown = state == ContactState.ACCEPTED
    if typing.group_id:
        group = GroupId(typing.group_id)
        is_shown = state != ContactState.BLOCKED and share_group(context, tx, group, user)
    if is_shown:
        code = "on" if typing.on else "off"
        notice = Notice(NoticeKind.TYPING, user, (sender.device,), code=code, group=group)
        context.live.typing[sender, group] = notice


def _as_shown(
    context: Context, tx: Transaction, message: DeviceMessage, now_ms: int
) -> DeviceMessage:
    """Return a message without its content where there is nothing to be looked at any more."""
    if _was_opened(context, tx, message, now_ms):
        message = replace(message, content=None, expired=True)
    return without_what_is_over(context, message, now_ms)


def _was_opened(context: Context, tx: Transaction, message: DeviceMessage, now_ms: int) -> bool:
    """Tell whether another own device has opened what may be looked at once, before it came."""
    frame = frame_of(message.content)
    names = (message.sender, message.message_id, now_ms)
    return (
        frame is not None
        and frame.view_once
        and not message.own_copy
        and was_read_before(tx, context.policy, *names)
    )


def _shown(
    context: Context,
    tx: Transaction,
    user: UserId,
    receipt: Receipt,
    known: ConversationRecord | None,
) -> Receipt | None:
    """Return a receipt as the app is shown it: who tells nobody what was read is not told, either.

    Of what another own device has sent nothing is known of a conversation, and nothing is hidden.
    """
    if Capability.RECEIPTS not in context.policy.capabilities:
        return None
    if receipt.group_id and not share_group(context, tx, GroupId(receipt.group_id), user):
        return None
    is_told = known is None or (context.policy.send_read_receipts and not known.no_receipts)
    return receipt if is_told else replace(receipt, what=Receipt.DELIVERED)
