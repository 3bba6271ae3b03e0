# SPDX-License-Identifier: Apache-2.0
"""All sessions with one address: which one is sent with, and which ones still read.

Rules:
- The current session sends. Up to 40 archived ones, newest first, still read; the one that reads
  a message becomes current (`session_reading.py`).
- When both ends start at once, we stay with our own unanswered session for a while (the stay
  rule): the peer's session is held in the archive, and replaces ours when it has read eight
  messages, or when the peer starts yet another.
- After a store was restored its sessions read, and never send again: the store may have forgotten
  that message keys were used, and the peer may have gone on from another step of the ratchet.
- A session is sent with only if its remote identity is the accepted one; that is the caller's
  check, and `prefer_identity` is how an acceptance takes effect. Sessions of other identities are
  dropped first when the archive is full, and so are their stored message keys, so that nobody can
  push out the genuine ones.

Source: docs/wire-format.md, session records. The rules are those that lose no message with any
deployed peer; the published specifications (Sesame, revision 2, section 3.2) leave them open.
"""

from typing import Final, NamedTuple

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.errors import NoSession
from e2ecross.protocol.session import (
    Session,
    can_send,
    session_encrypt,
    stop_sending,
    without_pending,
)
from e2ecross.protocol.session_archive import bound_archive
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.limits import (
    MAX_HELD_MESSAGES,
)

__all__ = [
    "NO_SESSIONS",
    "SessionRecord",
    "add_initiated_session",
    "all_sessions",
    "find_session",
    "is_pending",
    "make_current",
    "may_send",
    "only_identity",
    "prefer_identity",
    "prefer_session",
    "prepare_to_send",
    "promote",
    "seal_message",
    "stop_sending_with_all",
    "update_archived",
    "with_current",
]


class _RecordFields(NamedTuple):
    current: Session | None
    archived: tuple[Session, ...]
    held: PublicKey | None
    held_count: int


class SessionRecord(SecretTuple, _RecordFields):
    """The sessions with one address.

    Attributes:
        current: the session that is sent with, or None.
        archived: at most 40, newest first.
        held: base key of the archived session that the stay rule holds back, or None.
        held_count: how many messages the held session has read.
    """

    __slots__ = ()


NO_SESSIONS: Final = SessionRecord(None, (), None, 0)


def add_initiated_session(record: SessionRecord, session: Session) -> SessionRecord:
    """Make a session that we have just started the current one; its identity is accepted."""
    return make_current(record, session, session.remote_identity_key)


def prepare_to_send(record: SessionRecord, accepted_identity: PublicKey) -> SessionRecord:
    """Give way to a held session that has read enough messages (the stay rule, when sending).

    Deciding here, not on receipt, lets a queue of received messages drain first. A held session
    of another identity than the accepted one (33 bytes) is not given way to.
    """
    if record.held_count < MAX_HELD_MESSAGES:
        return record
    for session in record.archived:
        if session.base_key == record.held and session.remote_identity_key == accepted_identity:
            return make_current(record, session, accepted_identity)
    return record


def seal_message(
    record: SessionRecord,
    plaintext: bytes,
    registration_id: int,
    entropy: EntropySource,
    addresses: bytes | None = None,
) -> tuple[SessionRecord, MessageKind, bytes]:
    """Encrypt with the current session; see `session_encrypt`.

    Raises:
        NoSession: there is no current session.
        SessionExhausted: it has no message numbers left.
    """
    if record.current is None:
        raise NoSession("there is no session with this address: start one from a bundle")
    session, kind, data = session_encrypt(
        record.current, plaintext, registration_id, entropy, addresses
    )
    return with_current(record, session), kind, data


def find_session(record: SessionRecord, base_key: PublicKey) -> Session | None:
    """Return the session of that base key (33 bytes), or None; there is one at most."""
    for session in all_sessions(record):
        if session.base_key == base_key:
            return session
    return None


