# SPDX-License-Identifier: Apache-2.0
"""What we send into our groups with, and which devices have it.

Rules:
- One key of each group at a time. A new one takes its place, and then no device has it.
- A device has the key that it was given under the identity key which it had then. A row that says
  so is written in the transaction that puts the grant into the outbox.
- A key or a grant that cannot be read is none: a new key takes its place.

Source: docs/wire-format.md, groups.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import SecretTuple
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.sender_key import OwnSenderKey
from e2ecross.protocol.sender_key_storage import (
    own_sender_key_from_record,
    own_sender_key_to_record,
)
from e2ecross.state.context import address_from_key, address_key
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.group import GroupId
from e2ecross.wire.group_records import decode_grant, encode_grant
from e2ecross.wire.sender_key_records import OwnSenderKeyRecord

__all__ = [
    "GROUP_KEYS",
    "NEVER_CHECKED",
    "Checked",
    "GroupKey",
    "drop_all_grants",
    "drop_group_key",
    "find_group_key",
    "forget_checked",
    "forget_grant",
    "group_key_from_bytes",
    "list_granted",
    "put_grant",
    "put_group_key",
    "put_new_group_key",
    "read_grants",
]

GROUP_KEYS: Final = b"\0"
"""What the places of groups of ours begin with; `device/group_raw.py` has those of others."""


class Checked(NamedTuple):
    """When the recipients of a key were last gone through.

    Attributes:
        heads: context hash of all heads that were held then, 32 bytes; empty: they never were.
        changes: how many changes of accounts had been counted.
        at_ms: milliseconds since 1970.
    """

    heads: bytes = b""
    changes: int = 0
    at_ms: int = 0


NEVER_CHECKED: Final = Checked()


class _GroupKeyFields(NamedTuple):
    key: OwnSenderKey
    distribution_id: bytes
    heads: tuple[bytes, ...]
    created_at_ms: int
    checked: Checked


class GroupKey(SecretTuple, _GroupKeyFields):
    """What we send into a group of ours with.

    Attributes:
        key: the sender key.
        distribution_id: 16 bytes, bound to the group, the heads and this device.
        heads: at which it was made, 1 to 16, 32 bytes each.
        created_at_ms: milliseconds since 1970.
        checked: when its recipients were last gone through.
    """

    __slots__ = ()

    def with_key(self, key: OwnSenderKey) -> "GroupKey":
        """Return it with the key as it is after a message."""
        return GroupKey(key, self.distribution_id, self.heads, self.created_at_ms, self.checked)

    def with_checked(self, checked: Checked) -> "GroupKey":
        """Return it with another time at which its recipients were gone through."""
        return GroupKey(self.key, self.distribution_id, self.heads, self.created_at_ms, checked)


def _encode(key: GroupKey) -> bytes:
    chain = own_sender_key_to_record(key.key)
    return OwnSenderKeyRecord(
        chain.chain_id,
        chain.iteration,
        chain.chain_key,
        chain.signing_private_key,
        key.distribution_id,
        key.heads,
        key.created_at_ms,
        key.checked.heads,
        key.checked.changes,
        key.checked.at_ms,
    ).encode()


def group_key_from_bytes(data: bytes) -> GroupKey:
    """Make the own key of a group of its record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    stored = OwnSenderKeyRecord.decode(data)
    if not stored.heads:
        raise RecordCorrupted("the own key of a group names no state of it: the store is damaged")
    checked = Checked(stored.checked_heads, stored.checked_changes, stored.checked_at_ms)
    chain = own_sender_key_from_record(stored)
    return GroupKey(chain, stored.distribution_id, stored.heads, stored.created_at_ms, checked)


_KEY: Final = Codec(_encode, group_key_from_bytes)


def find_group_key(tx: Transaction, group: GroupId) -> GroupKey | None:
    """Return what is sent into a group with, or None: there is none that can be read."""
    try:
        return tx.get_value(Table.OWN_SENDER_KEYS, _place(group), b"", _KEY)
    except RecordCorrupted:
        return None


def put_group_key(tx: Transaction, group: GroupId, key: GroupKey) -> None:
    """Write the key of a group as it is now."""
    tx.put_value(Table.OWN_SENDER_KEYS, _place(group), b"", key, _KEY)


def put_new_group_key(tx: Transaction, group: GroupId, key: GroupKey) -> None:
    """Send into a group with another key from now on, which no device has."""
    tx.clear(Table.GROUP_GRANTS, group.value)
    put_group_key(tx, group, key)


def drop_group_key(tx: Transaction, group: GroupId) -> None:
    """Send into a group with this key never again; the next message takes a new one."""
    tx.clear(Table.GROUP_GRANTS, group.value)
    tx.delete(Table.OWN_SENDER_KEYS, _place(group))


def drop_all_grants(tx: Transaction) -> None:
    """Forget who has the keys of all groups, which are dropped."""
    for partition in tx.partitions(Table.GROUP_GRANTS):
        tx.clear(Table.GROUP_GRANTS, partition)


def put_grant(tx: Transaction, group: GroupId, device: Address, identity_key: PublicKey) -> None:
    """Note that a device was given the present key, under its identity key (33 bytes)."""
    tx.put(Table.GROUP_GRANTS, group.value, address_key(device), encode_grant(identity_key))


def forget_grant(tx: Transaction, group: GroupId, device: Address) -> None:
    """Forget that a device has the present key: the next message gives it once more."""
    tx.delete(Table.GROUP_GRANTS, group.value, address_key(device))
    forget_checked(tx, group)


def forget_checked(tx: Transaction, group: GroupId) -> None:
    """Let the next message go through its recipients: they are others than who has the key."""
    key = find_group_key(tx, group)
    if key is not None and key.checked != NEVER_CHECKED:
        put_group_key(tx, group, key.with_checked(NEVER_CHECKED))


def read_grants(tx: Transaction, group: GroupId) -> Mapping[Address, bytes] | None:
    """Return which devices have the present key, under which identity key (33 bytes).

    None: that cannot be read.
    """
    try:
        rows = tx.list(Table.GROUP_GRANTS, group.value)
        return {address_from_key(row): decode_grant(record) for row, record in rows}
    except RecordCorrupted:
        return None


def list_granted(tx: Transaction, group: GroupId) -> list[Address]:
    """Return which devices have the present key.

    Raises:
        RecordCorrupted: that cannot be read.
    """
    return [address_from_key(row) for row, _ in tx.list(Table.GROUP_GRANTS, group.value)]


def _place(group: GroupId) -> bytes:
    return GROUP_KEYS + group.value
