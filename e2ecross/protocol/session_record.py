# SPDX-License-Identifier: Apache-2.0
"""All sessions with one address: which one is sent with, and which ones still read.

Rules:
- The current session sends. Up to 40 archived ones, newest first, still read; the one that reads
  a message becomes current.
- A message whose ratchet key a session knows is for that session only, and its error is final.
  Otherwise every session is tried, those of the accepted identity first, until together they
  have walked too far along their chains; their failures are one.
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

from collections.abc import Sequence
from typing import Final, NamedTuple

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import SecretTuple
from e2ecross.errors import AuthenticationFailed, NoSession, RemoteError, UnknownSession
from e2ecross.protocol.ratchet import find_receiving_chain
from e2ecross.protocol.session import (
    Session,
    can_send,
    session_decrypt,
    session_encrypt,
    stop_sending,
    without_pending,
)
from e2ecross.protocol.session_archive import bound_archive
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.limits import (
    MAX_CHAIN_STEPS_PER_MESSAGE,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_HELD_MESSAGES,
)
from e2ecross.wire.signal_message import PreKeySignalMessage, SignalMessage

__all__ = [
    "NO_SESSIONS",
    "Opened",
    "SessionRecord",
    "add_initiated_session",
    "find_session",
    "is_for_current",
    "may_try_current",
    "open_first_message",
    "open_message",
    "open_repeated_first_message",
    "open_with_current",
    "prefer_identity",
    "prefer_session",
    "prepare_to_send",
    "seal_message",
    "stop_sending_with_all",
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


class _OpenedFields(NamedTuple):
    record: SessionRecord
    session: Session
    plaintext: bytes


class Opened(SecretTuple, _OpenedFields):
    """A message that has been authenticated and decrypted.

    Attributes:
        record: the new sessions with the address.
        session: the one of them that read it.
        plaintext: what was sent.
    """

    __slots__ = ()


NO_SESSIONS: Final = SessionRecord(None, (), None, 0)


def add_initiated_session(record: SessionRecord, session: Session) -> SessionRecord:
    """Make a session that we have just started the current one; its identity is accepted."""
    return _make_current(record, session, session.remote_identity_key)


def prepare_to_send(record: SessionRecord, accepted_identity: PublicKey) -> SessionRecord:
    """Give way to a held session that has read enough messages (the stay rule, when sending).

    Deciding here, not on receipt, lets a queue of received messages drain first. A held session
    of another identity than the accepted one (33 bytes) is not given way to.
    """
    if record.held_count < MAX_HELD_MESSAGES:
        return record
    for session in record.archived:
        if session.base_key == record.held and session.remote_identity_key == accepted_identity:
            return _make_current(record, session, accepted_identity)
    return record


def seal_message(
    record: SessionRecord, plaintext: bytes, registration_id: int
) -> tuple[SessionRecord, MessageKind, bytes]:
    """Encrypt with the current session; see `session_encrypt`.

    Raises:
        NoSession: there is no current session.
        SessionExhausted: it has no message numbers left.
    """
    if record.current is None:
        raise NoSession("there is no session with this address: start one from a bundle")
    session, kind, data = session_encrypt(record.current, plaintext, registration_id)
    return _with_current(record, session), kind, data


def find_session(record: SessionRecord, base_key: PublicKey) -> Session | None:
    """Return the session of that base key (33 bytes), or None."""
    for session in _all(record):
        if session.base_key == base_key:
            return session
    return None


def open_first_message(
    record: SessionRecord,
    session: Session,
    message: SignalMessage,
    entropy: EntropySource,
    accepted_identity: PublicKey,
) -> Opened:
    """Read the message inside a prekey message that starts a new session.

    Args:
        record: the sessions with the address so far.
        session: the responder's side of the new one; kept only if it reads the message.
        message: the message inside.
        entropy: see `ratchet_decrypt`.
        accepted_identity: the address's accepted identity key, 33 bytes; at first contact the one
            of this session.

    Raises:
        RemoteError: as `ratchet_decrypt`.
    """
    session, plaintext = session_decrypt(session, message, entropy, MAX_FORWARD_JUMP)
    if _is_pending(record) and record.held is None:
        archived = bound_archive((session, *record.archived), accepted_identity)
        return Opened(
            SessionRecord(record.current, archived, session.base_key, 1), session, plaintext
        )
    return Opened(_make_current(record, session, accepted_identity), session, plaintext)


def open_repeated_first_message(
    record: SessionRecord,
    session: Session,
    message: PreKeySignalMessage,
    entropy: EntropySource,
    accepted_identity: PublicKey,
) -> Opened:
    """Read a prekey message of a session that we have; no prekey is touched.

    Args:
        record: the sessions with the address.
        session: the one that `find_session` found.
        message: the prekey message.
        entropy: see `ratchet_decrypt`.
        accepted_identity: see `open_message`.

    Raises:
        RemoteError: as `ratchet_decrypt`; AuthenticationFailed also when the identity key in the
            wrapper, which nothing else authenticates, is not that of the session.
    """
    if message.identity_key != session.remote_identity_key:
        raise AuthenticationFailed("a prekey message names another identity than its session has")
    advanced, plaintext = session_decrypt(
        session, message.message, entropy, _max_forward_jump(record, session)
    )
    staying = _is_pending(record) and record.held is not None
    if session is record.current:
        updated = _with_current(record, advanced)
    elif _may_send(advanced, accepted_identity) and not staying:
        updated = _promote(record, session, advanced, accepted_identity)
    else:
        # Nothing is promoted, but what the held session reads counts.
        is_held = staying and session.base_key == record.held
        held_count = record.held_count + is_held
        updated = _update_archived(record, session, advanced, held_count, accepted_identity)
    return Opened(updated, advanced, plaintext)


def is_for_current(record: SessionRecord, message: SignalMessage) -> bool:
    """Tell whether the current session knows the message's ratchet key: then it is its alone."""
    current = record.current
    return current is not None and _knows(current, message)


