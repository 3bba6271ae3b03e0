# SPDX-License-Identifier: Apache-2.0
"""A first message that used no one-time prekey is read once, also after its session is gone.

The attacker: a back end that hands out bundles without one-time prekey, keeps the first message,
and repeats it when the session has been forgotten. Without a record of the base key it would be
read again.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross.errors import AuthenticationFailed, DuplicateMessage, UnknownPrekey
from e2ecross.state.context import address_key
from e2ecross.stores import SQLiteStore, Table
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS
from tests.attacks.support import (
    ANA,
    BUDI,
    NOW_MS,
    TOKO,
    FakeClock,
    Person,
    assert_refused,
    edit_wrapper,
    person,
)
from tests.support.entropy import SeededEntropy

DAY_MS = 24 * 60 * 60 * 1000


def _forget_sessions(person: Person, peer: Person) -> None:
    """What a user who deletes a chat does, or a store that lost these tables."""
    partition = address_key(peer.address)
    with person.store.transaction() as tx:
        for row, _ in tx.list(Table.SESSIONS, partition):
            tx.delete(Table.SESSIONS, partition, row)
        tx.delete(Table.SESSION_RECORDS, partition)
        tx.delete(Table.REMOTE_IDENTITIES, partition)


def test_after_its_session_is_gone() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    first, second = ana.send(budi, "pay once"), ana.send(budi, "second")
    assert budi.read(first) == "pay once"
    assert_refused(budi, first, DuplicateMessage)
    _forget_sessions(budi, ana)
    assert_refused(budi, first, DuplicateMessage)
    assert_refused(budi, second, DuplicateMessage)  # it would bring the session back as it was
    budi.reload()
    assert_refused(budi, first, DuplicateMessage)


def test_after_its_session_has_left_the_archive() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    for number in range(MAX_ARCHIVED_SESSIONS + 1):
        ana.start(budi, one_time=False)
        assert budi.read(ana.send(budi, str(number))) == str(number)
    with budi.store.transaction() as tx:
        assert tx.count(Table.SESSIONS, address_key(ANA)) == MAX_ARCHIVED_SESSIONS + 1
    assert_refused(budi, first, DuplicateMessage)


def test_in_the_name_of_somebody_else() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    assert_refused(budi, replace(first, sender=TOKO), DuplicateMessage)


def test_with_a_prekey_id_that_it_never_had() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    _forget_sessions(budi, ana)
    for prekey_id in sorted(budi.one_time_prekeys()):
        assert_refused(budi, edit_wrapper(first, pre_key_id=prekey_id), AuthenticationFailed)


@pytest.mark.parametrize("days", [1, 8, 37, 200])
def test_for_as_long_as_the_signed_prekey_lives(days: int) -> None:
    """The record goes with the signed prekey, never before: then the message names no key."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    _forget_sessions(budi, ana)
    for day in range(1, days + 1):
        budi.clock.now_ms = NOW_MS + day * DAY_MS
        budi.device.confirm_published(budi.device.publish(0))
        assert_refused(budi, first, UnknownPrekey if day >= 37 else DuplicateMessage)
    with budi.store.transaction() as tx:
        seen = list(tx.scan(Table.SEEN_BASE_KEYS))
    assert len(seen) == (0 if days >= 37 else 1)


def test_after_the_app_was_closed_and_opened_again(tmp_path: Path) -> None:
    ana = person(ANA)
    budi = person(BUDI, store=SQLiteStore(tmp_path / "budi.db"))
    ana.start(budi, one_time=False)
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    _forget_sessions(budi, ana)
    budi.store.close()
    budi.store = SQLiteStore(tmp_path / "budi.db")
    budi.clock, budi.entropy = FakeClock(), SeededEntropy("after restart")
    budi.reload()
    assert_refused(budi, first, DuplicateMessage)
    budi.store.close()


def test_a_forged_one_does_not_use_up_a_base_key() -> None:
    """A stranger who repeats Ana's base key in front of her does not lock her out."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=False)
    first = ana.send(budi, "first")
    stranger = person(TOKO).published.identity_key
    assert_refused(budi, edit_wrapper(first, identity_key=stranger), AuthenticationFailed)
    with budi.store.transaction() as tx:
        assert list(tx.scan(Table.SEEN_BASE_KEYS)) == []
    assert budi.read(first) == "first"
