# SPDX-License-Identifier: Apache-2.0
"""Sessions in the store: which rows an operation reads, and which it writes.

Rules:
- Only rows of values that changed are written; that is told by identity, because protocol values
  are immutable and share what did not change.
- What an operation does not need is left in its rows. Archived sessions are read when the current
  one alone does not do; of the skipped message keys, which have rows of 64 message numbers each,
  at most one row before a message is authenticated. So a message costs the same however much of
  both there is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from e2ecross.address import Address
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.crypto.secret import new_tuple
from e2ecross.errors import InvalidKey, RecordCorrupted
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_record import (
    NO_SESSIONS,
    SessionRecord,
    only_identity,
    prefer_identity,
    prefer_session,
)
from e2ecross.protocol.session_storage import (
    session_from_record,
    session_to_record,
    without_buckets,
)
from e2ecross.state.context import address_key
from e2ecross.state.skipped_key_rows import (
    load_all_skipped_keys,
    load_needed_skipped_keys,
    save_skipped_keys,
)
from e2ecross.state.spqr_rows import IncompleteSession, complete_session, save_spqr
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.session_records import SessionListRecord, StoredSession
from e2ecross.wire.signal_message import VERSION_3, SignalMessage

__all__ = [
    "SessionInfo",
    "drop_damaged_sessions",
    "forget_sessions",
    "has_archived_sessions",
    "has_session",
    "load_sessions",
    "read_current_session",
    "read_session_info",
    "read_sessions",
    "read_sessions_for",
    "save_sessions",
    "send_to_identity",
    "send_with_session",
]


def _decode_list(data: bytes) -> SessionListRecord:
    stored = SessionListRecord.decode(data)
    try:
        for base_key in (*stored.archived, *filter(None, [stored.current])):
            decode_public_key(base_key)
    except InvalidKey as error:
        raise RecordCorrupted(
            "a session list holds an impossible key: the store is damaged"
        ) from error
    return stored


_LIST: Final = Codec(SessionListRecord.encode, _decode_list)


def _encode_session(session: Session | IncompleteSession) -> bytes:
    # One that is incomplete is what a record was read as; only whole ones are written.
    return session_to_record(cast("Session", session)).encode()


def _decode_session(data: bytes) -> Session | IncompleteSession:
    stored = StoredSession.decode(data)
    if stored.version == VERSION_3.number:
        return session_from_record(stored)
    return IncompleteSession(stored)


_SESSION: Final[Codec[Session | IncompleteSession]] = Codec(_encode_session, _decode_session)


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
    record = read_sessions(tx, address_key(address))
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


def read_sessions(tx: Transaction, place: bytes) -> SessionRecord:
    """Read the sessions with an address, their skipped message keys left in the store."""
    stored = _load_list(tx, place)
    if stored is None:
        return NO_SESSIONS
    current = None if stored.current is None else _load_session(tx, place, stored.current)
    archived = tuple([_load_session(tx, place, base_key) for base_key in stored.archived])
    held = next((session.base_key for session in archived if session.base_key == stored.held), None)
    return SessionRecord(current, archived, held, stored.held_count)


def read_sessions_for(tx: Transaction, place: bytes, message: SignalMessage) -> SessionRecord:
    """The same, with the stored keys at hand that reading a message takes."""
    record = read_sessions(tx, place)

    def ready(session: Session) -> Session:
        return load_needed_skipped_keys(tx, place + session.base_key, session, message)

    current = None if record.current is None else ready(record.current)
    return SessionRecord(
        current, tuple(map(ready, record.archived)), record.held, record.held_count
    )


def load_sessions(tx: Transaction, address: Address) -> SessionRecord:
    """Read everything about the sessions with an address, and hold it against each other.

    Raises:
        RecordCorrupted: it does not decode, or does not fit together.
    """
    partition = address_key(address)
    record = read_sessions(tx, partition)
    if record is NO_SESSIONS:
        return record

    def whole(session: Session) -> Session:
        return load_all_skipped_keys(tx, partition + session.base_key, session)

    current = None if record.current is None else whole(record.current)
    return SessionRecord(
        current, tuple(map(whole, record.archived)), record.held, record.held_count
    )


def read_current_session(
    tx: Transaction, place: bytes, message: SignalMessage | None = None
) -> SessionRecord | None:
    """Read the current session alone, the archive left out; None if that does not do.

    It does unless there is no current session, or the stay rule holds one back. What is left out
    is not touched by `save_sessions`, here and there.

    Args:
        tx: the operation's transaction.
        place: the store's key of the peer's address (`address_key`).
        message: what is to be read with the session, or None: nothing is.
    """
    stored = _load_list(tx, place)
    if stored is None or stored.current is None or stored.held is not None:
        return None
    session = _load_session(tx, place, stored.current)
    if message is not None:
        session = load_needed_skipped_keys(tx, place + session.base_key, session, message)
    return new_tuple(SessionRecord, (session, (), None, 0))


def has_archived_sessions(tx: Transaction, place: bytes) -> bool:
    """Tell whether there are sessions with an address beside the current one."""
    stored = _load_list(tx, place)
    return stored is not None and bool(stored.archived)


def save_sessions(
    tx: Transaction, place: bytes, before: SessionRecord, after: SessionRecord
) -> None:
    """Write what differs between the sessions as they were read and as they are now."""
    if after.current is not None and _is_advanced(before, after):
        _save_session(tx, place, before.current, after.current)
        return
    old = {session.base_key: session for session in _sessions(before)}
    new = {session.base_key: session for session in _sessions(after)}
    for base_key, session in new.items():
        if old.get(base_key) is not session:
            _save_session(tx, place, old.get(base_key), session)
    for base_key in old.keys() - new.keys():
        _forget_session(tx, place, base_key)
    stored = _list_record(after)
    if stored != _list_record(before):
        tx.put_value(Table.SESSION_RECORDS, place, b"", stored, _LIST)


def send_to_identity(tx: Transaction, address: Address, identity_key: PublicKey) -> None:
    """Send with the newest session of this identity (33 bytes) from now on, or with none."""
    place = address_key(address)
    before = read_sessions(tx, place)
    save_sessions(tx, place, before, prefer_identity(before, identity_key))


def send_with_session(
    tx: Transaction, address: Address, base_key: bytes, accepted_identity: PublicKey
) -> None:
    """Send with the session of this base key (33 bytes) from now on; see `prefer_session`."""
    place = address_key(address)
    before = read_sessions(tx, place)
    for session in before.archived:
        if session.base_key == base_key:
            save_sessions(tx, place, before, prefer_session(before, session, accepted_identity))


def drop_damaged_sessions(
    tx: Transaction, address: Address, accepted_identity: PublicKey | None
) -> bool:
    """Forget the sessions with an address that cannot be loaded; tells whether there were any.

    One that is sent with is damaged also if its identity is not the accepted one (33 bytes): those
    are put away when another identity is accepted.
    """
    partition = address_key(address)
    try:
        # Not `_load_list`: of a list with an impossible key, the other sessions are kept.
        data = tx.get(Table.SESSION_RECORDS, partition)
        stored = None if data is None else SessionListRecord.decode(data)
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
        _forget_session(tx, partition, base_key)
    if damaged:
        left = SessionListRecord(
            current=None if stored.current in damaged else stored.current,
            archived=tuple(key for key in stored.archived if key not in damaged),
            held=None if stored.held in damaged else stored.held,
            held_count=0 if stored.held in damaged else stored.held_count,
        )
        tx.put_value(Table.SESSION_RECORDS, partition, b"", left, _LIST)
    return bool(damaged)


def forget_sessions(tx: Transaction, address: Address, kept_identity: PublicKey | None) -> None:
    """Forget the sessions with an address but those of this identity (33 bytes), if any.

    Of those the newest that may send is sent with.
    """
    place = address_key(address)
    drop_damaged_sessions(tx, address, None)
    before = read_sessions(tx, place)
    after = NO_SESSIONS if kept_identity is None else only_identity(before, kept_identity)
    save_sessions(tx, place, before, after)
    if after is NO_SESSIONS:
        tx.delete(Table.SESSION_RECORDS, place)


def _forget_session(tx: Transaction, partition: bytes, base_key: bytes) -> None:
    tx.delete(Table.SESSIONS, partition, base_key)
    tx.clear(Table.SKIPPED_KEYS, partition + base_key)
    tx.clear(Table.SPQR, partition + base_key)


def _loads(tx: Transaction, partition: bytes, base_key: bytes) -> bool:
    try:
        session = _load_session(tx, partition, base_key)
        load_all_skipped_keys(tx, partition + base_key, session)
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


def _is_advanced(before: SessionRecord, after: SessionRecord) -> bool:
    """Whether nothing has changed but the state of the current session.

    It mostly is so, and then 3.5 us are saved that comparing all sessions takes.
    """
    return (
        after.archived is before.archived
        and after.held is before.held
        and after.held_count == before.held_count
        and after.current is not None
        and before.current is not None
        and after.current.base_key is before.current.base_key
    )


def _load_list(tx: Transaction, partition: bytes) -> SessionListRecord | None:
    return tx.get_value(Table.SESSION_RECORDS, partition, b"", _LIST)


def _load_session(tx: Transaction, partition: bytes, base_key: bytes) -> Session:
    session = tx.get_value(Table.SESSIONS, partition, base_key, _SESSION)
    if session is None:
        raise RecordCorrupted("a session that is listed is missing: the store is damaged")
    if isinstance(session, IncompleteSession):
        session = complete_session(tx, partition + base_key, session.stored)
    if session.base_key != base_key:
        raise RecordCorrupted("a session stands in the place of another: the store is damaged")
    return session


def _save_session(
    tx: Transaction, partition: bytes, before: Session | None, after: Session
) -> None:
    tx.put_value(Table.SESSIONS, partition, after.base_key, without_buckets(after), _SESSION)
    save_skipped_keys(tx, partition + after.base_key, before, after)
    if after.version.is_post_quantum:
        save_spqr(tx, partition + after.base_key, before, after)
