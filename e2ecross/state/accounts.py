# SPDX-License-Identifier: Apache-2.0
"""Accounts: the lists of their devices that were accepted, and what is to be done about them.

Rules:
- Whose list it is, its signatures, and whether it may take the place of another one are checked
  before it is put here (`device/device_lists.py`).
- Rows exist for accounts of which a list was accepted, or something is to be remembered.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from e2ecross.address import Address, UserId
from e2ecross.errors import RecordCorrupted
from e2ecross.state.context import address_key
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.account_records import (
    AccountRecord,
    OwnAccountRecord,
    decode_push,
    encode_push,
)
from e2ecross.wire.device_list import PRIMARY, DeviceList

__all__ = [
    "NOTHING_KNOWN",
    "OWN_ACCOUNT_ROW",
    "find_account",
    "find_list",
    "find_own_account",
    "find_pushed",
    "forget_account",
    "forget_pushed",
    "note_has_list",
    "note_hosting_seen",
    "note_pushed",
    "primary_of",
    "put_account",
    "put_own_account",
    "user_from_key",
    "user_key",
    "walk_accounts",
    "was_checked",
]

NOTHING_KNOWN: Final = AccountRecord()
_CHECKED_MS: Final = 10 * 60 * 1000
"""How long a back end is not asked again for a list: a lie about one costs one question."""
OWN_ACCOUNT_ROW: Final = b"account"
_PUSHED: Final = b"pushed"
_ACCOUNT: Final = Codec(AccountRecord.encode, AccountRecord.decode)
_OWN: Final = Codec(OwnAccountRecord.encode, OwnAccountRecord.decode)


def user_key(user: UserId) -> bytes:
    """The store's key of an account; NUL occurs in no part, so parts stay apart."""
    return f"{user.app}\0{user.user}".encode()


def user_from_key(place: bytes) -> UserId:
    """Return the account that a key of the store stands for.

    Raises:
        RecordCorrupted: it stands for none.
    """
    try:
        app, user = place.decode("ascii").split("\0")
        return UserId(app, user)
    except ValueError as error:  # also InvalidArgument and UnicodeDecodeError
        raise RecordCorrupted("a record belongs to no account: the store is damaged") from error


def find_account(tx: Transaction, user: UserId) -> AccountRecord | None:
    """Return what is known of an account, or None."""
    return tx.get_value(Table.ACCOUNTS, user_key(user), b"", _ACCOUNT)


def find_list(tx: Transaction, user: UserId) -> DeviceList | None:
    """Return the newest accepted list of an account's devices, or None."""
    record = find_account(tx, user)
    return None if record is None or record.held is None else record.held.list


def put_account(tx: Transaction, user: UserId, record: AccountRecord) -> None:
    """Write what is known of an account."""
    tx.put_value(Table.ACCOUNTS, user_key(user), b"", record, _ACCOUNT)


def note_has_list(tx: Transaction, user: UserId) -> None:
    """Note that an account has a list, also while none is held: nobody is believed without it."""
    record = find_account(tx, user) or NOTHING_KNOWN
    if not record.has_list:
        put_account(tx, user, replace(record, has_list=True))


def note_hosting_seen(tx: Transaction, user: UserId) -> None:
    """Note that the user has seen who holds keys of an account: it may be sent to."""
    record = find_account(tx, user)
    if record is not None and record.hosting_unseen:
        put_account(tx, user, replace(record, hosting_unseen=False))


def was_checked(record: AccountRecord | None, now_ms: int) -> bool:
    """Tell whether the back end was asked for a list within the last ten minutes.

    A time after now, of a clock that was wrong, does not count.
    """
    if record is None or not record.checked_at_ms:
        return False
    return 0 <= now_ms - record.checked_at_ms < _CHECKED_MS


def forget_account(tx: Transaction, user: UserId) -> None:
    """Forget what is known of an account, and who was sent its list."""
    tx.clear(Table.ACCOUNTS, user_key(user))


def walk_accounts(
    tx: Transaction, after: bytes | None = None, limit: int | None = None
) -> Iterator[tuple[bytes, UserId, AccountRecord]]:
    """Walk over key, account and record of all accounts, in an order of the store's own."""
    for place in tx.partitions(Table.ACCOUNTS, limit=limit, after=after):
        record = tx.get_value(Table.ACCOUNTS, place, b"", _ACCOUNT)
        if record is not None:
            yield place, user_from_key(place), record


def primary_of(tx: Transaction, address: Address) -> Address:
    """Return the device whose identity stands for that of an address.

    Device 1 of its account, if that has a list; else the device itself.
    """
    if address.device == PRIMARY or find_list(tx, address.user_id) is None:
        return address
    return Address(address.app, address.user, PRIMARY)


def find_own_account(tx: Transaction) -> OwnAccountRecord | None:
    """Return what this device knows of its own account, or None before it has a list."""
    return tx.get_value(Table.DEVICE, b"", OWN_ACCOUNT_ROW, _OWN)


def put_own_account(tx: Transaction, record: OwnAccountRecord) -> None:
    """Write what this device knows of its own account."""
    tx.put_value(Table.DEVICE, b"", OWN_ACCOUNT_ROW, record, _OWN)


def find_pushed(tx: Transaction, user: UserId, device: Address) -> int:
    """Return when a device was sent the list of an account, milliseconds since 1970, or 0."""
    data = tx.get(Table.ACCOUNTS, user_key(user), _PUSHED + address_key(device))
    return 0 if data is None else decode_push(data)


def note_pushed(tx: Transaction, user: UserId, device: Address, now_ms: int) -> None:
    """Note that a device is sent the list of an account."""
    tx.put(Table.ACCOUNTS, user_key(user), _PUSHED + address_key(device), encode_push(now_ms))


def forget_pushed(tx: Transaction, user: UserId, device: Address) -> None:
    """Forget that a device was sent the list of an account."""
    tx.delete(Table.ACCOUNTS, user_key(user), _PUSHED + address_key(device))
