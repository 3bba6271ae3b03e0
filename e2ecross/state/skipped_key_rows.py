# SPDX-License-Identifier: Apache-2.0
"""Rows of skipped message keys: 64 message numbers of one chain each.

Rules:
- The partition is that of one session. A row is named by its chain and a bucket number, so the
  rows of a chain are listed from its lowest message number on. A chain of the Double Ratchet is
  named by its ratchet key, one of the post-quantum ratchet (another table) by its epoch.
- The seeds of a sender key have a partition of their own, and then the bucket number alone.
- Only the row that a message needs is read before it is authenticated. Others are read when keys
  go because there are too many, or because their chain has gone.
"""

from collections.abc import Mapping
from typing import Final

from e2ecross.crypto.kdf import MessageKey
from e2ecross.protocol.ratchet import count_skipped_keys, find_needed_bucket
from e2ecross.protocol.session import Session, with_spqr
from e2ecross.protocol.session_storage import with_all_buckets, with_buckets
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.protocol.spqr.state import (
    SpqrState,
    count_skipped_spqr_keys,
    find_needed_spqr_bucket,
)
from e2ecross.protocol.spqr.storage import with_all_spqr_buckets, with_spqr_buckets
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.session_records import decode_skipped_keys, encode_skipped_keys
from e2ecross.wire.signal_message import SignalMessage

__all__ = [
    "SPQR_KEYS",
    "load_all_skipped_keys",
    "load_bucket",
    "load_needed_skipped_keys",
    "save_chain_keys",
    "save_skipped_keys",
]

SPQR_KEYS: Final = b"keys"
"""What the rows of skipped keys of the post-quantum ratchet begin with."""

_BUCKET_INDEX_BYTES: Final = 4
_EPOCH_BYTES: Final = 8
_BUCKET: Final[Codec[Mapping[int, MessageKey]]] = Codec(encode_skipped_keys, decode_skipped_keys)

_Chains = dict[bytes, SkippedKeys]
"""What is stored of each chain, by how its rows begin."""


def load_needed_skipped_keys(
    tx: Transaction, partition: bytes, session: Session, message: SignalMessage
) -> Session:
    """Return the session with the stored keys at hand that reading a message takes."""
    needed = find_needed_bucket(session.ratchet, message)
    if needed is not None:
        ratchet_key, index = needed
        bucket = tx.get_value(Table.SKIPPED_KEYS, partition, _row(ratchet_key, index), _BUCKET)
        if bucket is not None:
            session = with_buckets(session, {ratchet_key: {index: bucket}})
    spqr = session.ratchet.spqr
    pq_needed = find_needed_spqr_bucket(spqr, message.pq_ratchet)
    if spqr is not None and pq_needed is not None:
        epoch, index = pq_needed
        bucket = tx.get_value(Table.SPQR, partition, _row(_spqr_chain(epoch), index), _BUCKET)
        if bucket is not None:
            session = with_spqr(session, with_spqr_buckets(spqr, {epoch: {index: bucket}}))
    return session


def load_all_skipped_keys(tx: Transaction, partition: bytes, session: Session) -> Session:
    """Return the session with all its stored keys at hand.

    Raises:
        RecordCorrupted: they are not as many as the session says.
    """
    spqr = session.ratchet.spqr
    if spqr is not None and count_skipped_spqr_keys(spqr):
        by_chain = _list(tx, Table.SPQR, partition, SPQR_KEYS)
        found = {int.from_bytes(chain[len(SPQR_KEYS) :]): rows for chain, rows in by_chain.items()}
        session = with_spqr(session, with_all_spqr_buckets(spqr, found))
    if not count_skipped_keys(session.ratchet):
        return session
    return with_all_buckets(session, _list(tx, Table.SKIPPED_KEYS, partition, b""))


def save_skipped_keys(
    tx: Transaction, partition: bytes, before: Session | None, after: Session
) -> None:
    """Write what differs between the stored keys of a session as it was read and as it is now."""
    if (before is None or not _holds_any(before)) and not _holds_any(after):
        return
    old = {} if before is None else _stored(before)
    new = _stored(after)
    if old or new:
        _save(tx, Table.SKIPPED_KEYS, partition, old, new)
    old_spqr = None if before is None else before.ratchet.spqr
    if old_spqr is not None or after.ratchet.spqr is not None:
        _save(tx, Table.SPQR, partition, _stored_spqr(old_spqr), _stored_spqr(after.ratchet.spqr))


