# SPDX-License-Identifier: Apache-2.0
"""Signing the list of the own account's devices, at device 1.

Rules:
- Every signing reads the own list in its transaction, names its hash, and is counted in the epoch:
  of two lists of one number only a copy of the store can have signed the other.
- What is signed is accepted here in the same commit, as others will accept it, and published after
  it. A removal, or a reset of who has other devices, is told others at once, in messages that a
  back end cannot tell from others; a new device those of the own account.
- Nothing is signed while somebody else has signed a list with the account's key, nor in a store
  that was restored or imported, which does not know what was signed since: but a reset that leaves
  all of that behind.
- A clock that nobody has set dates no list: others would take it as expired. What cannot wait is
  dated as the list before it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from e2ecross.address import UserId
from e2ecross.device.accepting import accept_list, keys_by_number
from e2ecross.device.hints import push_change
from e2ecross.errors import DevicesConflict, NotPrimary, NotRegistered
from e2ecross.protocol.device_list import hash_list, sign_list
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_own_account,
    put_own_account,
)
from e2ecross.state.context import Context
from e2ecross.state.epoch import count_operation
from e2ecross.state.sent import list_sent_to
from e2ecross.state.transactions import views_of_some
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.capabilities import announced_by
from e2ecross.wire.device_list import (
    MAX_SEQ,
    PRIMARY,
    DeviceList,
    ListedDevice,
    SignedDeviceList,
)

__all__ = [
    "is_clock_set",
    "may_sign",
    "own_entry",
    "require_held",
    "require_primary",
    "sign_next",
]

_JUMP: Final = 1_000
"""How far a reset is above all that was seen: what was signed since by the lost device is below."""
_MAX_TOLD: Final = 200
"""Accounts that are told at once of a device that was taken out."""
_EARLIEST_MS: Final = 1_672_531_200_000
"""2023-01-01, before any list was signed: an earlier time is that of a phone that has just booted
and does not know it, which is 1970 mostly."""


def may_sign(context: Context, tx: Transaction) -> bool:
    """Tell whether this is device 1, and nothing is to be decided before the next list."""
    own = find_own_account(tx)
    is_decided = own is None or not (own.must_reset or own.conflict)
    return context.address.device == PRIMARY and is_decided


def is_clock_set(context: Context) -> bool:
    """Tell whether the clock shows a time that can be; else only what cannot wait is signed."""
    return context.clock() >= _EARLIEST_MS


def require_primary(context: Context) -> None:
    """Check that this is device 1.

    Raises:
        NotPrimary: it is not.
    """
    if context.address.device != PRIMARY:
        raise NotPrimary(
            f"only device {PRIMARY} of {context.address.user_id} signs the list of its devices: do "
            f"it there"
        )


def require_held(context: Context, tx: Transaction) -> SignedDeviceList:
    """Return the list that the next one continues.

    Raises:
        NotPrimary: this is not device 1.
        DevicesConflict: what somebody else has signed, or a restore, is to be decided about first.
        NotRegistered: there is no list yet.
    """
    require_primary(context)
    if not may_sign(context, tx):
        raise DevicesConflict(
            "the devices of this account have to be decided about: show them to the user, and call "
            "restore_devices with the numbers that the user knows"
        )
    record = find_account(tx, context.address.user_id)
    if record is None or record.held is None:
        raise NotRegistered("this account has no list of its devices yet: call register")
    return record.held


def own_entry(context: Context) -> ListedDevice:
    """Return device 1 as it stands in lists."""
    capabilities = announced_by(context.policy.capabilities, groups=not context.store.stripes)
    return ListedDevice(PRIMARY, context.identity_key_pair.public, b"", capabilities)


def sign_next(
    context: Context, tx: Transaction, devices: Sequence[ListedDevice], *, is_reset: bool = False
) -> SignedDeviceList:
    """Sign the next list, and accept it.

    Args:
        context: of device 1.
        tx: the operation's transaction; nothing is released before its commit.
        devices: who is in it, ascending by number, device 1 first.
        is_reset: whether it continues no other list, and is far above all that were seen.

    Raises:
        DevicesConflict: the numbers of lists are used up.
    """
    user, now_ms = context.address.user_id, context.clock()
    record = find_account(tx, user) or NOTHING_KNOWN
    if record.held is not None and not is_clock_set(context):
        now_ms = max(now_ms, record.held.list.signed_at_ms)
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
    own = find_own_account(tx) or OwnAccountRecord()
    said = [
        *((each.hosting, each.vendor) for each in seen),
        (own.foreign_hosting, own.foreign_vendor),
    ]
    hosting, vendor = max(said, key=lambda each: each[0])
    unsigned = DeviceList(user, seq, previous, now_ms, tuple(devices), hosting, vendor)
    signed = sign_list(unsigned, context.identity_key_pair, context.entropy)
    before = {} if record.held is None else keys_by_number(record.held.list)
    accept_list(context, tx, user, signed, now_ms)
    _note_signed(tx, signed.list)
    after = keys_by_number(signed.list)
    new = after.keys() - before.keys() if before else set[int]()
    # A reset leaves behind what the lost device, or somebody else, has signed, seen here or not.
    had_others = len(before) > 1 or record.rival is not None
    if before.keys() - after.keys() or (is_reset and had_others):
        push_change(context, tx, _list_sent_to(context, tx, now_ms))
    elif new:
        push_change(context, tx, but=new)
    count_operation(tx)
    return signed


def _list_sent_to(context: Context, tx: Transaction, now_ms: int) -> list[UserId]:
    """Return contacts who were written to lately; in a store with stripes those of some of them."""
    found: list[UserId] = []
    for view in views_of_some(context, tx):
        found += list_sent_to(view, context.policy, now_ms, _MAX_TOLD - len(found))
        if len(found) == _MAX_TOLD:
            break
    return found


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
            foreign_hosting=0,  # the list that was signed says as much
            foreign_vendor="",
        ),
    )
