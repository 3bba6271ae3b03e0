# SPDX-License-Identifier: Apache-2.0
"""Rows of sender keys: what we send to groups with, and what others do.

Rules:
- A place says which key it is, and of which kind: of a group of ours it is made of the distribution
  id, which names one device and one state of the group; of foreign ones `device/group_raw.py` makes
  it. The longest of them may be followed by anything, since what follows has a fixed length.
- Keys of others are in the partition of their sender, numbered by the last distribution message of
  each. The numbers say which of five in a group, and which of 64 groups, is the oldest. A foreign
  group is a place; one of ours has a place for each distribution id.
- Seeds of messages that have not arrived are rows of 64 iterations (`skipped_key_rows.py`).
- A record that does not decode is as good as none: a new key or distribution message takes its
  place. The doctor counts it.

Source: docs/wire-format.md, sender keys.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.sender_key import OwnSenderKey, SenderKeyState, add_distribution
from e2ecross.protocol.sender_key_storage import (
    find_seed_bucket,
    own_sender_key_from_record,
    own_sender_key_to_record,
    sender_key_from_record,
    sender_key_to_record,
    with_seeds,
    without_seeds,
)
from e2ecross.state.context import address_key
from e2ecross.state.skipped_key_rows import load_bucket, save_chain_keys
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.group import GroupId
from e2ecross.wire.limits import (
    MAX_SENDER_KEY_PLACES,
    MAX_SENDER_KEY_SEEDS,
    MAX_SENDER_KEY_STATES,
)
from e2ecross.wire.sender_key_message import Distribution, SenderKeyMessage
from e2ecross.wire.sender_key_records import KeyOrigin, OwnSenderKeyRecord, SenderKeyRecord

__all__ = [
    "HeldSenderKey",
    "add_sender_key",
    "drop_damaged_sender_key",
    "drop_own_sender_keys",
    "drop_sender_keys_of",
    "find_group_of",
    "find_own_sender_key",
    "find_sender_key",
    "group_key_place",
    "own_sender_key_from_bytes",
    "put_own_sender_key",
    "save_sender_key",
    "sender_key_from_row",
]

_CHAIN_ID_BYTES: Final = 4
_OURS: Final = b"\0"
"""What places of groups of ours begin with."""


def _encode_own(key: OwnSenderKey) -> bytes:
    return own_sender_key_to_record(key).encode()


def own_sender_key_from_bytes(record: bytes) -> OwnSenderKey:
    """Make an own sender key of its record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    return own_sender_key_from_record(OwnSenderKeyRecord.decode(record))


_OWN: Final = Codec(_encode_own, own_sender_key_from_bytes)
_RECORD: Final = Codec(SenderKeyRecord.encode, SenderKeyRecord.decode)


class _HeldFields(NamedTuple):
    state: SenderKeyState
    number: int
    origin: KeyOrigin | None = None
    judged: bytes = b""


class HeldSenderKey(SecretTuple, _HeldFields):
    """A sender key of another device, as it is stored.

    Attributes:
        state: the key.
        number: the newest of its sender has the highest.
        origin: of a key of a group of ours; None: of a foreign group.
        judged: see `SenderKeyRecord`.
    """

    __slots__ = ()


class _Placed(NamedTuple):
    place: bytes
    key: HeldSenderKey

    @property
    def group(self) -> bytes:
        return _group(self.place, self.key.origin)

    @property
    def row(self) -> bytes:
        return _row(self.place, self.key.state.chain_id)


# --- Our own ------------------------------------------------------------------------------------


def find_own_sender_key(tx: Transaction, place: bytes) -> OwnSenderKey | None:
    """Return what is sent to that place with, or None: there is none that can be read."""
    try:
        return tx.get_value(Table.OWN_SENDER_KEYS, place, b"", _OWN)
    except RecordCorrupted:
        return None


def put_own_sender_key(tx: Transaction, place: bytes, key: OwnSenderKey) -> None:
    """Send to that place with this key from now on; the one before it is gone."""
    tx.put_value(Table.OWN_SENDER_KEYS, place, b"", key, _OWN)


def drop_own_sender_keys(tx: Transaction) -> None:
    """Send with none of them again: the store was restored, and they may have been used since."""
    for place in tx.partitions(Table.OWN_SENDER_KEYS):
        tx.clear(Table.OWN_SENDER_KEYS, place)


