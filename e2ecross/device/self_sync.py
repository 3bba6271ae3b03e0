# SPDX-License-Identifier: Apache-2.0
"""What a device tells the other devices of its own account, beside copies of what it sends.

Rules:
- Whose keys are accepted goes from device 1 to the others, never the other way: a device that was
  linked can vouch for nobody.
- What was read is told own devices; whether its sender hears of it is another matter.
- All of it is put into the outbox, and goes with the next call that reaches the back end.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from e2ecross.address import MAX_DEVICE, Address, UserId
from e2ecross.arguments import require_list, require_type, require_whole_number
from e2ecross.device.deciding import decision_transaction
from e2ecross.device.device_lists import targets_of
from e2ecross.device.own_list import count_change, put_name
from e2ecross.device.receipts import note_read
from e2ecross.device.sending import require_content
from e2ecross.errors import InvalidArgument, NotPrimary
from e2ecross.state.accounts import (
    find_list,
    find_own_account,
    put_own_account,
)
from e2ecross.state.context import Context, address_from_key
from e2ecross.state.inbox import erase_in_inbox
from e2ecross.state.inbox_erasure import find_once
from e2ecross.state.message import Message
from e2ecross.state.outbox import put_control
from e2ecross.state.transactions import group_by_stripe, own_view, stripe_transaction
from e2ecross.state.trust import find_identity, require_identity
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.capabilities import announced_by
from e2ecross.wire.content import (
    ControlContent,
    DeviceRequest,
    History,
    HistoryItem,
    Pin,
    Pins,
    ReadMark,
    ReadMarks,
    encode_content,
)
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.limits import MAX_READ_MARKS, MESSAGE_ID_BYTES

__all__ = [
    "HISTORY_MS",
    "announce_capabilities",
    "mark_opened",
    "mark_read",
    "note_seen",
    "put_pin",
    "put_pins",
    "request_leave",
    "share_history",
]

HISTORY_MS: Final = 24 * 60 * 60 * 1000
"""How long after its linking a device is handed what was sent and received before."""
_DAY_MS: Final = 24 * 60 * 60 * 1000
_MAX_ACCOUNTS: Final = 5_000
"""Accounts whose keys a new device is told."""
_PINS_AT_ONCE: Final = 450
"""As many fit into one message, however long their names are."""
_MAX_HISTORY_ITEMS: Final = 10_000
_MAX_HISTORY_BYTES: Final = 16 * 1024 * 1024
_HISTORY_AT_ONCE: Final = 48 * 1024
"""Bytes of history in one message, but for an item that is larger alone."""
_COMMITTED_AT_ONCE: Final = 16
"""Messages of history in one transaction: others who use the store wait for some 20 ms."""


def put_pins(context: Context, device: int) -> None:
    """Tell a device that was linked whose account keys are accepted here: the newest 5,000.

    Args:
        context: of device 1.
        device: the number of the other one.
    """
    with stripe_transaction(context) as tx:
        pins = heapq.nlargest(_MAX_ACCOUNTS, _walk_pins(context, tx), key=lambda each: each[0])
        for start in range(0, len(pins), _PINS_AT_ONCE):
            part = pins[start : start + _PINS_AT_ONCE]
            _put(context, tx, [_own(context, device)], Pins(tuple(pin for _, pin in part)))


def put_pin(context: Context, tx: Transaction, address: Address) -> None:
    """Tell the other own devices of a key that the user has accepted or verified, on device 1.

    Args:
        context: of the device; nothing is told by another than device 1.
        tx: the transaction that has accepted or verified it; see `decision_transaction`.
        address: whose it is; another than device 1 stands for itself alone, and nothing is told.
    """
    user = address.user_id
    if (context.address.device, address.device) != (PRIMARY, PRIMARY):
        return
    if user != context.address.user_id:
        identity = require_identity(tx, address)
        pin = Pin(user, identity.identity_key, identity.verified)
        _put(context, tx, _other_devices(context, tx), Pins((pin,)))


def mark_read(context: Context, messages: Iterable[Message]) -> None:
    """Tell who sent messages, and the other own devices, that they were read.

    See `Client.mark_read`.
    """
    listed = require_list("messages", messages)
    for message in listed:
        require_type("messages", message, Message)
    read = [message for message in listed if not message.view_once]
    users = [message.sender.user_id for message in read]
    for of_stripe in group_by_stripe(context, users).values():
        part = [message for message in read if message.sender.user_id in of_stripe]
        with decision_transaction(context, of_stripe[0]) as view:
            _mark_read(context, view, part)


def mark_opened(context: Context, message: Message) -> None:
    """The same of a message that was looked at once; of it nothing is left in the inbox.

    See `Client.opened`.
    """
    require_type("message", message, Message)
    if not message.view_once or message.sender.user_id == context.address.user_id:
        raise InvalidArgument("message must be one that others have sent to be viewed once")
    with decision_transaction(context, message.sender.user_id) as tx:
        number = find_once(tx, message.sender, message.message_id)
        if number is not None:
            erase_in_inbox(context, tx, number)
        _mark_read(context, tx, [message])


def _mark_read(context: Context, tx: Transaction, messages: Sequence[Message]) -> None:
    own = context.address.user_id
    marks: dict[UserId, dict[ReadMark, None]] = {}
    for message in messages:
        user = message.sender.user_id
        if user != own:
            mark = ReadMark(message.sender, message.message_id)
            marks.setdefault(user, {})[mark] = None
    devices = _other_devices(context, tx)
    for of_user in map(tuple, marks.values()):
        for start in range(0, len(of_user), MAX_READ_MARKS):
            part = of_user[start : start + MAX_READ_MARKS]
            _put(context, tx, devices, ReadMarks(part))
    note_read(context, tx, messages, context.clock())


def share_history(context: Context, device: int, messages: Iterable[Message]) -> None:
    """Hand messages on to a device that was linked; see `Client.share_history`."""
    require_whole_number("device", device, PRIMARY + 1, MAX_DEVICE)
    parts = _history_parts(context.address.user_id, require_list("messages", messages))
    if context.address.device != PRIMARY:
        raise NotPrimary("only device 1 of an account hands history on to another one")
    for start in range(0, len(parts), _COMMITTED_AT_ONCE):
        with stripe_transaction(context) as tx:
            _require_new(context, tx, device)
            for part in parts[start : start + _COMMITTED_AT_ONCE]:
                _put(context, tx, [_own(context, device)], History(tuple(part)))


def request_leave(context: Context) -> None:
    """Ask device 1 to take this device out of the account's list; see `Client.leave`.

    Raises:
        InvalidArgument: this is device 1.
    """
    if context.address.device == PRIMARY:
        raise InvalidArgument("device 1 is the account's own: only another device can leave it")
    with stripe_transaction(context) as tx:
        request = DeviceRequest(unlink=True, capabilities=b"")
        _put(context, tx, [_own(context, PRIMARY)], request)


def announce_capabilities(context: Context) -> None:
    """Ask device 1 to have the list say what this device understands, where it says otherwise.

    At most four times a day; until the new list has come it is asked for again.
    """
    number = context.address.device
    with stripe_transaction(context) as tx:
        listed = find_list(tx, context.address.user_id)
        entry = None if listed is None else listed.find(number)
        capabilities = announced_by(context.policy.capabilities, groups=not context.store.stripes)
        if number == PRIMARY or entry is None or entry.capabilities == capabilities:
            return
        name = count_change(context, tx, number)
        if name is not None:
            request = DeviceRequest(unlink=False, capabilities=capabilities)
            _put(context, tx, [_own(context, PRIMARY)], request)
            put_name(tx, name)


def note_seen(context: Context, tx: Transaction, device: int, now_ms: int) -> None:
    """Note on device 1, once a day, that a message came from another own device."""
    own = find_own_account(tx)
    if own is None:
        return
    names = tuple(
        each._replace(last_seen_ms=now_ms)
        if each.device == device and not 0 <= now_ms - each.last_seen_ms < _DAY_MS
        else each
        for each in own.names
    )
    if names != own.names:
        put_own_account(tx, replace(own, names=names))


def _put(
    context: Context, tx: Transaction, devices: Iterable[Address], content: ControlContent
) -> None:
    """Put what own devices are told into the outbox."""
    view = own_view(context, tx)
    for device in devices:
        put_control(view, device, context.entropy.bytes(MESSAGE_ID_BYTES), content)


def _own(context: Context, device: int) -> Address:
    return Address(context.address.app, context.address.user, device)


def _other_devices(context: Context, tx: Transaction) -> Sequence[Address]:
    targets = targets_of(context, tx, context.address.user_id, context.clock())
    return () if targets is None else tuple(targets.devices)


def _walk_pins(context: Context, tx: Transaction) -> Iterator[tuple[int, Pin]]:
    """Walk over when keys of accounts were first seen, and those keys."""
    own = context.address.user_id
    for stripe, place, _, _ in tx.scan_all(Table.REMOTE_IDENTITIES):
        address = address_from_key(place)
        if address.device != PRIMARY or address.user_id == own:
            continue
        identity = find_identity(tx.at(stripe), address)
        # Nobody has met who was only asked for a message that could not be read.
        if identity is not None and not identity.asked_at_ms:
            pin = Pin(address.user_id, identity.identity_key, identity.verified)
            yield identity.first_seen_at_ms, pin


def _history_parts(own: UserId, messages: Sequence[Message]) -> list[list[HistoryItem]]:
    """Put messages together, as many as go into one message each."""
    if len(messages) > _MAX_HISTORY_ITEMS:
        raise InvalidArgument(f"messages must be at most {_MAX_HISTORY_ITEMS}, not {len(messages)}")
    parts: list[list[HistoryItem]] = []
    total = room = 0
    for message in messages:
        item = _history_item(own, message)
        if item is None:
            continue
        size = len(encode_content(History((item,)))[1])
        total += size
        if total > _MAX_HISTORY_BYTES:
            raise InvalidArgument(f"messages have more than {_MAX_HISTORY_BYTES} bytes together")
        if size > room:
            parts.append([])
            room = _HISTORY_AT_ONCE
        parts[-1].append(item)
        room -= size
    return parts


def _history_item(own: UserId, message: Message) -> HistoryItem | None:
    """None of what was said in groups, may be looked at once, or of which nothing is left."""
    require_type("messages", message, Message)
    content = message.framed or message.content
    if message.group is not None or message.view_once or content is None:
        return None
    require_content(content)
    kind, body = encode_content(content)
    sender, peer = message.sender, message.peer
    if sender.user_id not in (own, peer):
        raise InvalidArgument(f"messages has one of {sender} in a conversation with {peer}")
    return HistoryItem(sender, peer, message.message_id, message.sent_at_ms, kind, body)


def _require_new(context: Context, tx: Transaction, device: int) -> None:
    """Refuse to hand history on to what is no device that was linked lately."""
    listed = find_list(tx, context.address.user_id)
    own = find_own_account(tx)
    if listed is None or own is None or listed.find(device) is None:
        raise InvalidArgument(f"device {device} is no other device of this account")
    linked = [each.linked_at_ms for each in own.names if each.device == device]
    if not any(0 <= context.clock() - each < HISTORY_MS for each in linked):
        raise InvalidArgument(f"device {device} was not linked within the last 24 hours")
