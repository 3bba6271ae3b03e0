# SPDX-License-Identifier: Apache-2.0
"""The list of the own account's devices, at device 1, which signs it.

Rules:
- Every signing reads the own list in its transaction, names its hash, and is counted in the epoch:
  of two lists of one number only a copy of the store can have signed the other.
- What is signed is accepted here in the same commit, as others will accept it, and published after
  it. A removal is told other devices at once, in messages that a back end cannot tell from others.
- Nothing is signed while somebody else has signed a list with the account's key, nor in a store
  that was restored or imported, which does not know what was signed since: but a reset that leaves
  all of that behind.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from e2ecross.address import MAX_DEVICE
from e2ecross.arguments import require_list, require_whole_number
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.accepting import accept_list, keys_by_number
from e2ecross.device.hints import push_change
from e2ecross.errors import (
    DevicesConflict,
    InvalidArgument,
    LinkFailed,
    NotPrimary,
    NotRegistered,
)
from e2ecross.protocol.device_list import hash_list, is_listed, sign_list, verify_consent
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_list,
    find_own_account,
    put_account,
    put_own_account,
)
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedTransaction, count_operation
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.sent import walk_sent_to
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import DeviceName, NewDevice, OwnAccountRecord
from e2ecross.wire.device_list import (
    MAX_SEQ,
    PRIMARY,
    DeviceList,
    ListedDevice,
    SignedDeviceList,
)

__all__ = [
    "add_device",
    "ensure_own_list",
    "finish_restore",
    "note_conflict",
    "number_for_device",
    "renew_if_due",
    "request_capabilities",
    "request_unlink",
    "require_other_device",
    "restore_devices",
    "unlink_device",
]

_JUMP: Final = 1_000
"""How far a reset is above all that was seen: what was signed since by the lost device is below."""
_DAY_MS: Final = 24 * 60 * 60 * 1000


# --- The list itself ------------------------------------------------------------------------


def ensure_own_list(context: Context) -> None:
    """Sign the first list, of this device alone, if it is device 1 and has none."""
    if context.address.device != PRIMARY:
        return
    with context.store.transaction() as tx:
        if not _lacks_list(context, tx):
            return
    with WitnessedTransaction(context) as tx:
        if _lacks_list(context, tx):
            _sign(context, tx, [_own_entry(context)])


def renew_if_due(context: Context) -> None:
    """Sign the own list anew, as it is, if it is older than the policy has it.

    One that a clock that was wrong has dated more than a day after now is, too: others count from
    when they have got it.
    """
    with context.store.transaction() as tx:
        if not _is_due(context, tx):
            return
    with WitnessedTransaction(context) as tx:
        if _is_due(context, tx):
            _sign(context, tx, _require_held(context, tx).list.devices)


def note_conflict(context: Context, tx: Transaction, signed: SignedDeviceList) -> None:
    """Note a verified list under the own account's key that this device has not signed.

    Of several the one with the highest number is kept: a reset has to be above it.
    """
    user, own = context.address.user_id, find_own_account(tx) or OwnAccountRecord()
    record = find_account(tx, user) or NOTHING_KNOWN
    if record.rival is None or record.rival.list.seq < signed.list.seq:
        put_account(tx, user, replace(record, rival=signed))
    if not own.conflict:
        put_own_account(tx, replace(own, conflict=True))
        put_notice(context, tx, Notice(NoticeKind.FOREIGN_LIST, user))


# --- Devices that come and go ---------------------------------------------------------------


def number_for_device(context: Context) -> int:
    """Return the number that the next device to be linked gets, 2 to 127.

    Raises:
        NotPrimary: this is not device 1.
        DevicesConflict: see `restore_devices`.
        InvalidArgument: the policy allows no more devices.
        NotRegistered: there is no list yet.
    """
    with context.store.transaction() as tx:
        listed = _require_held(context, tx).list
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
        held = _require_held(context, tx)
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
                next_device=min(max(number + 1, own.next_device), MAX_DEVICE),
            ),
        )
        devices = sorted((*listed.devices, entry), key=lambda each: each.device)
        return _sign(context, tx, devices)


def require_other_device(context: Context, device: int) -> None:
    """Check that a device can be taken out of the list; raises as `unlink_device`."""
    require_whole_number("device", device, PRIMARY, MAX_DEVICE)
    with context.store.transaction() as tx:
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
        _unlink(context, tx, _require_other(context, tx, device), device)


def request_unlink(context: Context, tx: Transaction, device: int) -> None:
    """Take a device out of the list that has asked for it, at device 1, unless nothing is signed.

    Args:
        context: of the device.
        tx: the transaction that has received the request.
        device: who has asked; the list that is held has it.
    """
    with suppress(DevicesConflict):
        _unlink(context, tx, _require_other(context, tx, device), device)


def request_capabilities(context: Context, tx: Transaction, device: int, data: bytes) -> None:
    """Note in the list what a device says that it understands, at device 1.

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
        if changed != list(devices):
            _sign(context, tx, changed)


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
    numbers = frozenset(require_list("keep", keep)) | {PRIMARY}
    for number in numbers:
        require_whole_number("keep", number, PRIMARY, MAX_DEVICE)
    _require_primary(context)
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
    return _may_sign(context, tx) and (record is None or record.held is None)