# --- Those of others ----------------------------------------------------------------------------


def group_key_place(distribution_id: bytes) -> bytes:
    """Return the place of a key of a group of ours, by its distribution id (16 bytes)."""
    return _OURS + distribution_id


def find_sender_key(
    tx: Transaction, sender: Address, place: bytes, message: SenderKeyMessage
) -> HeldSenderKey | None:
    """Return the key of a message, with the seeds at hand that reading it takes.

    None: there is none of that chain id that can be read.

    Raises:
        RecordCorrupted: the seeds cannot be read.
    """
    partition, row = address_key(sender), _row(place, message.chain_id)
    try:
        record = tx.get_value(Table.SENDER_KEYS, partition, row, _RECORD)
        if record is None:
            return None
        state = sender_key_from_record(message.chain_id, record)
    except RecordCorrupted:
        return None
    index = find_seed_bucket(state, message.iteration)
    if index is not None:
        bucket = load_bucket(tx, Table.SENDER_KEY_SEEDS, partition + row, index)
        if bucket is not None:
            state = with_seeds(state, {index: bucket})
    return new_tuple(HeldSenderKey, (state, record.number, record.origin, record.judged))


def find_group_of(tx: Transaction, sender: Address, distribution_id: bytes) -> GroupId | None:
    """Return the group of ours that a device has given a key of that id (16 bytes) for, or None."""
    place = group_key_place(distribution_id)
    try:
        for row, record in tx.list(Table.SENDER_KEYS, address_key(sender), limit=1, after=place):
            if row.startswith(place):
                origin = SenderKeyRecord.decode(record).origin
                return None if origin is None else origin.made.group_id
    except RecordCorrupted:
        pass
    return None


def save_sender_key(
    tx: Transaction,
    sender: Address,
    place: bytes,
    before: HeldSenderKey,
    after: SenderKeyState,
    judged: bytes = b"",
) -> None:
    """Write what a message has changed of the key that it was read with.

    Args:
        tx: the operation's transaction.
        sender: the device whose key it is.
        place: of the key.
        before: the key as it was found.
        after: the key as the message has left it.
        judged: of a group of ours: see `SenderKeyRecord`.
    """
    partition, row = address_key(sender), _row(place, after.chain_id)
    fields = (after, before.number, before.origin, judged)
    _put(tx, partition, row, new_tuple(HeldSenderKey, fields))
    old, new = before.state.chain.skipped, after.chain.skipped
    if new is not old:
        save_chain_keys(tx, Table.SENDER_KEY_SEEDS, partition + row, old, new)
    if before.origin is not None and len(new) > len(old):
        _bound_seeds(tx, partition, row, _group(place, before.origin), len(new))


def add_sender_key(
    tx: Transaction,
    sender: Address,
    place: bytes,
    distribution: Distribution,
    origin: KeyOrigin | None = None,
) -> None:
    """Keep the key of a distribution message, the newest of its sender, and drop what is too old.

    Args:
        tx: the operation's transaction.
        sender: the device that has sent it.
        place: of the key.
        distribution: the message.
        origin: of a key of a group of ours.

    Source: docs/wire-format.md, sender keys.
    """
    partition, group = address_key(sender), _group(place, origin)
    held = _read_all(tx, partition)
    if not held:  # as of most, once one comes into a group: 1.3 us less
        (first,) = add_distribution((), distribution)
        _put(tx, partition, _row(place, first.chain_id), HeldSenderKey(first, 1, origin))
        return
    ours = [each for each in held if each.group == group]
    states = [each.key.state for each in ours if each.place == place]
    newest, *others = add_distribution(states, distribution)
    rest = [each for each in ours if each.place != place or _is_one_of(each, others)]
    for each in ours:
        if each.key.state is not newest and each not in rest[: MAX_SENDER_KEY_STATES - 1]:
            _drop(tx, partition, each.row)
    last = held[0].key.number
    if not (ours and ours[0].key.state is newest and ours[0].key.number == last):
        _put(tx, partition, _row(place, newest.chain_id), HeldSenderKey(newest, last + 1, origin))
    if not ours:
        _drop_oldest_group(tx, partition, [e for e in held if _is_ours(e.place) is _is_ours(place)])


