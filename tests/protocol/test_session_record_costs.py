# SPDX-License-Identifier: Apache-2.0
"""What one message may cost, and what all archived sessions may keep."""

from collections.abc import Sequence

import pytest

from e2ecross.crypto import kdf
from e2ecross.crypto.kdf import ChainKey, MessageKey
from e2ecross.crypto.keys import PublicKey, key_pair_from_private
from e2ecross.errors import AuthenticationFailed, RemoteError
from e2ecross.protocol import message_chain
from e2ecross.protocol.ratchet import count_skipped_keys
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_reading import (
    may_try_current,
    open_message,
    open_repeated_first_message,
    open_with_current,
)
from e2ecross.protocol.session_record import (
    SessionRecord,
    add_initiated_session,
    prefer_identity,
    prefer_session,
)
from e2ecross.protocol.skipped_keys import SkippedKeys
from e2ecross.wire.limits import (
    MAX_CHAIN_STEPS_PER_MESSAGE,
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_ARCHIVED,
    MAX_SKIPPED_KEYS_ARCHIVED,
)
from e2ecross.wire.signal_message import decode_prekey_signal_message, decode_signal_message
from tests.support.parties import Party, load_record, save_record, with_ratchet, write_message
from tests.support.protobuf import message
from tests.support.values import with_fields

FRESH = key_pair_from_private(b"\x21" * 32).public
STRANGER = Party("eve").identity.public


class Steps:
    """Counts steps along chains."""

    def __init__(self) -> None:
        self.taken = 0

    def derive(self, chain_key: ChainKey) -> ChainKey:
        self.taken += 1
        return kdf.derive_next_chain_key(chain_key)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    counted = Steps()
    monkeypatch.setattr(message_chain, "derive_next_chain_key", counted.derive)
    return counted


def _establish(alice: Party, bob: Party) -> Session:
    alice.start(bob)
    bob.receive(alice.send(b"start"))
    alice.receive(bob.send(b"answer"))
    return bob.current


def _met(sessions: int) -> tuple[Party, Party]:
    """Two people; Bob has that many sessions with Alice, one current."""
    alice, bob = Party("alice"), Party("bob")
    for _ in range(sessions):
        _establish(alice, bob)
    return alice, bob


def _open(record: SessionRecord, data: bytes, accepted: PublicKey) -> SessionRecord:
    opened = open_message(record, decode_signal_message(data), accepted)
    assert opened.plaintext == b"crafted"
    return opened.record


def _forged(counter: int) -> bytes:
    items = message([(1, FRESH), (2, counter), (3, 0), (4, bytes(16))])
    return b"\x33" + items + bytes(8)


# --- Steps along chains ---------------------------------------------------------------------