def load_bucket(
    tx: Transaction, table: Table, partition: bytes, index: int
) -> Mapping[int, MessageKey] | None:
    """Return a bucket of a chain that has a partition of its own, or None."""
    return tx.get_value(table, partition, _row(b"", index), _BUCKET)


def save_chain_keys(
    tx: Transaction, table: Table, partition: bytes, before: SkippedKeys, after: SkippedKeys
) -> None:
    """Write what differs between the stored keys of a chain that has a partition of its own."""
    _save(tx, table, partition, {b"": before}, {b"": after})


def _holds_any(session: Session) -> bool:
    for chain in session.ratchet.receiving:
        if chain.skipped is not NO_SKIPPED_KEYS:
            return True
    spqr = session.ratchet.spqr
    if spqr is not None:
        for epoch in spqr.chains.epochs:
            if epoch.skipped is not NO_SKIPPED_KEYS:
                return True
    return False


def _stored(session: Session) -> _Chains:
    return {
        chain.ratchet_key: chain.skipped
        for chain in session.ratchet.receiving
        if chain.skipped is not NO_SKIPPED_KEYS
    }


def _stored_spqr(spqr: SpqrState | None) -> _Chains:
    if spqr is None:
        return {}
    return {
        _spqr_chain(chain.epoch): chain.skipped
        for chain in spqr.chains.epochs
        if chain.skipped is not NO_SKIPPED_KEYS
    }


def _save(tx: Transaction, table: Table, partition: bytes, old: _Chains, new: _Chains) -> None:
    for chain in old.keys() | new.keys():
        before, after = old.get(chain, NO_SKIPPED_KEYS), new.get(chain)
        if before is after:
            continue
        if after is None:  # the chain has gone
            _remove(tx, table, partition, chain)
            continue
        for index, bucket in after.buckets.items():
            if before.buckets.get(index) is not bucket:
                tx.put_value(table, partition, _row(chain, index), bucket, _BUCKET)
        for index in before.buckets.keys() - after.buckets.keys():
            tx.delete(table, partition, _row(chain, index))
        if after.forgotten:
            _forget(tx, table, partition, chain, after.forgotten)


def _remove(tx: Transaction, table: Table, partition: bytes, chain: bytes) -> None:
    for row, _ in tx.list(table, partition):
        if row.startswith(chain):
            tx.delete(table, partition, row)


def _forget(tx: Transaction, table: Table, partition: bytes, chain: bytes, count: int) -> None:
    """Remove that many keys of a chain from its rows, those of the lowest numbers."""
    for row, record in tx.list(table, partition):
        if not row.startswith(chain):
            continue
        bucket = decode_skipped_keys(record)
        if len(bucket) > count:
            left = {number: bucket[number] for number in sorted(bucket)[count:]}
            if count:
                tx.put_value(table, partition, row, left, _BUCKET)
            return
        tx.delete(table, partition, row)
        count -= len(bucket)


def _list(
    tx: Transaction, table: Table, partition: bytes, prefix: bytes
) -> dict[bytes, dict[int, Mapping[int, MessageKey]]]:
    """Return all rows by chain and bucket number."""
    found: dict[bytes, dict[int, Mapping[int, MessageKey]]] = {}
    for row, record in tx.list(table, partition):
        if row.startswith(prefix):
            chain, index = row[:-_BUCKET_INDEX_BYTES], row[-_BUCKET_INDEX_BYTES:]
            found.setdefault(chain, {})[int.from_bytes(index)] = decode_skipped_keys(record)
    return found


def _spqr_chain(epoch: int) -> bytes:
    return SPQR_KEYS + epoch.to_bytes(_EPOCH_BYTES)


def _row(chain: bytes, index: int) -> bytes:
    return chain + index.to_bytes(_BUCKET_INDEX_BYTES)