def may_try_current(
    record: SessionRecord, message: SignalMessage, accepted_identity: PublicKey
) -> bool:
    """Tell whether the current session may be tried before the others are so much as looked at.

    One of another identity than the accepted one (33 bytes) may not, unless the message is its.
    """
    current = record.current
    return current is not None and (
        current.remote_identity_key == accepted_identity or _knows(current, message)
    )


def open_with_current(
    record: SessionRecord, message: SignalMessage, entropy: EntropySource
) -> Opened:
    """Read a message with the current session alone; the archive need not be at hand.

    Raises:
        UnknownSession: there is no current session.
        RemoteError: as `ratchet_decrypt`; `open_message` tells whether another session reads it.
    """
    if record.current is None:
        raise UnknownSession("there is no session with the sender of this message")
    session, plaintext = session_decrypt(record.current, message, entropy, MAX_FORWARD_JUMP)
    return Opened(_with_current(record, session), session, plaintext)


def open_message(
    record: SessionRecord,
    message: SignalMessage,
    entropy: EntropySource,
    accepted_identity: PublicKey,
    *,
    current_tried: bool = False,
) -> Opened:
    """Read a message that is no prekey message.

    Args:
        record: the sessions with the address.
        message: as decoded.
        entropy: see `ratchet_decrypt`.
        accepted_identity: the address's accepted identity key, 33 bytes. An archived session of
            another identity reads late messages, but is not sent with again.
        current_tried: the current session does not read it, as a call with that one alone showed.

    Raises:
        UnknownSession: there is no session with the address.
        RemoteError: as `ratchet_decrypt`, where one session alone comes into question;
            AuthenticationFailed where several were tried.
    """
    candidates = _candidates(record, message, accepted_identity, current_tried)
    steps_left = MAX_CHAIN_STEPS_PER_MESSAGE - message.counter * current_tried
    session, advanced, plaintext = _try_sessions(
        record, candidates, message, entropy, max(steps_left, 0)
    )
    if session is record.current:
        updated = _with_current(record, advanced)
    elif _may_send(advanced, accepted_identity):
        updated = _promote(record, session, advanced, accepted_identity)
    else:
        updated = _update_archived(record, session, advanced, record.held_count, accepted_identity)
    return Opened(updated, advanced, plaintext)