def drop_damaged_sender_key(
    tx: Transaction, sender: Address, place: bytes, message: SenderKeyMessage
) -> None:
    """Forget the key of a message if it or its seeds cannot be read: another one can be given."""
    try:
        is_damaged = find_sender_key(tx, sender, place, message) is None
    except RecordCorrupted:
        is_damaged = True
    if is_damaged:
        _drop(tx, address_key(sender), _row(place, message.chain_id))


def drop_sender_keys_of(tx: Transaction, group: GroupId) -> None:
    """Forget all keys that others have given for a group of ours."""
    for partition in tx.partitions(Table.SENDER_KEYS):
        for each in _read_all(tx, partition):
            origin = each.key.origin
            if origin is not None and origin.made.group_id == group:
                _drop(tx, partition, each.row)


def sender_key_from_row(row: bytes, record: bytes) -> HeldSenderKey:
    """Make a key of a row and its record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    if len(row) <= _CHAIN_ID_BYTES:
        raise RecordCorrupted("a sender key belongs to no group: the store is damaged")
    stored = SenderKeyRecord.decode(record)
    if _is_ours(row) is not (stored.origin is not None):
        raise RecordCorrupted("a sender key is of another kind of group: the store is damaged")
    chain_id = int.from_bytes(row[-_CHAIN_ID_BYTES:])
    state = sender_key_from_record(chain_id, stored)
    return HeldSenderKey(state, stored.number, stored.origin, stored.judged)


def _read_all(tx: Transaction, partition: bytes) -> list[_Placed]:
    """Return all keys of a sender, newest first; what does not decode is removed."""
    found: list[_Placed] = []
    try:
        rows = tx.list(Table.SENDER_KEYS, partition)
    except RecordCorrupted:
        # A seal is broken, and so no row can be listed. Which seeds were theirs is not known: they
        # stay, and open nothing any more.
        tx.clear(Table.SENDER_KEYS, partition)
        return found
    for row, record in rows:
        try:
            key = sender_key_from_row(row, record)
        except RecordCorrupted:
            _drop(tx, partition, row)
            continue
        found.append(_Placed(row[:-_CHAIN_ID_BYTES], key))
    found.sort(key=lambda each: each.key.number, reverse=True)
    return found


def _bound_seeds(tx: Transaction, partition: bytes, row: bytes, group: bytes, count: int) -> None:
    """Keep no more seeds of a device in a group of ours than may be: those of its oldest keys go.

    Args:
        tx: the operation's transaction.
        partition: of the device.
        row: of the key that has just got some.
        group: which.
        count: how many that key has: less than may be.
    """
    for each in _read_all(tx, partition):
        if each.group != group or each.row == row:
            continue
        count += len(each.key.state.chain.skipped)
        if count > MAX_SENDER_KEY_SEEDS:
            count -= len(each.key.state.chain.skipped)
            tx.clear(Table.SENDER_KEY_SEEDS, partition + each.row)
            state, key = without_seeds(each.key.state), each.key
            _put(tx, partition, each.row, HeldSenderKey(state, key.number, key.origin, key.judged))


def _drop_oldest_group(tx: Transaction, partition: bytes, held: Sequence[_Placed]) -> None:
    """Where a device has given keys for as many groups as may be, make room for one more."""
    groups = list(dict.fromkeys(each.group for each in held))  # the newest first
    if len(groups) == MAX_SENDER_KEY_PLACES:
        for each in held:
            if each.group == groups[-1]:
                _drop(tx, partition, each.row)


def _put(tx: Transaction, partition: bytes, row: bytes, key: HeldSenderKey) -> None:
    stored = sender_key_to_record(key.state, key.number, key.origin, key.judged)
    tx.put_value(Table.SENDER_KEYS, partition, row, stored, _RECORD)


def _drop(tx: Transaction, partition: bytes, row: bytes) -> None:
    tx.delete(Table.SENDER_KEYS, partition, row)
    tx.clear(Table.SENDER_KEY_SEEDS, partition + row)


def _row(place: bytes, chain_id: int) -> bytes:
    return place + chain_id.to_bytes(_CHAIN_ID_BYTES)


def _is_ours(place: bytes) -> bool:
    return place.startswith(_OURS)


def _group(place: bytes, origin: KeyOrigin | None) -> bytes:
    """What tells one group of a device from another."""
    return place if origin is None else _OURS + origin.made.group_id.value


def _is_one_of(placed: _Placed, states: Sequence[SenderKeyState]) -> bool:
    return any(placed.key.state is each for each in states)
