# SPDX-License-Identifier: Apache-2.0
"""Sessions in the store: which rows an operation reads, and which it writes.

Rules:
- Only rows of values that changed are written; that is told by identity, because protocol values
  are immutable and share what did not change.
- Skipped message keys have rows of their own, 64 message numbers each.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from e2ecross.address import Address
from e2ecross.client.context import address_key
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.message_chain import ReceivingChain
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_record import NO_SESSIONS, SessionRecord, prefer_session
from e2ecross.protocol.session_storage import session_from_record, session_to_record
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.limits import MAX_HELD_MESSAGES
from e2ecross.wire.session_records import (
    SessionListRecord,
    StoredSession,
    decode_skipped_keys,
    encode_skipped_keys,
)

__all__ = [
    "SessionInfo",
    "drop_damaged_sessions",
    "has_session",
    "load_sessions",
    "load_sessions_for_sending",
    "read_session_info",
    "save_sessions",
    "send_with_session",
]

_RATCHET_KEY_BYTES = 33
_BUCKET_INDEX_BYTES = 4


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """How it stands with the sessions with one address.

    Attributes:
        can_send: there is one to send with. Otherwise all only read, and it takes a bundle.
        acknowledged: the one to send with is known to the peer: a message of theirs was read.
        without_one_time_prekey: the one to send with began without a one-time prekey. Whoever
            steals signed prekey and identity key of the end that did not start it reads what the
            other end wrote before the first answer.
        archived: how many only read.
    """

    can_send: bool
    acknowledged: bool
    without_one_time_prekey: bool
    archived: int


def read_session_info(tx: Transaction, address: Address) -> SessionInfo | None:
    """Return how it stands with the sessions with an address, or None if there are none."""
    record = load_sessions(tx, address)
    current = record.current
    if current is None and not record.archived:
        return None
    return SessionInfo(
        can_send=current is not None,
        acknowledged=current is not None and current.pending is None,
        without_one_time_prekey=current is not None and current.without_one_time_prekey,
        archived=len(record.archived),
    )


def has_session(tx: Transaction, address: Address) -> bool:
    """Tell whether there is a session to send with."""
    stored = _load_list(tx, address_key(address))
    return stored is not None and stored.current is not None


def load_sessions(tx: Transaction, address: Address) -> SessionRecord:
    """Read all sessions with an address."""
    partition = address_key(address)
    stored = _load_list(tx, partition)
    if stored is None:
        return NO_SESSIONS
    current = None if stored.current is None else _load_session(tx, partition, stored.current)
    archived = tuple(_load_session(tx, partition, base_key) for base_key in stored.archived)
    held = next((session.base_key for session in archived if session.base_key == stored.held), None)
    return SessionRecord(current, archived, held, stored.held_count)


def load_sessions_for_sending(tx: Transaction, address: Address) -> SessionRecord:
    """Read what is needed to send: mostly the current session alone, the archive left out.

    `save_sessions` does not touch what is left out here and there.
    """
    partition = address_key(address)
    stored = _load_list(tx, partition)
    if stored is None or stored.current is None:
        return NO_SESSIONS
    if stored.held_count >= MAX_HELD_MESSAGES:  # the archive may be needed
        return load_sessions(tx, address)
    return SessionRecord(_load_session(tx, partition, stored.current), (), None, 0)


def save_sessions(
    tx: Transaction, address: Address, before: SessionRecord, after: SessionRecord
) -> None:
    """Write what differs between the sessions as they were read and as they are now."""
    partition = address_key(address)
    old = {session.base_key: session for session in _sessions(before)}
    new = {session.base_key: session for session in _sessions(after)}
    for base_key, session in new.items():
        if old.get(base_key) is not session:
            _save_session(tx, partition, old.get(base_key), session)
    for base_key in old.keys() - new.keys():
        tx.delete(Table.SESSIONS, partition, base_key)
        tx.clear(Table.SKIPPED_KEYS, partition + base_key)
    stored = _list_record(after)
    if stored != _list_record(before):
        tx.put(Table.SESSION_RECORDS, partition, b"", stored.encode())


def send_with_session(
    tx: Transaction, address: Address, base_key: bytes, accepted_identity: PublicKey
) -> None:
    """Send with the session of this base key (33 bytes) from now on; see `prefer_session`."""
    before = load_sessions(tx, address)
    for session in before.archived:
        if session.base_key == base_key:
            save_sessions(tx, address, before, prefer_session(before, session, accepted_identity))


def drop_damaged_sessions(
    tx: Transaction, address: Address, accepted_identity: PublicKey | None
) -> bool:
    """Forget the sessions with an address that cannot be loaded; tells whether there were any.

    One that is sent with is damaged also if its identity is not the accepted one (33 bytes): those
    are put away when another identity is accepted.
    """
    partition = address_key(address)
    try:
        stored = _load_list(tx, partition)
    except RecordCorrupted:
        # Which skipped keys belonged to it is not known: they stay, and open nothing any more.
        tx.clear(Table.SESSION_RECORDS, partition)
        tx.clear(Table.SESSIONS, partition)
        return True
    if stored is None:
        return False
    listed = stored.archived if stored.current is None else (stored.current, *stored.archived)
    damaged = {base_key for base_key in listed if not _loads(tx, partition, base_key)}
    if stored.current is not None and stored.current not in damaged:
        current = _load_session(tx, partition, stored.current)
        if accepted_identity not in (None, current.remote_identity_key):
            damaged.add(stored.current)
    for base_key in damaged:
        tx.delete(Table.SESSIONS, partition, base_key)
        tx.clear(Table.SKIPPED_KEYS, partition + base_key)
    if damaged:
        left = SessionListRecord(
            current=None if stored.current in damaged else stored.current,
            archived=tuple(key for key in stored.archived if key not in damaged),
            held=None if stored.held in damaged else stored.held,
            held_count=0 if stored.held in damaged else stored.held_count,
        )
        tx.put(Table.SESSION_RECORDS, partition, b"", left.encode())
    return bool(damaged)


def _loads(tx: Transaction, partition: bytes, base_key: bytes) -> bool:
    try:
        _load_session(tx, partition, base_key)
    except RecordCorrupted:
        return False
    return True


def _sessions(record: SessionRecord) -> Iterable[Session]:
    return record.archived if record.current is None else (record.current, *record.archived)


def _list_record(record: SessionRecord) -> SessionListRecord:
    return SessionListRecord(
        current=None if record.current is None else record.current.base_key,
        archived=tuple(session.base_key for session in record.archived),
        held=record.held,
        held_count=record.held_count,
    )


def _load_list(tx: Transaction, partition: bytes) -> SessionListRecord | None:
    data = tx.get(Table.SESSION_RECORDS, partition)
    return None if data is None else SessionListRecord.decode(data)


def _load_session(tx: Transaction, partition: bytes, base_key: bytes) -> Session:
    data = tx.get(Table.SESSIONS, partition, base_key)
    if data is None:
        raise RecordCorrupted("a session that is listed is missing: the store is damaged")
    stored = StoredSession.decode(data)
    if stored.base_key != base_key:
        raise RecordCorrupted("a session stands in the place of another: the store is damaged")
    skipped: dict[bytes, dict[int, dict[int, bytes]]] = {}
    if any(chain.skipped_count for chain in stored.receiving_chains):
        for row, bucket in tx.list(Table.SKIPPED_KEYS, partition + base_key):
            ratchet_key, index = row[:_RATCHET_KEY_BYTES], row[_RATCHET_KEY_BYTES:]
            buckets = skipped.setdefault(ratchet_key, {})
            buckets[int.from_bytes(index)] = decode_skipped_keys(bucket)
    return session_from_record(stored, skipped)


def _save_session(
    tx: Transaction, partition: bytes, before: Session | None, after: Session
) -> None:
    tx.put(Table.SESSIONS, partition, after.base_key, session_to_record(after).encode())
    old = {} if before is None else _chains(before)
    new = _chains(after)
    for ratchet_key in old.keys() | new.keys():
        _save_skipped_keys(
            tx, partition + after.base_key, ratchet_key, old.get(ratchet_key), new.get(ratchet_key)
        )


def _chains(session: Session) -> Mapping[bytes, ReceivingChain]:
    return {chain.ratchet_key: chain for chain in session.ratchet.receiving}


def _save_skipped_keys(
    tx: Transaction,
    partition: bytes,
    ratchet_key: bytes,
    before: ReceivingChain | None,
    after: ReceivingChain | None,
) -> None:
    old = (NO_SKIPPED_KEYS if before is None else before.skipped).buckets
    new = (NO_SKIPPED_KEYS if after is None else after.skipped).buckets
    if old is new:
        return
    for index, bucket in new.items():
        if old.get(index) is not bucket:
            row = ratchet_key + index.to_bytes(_BUCKET_INDEX_BYTES)
            tx.put(Table.SKIPPED_KEYS, partition, row, encode_skipped_keys(bucket))
    for index in old.keys() - new.keys():
        row = ratchet_key + index.to_bytes(_BUCKET_INDEX_BYTES)
        tx.delete(Table.SKIPPED_KEYS, partition, row)
