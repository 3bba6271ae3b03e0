# SPDX-License-Identifier: Apache-2.0
"""A forged message that claims a jump costs a bounded walk, and nothing of it is kept.

The attacker: a back end that writes messages in Ana's name, with the numbers and public keys that
cost most, to a device with as many sessions and stored message keys as there can be. What is
counted here is steps along chains, one HMAC each; docs/assurance.md has them in milliseconds.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from e2ecross import Envelope, MessageKind
from e2ecross.crypto.kdf import MessageKey
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import AuthenticationFailed, TooManySkipped
from e2ecross.protocol import message_chain, root_chain
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_record import SessionRecord
from e2ecross.protocol.skipped_keys import SkippedKeys
from e2ecross.state.context import address_key
from e2ecross.state.session_store import load_sessions, save_sessions
from e2ecross.stores import SQLiteStore
from e2ecross.wire.limits import (
    MAX_ARCHIVED_SESSIONS,
    MAX_CHAIN_STEPS_PER_MESSAGE,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_SKIPPED_KEYS_ARCHIVED,
    MAX_SKIPPED_KEYS_PER_SESSION,
    MAX_UINT32,
)
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    Person,
    Rows,
    assert_refused,
    edit_wrapper,
    meet,
    person,
)
from tests.fuzz.world import load
from tests.support import protobuf
from tests.support.entropy import SeededEntropy
from tests.support.values import with_fields

SESSIONS = MAX_ARCHIVED_SESSIONS + 1
JUMPS = [0, 1, 780, 781, 2000, 2001, 12_500, 25_000, 25_001, MAX_UINT32]
NEW_KEY = generate_key_pair(SeededEntropy("forger")).public
STORE_KEY = bytes(range(32))

Forge = Callable[[int], Envelope]


@cache
def _crowded() -> tuple[Person, Person, Rows]:
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


@pytest.fixture(params=["memory", "sealed file"])
def crowded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Person, Person]]:
    ana, budi, rows = _crowded()
    store = None
    if request.param == "sealed file":
        store = SQLiteStore(tmp_path / "budi.db", key=STORE_KEY)
    victim = load(budi, rows, store)
    yield ana, victim
    victim.store.close()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what costs time is called."""
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:  # noqa: ANN401
        genuine = getattr(module, name)

        def counting(*arguments: Any) -> Any:  # noqa: ANN401
            counted[name] += 1
            return genuine(*arguments)

        monkeypatch.setattr(module, name, counting)

    count(message_chain, "derive_next_chain_key")
    count(message_chain, "derive_message_key")
    count(message_chain, "derive_message_and_chain_key")
    count(root_chain, "agree")
    return counted


def _signal(ratchet_key: bytes, counter: int) -> bytes:
    items: list[protobuf.Field] = [(1, ratchet_key), (2, counter), (3, MAX_UINT32), (4, bytes(96))]
    return b"\x33" + protobuf.message(items) + bytes(8)


def _sessions(budi: Person) -> list[Session]:
    with budi.store.transaction() as tx:
        record = load_sessions(tx, ANA)
    assert record.current is not None
    return [record.current, *record.archived]


def _forgeries(budi: Person) -> dict[str, tuple[Forge, int, int]]:
    """By name: how to forge for a jump, the longest jump walked, and how many sessions walk."""
    current, archived = _sessions(budi)[0], _sessions(budi)[-1]
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


def test_no_forged_message_walks_further_and_nothing_is_stored(
    crowded: tuple[Person, Person], work: Counter[str]
) -> None:
    ana, budi = crowded
    jumps = [780, 25_000] if isinstance(budi.store, SQLiteStore) else JUMPS
    for name, (forge, longest, sessions) in _forgeries(budi).items():
        for jump in jumps:
            envelope = forge(jump)
            work.clear()
            assert_refused(budi, envelope, AuthenticationFailed, TooManySkipped)
            tried = sessions
            if jump > MAX_FORWARD_JUMP_ARCHIVED:
                tried = 1
            if jump:
                tried = min(tried, MAX_CHAIN_STEPS_PER_MESSAGE // jump)
            if jump > longest:
                tried = 0
            steps = tried * jump
            if name == "chain of an archived one":  # the current session is tried before it
                first = _sessions(budi)[-1].ratchet.receiving[-1].message_number + jump
                if first <= MAX_FORWARD_JUMP:
                    steps, tried = steps + first, tried + 1
            assert work["derive_next_chain_key"] == steps, (name, jump)
            # Its own key alone: none of those that it skips.
            assert work["derive_message_and_chain_key"] == tried, (name, jump)
            assert not work["derive_message_key"], (name, jump)
            assert work["agree"] <= sessions + (name == "chain of an archived one"), (name, jump)
            assert work["derive_next_chain_key"] <= MAX_CHAIN_STEPS_PER_MESSAGE
    # All of it did no harm.
    assert budi.read(ana.send(budi, "genuine")) == "genuine"


def test_what_is_loaded_for_a_message_is_bounded(crowded: tuple[Person, Person]) -> None:
    _, budi = crowded
    stored = [
        sum(len(chain.skipped) for chain in session.ratchet.receiving)
        for session in _sessions(budi)
    ]
    assert stored[0] == MAX_SKIPPED_KEYS_PER_SESSION
    assert sum(stored[1:]) == MAX_SKIPPED_KEYS_ARCHIVED