def prefer_identity(record: SessionRecord, identity_key: PublicKey) -> SessionRecord:
    """Send with the newest session of this identity (33 bytes), or with none.

    One that the peer has never answered is left in the archive: it no longer wraps its messages,
    and the peer may not have it.
    """
    if record.current is not None and record.current.remote_identity_key == identity_key:
        return record
    for session in record.archived:
        if may_send(session, identity_key) and session.ratchet.receiving:
            return make_current(record, session, identity_key)
    if record.current is None:
        return record
    return SessionRecord(None, bound_archive(_archive(record), identity_key), None, 0)


def only_identity(record: SessionRecord, identity_key: PublicKey) -> SessionRecord:
    """Forget the sessions of other identities than this one (33 bytes), and send with it."""
    kept = [each for each in all_sessions(record) if each.remote_identity_key == identity_key]
    if not kept:
        return NO_SESSIONS
    current = record.current if record.current in kept else None
    archived = tuple(each for each in kept if each is not current)
    held = record.held if any(each.base_key == record.held for each in archived) else None
    held_count = 0 if held is None else record.held_count
    return prefer_identity(SessionRecord(current, archived, held, held_count), identity_key)


def prefer_session(
    record: SessionRecord, session: Session, accepted_identity: PublicKey
) -> SessionRecord:
    """Send with this session from now on, the stay rule notwithstanding.

    For when the peer has said in it that it cannot read another one. A session of another
    identity than the accepted one (33 bytes) stays where it is.
    """
    if session is record.current or not may_send(session, accepted_identity):
        return record
    return make_current(record, session, accepted_identity)


def stop_sending_with_all(record: SessionRecord, accepted_identity: PublicKey) -> SessionRecord:
    """Put every session into the archive, where none of them sends again.

    For a store that was restored. The accepted identity (33 bytes) is that of the address.
    """
    archived = tuple(stop_sending(session) for session in _archive(record))
    return SessionRecord(None, bound_archive(archived, accepted_identity), None, 0)


def may_send(session: Session, accepted_identity: PublicKey) -> bool:
    """Tell whether a session may be sent with, given the accepted identity (33 bytes)."""
    return session.remote_identity_key == accepted_identity and can_send(session)


def all_sessions(record: SessionRecord) -> tuple[Session, ...]:
    """Return the sessions with the address, the current one first."""
    return record.archived if record.current is None else (record.current, *record.archived)


def is_pending(record: SessionRecord) -> bool:
    """Tell whether the current session waits for the peer's first answer."""
    return record.current is not None and record.current.pending is not None


def with_current(record: SessionRecord, session: Session) -> SessionRecord:
    """Update the current session; once it is acknowledged nothing is held back any longer."""
    if session.pending is None:
        return new_tuple(SessionRecord, (session, record.archived, None, 0))
    return SessionRecord(session, record.archived, record.held, record.held_count)


def update_archived(
    record: SessionRecord,
    session: Session,
    advanced: Session,
    held_count: int,
    accepted_identity: PublicKey,
) -> SessionRecord:
    """Leave an archived session where it is, in the state in which it has read a message."""
    archived = tuple(advanced if other is session else other for other in record.archived)
    return SessionRecord(
        record.current, bound_archive(archived, accepted_identity), record.held, held_count
    )


def promote(
    record: SessionRecord, session: Session, advanced: Session, accepted_identity: PublicKey
) -> SessionRecord:
    """Make an archived session current, in the state in which it has read a message."""
    archived = tuple(other for other in _archive(record) if other is not session)
    return SessionRecord(advanced, bound_archive(archived, accepted_identity), None, 0)


def make_current(
    record: SessionRecord, session: Session, accepted_identity: PublicKey
) -> SessionRecord:
    """Put a session in front; the current one goes into the archive, and the stay ends."""
    return promote(record, session, session, accepted_identity)


def _archive(record: SessionRecord) -> tuple[Session, ...]:
    if record.current is None:
        return record.archived
    return (without_pending(record.current), *record.archived)
