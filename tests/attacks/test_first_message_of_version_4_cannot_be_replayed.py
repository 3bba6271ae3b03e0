# SPDX-License-Identifier: Apache-2.0
"""A first message of version 4 is read once, whichever kinds of prekeys it used.

The attacker: a back end that keeps first messages, and repeats them when the session has been
forgotten, when prekeys were replaced, after a restart, and under other prekey ids. A last-resort
Kyber prekey opens any number of them: without a record of the base key it would be one more.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import Envelope
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    RemoteError,
    UnknownPrekey,
)
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
from tests.attacks.support_4 import kyber_prekeys, pq_bundle
from tests.support.entropy import SeededEntropy

DAY_MS = 24 * 60 * 60 * 1000
KINDS = pytest.mark.parametrize(
    ("one_time", "one_time_kyber"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=["both one-time", "last-resort Kyber", "no one-time X25519", "last resort alone"],
)


def _read(one_time: bool, one_time_kyber: bool) -> tuple[Person, Person, list[Envelope]]:
    """Two people, and first messages of one session that have been read."""
    ana, budi = person(ANA), person(BUDI)
    ana.device.start_session(pq_bundle(budi, one_time=one_time, one_time_kyber=one_time_kyber))
    envelopes = [ana.send(budi, text) for text in ("pay once", "second")]
    assert budi.read(envelopes[0]) == "pay once"
    return ana, budi, envelopes


def _gone(one_time: bool, one_time_kyber: bool) -> type[RemoteError]:
    """How a repeated first message is refused once its session is gone."""
    return UnknownPrekey if one_time or one_time_kyber else DuplicateMessage


def _forget_sessions(somebody: Person, peer: Person) -> None:
    """What a user who deletes a chat does, or a store that lost these tables."""
    partition = address_key(peer.address)
    with somebody.store.transaction() as tx:
        for row, _ in tx.list(Table.SESSIONS, partition):
            tx.delete(Table.SESSIONS, partition, row)
            tx.clear(Table.SPQR, partition + row)
        tx.delete(Table.SESSION_RECORDS, partition)
        tx.delete(Table.REMOTE_IDENTITIES, partition)


@KINDS
def test_while_and_after_there_is_its_session(one_time: bool, one_time_kyber: bool) -> None:
    _, budi, (first, second) = _read(one_time, one_time_kyber)
    assert_refused(budi, first, DuplicateMessage)
    _forget_sessions(budi, person(ANA))
    gone = _gone(one_time, one_time_kyber)
    assert_refused(budi, first, gone)
    assert_refused(budi, second, gone)  # it would bring the session back as it was
    budi.reload()
    assert_refused(budi, first, gone)
    before = budi.dump()
    with pytest.raises(gone):
        budi.device.decrypt_raw(ANA, first.kind, first.ciphertext)
    assert budi.dump() == before


@KINDS
def test_in_the_name_of_somebody_else(one_time: bool, one_time_kyber: bool) -> None:
    _, budi, (first, _) = _read(one_time, one_time_kyber)
    assert_refused(budi, replace(first, sender=TOKO), _gone(one_time, one_time_kyber))


@KINDS
def test_under_every_prekey_id_that_there_is(one_time: bool, one_time_kyber: bool) -> None:
    """An id taken out, so that the record of base keys is asked, or put in, so that it is not."""
    _, budi, (first, _) = _read(one_time, one_time_kyber)
    _forget_sessions(budi, person(ANA))
    refused = (AuthenticationFailed, DuplicateMessage, UnknownPrekey)
    for one_time_id in (None, *sorted(budi.one_time_prekeys())):
        without = edit_wrapper(first, pre_key_id=one_time_id)
        assert_refused(budi, without, *refused)
        for kyber_id in sorted(kyber_prekeys(budi)):
            assert_refused(budi, edit_wrapper(without, kyber_pre_key_id=kyber_id), *refused)


@KINDS
def test_after_its_session_has_left_the_archive(one_time: bool, one_time_kyber: bool) -> None:
    ana, budi, (first, _) = _read(one_time, one_time_kyber)
    for number in range(MAX_ARCHIVED_SESSIONS + 1):
        ana.start(budi, one_time=False, kyber=True)
        assert budi.read(ana.send(budi, str(number))) == str(number)
    with budi.store.transaction() as tx:
        assert tx.count(Table.SESSIONS, address_key(ANA)) == MAX_ARCHIVED_SESSIONS + 1
    assert_refused(budi, first, _gone(one_time, one_time_kyber))


@KINDS
@pytest.mark.parametrize("days", [1, 8, 37, 200])
def test_after_prekeys_were_replaced(days: int, one_time: bool, one_time_kyber: bool) -> None:
    """The record goes with the signed prekey, never before: then the message names no key."""
    _, budi, (first, second) = _read(one_time, one_time_kyber)
    _forget_sessions(budi, person(ANA))
    gone = _gone(one_time, one_time_kyber)
    for day in range(1, days + 1):
        budi.clock.now_ms = NOW_MS + day * DAY_MS
        budi.device.confirm_published(budi.device.publish(0))
        assert_refused(budi, first, UnknownPrekey if day >= 37 else gone)
    assert_refused(budi, second, UnknownPrekey if days >= 37 else gone)
    with budi.store.transaction() as tx:
        seen = list(tx.scan(Table.SEEN_BASE_KEYS))
    remembered = not (one_time and one_time_kyber)
    assert len(seen) == (remembered and days < 37)


@KINDS
def test_after_the_app_was_closed_and_opened_again(
    one_time: bool, one_time_kyber: bool, tmp_path: Path
) -> None:
    ana = person(ANA)
    budi = person(BUDI, store=SQLiteStore(tmp_path / "budi.db"))
    ana.device.start_session(pq_bundle(budi, one_time=one_time, one_time_kyber=one_time_kyber))
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    _forget_sessions(budi, ana)
    budi.store.close()
    budi.store = SQLiteStore(tmp_path / "budi.db")
    budi.clock, budi.entropy = FakeClock(), SeededEntropy("after restart")
    budi.reload()
    assert_refused(budi, first, _gone(one_time, one_time_kyber))
    budi.store.close()


def test_a_last_resort_prekey_opens_the_first_messages_of_many_once_each() -> None:
    budi = person(BUDI)
    bundle = pq_bundle(budi, one_time=False, one_time_kyber=False)
    firsts = []
    for somebody in (person(ANA), person(TOKO)):
        somebody.device.start_session(bundle)
        firsts.append(somebody.send(budi, "hello"))
        assert budi.read(firsts[-1]) == "hello"
    assert bundle.kyber_prekey_id in kyber_prekeys(budi)
    for first in firsts:
        assert_refused(budi, first, DuplicateMessage)
        swapped = replace(first, sender=TOKO if first.sender == ANA else ANA)
        assert_refused(budi, swapped, DuplicateMessage)
