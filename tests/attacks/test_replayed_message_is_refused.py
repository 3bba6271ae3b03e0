# SPDX-License-Identifier: Apache-2.0
"""A message that was read once is never read again, however late it is repeated.

The attacker: a back end that keeps every envelope and delivers it again whenever it likes.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import Envelope
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    EnvelopeMismatch,
    UnknownPrekey,
    UnknownSession,
)
from e2ecross.stores import SQLiteStore
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS, MAX_RECEIVING_CHAINS
from tests.attacks.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    Person,
    assert_refused,
    meet,
    person,
)
from tests.support.entropy import SeededEntropy


def _conversation(ana: Person, budi: Person, turns: int) -> list[Envelope]:
    """Everything that Budi has read, some of it late."""
    read = []
    for turn in range(turns):
        batch = [ana.send(budi, f"{turn} {number}") for number in range(3)]
        for number in (2, 0, 1):
            assert budi.read(batch[number]) == f"{turn} {number}"
        read += batch
        assert ana.read(budi.send(ana, "go on")) == "go on"
    return read


@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_at_once(one_time: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=one_time)
    for envelope in (ana.send(budi, "one"), ana.send(budi, "two")):
        budi.read(envelope)
        assert_refused(budi, envelope, DuplicateMessage)
        assert_refused(budi, envelope.encode(), DuplicateMessage)
    reply = budi.send(ana, "reply")
    ana.read(reply)
    assert_refused(ana, reply, DuplicateMessage)


def test_again_and_again_while_the_conversation_goes_on() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    read: list[Envelope] = []
    for turn in range(MAX_RECEIVING_CHAINS - 1):
        read += _conversation(ana, budi, 1)
        for envelope in read:
            assert_refused(budi, envelope, DuplicateMessage)
        if turn == 2:
            budi.reload()


def test_after_the_chain_has_been_forgotten() -> None:
    """The sixth chain pushes out the first: what was used of it opens in no other way."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    read = _conversation(ana, budi, 2)
    _conversation(ana, budi, MAX_RECEIVING_CHAINS + 1)
    for envelope in read:
        assert_refused(budi, envelope, AuthenticationFailed)


def test_after_many_later_sessions() -> None:
    ana, budi = person(ANA), person(BUDI, one_time=MAX_ARCHIVED_SESSIONS + 4)
    ana.start(budi)
    read = _conversation(ana, budi, 2)
    for _ in range(5):
        ana.start(budi)
        read += _conversation(ana, budi, 1)
        for envelope in read:
            assert_refused(budi, envelope, DuplicateMessage)
    # ... and when the first session has left the archive, its one-time prekey is gone.
    for _ in range(MAX_ARCHIVED_SESSIONS - 4):
        ana.start(budi)
        budi.read(ana.send(budi, "new session"))
    assert_refused(budi, read[0], UnknownPrekey)


def test_after_the_app_was_closed_and_opened_again(tmp_path: Path) -> None:
    ana = person(ANA)
    budi = person(BUDI, store=SQLiteStore(tmp_path / "budi.db"))
    ana.start(budi)
    read = _conversation(ana, budi, 3)
    budi.store.close()
    budi.store = SQLiteStore(tmp_path / "budi.db")
    budi.clock, budi.entropy = FakeClock(), SeededEntropy("after restart")
    budi.reload()
    for envelope in read:
        assert_refused(budi, envelope, DuplicateMessage)
    assert budi.read(ana.send(budi, "next")) == "next"
    budi.store.close()


def test_in_another_name_or_under_another_id() -> None:
    ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    ana.start(budi)
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    meet(toko, budi)
    second = ana.send(budi, "pay twice")
    assert budi.read(second) == "pay twice"
    for envelope in (first, second):
        # The one-time prekey of the first message is gone, and Toko's sessions do not read it.
        assert_refused(budi, replace(envelope, sender=TOKO), UnknownPrekey)
        assert_refused(budi, replace(envelope, message_id=b"\1" * 16), DuplicateMessage)
        assert_refused(budi, replace(envelope, recipient=TOKO), EnvelopeMismatch)
        assert_refused(toko, replace(envelope, recipient=TOKO), UnknownPrekey)
    assert ana.read(budi.send(ana, "paid")) == "paid"
    third = ana.send(budi, "pay thrice")
    assert budi.read(third) == "pay thrice"
    assert_refused(budi, replace(third, sender=TOKO), AuthenticationFailed)
    assert_refused(toko, replace(third, recipient=TOKO), UnknownSession)


def test_in_the_middle_of_a_crossing_start() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    budi.start(ana)
    read: list[tuple[Person, Envelope]] = []
    for number in range(12):
        for sender, reader in ((ana, budi), (budi, ana)):
            envelope = sender.send(reader, str(number))
            assert reader.read(envelope) == str(number)
            read.append((reader, envelope))
        for who, old in read:
            assert_refused(who, old, DuplicateMessage)
