# SPDX-License-Identifier: Apache-2.0
"""A message that was read once is never read again, however late it is repeated.

The attacker: a back end that keeps every envelope and delivers it again whenever it likes.
"""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from e2ecross import Address, Envelope
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    EnvelopeMismatch,
    UnknownPrekey,
    UnknownSession,
)
from e2ecross.state.context import address_key
from e2ecross.stores import SQLiteStore, Table
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS, MAX_RECEIVING_CHAINS
from tests.attacks.support import (
    ANA,
    APPS,
    BUDI,
    NOW_MS,
    TOKO,
    FakeClock,
    Person,
    assert_refused,
    meet,
    person,
)
from tests.support.entropy import SeededEntropy

pytestmark = pytest.mark.usefixtures("both_versions")

DAY_MS = 24 * 60 * 60 * 1000


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
    for envelope in read:  # in version 4 its post-quantum key is still known to be used
        assert_refused(budi, envelope, AuthenticationFailed, DuplicateMessage)


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


@pytest.mark.parametrize("route", list(permutations(APPS, 2)), ids=str)
@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_in_every_other_app_and_on_every_other_device(
    route: tuple[Address, Address], one_time: bool
) -> None:
    """The same people have devices in all apps, and know each other there."""
    ana, budi = person(route[0]), person(route[1])
    ana.start(budi, one_time=one_time)
    first = ana.send(budi, "pay once")
    assert budi.read(first) == "pay once"
    assert ana.read(budi.send(ana, "paid")) == "paid"
    second = ana.send(budi, "pay twice")
    assert budi.read(second) == "pay twice"
    for app in ("whatsapp", "instagram", "messenger"):
        for device in (1, 2):
            recipient = Address(app, budi.address.user, device)
            sender = Address(app, ana.address.user, device)
            for envelope in (first, second):
                if sender != ana.address:
                    moved = replace(envelope, sender=sender)
                    # Its session or its key is gone, or it was never a session of that sender.
                    assert_refused(budi, moved, UnknownPrekey, DuplicateMessage, UnknownSession)
                if recipient != budi.address:
                    moved = replace(envelope, recipient=recipient)
                    assert_refused(budi, moved, EnvelopeMismatch)
                    other = person(recipient, installation="another device")
                    assert_refused(other, moved, UnknownPrekey, UnknownSession)
                    assert_refused(other, envelope, EnvelopeMismatch)


@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_after_the_signed_prekey_was_replaced_and_deleted(one_time: bool) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=one_time)
    read = _conversation(ana, budi, 2)
    budi.clock.now_ms = NOW_MS + 8 * DAY_MS
    budi.device.confirm_published(budi.device.publish(0))
    for envelope in read:
        assert_refused(budi, envelope, DuplicateMessage)
    budi.clock.now_ms = NOW_MS + 40 * DAY_MS
    budi.device.confirm_published(budi.device.publish(0))
    budi.reload()
    with budi.store.transaction() as tx:
        kept = {int.from_bytes(row) for row, _ in tx.list(Table.SIGNED_PREKEYS)}
    assert budi.published.signed_prekey.id not in kept
    for envelope in read:
        assert_refused(budi, envelope, DuplicateMessage)
    assert budi.read(ana.send(budi, "goes on")) == "goes on"


@pytest.mark.parametrize("deleted", [False, True], ids=["signed prekey kept", "deleted"])
@pytest.mark.parametrize("one_time", [True, False], ids=["one-time prekey", "no one-time prekey"])
def test_after_the_session_is_gone(one_time: bool, deleted: bool) -> None:
    """A user has deleted the conversation, or the table was lost: nothing old makes it anew."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi, one_time=one_time)
    read = _conversation(ana, budi, 2)
    partition = address_key(ANA)
    with budi.store.transaction() as tx:
        for row, _ in tx.list(Table.SESSIONS, partition):
            tx.delete(Table.SESSIONS, partition, row)
        tx.delete(Table.SESSION_RECORDS, partition)
        tx.delete(Table.REMOTE_IDENTITIES, partition)
    if deleted:
        for days in (8, 40):
            budi.clock.now_ms = NOW_MS + days * DAY_MS
            budi.device.confirm_published(budi.device.publish(0))
    budi.reload()
    gone = UnknownPrekey if one_time or deleted else DuplicateMessage
    for number, envelope in enumerate(read):
        assert_refused(budi, envelope, gone if number < 3 else UnknownSession)


def test_on_the_raw_layer_too() -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    read = _conversation(ana, budi, 3)
    before = budi.dump()
    for envelope in read:
        with pytest.raises(DuplicateMessage):
            budi.device.decrypt_raw(ANA, envelope.kind, envelope.ciphertext)
    assert budi.dump() == before


def test_in_another_process(tmp_path: Path) -> None:
    """The app is started anew, on the file that this process has left."""
    ana, path = person(ANA), tmp_path / "budi.db"
    budi = person(BUDI, store=SQLiteStore(path))
    ana.start(budi)
    read = _conversation(ana, budi, 2)
    before = budi.dump()
    budi.store.close()
    line = json.dumps([[], [envelope.encode().hex() for envelope in read]])
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks.twin", str(path)],
        cwd=Path(__file__).parents[2],
        input=line + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["read"], answer["late"]) == ([], len(read))
    budi.store = SQLiteStore(path)
    assert budi.dump() == before
    budi.reload()
    assert budi.read(ana.send(budi, "next")) == "next"
    budi.store.close()
