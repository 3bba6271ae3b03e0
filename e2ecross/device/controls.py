# SPDX-License-Identifier: Apache-2.0
"""What clients tell each other: what a device does about each kind, in the commit that received it.

Rules:
- From somebody who may not, it counts as received, and nothing else: nothing changes, and the app
  hears nothing.
- A device of the own account is one that the own list has, with the key that its message came
  under. Most that it says counts only from device 1, or only at device 1.
- A list is judged by its signatures, whoever sends it. Of accounts that neither end belongs to,
  only own devices send lists, and only where the account's key is accepted already: a device that
  was linked can vouch for nobody.
"""

from contextlib import suppress
from typing import Final

from e2ecross.address import Address
from e2ecross.device.accepting import follow_identity
from e2ecross.device.answering import answer_request
from e2ecross.device.conversations import note_typing, take_states, without_what_is_over
from e2ecross.device.device_lists import judge_list, take_list
from e2ecross.device.group_controls import GroupControl, take_group_control
from e2ecross.device.own_list import request_capabilities, request_unlink
from e2ecross.device.receiving import Received
from e2ecross.device.self_sync import HISTORY_MS
from e2ecross.errors import RemoteError
from e2ecross.protocol.device_list import Verdict, is_listed, verify_list
from e2ecross.state.accounts import find_account, find_list, find_own_account, note_has_list
from e2ecross.state.context import Context
from e2ecross.state.conversations import is_blocked
from e2ecross.state.delivered import note_delivered, note_read_before, was_delivered
from e2ecross.state.inbox import erase_in_inbox, put_message, put_notice
from e2ecross.state.inbox_erasure import find_once
from e2ecross.state.inbox_message import frame_of
from e2ecross.state.message import Message
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.retry_budget import spend_change
from e2ecross.state.transactions import peer_view, stripe_transaction
from e2ecross.state.trust import (
    accept_identity,
    find_identity,
    mark_verified,
    put_listed_identity,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import (
    ControlContent,
    ConversationStates,
    DeviceListPush,
    DeviceRequest,
    History,
    HistoryItem,
    Pin,
    Pins,
    ReadMarks,
    RetryRequest,
    Typing,
    decode_content,
    is_of_users,
)
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList

__all__ = ["is_of_own_device", "take_control", "take_own_lists"]

_HAS_EFFECT: Final = frozenset(
    (Verdict.NEWER, Verdict.RESET, Verdict.FORK, Verdict.BROKEN_CHAIN, Verdict.CONFLICT)
)
"""What is kept or noted of a list that is held against another one."""


def take_control(
    context: Context, tx: Transaction, received: Received, content: ControlContent, now_ms: int
) -> None:
    """Do what another client has told this one, if it may.

    Args:
        context: of the device.
        tx: the transaction that has received it.
        received: the message that it came in.
        content: what was told.
        now_ms: milliseconds since 1970.
    """
    sender = received.payload.sender
    if isinstance(content, RetryRequest):
        if not is_blocked(tx, sender.user_id):
            answer_request(context, tx, received, content)
    elif isinstance(content, Typing):
        note_typing(context, tx, sender, content, received.payload.sent_at_ms)
    elif isinstance(content, DeviceListPush):
        for data in content.device_lists:
            with suppress(RemoteError):  # each is judged by itself
                _take_pushed_list(context, tx, received, data, now_ms)
    elif isinstance(content, GroupControl):
        if not context.store.stripes:  # else there are no groups, and it counts as received
            take_group_control(context, tx, received, content, now_ms)
    elif not is_of_own_device(context, tx, received):
        return
    elif isinstance(content, ConversationStates):
        take_states(context, tx, content)
    elif isinstance(content, ReadMarks):
        _tell_read(context, tx, content, now_ms)
    elif isinstance(content, DeviceRequest):
        if context.address.device == PRIMARY:
            _take_request(context, tx, sender, content, now_ms)
    elif sender.device != PRIMARY:
        return
    elif isinstance(content, Pins):
        for pin in content.pins:
            _take_pin(context, tx, pin, now_ms)
    else:
        _take_history(context, tx, content, now_ms)


def is_of_own_device(context: Context, tx: Transaction, received: Received) -> bool:
    """Tell whether a message came from another device of the own account."""
    sender = received.payload.sender
    if sender.user_id != context.address.user_id:
        return False
    own = find_list(tx, sender.user_id)
    return own is not None and is_listed(own, sender.device, received.identity_key)


def take_own_lists(context: Context) -> None:
    """Take in lists of the own account that contacts have pushed, in a store with stripes."""
    own, now_ms = context.address.user_id, context.clock()
    for data in list(context.live.own_lists):
        with stripe_transaction(context, 0) as tx, suppress(RemoteError):
            signed = SignedDeviceList.decode(data)
            record = find_account(tx, own)
            verify_list(signed, None if record is None else record.held)
            take_list(context, tx, own, signed, now_ms)
        context.live.own_lists.pop(data, None)


def _take_pushed_list(
    context: Context, tx: Transaction, received: Received, data: bytes, now_ms: int
) -> None:
    signed = SignedDeviceList.decode(data)
    user, own = signed.list.user, context.address.user_id
    sender = received.payload.sender.user_id
    if user not in (own, sender) and not is_of_own_device(context, tx, received):
        return
    at_user = peer_view(context, tx, user)
    if user not in (own, sender):
        is_known = find_identity(at_user, Address(user.app, user.user, PRIMARY)) is not None
        if not is_known:
            return
    record = find_account(at_user, user)
    verify_list(signed, None if record is None else record.held)
    if user != own or sender == own or not context.store.stripes:
        take_list(context, at_user, user, signed, now_ms)
    elif judge_list(context, at_user, user, signed) in _HAS_EFFECT:
        # The own account's rows are not of the sender's stripe. If it is lost now, it comes again.
        context.live.note_own_list(data)


def _take_pin(context: Context, tx: Transaction, pin: Pin, now_ms: int) -> None:
    """Accept an account's key, as device 1 has; one that was not seen here is ignored.

    The key stands for device 1 of that account; for any other the account's list has to.
    """
    user, key = pin.user, pin.account_key
    if user == context.address.user_id:
        return
    at_user = peer_view(context, tx, user)
    primary = Address(user.app, user.user, PRIMARY)
    known = find_identity(at_user, primary)
    if known is None:
        put_listed_identity(at_user, primary, key, now_ms)
    elif known.pending_key == key:
        accept_identity(at_user, primary, key, now_ms)
        follow_identity(context, at_user, primary, key)
        put_notice(context, tx, Notice(NoticeKind.IDENTITY_CHANGED, user, (PRIMARY,), key))
    elif known.identity_key != key or known.pending_key is not None:
        return
    note_has_list(at_user, user)
    if pin.verified:
        mark_verified(at_user, primary, key)


def _take_history(context: Context, tx: Transaction, history: History, now_ms: int) -> None:
    own = find_own_account(tx)
    if own is None or not own.linked_at_ms or not 0 <= now_ms - own.linked_at_ms < HISTORY_MS:
        return
    for item in history.items:
        with suppress(RemoteError):  # what does not decode is nothing to be shown
            _take_item(context, tx, item, now_ms)


def _take_item(context: Context, tx: Transaction, item: HistoryItem, now_ms: int) -> None:
    sender, own = item.sender, context.address.user_id
    content = decode_content(item.content_kind, item.content_body)
    if sender == context.address or sender.user_id not in (own, item.peer):
        return
    if not is_of_users(content):
        return
    names = (sender, item.message_id, now_ms, item.peer if sender.user_id == own else None)
    at_sender = peer_view(context, tx, sender.user_id)
    if was_delivered(at_sender, context.policy, *names):
        return
    note_delivered(at_sender, context.policy, *names)
    message = Message(
        sender,
        item.message_id,
        item.sent_at_ms,
        content,
        identity_changed=False,
        peer=item.peer,
        own_copy=sender.user_id == own,
        historical=True,
    )
    frame = frame_of(content)
    if frame is None or not frame.view_once:  # else device 1 should not have it any more
        put_message(context, tx, without_what_is_over(context, message, now_ms))


def _tell_read(context: Context, tx: Transaction, marks: ReadMarks, now_ms: int) -> None:
    user = marks.messages[0].sender.user_id
    if user != context.address.user_id:
        messages = tuple(mark.message_id for mark in marks.messages)
        put_notice(context, tx, Notice(NoticeKind.READ_ELSEWHERE, user, messages=messages))
        at_user = peer_view(context, tx, user)
        for mark in marks.messages:
            number = find_once(at_user, mark.sender, mark.message_id)
            if number is not None:
                erase_in_inbox(context, at_user, number)
            else:  # it may come later, and be one that may be looked at once
                note_read_before(at_user, context.policy, mark.sender, mark.message_id, now_ms)


def _take_request(
    context: Context, tx: Transaction, sender: Address, request: DeviceRequest, now_ms: int
) -> None:
    if request.unlink:
        request_unlink(context, tx, sender.device)
    elif spend_change(tx, sender, now_ms):
        request_capabilities(context, tx, sender.device, request.capabilities)
