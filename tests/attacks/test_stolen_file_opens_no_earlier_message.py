# SPDX-License-Identifier: Apache-2.0
"""Who copies the store's file, at whatever moment, opens no message that was dealt with in it.

The attacker: has recorded every envelope, and copies the file and its WAL from a running process.
They open the copy as a store, and try every run of 32 bytes of the files that a length precedes.
A known limit, shown too: the WAL keeps superseded records until it is truncated, after 256 commits
and when the store is closed. See docs/security-model.md, Keys that are kept longer.
"""

import shutil
from pathlib import Path

import pytest

from e2ecross.errors import WrongStoreKey
from e2ecross.stores import SQLiteStore
from e2ecross.stores.sqlite import TRUNCATE_EVERY
from tests.attacks.support import ANA, BUDI, Rows, dump, person
from tests.attacks.thief import Recording, Thief

STORE_KEY = bytes(range(32))
KEY_BYTES = 32


def _begin(path: Path, key: bytes | None) -> Recording:
    ana, budi = person(ANA, one_time=2), person(BUDI, store=SQLiteStore(path, key=key), one_time=2)
    ana.start(budi)
    return Recording(ana, budi)


def _talk(recording: Recording, name: str) -> None:
    """Two turns, with a message that is late within its chain."""
    for turn in range(2):
        for sender, reader in (
            (recording.left, recording.right),
            (recording.right, recording.left),
        ):
            batch = [recording.send(sender, f"{name} {sender.address} {turn}.{n}") for n in (0, 1)]
            for envelope in reversed(batch):
                reader.read(envelope)


def _copy(path: Path, into: Path) -> Path:
    """What lies on the disk at this moment; nobody is asked to close anything."""
    into.mkdir()
    for file in path.parent.glob(path.name + "*"):
        if file.is_file() and not file.name.endswith("-shm"):
            shutil.copy(file, into / file.name)
    return into / path.name


def _rows(path: Path, key: bytes | None) -> Rows:
    with SQLiteStore(path, key=key) as store:
        return dump(store)


def _raw(path: Path) -> Rows:
    """Every run of 32 bytes that follows its length, in any of the files, live or freed."""
    found = set()
    for file in path.parent.glob(path.name + "*"):
        data = file.read_bytes()
        at = data.find(KEY_BYTES)
        while at >= 0:
            candidate = data[at + 1 : at + 1 + KEY_BYTES]
            if len(set(candidate)) > 20:  # a key; text and tables repeat themselves more
                found.add(candidate)
            at = data.find(KEY_BYTES, at + 1)
    return tuple(("raw", b"", b"", candidate) for candidate in sorted(found))


@pytest.mark.parametrize("key", [None, STORE_KEY], ids=["plain", "sealed, with its key"])
def test_opened_as_a_store(key: bytes | None, tmp_path: Path) -> None:
    """At several moments of a running conversation: nothing that was read, and what is missing."""
    path = tmp_path / "budi.db"
    recording = _begin(path, key)
    ana, budi = recording.left, recording.right
    for moment in range(3):
        _talk(recording, f"{moment}")
        loot = _rows(_copy(path, tmp_path / f"{moment}"), key)
        assert loot == budi.dump()
        assert Thief(loot, recording).open() == set()
    skipped = recording.send(ana, "skipped")
    recording.say(ana, "after it")
    loot = _rows(_copy(path, tmp_path / "unused"), key)
    assert Thief(loot, recording).open() == {"skipped"}
    assert budi.read(skipped) == "skipped"
    loot = _rows(_copy(path, tmp_path / "used"), key)
    assert Thief(loot, recording).open() == set()
    budi.store.close()


def test_it_heals_after_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "budi.db"
    recording = _begin(path, None)
    ana, budi = recording.left, recording.right
    _talk(recording, "before")
    recording.sent.clear()
    loot = _rows(_copy(path, tmp_path / "copy"), None)
    for number in range(2):
        recording.say(ana, f"ana {number}")
        recording.say(budi, f"budi {number}")
    recording.say(ana, "healed 1")
    recording.say(budi, "healed 2")
    opened = Thief(loot, recording).open()
    assert "ana 0" in opened
    assert not opened & {"healed 1", "healed 2"}
    budi.store.close()


def test_every_byte_of_the_closed_file(tmp_path: Path) -> None:
    path = tmp_path / "budi.db"
    recording = _begin(path, None)
    _talk(recording, "read")
    recording.right.store.close()
    raw = _raw(path)
    assert raw
    rows = _rows(_copy(path, tmp_path / "copy"), None)
    assert Thief((*raw, *rows), recording).open() == set()


def test_every_byte_of_the_running_files(tmp_path: Path) -> None:
    """What was read before the last truncation does not open; what came after it may."""
    path = tmp_path / "budi.db"
    recording = _begin(path, None)
    budi = recording.right
    _talk(recording, "long ago")
    for _ in range(TRUNCATE_EVERY):
        recording.left.read(recording.right.send(recording.left, "not recorded"))
    _talk(recording, "just now")
    opened = Thief(_raw(_copy(path, tmp_path / "copy")), recording).open()
    assert opened, "this thief knows the trade"
    assert all(text.startswith("just now") for text in opened)
    budi.store.close()


def test_a_sealed_file_without_its_key(tmp_path: Path) -> None:
    """The same bytes, running and closed: not even what is still on its way."""
    path = tmp_path / "budi.db"
    recording = _begin(path, STORE_KEY)
    _talk(recording, "read")
    recording.send(recording.left, "on its way")
    running = _copy(path, tmp_path / "running")
    assert Thief(_raw(running), recording).open() == set()
    for key in (None, bytes(32)):
        with pytest.raises(WrongStoreKey):
            SQLiteStore(running, key=key)
    recording.right.store.close()
    assert Thief(_raw(path), recording).open() == set()
