# SPDX-License-Identifier: Apache-2.0
"""A device with as many sessions and stored message keys as can be, and what costs it most."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from e2ecross import Envelope, MessageKind
from e2ecross.crypto.kdf import MessageKey
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_record import SessionRecord
from e2ecross.protocol.skipped_keys import SkippedKeys
from e2ecross.state.context import address_key
from e2ecross.state.session_store import load_sessions, save_sessions
from e2ecross.wire.limits import (
    MAX_ARCHIVED_SESSIONS,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_SKIPPED_KEYS_ARCHIVED,
    MAX_SKIPPED_KEYS_PER_SESSION,
    MAX_UINT32,
)
from tests.attacks.support import ANA, BUDI, TOKO, Person, Rows, edit_wrapper, meet, person
from tests.support import protobuf
from tests.support.entropy import SeededEntropy
from tests.support.values import with_fields

SESSIONS = MAX_ARCHIVED_SESSIONS + 1
NEW_KEY = generate_key_pair(SeededEntropy("forger")).public

Forge = Callable[[int], Envelope]


@cache
def crowded_rows() -> tuple[Person, Person, Rows]:
    """Ana, Budi, and Budi's rows: full of sessions with Ana and of stored message keys."""
    ana, budi = person(ANA), person(BUDI, one_time=SESSIONS + 4)
    for _ in range(SESSIONS):
        meet(ana, budi)
    with budi.store.transaction() as tx:
        record = load_sessions(tx, ANA)
        assert record.current is not None
        share = MAX_SKIPPED_KEYS_ARCHIVED // MAX_ARCHIVED_SESSIONS
        full = SessionRecord(
            _with_stored_keys(record.current, MAX_SKIPPED_KEYS_PER_SESSION),
            tuple(_with_stored_keys(session, share) for session in record.archived),
            None,
            0,
        )
        save_sessions(tx, address_key(ANA), record, full)
    return ana, budi, budi.dump()


def _with_stored_keys(session: Session, count: int) -> Session:
    buckets: dict[int, dict[int, MessageKey]] = {}
    for number in range(count):
        buckets.setdefault(number >> 6, {})[number] = MessageKey(number.to_bytes(32))
    *before, newest = session.ratchet.receiving
    newest = with_fields(newest, message_number=count, skipped=SkippedKeys(buckets))
    return with_fields(session, ratchet=with_fields(session.ratchet, receiving=(*before, newest)))


def _signal(ratchet_key: bytes, counter: int) -> bytes:
    items: list[protobuf.Field] = [(1, ratchet_key), (2, counter), (3, MAX_UINT32), (4, bytes(96))]
    return b"\x33" + protobuf.message(items) + bytes(8)


def sessions_of(budi: Person) -> list[Session]:
    with budi.store.transaction() as tx:
        record = load_sessions(tx, ANA)
    assert record.current is not None
    return [record.current, *record.archived]


def forgeries(budi: Person) -> dict[str, tuple[Forge, int, int]]:
    """By name: how to forge for a jump, the longest jump walked, and how many sessions walk."""
    current, archived = sessions_of(budi)[0], sessions_of(budi)[-1]
    toko = person(TOKO)
    wrapped = {}
    for one_time in (True, False):
        toko.device.start_session(budi.bundle(one_time=one_time))
        wrapped[one_time] = replace(toko.send(budi, "hello"), sender=ANA)

    def plain(key: bytes, start: int = 0) -> Forge:
        return lambda jump: Envelope(
            bytes(16), ANA, BUDI, MessageKind.SIGNAL, _signal(key, min(start + jump, MAX_UINT32))
        )

    def repeated(session: Session) -> Forge:
        return lambda jump: edit_wrapper(
            wrapped[True],
            base_key=session.base_key,
            identity_key=session.remote_identity_key,
            message=_signal(NEW_KEY, jump),
        )

    def first(one_time: bool) -> Forge:
        return lambda jump: edit_wrapper(wrapped[one_time], message=_signal(NEW_KEY, jump))

    def newest(session: Session) -> tuple[bytes, int]:
        chain = session.ratchet.receiving[-1]
        return chain.ratchet_key, chain.message_number

    return {
        "unknown chain": (plain(NEW_KEY), MAX_FORWARD_JUMP, SESSIONS),
        "chain of the current session": (plain(*newest(current)), MAX_FORWARD_JUMP, 1),
        "chain of an archived one": (plain(*newest(archived)), MAX_FORWARD_JUMP_ARCHIVED, 1),
        "first message": (first(True), MAX_FORWARD_JUMP, 1),
        "first message without one-time prekey": (first(False), MAX_FORWARD_JUMP, 1),
        "repeated first message": (repeated(current), MAX_FORWARD_JUMP, 1),
        "repeated, of an archived session": (repeated(archived), MAX_FORWARD_JUMP_ARCHIVED, 1),
    }
