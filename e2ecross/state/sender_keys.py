# SPDX-License-Identifier: Apache-2.0
"""Rows of sender keys: what we send to groups with, and what others do.

Rules:
- A place says which group it is, and of which kind: `device/group_raw.py` makes them. The
  longest of them may be followed by anything, since what follows has a fixed length.
- Keys of others are in the partition of their sender, numbered by the last distribution message of
  each. The numbers say which of five in a place, and which of 64 places, is the oldest.
- Seeds of messages that have not arrived are rows of 64 iterations (`skipped_key_rows.py`).
- A record that does not decode is as good as none: a new key or distribution message takes its
  place. The doctor counts it.

Source: docs/wire-format.md, sender keys.
"""

from typing import Final, NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.secret import SecretTuple
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.sender_key import OwnSenderKey, SenderKeyState, add_distribution
from e2ecross.protocol.sender_key_storage import (
    find_seed_bucket,
    own_sender_key_from_record,
    own_sender_key_to_record,
    sender_key_from_record,
    sender_key_to_record,
    with_seeds,
)
from e2ecross.state.context import address_key
from e2ecross.state.skipped_key_rows import load_bucket, save_chain_keys
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.limits import MAX_SENDER_KEY_PLACES
from e2ecross.wire.sender_key_message import Distribution, SenderKeyMessage
from e2ecross.wire.sender_key_records import OwnSenderKeyRecord, SenderKeyRecord

__all__ = [
    "HeldSenderKey",
    "add_sender_key",
    "drop_own_sender_keys",
    "find_own_sender_key",
    "find_sender_key",
    "own_sender_key_from_bytes",
    "put_own_sender_key",
    "save_sender_key",
    "sender_key_from_row",
]

_CHAIN_ID_BYTES: Final = 4


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


class HeldSenderKey(SecretTuple, _HeldFields):
    """A sender key of another device, as it is stored.

    Attributes:
        state: the key.
        number: the newest of its sender has the highest.
    """

    __slots__ = ()


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
    return HeldSenderKey(state, record.number)


def save_sender_key(
    tx: Transaction, sender: Address, place: bytes, before: HeldSenderKey, after: SenderKeyState
) -> None:
    """Write what a message has changed of the key that it was read with."""
    partition, row = address_key(sender), _row(place, after.chain_id)
    _put(tx, partition, row, after, before.number)
    seeds = partition + row
    save_chain_keys(
        tx, Table.SENDER_KEY_SEEDS, seeds, before.state.chain.skipped, after.chain.skipped
    )


def add_sender_key(
    tx: Transaction, sender: Address, place: bytes, distribution: Distribution
) -> None:
    """Keep the key of a distribution message, the newest of its sender, and drop what is too old.

    Source: docs/wire-format.md, sender keys.
    """
    partition = address_key(sender)
    places = _read_all(tx, partition)
    held = places.get(place, [])
    last = max((key.number for keys in places.values() for key in keys), default=0)
    states = [key.state for key in held]
    newest, *others = add_distribution(states, distribution)
    for state in states:
        if state is not newest and not any(state is other for other in others):
            _drop(tx, partition, _row(place, state.chain_id))
    if not (held and newest is held[0].state and held[0].number == last):
        _put(tx, partition, _row(place, newest.chain_id), newest, last + 1)
    if place not in places and len(places) == MAX_SENDER_KEY_PLACES:
        oldest = min(places, key=lambda other: places[other][0].number)
        for key in places[oldest]:
            _drop(tx, partition, _row(oldest, key.state.chain_id))


def sender_key_from_row(row: bytes, record: bytes) -> HeldSenderKey:
    """Make a key of a row and its record.

    Raises:
        RecordCorrupted: it does not decode.
        StoreTooNew: a later release wrote it.
    """
    if len(row) <= _CHAIN_ID_BYTES:
        raise RecordCorrupted("a sender key belongs to no group: the store is damaged")
    stored = SenderKeyRecord.decode(record)
    chain_id = int.from_bytes(row[-_CHAIN_ID_BYTES:])
    return HeldSenderKey(sender_key_from_record(chain_id, stored), stored.number)


def _read_all(tx: Transaction, partition: bytes) -> dict[bytes, list[HeldSenderKey]]:
    """Return all keys of a sender by place, newest first; what does not decode is removed."""
    found: dict[bytes, list[HeldSenderKey]] = {}
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
        found.setdefault(row[:-_CHAIN_ID_BYTES], []).append(key)
    for keys in found.values():
        keys.sort(key=lambda key: key.number, reverse=True)
    return found


def _put(tx: Transaction, partition: bytes, row: bytes, state: SenderKeyState, number: int) -> None:
    tx.put_value(Table.SENDER_KEYS, partition, row, sender_key_to_record(state, number), _RECORD)


def _drop(tx: Transaction, partition: bytes, row: bytes) -> None:
    tx.delete(Table.SENDER_KEYS, partition, row)
    tx.clear(Table.SENDER_KEY_SEEDS, partition + row)


def _row(place: bytes, chain_id: int) -> bytes:
    return place + chain_id.to_bytes(_CHAIN_ID_BYTES)
