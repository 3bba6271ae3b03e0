# SPDX-License-Identifier: Apache-2.0
"""Accepting a list of an account's devices: all that follows from it, in one transaction.

Rules:
- A device is a number and a key. Of a number that is gone, or has another key, all goes that
  belonged to the key before: its identity, its sessions, what waits for it. So a number may be
  given again. Its sender keys stay until others push them out: a message under one is refused as
  of a device that is not listed, and nobody is asked for its key.
- Rows of devices that stay are not touched. The identity of device 1 is the account's, and changes
  only as identities do.
- This device has no session with itself, and nothing is kept of it here.
- Transactions are views of the stripe of the account that is named.
"""

from collections.abc import Mapping
from dataclasses import replace

from e2ecross.address import MAX_DEVICE, Address, UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_list,
    forget_account,
    forget_pushed,
    put_account,
)
from e2ecross.state.changes import count_change
from e2ecross.state.context import Context, address_key
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.outbox import Backlog, BacklogName, forget_backlog, free_backlog
from e2ecross.state.session_store import forget_sessions, send_to_identity
from e2ecross.state.trust import find_identity_record, forget_identity, put_listed_identity
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.device_list import PRIMARY, DeviceList, SignedDeviceList

__all__ = ["accept_list", "follow_identity", "forget_unlisted", "keys_by_number", "stands_for"]


def accept_list(
    context: Context, tx: Transaction, user: UserId, signed: SignedDeviceList, now_ms: int
) -> None:
    """Let a list take the place of the one that is held, if any is.

    What the app must hear of is told it: which devices the own account has got or lost, and of
    others that they were restored or are hosted by more than before. What this device has signed
    for its own account says no more than the first of that.

    Args:
        context: of the device.
        tx: of the operation that accepts it.
        user: whose it is.
        signed: the list; verified, and judged to be the newest.
        now_ms: milliseconds since 1970.
    """
    record = find_account(tx, user) or NOTHING_KNOWN
    old, new = None if record.held is None else record.held.list, signed.list
    before = _known_keys(tx, user) if old is None else keys_by_number(old)
    after = keys_by_number(new)
    for number in before.keys() - after.keys():
        _forget_device(context, tx, user, number)
    for number, key in after.items():
        if before.get(number, key) != key:
            _forget_device(context, tx, user, number, key)
        _keep_device(context, tx, user, number, key, now_ms)
    count_change(tx)
    is_changed = old is None or before != after
    is_own_work = user == context.address.user_id and context.address.device == PRIMARY
    # A restored device 1 takes in lists, and its reset has to be above all that it was shown. At
    # others a rival has the number of the list held.
    rival = record.rival
    if rival is not None and rival.list.seq <= new.seq:
        rival = None
    is_hosting_raised = not is_own_work and old is not None and new.hosting > old.hosting
    put_account(
        tx,
        user,
        replace(
            record,
            held=signed,
            accepted_at_ms=now_ms,
            rival=rival,
            changed_seq=new.seq if is_changed else record.changed_seq,
            check_wanted=False,
            hosting_unseen=record.hosting_unseen or is_hosting_raised,
            fork_noted=False,
            has_list=True,
        ),
    )
    if old is None:
        return
    if user == context.address.user_id:
        _tell_changes(context, tx, before, after)
    if is_hosting_raised:
        put_notice(context, tx, Notice(NoticeKind.HOSTING_CHANGED, user))
    if not new.previous and not is_own_work:
        put_notice(context, tx, Notice(NoticeKind.ACCOUNT_RESTORED, user))


def follow_identity(
    context: Context, tx: Transaction, address: Address, identity_key: PublicKey
) -> None:
    """Do what follows when an identity key (33 bytes) of an address has been accepted.

    Sessions of another one read late messages, and are not sent with any more. If it is the key of
    an account with a list under another one, that list goes, and all that it has vouched for; not
    that the account has one. What waited for the decision goes with the next call of a client.
    """
    send_to_identity(tx, address, identity_key)
    user = address.user_id
    record = find_account(tx, user) or NOTHING_KNOWN
    held = record.held if address.device == PRIMARY else None
    if held is not None and held.list.account_key != identity_key:
        for number in _known_keys(tx, user):
            _forget_device(context, tx, user, number)
        forget_account(tx, user)
        count_change(tx)
        put_account(tx, user, AccountRecord(written=record.written, has_list=record.has_list))
    for device in stands_for(address):
        for name in BacklogName:
            free_backlog(tx, Backlog(name, device))


def stands_for(trusted: Address) -> list[Address]:
    """Return for whom something may wait for the decision about an identity."""
    if trusted.device != PRIMARY:
        return [trusted]
    # All: whoever another key has vouched for stands in no list that is held.
    numbers = range(PRIMARY, MAX_DEVICE + 1)
    return [Address(trusted.app, trusted.user, number) for number in numbers]


def forget_unlisted(context: Context, tx: Transaction, user: UserId) -> None:
    """Forget devices of an account that its list does not have: another key vouched for them."""
    listed = find_list(tx, user)
    if listed is not None:
        for number in _known_keys(tx, user).keys() - keys_by_number(listed).keys():
            _forget_device(context, tx, user, number)


def keys_by_number(device_list: DeviceList) -> dict[int, PublicKey]:
    """Return the keys (33 bytes) that a list has, by number."""
    return {each.device: each.identity_key for each in device_list.devices}


def _known_keys(tx: Transaction, user: UserId) -> dict[int, PublicKey]:
    """Return the keys of devices that were seen, by number, whoever has vouched for them."""
    found: dict[int, PublicKey] = {}
    if find_account(tx, user) is None:
        return found  # none was: that saves looking for all numbers at first contact
    for number in range(PRIMARY + 1, MAX_DEVICE + 1):
        known = find_identity_record(tx, address_key(Address(user.app, user.user, number)))
        if known is not None:
            found[number] = known.identity_key
    return found


def _forget_device(
    context: Context,
    tx: Transaction,
    user: UserId,
    number: int,
    listed_key: PublicKey | None = None,
) -> None:
    """Forget a device; the key (33 bytes) is that of who has its number from now on."""
    address = Address(user.app, user.user, number)
    forget_identity(tx, address)
    forget_sessions(tx, address, listed_key)
    for name in BacklogName:
        forget_backlog(tx, Backlog(name, address))
    for account in {user, context.address.user_id}:
        forget_pushed(tx, account, address)


def _keep_device(
    context: Context, tx: Transaction, user: UserId, number: int, key: PublicKey, now_ms: int
) -> None:
    address = Address(user.app, user.user, number)
    if address == context.address:
        return
    known = find_identity_record(tx, address_key(address))
    if number == PRIMARY:
        if known is None:
            put_listed_identity(tx, address, key, now_ms)
    elif known is None or known.identity_key != key or known.pending_key is not None:
        forget_sessions(tx, address, key)
        put_listed_identity(tx, address, key, now_ms)


def _tell_changes(
    context: Context,
    tx: Transaction,
    before: Mapping[int, PublicKey],
    after: Mapping[int, PublicKey],
) -> None:
    """Tell the app which devices its own account has got and lost."""
    linked = tuple([number for number, key in after.items() if before.get(number) != key])
    unlinked = tuple([number for number in before if number not in after])
    for kind, numbers in (
        (NoticeKind.DEVICE_LINKED, linked),
        (NoticeKind.DEVICE_UNLINKED, unlinked),
    ):
        if numbers:
            put_notice(context, tx, Notice(kind, context.address.user_id, numbers))
