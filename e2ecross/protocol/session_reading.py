# SPDX-License-Identifier: Apache-2.0
"""Reading messages: which of the sessions with one address reads one, and what that changes.

Rules:
- A message whose ratchet key a session knows is for that session only, and its error is final.
  Otherwise every session of its version is tried, those of the accepted identity first, until
  together they have walked too far along their chains; their failures are one.
- The current session may be tried alone before the archive is so much as read.
- What reading a message does to the order of the sessions, `session_record.py` says.

Source: docs/wire-format.md, session records.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.errors import AuthenticationFailed, RemoteError, UnknownSession
from e2ecross.protocol.ratchet import find_receiving_chain
from e2ecross.protocol.session import (
    Session,
    session_decrypt,
)
from e2ecross.protocol.session_archive import bound_archive
from e2ecross.protocol.session_record import (
    SessionRecord,
    all_sessions,
    find_session,
    is_pending,
    make_current,
    may_send,
    promote,
    update_archived,
    with_current,
)
from e2ecross.protocol.spqr.state import count_spqr_steps
from e2ecross.wire.limits import (
    MAX_CHAIN_STEPS_PER_MESSAGE,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_FORWARD_JUMP_PQ,
    SPQR_STEP_COST,
)
from e2ecross.wire.signal_message import (
    PreKeySignalMessage,
    SignalMessage,
)

__all__ = [
    "READING",
    "Opened",
    "Reading",
    "is_for_current",
    "may_try_current",
    "open_first_message",
    "open_message",
    "open_repeated_first_message",
    "open_with_current",
]


class Reading(NamedTuple):
    """How messages are read; the same for all sessions with an address.

    Attributes:
        max_forward_jump: how many messages may be skipped in a session of version 4.
        addresses: see `ratchet_decrypt`.
    """

    max_forward_jump: int
    addresses: bytes | None


READING: Final = Reading(MAX_FORWARD_JUMP_PQ, None)


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


def open_first_message(
    record: SessionRecord,
    session: Session,
    message: SignalMessage,
    accepted_identity: PublicKey,
    reading: Reading = READING,
) -> Opened:
    """Read the message inside a prekey message that starts a new session.

    Args:
        record: the sessions with the address so far.
        session: the responder's side of the new one; kept only if it reads the message.
        message: the message inside.
        accepted_identity: the address's accepted identity key, 33 bytes; at first contact the one
            of this session.
        reading: see `Reading`.

    Raises:
        RemoteError: as `ratchet_decrypt`; AuthenticationFailed also when there is a session of
            this base key.
    """
    if find_session(record, session.base_key) is not None:
        raise AuthenticationFailed("a prekey message starts a second session of one base key")
    limit = _max_forward_jump(session, reading, is_current=True)
    session, plaintext = session_decrypt(session, message, limit, reading.addresses)
    if is_pending(record) and record.held is None:
        archived = bound_archive((session, *record.archived), accepted_identity)
        return Opened(
            SessionRecord(record.current, archived, session.base_key, 1), session, plaintext
        )
    return Opened(make_current(record, session, accepted_identity), session, plaintext)


def open_repeated_first_message(
    record: SessionRecord,
    session: Session,
    message: PreKeySignalMessage,
    accepted_identity: PublicKey,
    reading: Reading = READING,
) -> Opened:
    """Read a prekey message of a session that we have; no prekey is touched.

    Args:
        record: the sessions with the address.
        session: the one that `find_session` found.
        message: the prekey message.
        accepted_identity: see `open_message`.
        reading: see `Reading`.

    Raises:
        RemoteError: as `ratchet_decrypt`; AuthenticationFailed also when the identity key in the
            wrapper, which nothing else authenticates, is not that of the session.
    """
    if message.identity_key != session.remote_identity_key:
        raise AuthenticationFailed("a prekey message names another identity than its session has")
    limit = _max_forward_jump(session, reading, is_current=session is record.current)
    advanced, plaintext = session_decrypt(session, message.message, limit, reading.addresses)
    staying = is_pending(record) and record.held is not None
    if session is record.current:
        updated = with_current(record, advanced)
    elif may_send(advanced, accepted_identity) and not staying:
        updated = promote(record, session, advanced, accepted_identity)
    else:
        # Nothing is promoted, but what the held session reads counts.
        is_held = staying and session.base_key == record.held
        held_count = record.held_count + is_held
        updated = update_archived(record, session, advanced, held_count, accepted_identity)
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
    return (
        current is not None
        and current.version is message.version
        and (current.remote_identity_key == accepted_identity or _knows(current, message))
    )


def open_with_current(
    record: SessionRecord,
    message: SignalMessage,
    reading: Reading = READING,
) -> Opened:
    """Read a message with the current session alone; the archive need not be at hand.

    Raises:
        UnknownSession: there is no current session.
        RemoteError: as `ratchet_decrypt`; `open_message` tells whether another session reads it.
    """
    if record.current is None:
        raise UnknownSession("there is no session with the sender of this message")
    limit = _max_forward_jump(record.current, reading, is_current=True)
    session, plaintext = session_decrypt(record.current, message, limit, reading.addresses)
    return new_tuple(Opened, (with_current(record, session), session, plaintext))


def open_message(
    record: SessionRecord,
    message: SignalMessage,
    accepted_identity: PublicKey,
    reading: Reading = READING,
    *,
    current_tried: bool = False,
) -> Opened:
    """Read a message that is no prekey message.

    Args:
        record: the sessions with the address.
        message: as decoded.
        accepted_identity: the address's accepted identity key, 33 bytes. An archived session of
            another identity reads late messages, but is not sent with again.
        reading: see `Reading`.
        current_tried: the current session does not read it, as a call with that one alone showed.

    Raises:
        UnknownSession: there is no session with the address, of the message's version.
        RemoteError: as `ratchet_decrypt`, where one session alone comes into question;
            AuthenticationFailed where several were tried.
    """
    candidates = _candidates(record, message, accepted_identity, current_tried)
    if not candidates and not current_tried:
        raise UnknownSession("there is no session with the sender of this message")
    steps_left = MAX_CHAIN_STEPS_PER_MESSAGE
    if current_tried and record.current is not None:
        steps_left -= _steps(record.current, message)
    session, advanced, plaintext = _try_sessions(
        record, candidates, message, reading, max(steps_left, 0)
    )
    if session is record.current:
        updated = with_current(record, advanced)
    elif may_send(advanced, accepted_identity):
        updated = promote(record, session, advanced, accepted_identity)
    else:
        updated = update_archived(record, session, advanced, record.held_count, accepted_identity)
    return Opened(updated, advanced, plaintext)


def _candidates(
    record: SessionRecord, message: SignalMessage, accepted_identity: PublicKey, current_tried: bool
) -> Sequence[Session]:
    """Return the sessions that a message may be of, in the order in which they are tried."""
    sessions = [
        session
        for session in (record.archived if current_tried else all_sessions(record))
        if session.version is message.version
    ]
    for session in sessions:
        if _knows(session, message):
            return (session,)
    # Sessions of other identities shall not use up the steps before a genuine one's turn.
    return sorted(sessions, key=lambda session: session.remote_identity_key != accepted_identity)


def _knows(session: Session, message: SignalMessage) -> bool:
    return (
        session.version is message.version
        and find_receiving_chain(session.ratchet, message.ratchet_key) is not None
    )


def _try_sessions(
    record: SessionRecord,
    candidates: Sequence[Session],
    message: SignalMessage,
    reading: Reading,
    steps_left: int,
) -> tuple[Session, Session, bytes]:
    """Return the session that reads the message, as it was and as it is then, and the plaintext."""
    error: RemoteError | None = None
    for session in candidates:
        limit = _max_forward_jump(session, reading, is_current=session is record.current)
        limit = min(limit, steps_left // (1 + SPQR_STEP_COST * session.version.is_post_quantum))
        try:
            advanced, plaintext = session_decrypt(session, message, limit, reading.addresses)
        except RemoteError as caught:
            error = caught
        else:
            return session, advanced, plaintext
        steps_left = max(steps_left - _steps(session, message), 0)
    if len(candidates) == 1 and error is not None:
        raise error
    raise AuthenticationFailed("no session with the sender reads this message")


def _max_forward_jump(session: Session, reading: Reading, *, is_current: bool) -> int:
    limit = MAX_FORWARD_JUMP if is_current else MAX_FORWARD_JUMP_ARCHIVED
    return min(limit, reading.max_forward_jump) if session.version.is_post_quantum else limit


def _steps(session: Session, message: SignalMessage) -> int:
    """Return what it costs at most to find the message's keys in a session, in steps of a chain.

    Where several are tried, the chain is new to each: it begins with number 0.
    """
    return message.counter + SPQR_STEP_COST * count_spqr_steps(
        session.ratchet.spqr, message.pq_ratchet
    )