def _is_due(context: Context, tx: Transaction) -> bool:
    record = find_account(tx, context.address.user_id)
    if record is None or record.held is None or not _may_sign(context, tx):
        return False
    age_ms = context.clock() - record.held.list.signed_at_ms
    return not -_DAY_MS <= age_ms < context.policy.device_list_renew_ms


def _may_sign(context: Context, tx: Transaction) -> bool:
    own = find_own_account(tx)
    is_decided = own is None or not (own.must_reset or own.conflict)
    return context.address.device == PRIMARY and is_decided


def _require_primary(context: Context) -> None:
    if context.address.device != PRIMARY:
        raise NotPrimary(
            f"only device {PRIMARY} of {context.address.user_id} signs the list of its devices: do "
            f"it there"
        )


def _require_held(context: Context, tx: Transaction) -> SignedDeviceList:
    """Return the list that the next one continues."""
    _require_primary(context)
    if not _may_sign(context, tx):
        raise DevicesConflict(
            "the devices of this account have to be decided about: show them to the user, and call "
            "restore_devices with the numbers that the user knows"
        )
    record = find_account(tx, context.address.user_id)
    if record is None or record.held is None:
        raise NotRegistered("this account has no list of its devices yet: call register")
    return record.held


def _require_other(context: Context, tx: Transaction, device: int) -> DeviceList:
    listed = _require_held(context, tx).list
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
    taken = keys_by_number(listed)
    in_order = (*range(own.next_device, MAX_DEVICE + 1), *range(PRIMARY + 1, own.next_device))
    return next(number for number in in_order if number not in taken)


def _unlink(context: Context, tx: Transaction, listed: DeviceList, device: int) -> None:
    _sign(context, tx, [each for each in listed.devices if each.device != device])


def _reset(context: Context, tx: Transaction, numbers: Collection[int]) -> None:
    listed = find_list(tx, context.address.user_id)
    devices = (_own_entry(context),) if listed is None else listed.devices
    _sign(context, tx, [each for each in devices if each.device in numbers], is_reset=True)


def _own_entry(context: Context) -> ListedDevice:
    return ListedDevice(PRIMARY, context.identity_key_pair.public, b"")


def _sign(
    context: Context, tx: Transaction, devices: Sequence[ListedDevice], *, is_reset: bool = False
) -> SignedDeviceList:
    """Sign the next list, and accept it."""
    user, now_ms = context.address.user_id, context.clock()
    record = find_account(tx, user) or NOTHING_KNOWN
    seen = [signed.list for signed in (record.held, record.rival) if signed is not None]
    seq, previous = max((each.seq for each in seen), default=0) + 1, b""
    if is_reset:
        seq += _JUMP - 1
    elif record.held is not None:
        previous = hash_list(record.held)
    if seq > MAX_SEQ:
        raise DevicesConflict(
            "no list can follow the one that was signed with this account's key: the account needs "
            "another key, so a new device"
        )
    # It never falls: whoever had the key still has it.
    most = max(seen, key=lambda each: each.hosting, default=None)
    hosting, vendor = (0, "") if most is None else (most.hosting, most.vendor)
    unsigned = DeviceList(user, seq, previous, now_ms, tuple(devices), hosting, vendor)
    signed = sign_list(unsigned, context.identity_key_pair, context.entropy)
    before = {} if record.held is None else keys_by_number(record.held.list)
    accept_list(context, tx, user, signed, now_ms)
    _note_signed(tx, signed.list)
    _tell(context, tx, before, keys_by_number(signed.list), now_ms)
    count_operation(tx)
    return signed


def _note_signed(tx: Transaction, listed: DeviceList) -> None:
    own = find_own_account(tx) or OwnAccountRecord()
    put_own_account(
        tx,
        replace(
            own,
            published=False,
            new_devices=tuple(each for each in own.new_devices if listed.find(each.device)),
            names=tuple(each for each in own.names if listed.find(each.device)),
            must_reset=False,
            conflict=False,
        ),
    )


def _tell(
    context: Context,
    tx: Transaction,
    before: Mapping[int, PublicKey],
    after: Mapping[int, PublicKey],
    now_ms: int,
) -> None:
    """Tell other devices of one that is gone, and own ones of one that is new."""
    if any(after.get(number) != key for number, key in before.items()):
        push_change(context, tx, now_ms, walk_sent_to(tx, context.policy, now_ms))
    elif after.keys() - before.keys():
        push_change(context, tx, now_ms, but=after.keys() - before.keys())