def prefer_identity(record: SessionRecord, identity_key: PublicKey) -> SessionRecord:
    """Send with the newest session of this identity (33 bytes), or with none.

    One that the peer has never answered is left in the archive: it no longer wraps its messages,
    and the peer may not have it.
    """
    if record.current is not None and record.current.remote_identity_key == identity_key:
        return record
    for session in record.archived:
        if _may_send(session, identity_key) and session.ratchet.receiving:
            return _make_current(record, session, identity_key)
    if record.current is None:
        return record
    return SessionRecord(None, bound_archive(_archive(record), identity_key), None, 0)


def prefer_session(
    record: SessionRecord, session: Session, accepted_identity: PublicKey
) -> SessionRecord:
    """Send with this session from now on, the stay rule notwithstanding.

    For when the peer has said in it that it cannot read another one. A session of another
    identity than the accepted one (33 bytes) stays where it is.
    """
    if session is record.current or not _may_send(session, accepted_identity):
        return record
    return _make_current(record, session, accepted_identity)


def stop_sending_with_all(record: SessionRecord, accepted_identity: PublicKey) -> SessionRecord:
    """Put every session into the archive, where none of them sends again.

    For a store that was restored. The accepted identity (33 bytes) is that of the address.
    """
    archived = tuple(stop_sending(session) for session in _archive(record))
    return SessionRecord(None, bound_archive(archived, accepted_identity), None, 0)


def _may_send(session: Session, accepted_identity: PublicKey) -> bool:
    return session.remote_identity_key == accepted_identity and can_send(session)


def _candidates(
    record: SessionRecord, message: SignalMessage, accepted_identity: PublicKey, current_tried: bool
) -> Sequence[Session]:
    """Return the sessions that a message may be of, in the order in which they are tried."""
    sessions = record.archived if current_tried else _all(record)
    for session in sessions:
        if _knows(session, message):
            return (session,)
    # Sessions of other identities shall not use up the steps before a genuine one's turn.
    return sorted(sessions, key=lambda session: session.remote_identity_key != accepted_identity)


def _knows(session: Session, message: SignalMessage) -> bool:
    return find_receiving_chain(session.ratchet, message.ratchet_key) is not None


def _try_sessions(
    record: SessionRecord,
    candidates: Sequence[Session],
    message: SignalMessage,
    entropy: EntropySource,
    steps_left: int,
) -> tuple[Session, Session, bytes]:
    """Return the session that reads the message, as it was and as it is then, and the plaintext."""
    if not candidates:
        raise UnknownSession("there is no session with the sender of this message")
    error: RemoteError | None = None
    for session in candidates:
        limit = min(_max_forward_jump(record, session), steps_left)
        try:
            advanced, plaintext = session_decrypt(session, message, entropy, limit)
        except RemoteError as caught:
            error = caught
        else:
            return session, advanced, plaintext
        # Where several are tried, the chain is new to each: it begins with number 0.
        steps_left = max(steps_left - message.counter, 0)
    if len(candidates) == 1 and error is not None:
        raise error
    raise AuthenticationFailed("no session with the sender reads this message")


def _all(record: SessionRecord) -> tuple[Session, ...]:
    return record.archived if record.current is None else (record.current, *record.archived)


def _is_pending(record: SessionRecord) -> bool:
    return record.current is not None and record.current.pending is not None


def _max_forward_jump(record: SessionRecord, session: Session) -> int:
    return MAX_FORWARD_JUMP if session is record.current else MAX_FORWARD_JUMP_ARCHIVED


def _with_current(record: SessionRecord, session: Session) -> SessionRecord:
    """Update the current session; once it is acknowledged nothing is held back any longer."""
    if session.pending is None:
        return SessionRecord(session, record.archived, None, 0)
    return SessionRecord(session, record.archived, record.held, record.held_count)


def _update_archived(
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


def _promote(
    record: SessionRecord, session: Session, advanced: Session, accepted_identity: PublicKey
) -> SessionRecord:
    """Make an archived session current, in the state in which it has read a message."""
    archived = tuple(other for other in _archive(record) if other is not session)
    return SessionRecord(advanced, bound_archive(archived, accepted_identity), None, 0)


def _make_current(
    record: SessionRecord, session: Session, accepted_identity: PublicKey
) -> SessionRecord:
    """Put a session in front; the current one goes into the archive, and the stay ends."""
    return _promote(record, session, session, accepted_identity)


def _archive(record: SessionRecord) -> tuple[Session, ...]:
    if record.current is None:
        return record.archived
    return (without_pending(record.current), *record.archived)
