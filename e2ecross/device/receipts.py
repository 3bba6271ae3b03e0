# SPDX-License-Identifier: Apache-2.0
"""Receipts and typing: which become due, and how they leave.

Rules:
- They go to accounts that the user has accepted, and there to devices that announce them; of what
  else comes, nothing makes this device send one. Of a message into a group its author alone hears,
  if the user has accepted the group (`group_signals.py`).
- That a message came is told by device 1 alone, that it was read by the device where it was: nobody
  sees how many devices there are.
- Several go together, at a time of their own. In the commit that puts them into the outbox their
  rows move to the shelf.
- They are not kept to be sent again: a receipt that is lost is lost.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.device.conversations import Admitted
from e2ecross.device.device_lists import targets_by
from e2ecross.device.group_signals import is_small, others_in, share_group
from e2ecross.device.hints import carried_list, hints_by, waits_for_decision
from e2ecross.device.sending import Saying, encrypt_content
from e2ecross.errors import LocalError
from e2ecross.state.accounts import find_account
from e2ecross.state.context import Context
from e2ecross.state.conversations import ContactState, find_conversation
from e2ecross.state.epoch import WitnessedTransaction, read_epoch
from e2ecross.state.inbox_message import is_unsupported
from e2ecross.state.message import DeviceMessage, Message
from e2ecross.state.outbox import put_control
from e2ecross.state.receipts import (
    DueReceipt,
    count_due,
    forget_due,
    list_due,
    note_due,
    note_sent,
    was_sent,
)
from e2ecross.state.transactions import own_view, some_stripes, stripe_transaction
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.capabilities import Capability, decode_capabilities
from e2ecross.wire.content import AnyContent, Bytes, Framed, Media, Options, Receipt, Text, Typing
from e2ecross.wire.content.receipt import MAX_RECEIPT_IDS
from e2ecross.wire.conversation_records import ConversationRecord
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.group import GroupId
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = [
    "encrypt_typing",
    "note_arrived",
    "note_read",
    "note_sent_elsewhere",
    "put_receipts",
]

_LEAST_MS: Final = 2_000
_RANDOM_MS: Final = 3_000
"""How long after a message a receipt for it goes: others join it, and nobody sees the moment."""
_LOOK_MS: Final = 60_000
"""After that it is looked up what is due: another process may have noted it."""
_REMEMBERED: Final = 256
"""Capabilities that need not be read for each message: public values of some 20 bytes."""
_SHOWN: Final = (Text, Bytes, Media, Options)


# --- What becomes due -----------------------------------------------------------------------


def note_arrived(
    context: Context,
    tx: Transaction,
    admitted: Admitted,
    account: AccountRecord | None,
    now_ms: int,
) -> None:
    """Note that its sender is to be told that a message came.

    Args:
        context: of the device.
        tx: the transaction that keeps the message.
        admitted: the message.
        account: what is known of its sender's account.
        now_ms: milliseconds since 1970.
    """
    (message, conversation), policy = admitted, context.policy
    if context.address.device != PRIMARY or not policy.send_delivered_receipts:
        return
    if conversation is None or not _may_be_told(context, tx, message, conversation):
        return
    if message.group is not None and not is_small(tx, message.group):
        return
    content = message.content
    if content is None or is_unsupported(content, policy.capabilities):
        return
    shown = content.content if isinstance(content, Framed) else content
    if isinstance(shown, _SHOWN) and _announces(
        account, message.sender.device, Capability.RECEIPTS
    ):
        _note(context, tx, [message], Receipt.DELIVERED, now_ms)


def note_read(context: Context, tx: Transaction, messages: Iterable[Message], now_ms: int) -> None:
    """Note that the senders of messages are to be told that they were read.

    Args:
        context: of the device.
        tx: the transaction that tells the other own devices.
        messages: as they were handed over; of senders of one stripe.
        now_ms: milliseconds since 1970.
    """
    if not context.policy.send_read_receipts:
        return
    wanted = [message for message in messages if _wants_read(context, tx, message)]
    _note(context, tx, wanted, Receipt.READ, now_ms)


def _wants_read(context: Context, tx: Transaction, message: Message) -> bool:
    """Whether the sender of a message is to be told that it was read."""
    user = message.sender.user_id
    if message.historical or user == context.address.user_id:
        return False
    if not isinstance(message.content, _SHOWN):
        return False
    if not _may_be_told(context, tx, message, find_conversation(tx, user)):
        return False
    return _announces(find_account(tx, user), message.sender.device, Capability.RECEIPTS)


def _may_be_told(
    context: Context, tx: Transaction, message: DeviceMessage, conversation: ConversationRecord
) -> bool:
    """Whether the user lets the sender of a message hear what becomes of it."""
    if conversation.no_receipts or conversation.state == ContactState.BLOCKED:
        return False
    if message.group is None:
        return conversation.state == ContactState.ACCEPTED
    return share_group(context, tx, message.group, message.sender.user_id)


def note_sent_elsewhere(
    tx: Transaction, user: UserId, content: AnyContent | None, now_ms: int
) -> None:
    """Note that another own device has sent a receipt to an account."""
    if isinstance(content, Receipt):
        what, group_id = content.what, content.group_id
        receipts = [DueReceipt(0, user, each, what, group_id) for each in content.message_ids]
        note_sent(tx, [each for each in receipts if not was_sent(tx, each, now_ms)], now_ms)


def _note(
    context: Context, tx: Transaction, messages: Iterable[DeviceMessage], what: int, now_ms: int
) -> None:
    found = []
    for message in messages:
        after_ms = _LEAST_MS + int.from_bytes(context.entropy.bytes(4)) % (_RANDOM_MS + 1)
        user, message_id = message.sender.user_id, message.message_id
        group_id = b"" if message.group is None else message.group.value
        receipt = DueReceipt(now_ms + after_ms, user, message_id, what, group_id)
        if not was_sent(tx, receipt, now_ms):
            found.append(receipt)
            context.live.note_receipt(receipt.due_at_ms, context.stripe_of(user))
    live = context.live
    if found:
        stripe = context.stripe_of(found[0].user)  # of all of them
        there = live.receipts_due.get(stripe)
        live.receipts_due[stripe] = note_due(tx, found, count_due(tx) if there is None else there)


# --- How it leaves --------------------------------------------------------------------------


def put_receipts(context: Context, *, is_thorough: bool = False) -> list[int]:
    """Put the receipts that are due into the outbox.

    Args:
        context: of the device.
        is_thorough: look also where nothing is known to be due.

    Returns:
        The stripes where something may have been put there.
    """
    now_ms = context.clock()
    stripes = list(_stripes_due(context, now_ms, is_thorough=is_thorough))
    for stripe in stripes:
        _put_of_stripe(context, stripe, now_ms)
    return stripes


def _stripes_due(context: Context, now_ms: int, *, is_thorough: bool) -> Iterable[int]:
    """Return the stripes where something may be due."""
    known = context.live.receipts_at_ms
    later = {stripe for stripe, at_ms in known.items() if 0 < at_ms - now_ms <= _LOOK_MS}
    if not context.store.stripes:
        return (0,) if is_thorough or 0 not in later else ()
    due = known.keys() - later
    return sorted(due.union(some_stripes(context, Table.RECEIPTS)) if is_thorough else due)


def _put_of_stripe(context: Context, stripe: int, now_ms: int) -> None:
    live = context.live
    with stripe_transaction(context, stripe) as tx:
        later: list[DueReceipt] = []
        parts: dict[tuple[UserId, int, bytes], list[DueReceipt]] = {}
        for receipt in list_due(tx):
            # A time far after now is of a clock that was wrong.
            if now_ms < receipt.due_at_ms <= now_ms + _LEAST_MS + _RANDOM_MS:
                later.append(receipt)
            else:
                about = (receipt.user, receipt.what, receipt.group_id)
                parts.setdefault(about, []).append(receipt)
        for (user, what, group_id), due in parts.items():
            later += _put(context, tx, user, what, group_id, due, now_ms)
    if stripe and not later:
        live.receipts_at_ms.pop(stripe, None)
        live.receipts_due.pop(stripe, None)
        return
    # What has to wait although it is due is not looked at with each call.
    next_ms = min((each.due_at_ms for each in later), default=now_ms + _LOOK_MS)
    live.receipts_at_ms[stripe] = max(next_ms, now_ms + _LEAST_MS)
    live.receipts_due[stripe] = len(later)


def _put(
    context: Context,
    tx: Transaction,
    user: UserId,
    what: int,
    group_id: bytes,
    due: list[DueReceipt],
    now_ms: int,
) -> list[DueReceipt]:
    """Put receipts of one kind for one account into the outbox; returns those that have to wait."""
    by_id = {each.message_id: each for each in due if not was_sent(tx, each, now_ms)}
    if group_id and not share_group(context, tx, GroupId(group_id), user):
        by_id = {}
    devices = list(_devices(context, tx, user, Capability.RECEIPTS, now_ms)) if by_id else []
    if not devices:
        forget_due(tx, due)
        return []
    ids = sorted(by_id)
    groups = [ids[at : at + MAX_RECEIPT_IDS] for at in range(0, len(ids), MAX_RECEIPT_IDS)]
    allowed = context.live.spend_receipts(user, len(groups), now_ms)
    if not tx.stripe_count():  # else no other own device hears of what is sent
        devices += _devices(context, tx, context.address.user_id, None, now_ms)
    for group in groups[:allowed]:
        receipt = Receipt(what, tuple(group), group_id)
        message_id = context.entropy.bytes(MESSAGE_ID_BYTES)
        for device in devices:
            peer = None if device.user_id == user else user
            put_control(tx, device, message_id, receipt, peer=peer)
        note_sent(tx, (by_id[each] for each in group), now_ms)
    waiting = {each for group in groups[allowed:] for each in group}
    forget_due(tx, (each for each in due if each.message_id not in waiting))
    return [each for each in due if each.message_id in waiting]


def encrypt_typing(context: Context, to: UserId | GroupId, *, on: bool) -> tuple[int, list[bytes]]:
    """Encrypt for the devices of a contact, or of a group's members, that the user is typing.

    Nothing is kept.

    Args:
        context: of the device.
        to: to whom the user is typing.
        on: is typing; else no more.

    Returns:
        The epoch to tell the back end, of the contact's stripe, and envelopes; none where it may
        not be told, or no device can be.

    Raises:
        NotInGroup: the group is not known here.
    """
    envelopes: list[bytes] = []
    group_id = to.value if isinstance(to, GroupId) else b""
    now_ms, content = context.clock(), Typing(on, group_id)
    if Capability.TYPING not in context.policy.capabilities:
        return 0, envelopes
    stripe = 0 if isinstance(to, GroupId) else context.stripe_of(to)
    with WitnessedTransaction(context, stripe) as tx:
        devices = [
            device
            for user in _told_of_typing(context, tx, to)
            for device in _devices(context, tx, user, Capability.TYPING, now_ms)
        ]
        if not devices or not context.live.may_tell_typing(to, now_ms):
            return 0, envelopes
        own = find_account(own_view(context, tx), context.address.user_id)
        carried = carried_list(context, tx)
        message_id = context.entropy.bytes(MESSAGE_ID_BYTES)
        for device in devices:
            saying = Saying(hints_by(own, find_account(tx, device.user_id)), None, carried)
            try:
                envelope = encrypt_content(context, tx, device, content, message_id, now_ms, saying)
            except LocalError:  # no session, or a key that the user has to decide about
                continue
            envelopes.append(envelope.encode())
        return read_epoch(tx), envelopes


def _told_of_typing(context: Context, tx: Transaction, to: UserId | GroupId) -> Iterator[UserId]:
    """Walk over the accounts that may be told that the user is typing there."""
    users = others_in(context, tx, to) if isinstance(to, GroupId) else [to]
    for user in users:
        conversation = find_conversation(tx, user)
        is_accepted = conversation.state == ContactState.ACCEPTED
        if isinstance(to, GroupId):
            is_accepted = conversation.state != ContactState.BLOCKED
        if is_accepted and not conversation.no_typing:
            yield user


def _devices(
    context: Context, tx: Transaction, user: UserId, capability: Capability | None, now_ms: int
) -> Iterator[Address]:
    """Walk over devices of an account that are sent to, and announce what is wanted."""
    account = find_account(tx, user)
    found = targets_by(context, user, account, now_ms)
    for device in () if found is None else found.devices:
        is_wanted = capability is None or _announces(account, device.device, capability)
        if is_wanted and not waits_for_decision(tx, device):
            yield device


def _announces(account: AccountRecord | None, device: int, capability: Capability) -> bool:
    """Whether the accepted list of an account says that of one of its devices."""
    held = None if account is None else account.held
    listed = None if held is None else held.list.find(device)
    return listed is not None and capability in _decode(listed.capabilities)


@lru_cache(_REMEMBERED)
def _decode(data: bytes) -> frozenset[int]:
    return decode_capabilities(data)