@pytest.mark.parametrize("counter", [1, 500, 780, 781, 1999, 2000, 2001, 12_500, 24_999, 25_000])
@pytest.mark.parametrize("sessions", [1, 2, 41])
def test_a_forged_message_walks_at_most_so_far(counter: int, sessions: int, steps: Steps) -> None:
    alice, bob = _met(sessions)
    steps.taken = 0
    with pytest.raises(AuthenticationFailed):
        open_message(bob.record, decode_signal_message(_forged(counter)), alice.identity.public)
    tried = sessions if counter <= MAX_FORWARD_JUMP_ARCHIVED else 1
    tried = min(tried, MAX_CHAIN_STEPS_PER_MESSAGE // counter)
    assert steps.taken == tried * counter <= MAX_CHAIN_STEPS_PER_MESSAGE


@pytest.mark.parametrize("counter", [1, 500, 780, 781, 2000, 2001, 12_500, 25_000])
@pytest.mark.parametrize("sessions", [1, 2, 41])
def test_nor_does_it_where_the_current_session_is_tried_by_itself_first(
    counter: int, sessions: int, steps: Steps
) -> None:
    """As a device does, which leaves the archive in the store until then."""
    alice, bob = _met(sessions)
    steps.taken = 0
    forged, accepted = decode_signal_message(_forged(counter)), alice.identity.public
    assert may_try_current(bob.record, forged, accepted)
    with pytest.raises(AuthenticationFailed):
        open_with_current(bob.record, forged)
    assert steps.taken == counter
    with pytest.raises(AuthenticationFailed):
        open_message(bob.record, forged, accepted, current_tried=True)
    tried = sessions if counter <= MAX_FORWARD_JUMP_ARCHIVED else 1
    tried = min(tried, MAX_CHAIN_STEPS_PER_MESSAGE // counter)
    assert steps.taken == tried * counter <= MAX_CHAIN_STEPS_PER_MESSAGE


@pytest.mark.parametrize("counter", [25_001, 2**32 - 1])
@pytest.mark.parametrize("sessions", [1, 41])
def test_a_jump_beyond_the_limit_costs_no_step(counter: int, sessions: int, steps: Steps) -> None:
    alice, bob = _met(sessions)
    steps.taken = 0
    with pytest.raises(RemoteError):
        open_message(bob.record, decode_signal_message(_forged(counter)), alice.identity.public)
    assert steps.taken == 0


def test_every_session_reads_a_new_chain_from_its_first_780_numbers() -> None:
    alice, bob = _met(41)
    assert 41 * 780 <= MAX_CHAIN_STEPS_PER_MESSAGE < 41 * 781
    for place in (0, 20, 39):
        data = write_message(bob.record.archived[place], FRESH, 780)
        _open(bob.record, data, alice.identity.public)


def test_the_sixteen_newest_sessions_read_a_jump_of_2000() -> None:
    alice, bob = _met(18)
    accepted = alice.identity.public
    _open(bob.record, write_message(bob.record.archived[14], FRESH, 2000), accepted)
    for place in (15, 16):
        with pytest.raises(AuthenticationFailed):
            _open(bob.record, write_message(bob.record.archived[place], FRESH, 2000), accepted)


def test_the_current_session_reads_the_longest_jump_however_many_are_archived() -> None:
    alice, bob = _met(41)
    assert MAX_CHAIN_STEPS_PER_MESSAGE >= MAX_FORWARD_JUMP
    data = write_message(bob.current, FRESH, MAX_FORWARD_JUMP)
    _open(bob.record, data, alice.identity.public)
    assert open_with_current(bob.record, decode_signal_message(data)).plaintext == b"crafted"


@pytest.mark.parametrize("current", [True, False])
def test_sessions_of_strangers_do_not_use_up_the_steps(current: bool) -> None:
    """Whoever puts sessions of another identity in front costs the genuine ones no message."""
    alice, bob = _met(1)
    genuine = bob.current
    foreign = [with_fields(_establish(alice, bob), remote_identity_key=STRANGER) for _ in range(40)]
    record = SessionRecord(foreign[0] if current else None, (*foreign[1:], genuine), None, 0)
    _open(record, write_message(genuine, FRESH, 2000), alice.identity.public)


# --- Stored keys of archived sessions -------------------------------------------------------


def _keeping(session: Session, count: int, identity: PublicKey | None = None) -> Session:
    """The session with so many stored keys in its newest chain."""
    buckets: dict[int, dict[int, MessageKey]] = {}
    for number in range(count):
        buckets.setdefault(number >> 6, {})[number] = MessageKey(number.to_bytes(32))
    chain = with_fields(
        session.ratchet.receiving[-1], message_number=count, skipped=SkippedKeys(buckets)
    )
    receiving = (*session.ratchet.receiving[:-1], chain)
    changed = with_ratchet(session, with_fields(session.ratchet, receiving=receiving))
    return changed if identity is None else with_fields(changed, remote_identity_key=identity)


def _kept(record: SessionRecord) -> list[int]:
    return [count_skipped_keys(session.ratchet) for session in record.archived]


@pytest.mark.parametrize(
    ("stored", "foreign", "kept"),
    [
        ((2000, 2000, 2000, 2000), (), [2000, 2000, 2000, 2000]),
        ((2001, 2000, 2000, 2000), (), [2001, 2000, 2000, 1999]),
        ((8000, 2000, 0, 1), (), [8000, 0, 0, 0]),
        ((3000, 3000, 3000, 3000), (), [3000, 3000, 2000, 0]),
        ((3000, 3000, 3000, 3000), (0,), [0, 3000, 3000, 2000]),
        ((3000, 3000, 3000, 3000), (1, 2), [3000, 2000, 0, 3000]),
        ((3000, 3000, 3000, 3000), (0, 1, 2, 3), [3000, 3000, 2000, 0]),
    ],
    ids=str,
)
def test_archived_sessions_keep_8000_keys_together(
    stored: Sequence[int], foreign: Sequence[int], kept: list[int]
) -> None:
    _, bob = _met(6)
    archived = tuple(
        _keeping(session, count, STRANGER if place in foreign else None)
        for place, (session, count) in enumerate(zip(bob.record.archived[1:], stored, strict=True))
    )
    record = SessionRecord(bob.current, archived, None, 0)
    before = save_record(record)
    after = add_initiated_session(record, bob.record.archived[0])
    assert _kept(after) == [0, *kept]
    assert sum(kept) <= MAX_SKIPPED_KEYS_ARCHIVED
    assert save_record(record) == before
    assert save_record(load_record(save_record(after))) == save_record(after)
    # The oldest keys go first, and what stays is what it was.
    for session, was in zip(after.archived[1:], archived, strict=True):
        new = session.ratchet.receiving[-1].skipped
        old = was.ratchet.receiving[-1].skipped
        numbers = range(len(old) - len(new), len(old))
        assert [new.get(number) for number in numbers] == [old.get(number) for number in numbers]


def _crowded(bob: Party) -> SessionRecord:
    """Bob's sessions: the current one and one archived session with all keys that are allowed."""
    first, second = (_keeping(session, 8000) for session in (bob.current, bob.record.archived[0]))
    return SessionRecord(first, (*bob.record.archived[1:], second), None, 0)


def test_promoting_a_session_keeps_the_archive_within_its_limit() -> None:
    alice, bob = _met(3)
    record = _crowded(bob)
    after = _open(record, write_message(record.archived[0], FRESH, 0), alice.identity.public)
    assert after.current is not None
    assert after.current.base_key == record.archived[0].base_key
    assert _kept(after) == [8000, 0]


def test_a_message_of_a_stranger_keeps_the_archive_within_its_limit() -> None:
    """What it stores in its own session goes first, not the keys of the genuine one."""
    alice, bob = _met(3)
    record = _crowded(bob)
    archived = (with_fields(record.archived[0], remote_identity_key=STRANGER), record.archived[1])
    record = SessionRecord(record.current, archived, None, 0)
    data = write_message(archived[0], FRESH, 500)
    after = _open(record, data, alice.identity.public)
    assert after.current is record.current
    assert _kept(after) == [0, 8000]


def _repeat(
    record: SessionRecord, session: Session, counter: int, accepted: PublicKey
) -> SessionRecord:
    """The sessions after a repeated first message of one of them, with that message number."""
    inner = write_message(session, FRESH, counter)
    identity = session.remote_identity_key
    wrapper = message([(2, session.base_key), (3, identity), (4, inner), (6, 22)])
    decoded = decode_prekey_signal_message(b"\x33" + wrapper)
    opened = open_repeated_first_message(record, session, decoded, accepted)
    return opened.record


def test_a_repeated_first_message_keeps_the_archive_within_its_limit() -> None:
    alice, bob = _met(3)
    record = _crowded(bob)
    after = _repeat(record, record.archived[0], 0, alice.identity.public)
    assert _kept(after) == [8000, 0]


def test_a_repeated_first_message_of_a_stranger_costs_the_genuine_session_no_key() -> None:
    alice, bob = _met(3)
    record = _crowded(bob)
    archived = (with_fields(record.archived[0], remote_identity_key=STRANGER), record.archived[1])
    record = SessionRecord(record.current, archived, None, 0)
    after = _repeat(record, archived[0], 500, alice.identity.public)
    assert after.current is record.current
    assert _kept(after) == [0, 8000]


@pytest.mark.parametrize("how", ["message", "repeated first message", "session", "identity"])
def test_a_genuine_session_that_takes_the_place_of_a_strangers_costs_that_one_its_keys(
    how: str,
) -> None:
    alice, bob = _met(3)
    accepted = alice.identity.public
    genuine, older = bob.record.archived[0], _keeping(bob.record.archived[1], 3000)
    record = SessionRecord(_keeping(bob.current, 8000, STRANGER), (genuine, older), None, 0)
    after = {
        "message": lambda: _open(record, write_message(genuine, FRESH, 0), accepted),
        "repeated first message": lambda: _repeat(record, genuine, 0, accepted),
        "session": lambda: prefer_session(record, genuine, accepted),
        "identity": lambda: prefer_identity(record, accepted),
    }[how]()
    assert after.current is not None
    assert after.current.base_key == genuine.base_key
    assert _kept(after) == [5000, 3000]


def test_preferring_an_identity_keeps_the_archive_within_its_limit() -> None:
    _, bob = _met(3)
    record = prefer_identity(_crowded(bob), STRANGER)
    assert record.current is None
    assert _kept(record) == [8000, 0, 0]
