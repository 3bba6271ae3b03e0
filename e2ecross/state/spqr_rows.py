# SPDX-License-Identifier: Apache-2.0
"""Rows of the post-quantum ratchet of a session, beside what the session's own record says of it.

Rules:
- What changes with every message stands in the session's record. The material of a stage, received
  chunks and the ciphertext that first messages repeat have rows of their own, and are written when
  they change; that is told by identity.
- Secrets of a stage that has been left are overwritten with the material of the next one.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from e2ecross.crypto.secret import SecretTuple
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_storage import session_from_record
from e2ecross.protocol.spqr.erasure import BUCKET_SIZE
from e2ecross.protocol.spqr.state import SpqrState
from e2ecross.protocol.spqr.storage import spqr_from_record, spqr_material_to_record
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.session_records import StoredSession
from e2ecross.wire.spqr_records import StoredSpqr, StoredSpqrMaterial, decode_chunks, encode_chunks

__all__ = ["IncompleteSession", "complete_session", "save_spqr"]

_MATERIAL: Final = b"material"
_KYBER: Final = b"kyber"
_CHUNKS: Final = b"chunks"

_Chunks = tuple[Mapping[int, bytes], ...]


class _IncompleteFields(NamedTuple):
    stored: StoredSession


class IncompleteSession(SecretTuple, _IncompleteFields):
    """A session whose record has been read, and that has other rows beside it."""

    __slots__ = ()


def complete_session(tx: Transaction, partition: bytes, stored: StoredSession) -> Session:
    """Read the other rows of a session, and make it of all of them.

    Raises:
        RecordCorrupted: one is missing, does not decode, or does not fit the others.
    """
    spqr = None if stored.spqr is None else _load(tx, partition, stored.spqr)
    kyber = b""
    if stored.pending is not None and stored.pending.kyber_prekey_id is not None:
        kyber = _require(tx.get(Table.SPQR, partition, _KYBER))
    return session_from_record(stored, spqr, kyber)


def save_spqr(tx: Transaction, partition: bytes, before: Session | None, after: Session) -> None:
    """Write what differs between the session as it was read and as it is now."""
    old, new = None if before is None else before.ratchet.spqr, after.ratchet.spqr
    if new is not None:
        if old is None or _material_differs(old, new):
            record = spqr_material_to_record(new).encode()
            tx.put(Table.SPQR, partition, _MATERIAL, record)
        chunks = () if old is None else old.machine.received.buckets
        _save_chunks(tx, partition, chunks, new.machine.received.buckets)
    elif old is not None:  # the peer does not run the ratchet
        tx.clear(Table.SPQR, partition)
        return
    repeated = None if before is None or before.pending is None else before.pending.kyber
    repeats = None if after.pending is None else after.pending.kyber
    if repeats is None and repeated is not None:
        tx.delete(Table.SPQR, partition, _KYBER)
    elif repeats is not None and repeats is not repeated:
        tx.put(Table.SPQR, partition, _KYBER, repeats.ciphertext)


def _load(tx: Transaction, partition: bytes, stored: StoredSpqr) -> SpqrState:
    material = StoredSpqrMaterial.decode(_require(tx.get(Table.SPQR, partition, _MATERIAL)))
    rows = -(-stored.received_chunks // BUCKET_SIZE)
    if rows > _MAX_ROWS:
        raise RecordCorrupted("an SPQR record has too many chunks: the store is damaged")
    chunks = [
        decode_chunks(_require(tx.get(Table.SPQR, partition, _chunks_row(number))))
        for number in range(rows)
    ]
    return spqr_from_record(stored, material, chunks)


_MAX_ROWS: Final = 8
"""Of chunks: the longest data has 36 of them."""


def _material_differs(old: SpqrState, new: SpqrState) -> bool:
    return old.machine.held is not new.machine.held or old.chains.root is not new.chains.root


def _save_chunks(tx: Transaction, partition: bytes, old: _Chunks, new: _Chunks) -> None:
    if old is new:
        return
    for number, bucket in enumerate(new):
        if number >= len(old) or old[number] is not bucket:
            tx.put(Table.SPQR, partition, _chunks_row(number), encode_chunks(bucket))
    for number in range(len(new), len(old)):
        tx.delete(Table.SPQR, partition, _chunks_row(number))


def _chunks_row(number: int) -> bytes:
    return _CHUNKS + bytes((number,))


def _require(data: bytes | None) -> bytes:
    if data is None:
        raise RecordCorrupted("a row of a session is missing: the store is damaged")
    return data
