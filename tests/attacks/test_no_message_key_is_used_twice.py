# SPDX-License-Identifier: Apache-2.0
"""No two ciphertexts ever leave a device under the same cipher key and IV, crashes included.

The attacker: makes transactions fail at any step, kills the process, copies a crashed store, and
compares all ciphertexts that have left.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2ecross import Device, Envelope, Text
from e2ecross.errors import RemoteError, StoreBusy, StoreError
from e2ecross.protocol import ratchet
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Transaction
from e2ecross.wire.limits import MAX_HELD_MESSAGES
from tests.attacks.support import ANA, BUDI, TOKO, Attacker, FakeClock, Person, meet, person
from tests.support.entropy import SeededEntropy

pytestmark = pytest.mark.usefixtures("both_versions")

Pair = tuple[bytes, bytes]


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[Pair]:
    """Every (cipher key, IV) that something was encrypted with, by anybody."""
    pairs: list[Pair] = []
    genuine: Callable[[bytes, bytes, bytes], bytes] = vars(ratchet)["cbc_encrypt"]

    def spy(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        pairs.append((cipher_key, iv))
        return genuine(cipher_key, iv, plaintext)

    monkeypatch.setattr(ratchet, "cbc_encrypt", spy)
    return pairs


def _assert_all_different(used: list[Pair], at_least: int) -> None:
    assert len(used) >= at_least
    assert len(set(used)) == len(used)
    assert len({key for key, _ in used}) == len(used)


def test_in_a_long_conversation_with_reloads_and_new_sessions(used: list[Pair]) -> None:
    people = ana, budi, toko = person(ANA), person(BUDI), person(TOKO)
    meet(ana, toko)
    ana.start(budi)
    budi.start(ana)
    held_back: list[tuple[Person, Envelope]] = []
    for number in range(3 * MAX_HELD_MESSAGES):
        for sender, reader in ((ana, budi), (budi, ana), (ana, toko), (toko, ana)):
            envelope = sender.send(reader, str(number))
            if number % 3:
                reader.read(envelope)
            else:
                held_back.append((reader, envelope))
        if number % 5 == 0:
            for who in people:
                who.reload()
        if number in (7, 15):
            ana.start(budi, one_time=number == 7)
        if number % 3 == 2:
            while held_back:
                who, late = held_back.pop()
                who.read(late)
    _assert_all_different(used, 12 * MAX_HELD_MESSAGES)


def test_on_the_raw_layer_too(used: list[Pair]) -> None:
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    for number in range(10):
        kind, data = ana.device.encrypt_raw(BUDI, b"")
        assert budi.device.decrypt_raw(ANA, kind, data) == b""
        ana.send(budi, str(number))
        if number == 5:
            kind, data = budi.device.encrypt_raw(ANA, b"turn")
            ana.device.decrypt_raw(BUDI, kind, data)
    _assert_all_different(used, 21)


def test_when_one_store_is_open_twice(used: list[Pair]) -> None:
    """Two threads or processes with devices of their own: neither goes by what it remembers."""
    ana, budi = person(ANA), person(BUDI)
    ana.start(budi)
    twin = Device.open(ana.store, clock=FakeClock(), entropy=SeededEntropy("twin"))
    for number in range(6):
        for device in (ana.device, twin, twin):
            message = budi.device.decrypt(device.encrypt(BUDI, Text(str(number))))
            assert message.content == Text(str(number))
        if number % 2:
            assert ana.read(budi.send(ana, "turn")) == "turn"
    _assert_all_different(used, 18)


def test_after_messages_that_were_refused(used: list[Pair]) -> None:
    """A forged message must not turn the ratchet back, or make anything be drawn again."""
    ana, budi = person(ANA), person(BUDI)
    meet(ana, budi)
    attacker = Attacker()
    for number in range(6):
        envelope = ana.send(budi, str(number))
        damaged = envelope.ciphertext[:-1] + bytes((envelope.ciphertext[-1] ^ 1,))
        for bad in (damaged, envelope.ciphertext[:-1]):
            with pytest.raises(RemoteError):
                budi.device.decrypt_raw(ANA, envelope.kind, bad)
        budi.send(ana, "in between")
        assert budi.read(envelope) == str(number)
    ana.device.decrypt(attacker.first_message(ana, BUDI))
    _assert_all_different(used, 14)


# --- Crashes --------------------------------------------------------------------------------


class _FailingStore(MemoryStore):
    """A store whose transactions fail when asked to: at their end, as a full disk does it."""

    __slots__ = ("failing",)

    def __init__(self) -> None:
        super().__init__()
        self.failing = False

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with super().transaction(stripe, moved=moved) as tx:
            yield tx
            if self.failing:
                raise StoreBusy("the commit fails")


def test_a_ciphertext_whose_commit_fails_does_not_leave(used: list[Pair]) -> None:
    """Its key will be used again: so nobody may ever have seen it."""
    store = _FailingStore()
    ana, budi = person(ANA, store=store), person(BUDI)
    ana.start(budi)
    left = []
    for number in range(5):
        before = ana.dump()
        store.failing = True
        for call in (
            lambda: ana.device.encrypt(BUDI, Text("lost")),
            lambda: ana.device.encrypt_raw(BUDI, b"lost"),
        ):
            used.clear()
            released: object = None
            with pytest.raises(StoreBusy):
                released = call()
            assert released is None
            assert len(used) == 1, "the message was encrypted before the commit"
        again = used[0]
        store.failing = False
        assert ana.dump() == before
        used.clear()
        envelope = ana.send(budi, str(number))
        assert used == [again]
        left.append(used[0])
        assert budi.read(envelope) == str(number)
    assert len(set(left)) == 5


def test_a_message_whose_commit_fails_is_read_again_and_answered_under_a_fresh_key(
    used: list[Pair],
) -> None:
    """A ratchet step that was not saved is made anew, with another key pair."""
    store = _FailingStore()
    ana, budi = person(ANA), person(BUDI, store=store)
    meet(ana, budi)
    envelope = ana.send(budi, "turn")
    before = budi.dump()
    for _ in range(3):
        store.failing = True
        with pytest.raises(StoreBusy):
            budi.device.decrypt(envelope)
        store.failing = False
        assert budi.dump() == before
    assert budi.read(envelope) == "turn"
    assert ana.read(budi.send(ana, "answer")) == "answer"
    _assert_all_different(used, 4)


def _image(path: Path, into: Path) -> Path:
    """What a killed process leaves behind: the files as they are, with no goodbye."""
    into.mkdir()
    for file in path.parent.glob(path.name + "*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, into / file.name)
    return into / path.name


def test_what_has_left_is_on_disk(used: list[Pair], tmp_path: Path) -> None:
    """Killed right after `encrypt` returned, a process goes on with the next key."""
    path = tmp_path / "ana.db"
    ana, budi = person(ANA, store=SQLiteStore(path)), person(BUDI)
    ana.start(budi)
    for number in range(5):
        assert budi.read(ana.send(budi, str(number))) == str(number)
        crashed: Store = SQLiteStore(_image(path, tmp_path / f"crash {number}"))
        revived = Device.open(crashed, clock=FakeClock(), entropy=SeededEntropy("revived"))
        message = budi.device.decrypt(revived.encrypt(BUDI, Text("after the crash")))
        assert message.content == Text("after the crash")
        crashed.close()
        # Go on with the revived state: the two must not both live.
        ana.store.close()
        for file in tmp_path.glob("ana.db*"):
            file.unlink()
        for file in (tmp_path / f"crash {number}").iterdir():
            shutil.copy(file, tmp_path / file.name)
        ana.store = SQLiteStore(path)
        ana.reload()
    _assert_all_different(used, 10)
    ana.store.close()


def test_while_somebody_else_writes_nothing_is_encrypted(used: list[Pair], tmp_path: Path) -> None:
    """The lock comes first: a transaction that began with reading would fail at its end."""
    path = tmp_path / "ana.db"
    ana, budi = person(ANA, store=SQLiteStore(path)), person(BUDI)
    ana.start(budi)
    assert budi.read(ana.send(budi, "first")) == "first"
    before = ana.dump()
    impatient = SQLiteStore(path, busy_timeout_ms=0)
    device = Device.open(impatient, clock=FakeClock(), entropy=SeededEntropy("impatient"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    count = len(used)
    with pytest.raises(StoreError):
        device.encrypt(BUDI, Text("lost"))
    assert len(used) == count, "nothing was encrypted before the store was locked"
    other.execute("ROLLBACK")
    other.close()
    assert ana.dump() == before
    assert budi.device.decrypt(device.encrypt(BUDI, Text("second"))).content == Text("second")
    _assert_all_different(used, 2)
    impatient.close()
    ana.store.close()
