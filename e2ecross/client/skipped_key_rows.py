# SPDX-License-Identifier: Apache-2.0
"""Rows of skipped message keys: 64 message numbers of one chain each.

Rules:
- The partition is that of one session; a row is named by ratchet key and bucket number, so the
  rows of a chain are listed from its lowest message number on.
- Only the row that a message needs is read before it is authenticated. Others are read when keys
  go because there are too many, or because their chain has gone.
"""

from collections.abc import Mapping
from typing import Final

from e2ecross.protocol.ratchet import count_skipped_keys, find_needed_bucket
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_storage import with_all_buckets, with_buckets
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.session_records import decode_skipped_keys, encode_skipped_keys
from e2ecross.wire.signal_message import SignalMessage

__all__ = ["load_all_skipped_keys", "load_needed_skipped_keys", "save_skipped_keys"]

_RATCHET_KEY_BYTES: Final = 33
_BUCKET_INDEX_BYTES: Final = 4
_BUCKET: Final[Codec[Mapping[int, bytes]]] = Codec(encode_skipped_keys, decode_skipped_keys)


def load_needed_skipped_keys(
    tx: Transaction, partition: bytes, session: Session, message: SignalMessage
) -> Session:
    """Return the session with the stored keys at hand that reading a message takes."""
    needed = find_needed_bucket(session.ratchet, message)
    if needed is None:
        return session
    ratchet_key, index = needed
    bucket = tx.get_value(Table.SKIPPED_KEYS, partition, _row(ratchet_key, index), _BUCKET)
    return session if bucket is None else with_buckets(session, {ratchet_key: {index: bucket}})


def load_all_skipped_keys(tx: Transaction, partition: bytes, session: Session) -> Session:
    """Return the session with all its stored keys at hand.

    Raises:
        RecordCorrupted: they are not as many as the session says.
    """
    if not count_skipped_keys(session.ratchet):
        return session
    found: dict[bytes, dict[int, dict[int, bytes]]] = {}
    for row, record in tx.list(Table.SKIPPED_KEYS, partition):
        ratchet_key, index = row[:_RATCHET_KEY_BYTES], int.from_bytes(row[_RATCHET_KEY_BYTES:])
        found.setdefault(ratchet_key, {})[index] = decode_skipped_keys(record)
    return with_all_buckets(session, found)


def save_skipped_keys(
    tx: Transaction, partition: bytes, before: Session | None, after: Session
) -> None:
    """Write what differs between the stored keys of a session as it was read and as it is now."""
    old = {} if before is None else _stored(before)
    for chain in after.ratchet.receiving:
        known = old.get(chain.ratchet_key, NO_SKIPPED_KEYS)
        if chain.skipped is not known:
            _save_buckets(tx, partition, chain.ratchet_key, known, chain.skipped)
    for ratchet_key in old.keys() - {chain.ratchet_key for chain in after.ratchet.receiving}:
        for row, _ in tx.list(Table.SKIPPED_KEYS, partition):
            if row.startswith(ratchet_key):
                tx.delete(Table.SKIPPED_KEYS, partition, row)


def _stored(session: Session) -> dict[bytes, SkippedKeys]:
    return {
        chain.ratchet_key: chain.skipped
        for chain in session.ratchet.receiving
        if chain.skipped is not NO_SKIPPED_KEYS
    }


def _save_buckets(
    tx: Transaction, partition: bytes, ratchet_key: bytes, before: SkippedKeys, after: SkippedKeys
) -> None:
    for index, bucket in after.buckets.items():
        if before.buckets.get(index) is not bucket:
            row = _row(ratchet_key, index)
            tx.put_value(Table.SKIPPED_KEYS, partition, row, bucket, _BUCKET)
    for index in before.buckets.keys() - after.buckets.keys():
        tx.delete(Table.SKIPPED_KEYS, partition, _row(ratchet_key, index))
    if after.forgotten:
        _forget(tx, partition, ratchet_key, after.forgotten)


def _forget(tx: Transaction, partition: bytes, ratchet_key: bytes, count: int) -> None:
    """Remove that many keys of a chain from its rows, those of the lowest numbers."""
    for row, record in tx.list(Table.SKIPPED_KEYS, partition):
        if not row.startswith(ratchet_key):
            continue
        bucket = decode_skipped_keys(record)
        if len(bucket) > count:
            left = {number: bucket[number] for number in sorted(bucket)[count:]}
            if len(left) < len(bucket):
                tx.put_value(Table.SKIPPED_KEYS, partition, row, left, _BUCKET)
            return
        tx.delete(Table.SKIPPED_KEYS, partition, row)
        count -= len(bucket)


def _row(ratchet_key: bytes, index: int) -> bytes:
    return ratchet_key + index.to_bytes(_BUCKET_INDEX_BYTES)
