# SPDX-License-Identifier: Apache-2.0
"""The list of the own account's devices, at device 1: what changes it.

Rules:
- One call, one transaction, one list that follows the one held (`list_signing.py`).
- A device gets in by its own consent, and goes when the user, or that device, says so; or when it
  was left halfway.
- Which devices stay after a restore, or against somebody else who signs lists, the user says.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from e2ecross.address import MAX_DEVICE
from e2ecross.arguments import require_list, require_whole_number
from e2ecross.device.accepting import keys_by_number
from e2ecross.device.list_signing import (
    is_clock_set,
    may_sign,
    own_entry,
    require_held,
    require_primary,
    sign_next,
)
from e2ecross.errors import (
    DevicesConflict,
    InvalidArgument,
    LinkFailed,
)
from e2ecross.protocol.device_list import is_listed, verify_consent
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_list,
    find_own_account,
    put_own_account,
)
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.transactions import reading_transaction
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import DeviceName, NewDevice, OwnAccountRecord
from e2ecross.wire.device_list import (
    PRIMARY,
    DeviceList,
    ListedDevice,
    SignedDeviceList,
)

__all__ = [
    "add_device",
    "count_change",
    "ensure_own_list",
    "finish_restore",
    "number_for_device",
    "put_name",
    "remove_overdue",
    "renew_if_due",
    "request_capabilities",
    "request_unlink",
    "require_other_device",
    "restore_devices",
    "unlink_device",
]

_DAY_MS: Final = 24 * 60 * 60 * 1000
_MAX_CHANGES: Final = 4
"""New capabilities of a device in a day: each is a list that all contacts fetch."""


# --- The list itself ------------------------------------------------------------------------


def ensure_own_list(context: Context) -> None:
    """Sign the first list, of this device alone, if it is device 1 and has none."""
    if context.address.device != PRIMARY:
        return
    with reading_transaction(context) as tx:
        if not _lacks_list(context, tx):
            return
    with WitnessedTransaction(context) as tx:
        if _lacks_list(context, tx):
            sign_next(context, tx, [own_entry(context)])


def renew_if_due(context: Context) -> None:
    """Sign the own list anew if it is older than the policy has it, or this device has changed.

    It has if the policy names other capabilities than its entry.

    One that a clock that was wrong has dated more than a day after now is, too: others count from
    when they have got it. A clock that is not set tells no age, and nothing is renewed.
    """
    with reading_transaction(context) as tx:
        if not _is_due(context, tx):
            return
    with WitnessedTransaction(context) as tx:
        if _is_due(context, tx):
            _, *others = require_held(context, tx).list.devices
            sign_next(context, tx, [own_entry(context), *others])


# --- Devices that come and go ---------------------------------------------------------------


def number_for_device(context: Context) -> int:
    """Return the number that the next device to be linked gets, 2 to 127.

    Raises:
        NotPrimary: this is not device 1.
        DevicesConflict: see `restore_devices`.
        InvalidArgument: the policy allows no more devices.
        NotRegistered: there is no list yet.
    """
    with reading_transaction(context) as tx:
        listed = require_held(context, tx).list
        _require_room(context, listed)
        return _free_number(find_own_account(tx) or OwnAccountRecord(), listed)


def add_device(
    context: Context, entry: ListedDevice, name: str, token_hash: bytes
) -> SignedDeviceList:
    """Sign a list that has one device more; if it is in the list already, nothing is signed.

    Args:
        context: of the device.
        entry: the other device, with its consent.
        name: what it calls itself, at most 64 bytes.
        token_hash: SHA-256 of its token at the back end, 32 bytes.

    Returns:
        The list that has it.

    Raises:
        InvalidSignature: it has not consented.
        LinkFailed: its number, or its key, was taken meanwhile.
        InvalidArgument: the policy allows no more devices.
        NotPrimary: this is not device 1.
        DevicesConflict: see `restore_devices`.
        NotRegistered: there is no list yet.
    """
    verify_consent(context.address.user_id, entry, context.identity_key_pair.public)
    with WitnessedTransaction(context) as tx:
        held = require_held(context, tx)
        listed, number, key = held.list, entry.device, entry.identity_key
        if is_listed(listed, number, key):
            return held
        if listed.find(number) or key in keys_by_number(listed).values():
            raise LinkFailed(f"device {number}, or its key, was linked meanwhile: begin again")
        _require_room(context, listed)
        own, now_ms = find_own_account(tx) or OwnAccountRecord(), context.clock()
        put_own_account(
            tx,
            replace(
                own,
                new_devices=(*own.new_devices, NewDevice(number, token_hash, now_ms)),
                names=(*own.names, DeviceName(number, name, now_ms)),
                next_device=max(number + 1, own.next_device),
            ),
        )
        devices = sorted((*listed.devices, entry), key=lambda each: each.device)
        return sign_next(context, tx, devices)


def require_other_device(context: Context, device: int) -> None:
    """Check that a device can be taken out of the list; raises as `unlink_device`."""
    require_whole_number("device", device, PRIMARY, MAX_DEVICE)
    with reading_transaction(context) as tx:
        _require_other(context, tx, device)


def unlink_device(context: Context, device: int) -> None:
    """Sign a list without a device, and tell the devices of this and other accounts.

    Raises:
        NotPrimary: this is not device 1.
        DevicesConflict: see `restore_devices`.
        InvalidArgument: it is no other device of this account.
        NotRegistered: there is no list yet.
    """
    with WitnessedTransaction(context) as tx:
        _unlink(context, tx, _require_other(context, tx, device), (device,))


def remove_overdue(context: Context, without_keys: Collection[int]) -> None:
    """Take devices out of the list that were linked a day ago, and were left halfway.

    Args:
        context: of the device.
        without_keys: those of which the back end has no keys.
    """
    with WitnessedTransaction(context) as tx:
        own, now_ms = find_own_account(tx), context.clock()
        if own is None or not may_sign(context, tx) or not is_clock_set(context):
            return
        overdue = [
            new.device
            for new in own.new_devices
            if new.device in without_keys and now_ms - new.linked_at_ms >= _DAY_MS
        ]
        if overdue:
            _unlink(context, tx, require_held(context, tx).list, overdue)


def request_unlink(context: Context, tx: Transaction, device: int) -> None:
    """Take a device out of the list that has asked for it, at device 1, unless nothing is signed.

    Args:
        context: of the device.
        tx: the transaction that has received the request.
        device: who has asked; the list that is held has it.
    """
    with suppress(DevicesConflict):
        _unlink(context, tx, _require_other(context, tx, device), (device,))


def request_capabilities(context: Context, tx: Transaction, device: int, data: bytes) -> None:
    """Note in the list what a device says that it understands, at device 1; four times a day.

    Not under a clock that is not set: nobody waits for that.

    Args:
        context: of the device.
        tx: the transaction that has received the request.
        device: who has asked; the list that is held has it.
        data: its capabilities, at most 256 bytes.
    """
    with suppress(DevicesConflict):
        devices = _require_other(context, tx, device).devices
        changed = [
            replace(each, capabilities=data) if each.device == device else each for each in devices
        ]
        name = count_change(context, tx, device)
        if changed != list(devices) and name is not None:
            sign_next(context, tx, changed)
            put_name(tx, name)


def count_change(context: Context, tx: Transaction, device: int) -> DeviceName | None:
    """Return what is known of a device with one change of its capabilities more, to be put.

    None after four in a day, and where no clock tells the day. Device 1 counts those of the others,
    another one what it asks for.
    """
    if not is_clock_set(context):
        return None
    own, now_ms = find_own_account(tx) or OwnAccountRecord(), context.clock()
    known = [each for each in own.names if each.device == device]
    name = known[0] if known else DeviceName(device, "", own.linked_at_ms)
    if not 0 <= now_ms - name.changing_since_ms < _DAY_MS:
        name = name._replace(changing_since_ms=now_ms, changes=0)
    return name._replace(changes=name.changes + 1) if name.changes < _MAX_CHANGES else None


def put_name(tx: Transaction, name: DeviceName) -> None:
    """Note what is known of a device of the own account."""
    own = find_own_account(tx) or OwnAccountRecord()
    others = [each for each in own.names if each.device != name.device]
    put_own_account(tx, replace(own, names=tuple(sorted((*others, name)))))


# --- After a restore, or against somebody else ----------------------------------------------


def finish_restore(context: Context) -> None:
    """Reset the list of a restored or imported device that has no others, so nobody is to be asked.

    The back end was asked for the newest list before.
    """
    with WitnessedTransaction(context) as tx:
        own = find_own_account(tx)
        if own is None or not own.must_reset or own.conflict:
            return
        record = find_account(tx, context.address.user_id) or NOTHING_KNOWN
        lists = [signed.list for signed in (record.held, record.rival) if signed is not None]
        if all(len(each.devices) == 1 for each in lists):
            _reset(context, tx, (PRIMARY,))


def restore_devices(context: Context, keep: Iterable[int]) -> None:
    """Sign a list above all that were seen, of this device and those that the user knows.

    Args:
        context: of the device.
        keep: their numbers; that of this device may be among them.

    Raises:
        InvalidArgument: one is not in the list that is held; or there is nothing to be decided, and
            these are not all of them.
        NotPrimary: this is not device 1.
        DevicesConflict: the numbers of lists are used up: the account needs another key.
    """
    listed = require_list("keep", keep)
    for number in listed:
        require_whole_number("keep", number, PRIMARY, MAX_DEVICE)
    numbers = {PRIMARY, *listed}
    require_primary(context)
    with WitnessedTransaction(context) as tx:
        own = find_own_account(tx) or OwnAccountRecord()
        record = find_account(tx, context.address.user_id) or NOTHING_KNOWN
        known = {PRIMARY} if record.held is None else keys_by_number(record.held.list).keys()
        if not numbers <= known:
            others = ", ".join(map(str, sorted(numbers - known)))
            raise InvalidArgument(f"keep must be numbers of listed devices: {others} is none")
        if own.must_reset or own.conflict:
            _reset(context, tx, numbers)
        elif numbers != known:
            raise InvalidArgument(
                "keep must be all devices, because there is nothing to restore: to take one out, "
                "call unlink"
            )


# --- Signing --------------------------------------------------------------------------------


def _lacks_list(context: Context, tx: Transaction) -> bool:
    record = find_account(tx, context.address.user_id)
    return may_sign(context, tx) and (record is None or record.held is None)


def _is_due(context: Context, tx: Transaction) -> bool:
    record = find_account(tx, context.address.user_id)
    if record is None or record.held is None or not may_sign(context, tx):
        return False
    if not is_clock_set(context):
        return False
    listed = record.held.list
    if listed.devices[0] != own_entry(context):
        return True
    age_ms = context.clock() - listed.signed_at_ms
    return not -_DAY_MS <= age_ms < context.policy.device_list_renew_ms


def _require_other(context: Context, tx: Transaction, device: int) -> DeviceList:
    listed = require_held(context, tx).list
    if device == PRIMARY or listed.find(device) is None:
        raise InvalidArgument(f"device must be another one of this account: {device} is not")
    return listed


def _require_room(context: Context, listed: DeviceList) -> None:
    most = context.policy.max_devices
    if len(listed.devices) >= most:
        raise InvalidArgument(
            f"this account has {len(listed.devices)} devices, and max_devices of the policy is "
            f"{most}: unlink one first"
        )


def _free_number(own: OwnAccountRecord, listed: DeviceList) -> int:
    """Return a number that was not given yet; once 127 was, the lowest that is free."""
    taken, first = keys_by_number(listed), PRIMARY + 1
    in_order: list[int] = [*range(own.next_device, MAX_DEVICE + 1), *range(first, own.next_device)]
    return next(number for number in in_order if number not in taken)


def _unlink(
    context: Context, tx: Transaction, listed: DeviceList, numbers: Collection[int]
) -> None:
    sign_next(context, tx, [each for each in listed.devices if each.device not in numbers])


def _reset(context: Context, tx: Transaction, numbers: Collection[int]) -> None:
    listed = find_list(tx, context.address.user_id)
    others = () if listed is None else listed.devices[1:]
    kept = [each for each in others if each.device in numbers]
    sign_next(context, tx, [own_entry(context), *kept], is_reset=True)
