# SPDX-License-Identifier: Apache-2.0
"""What an error says about its cause: limits of the process, owners, links, spellings.

Limits and users are those of a process, so most of this runs in children.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
import unicodedata
from pathlib import Path

import pytest

from e2ecross.errors import StoreError, WrongStoreKey
from e2ecross.stores import PassphraseCost, SQLiteStore, Table
from e2ecross.stores.sqlite_causes import find_cause
from e2ecross.stores.sqlite_reading import read_store_file
from tests.stores.support import ROOT, WAIT_SECONDS, files, get, increment, put

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and owners")

CHILD = """
import os, resource, sys
import urllib.parse  # before a user runs here who may not read where Python is
from e2ecross.errors import StoreError
from e2ecross.stores import SQLiteStore, Table
path = sys.argv[1]
def fill(store, size):
    with store.transaction() as tx:
        tx.put(Table.OUTBOX, b"", b"big", bytes(size))
def say(work):
    try:
        work()
    except StoreError as error:
        print(type(error).__name__, str(error).replace(chr(10), " "))
    else:
        print("fine")
"""


def child(path: Path, script: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", CHILD + textwrap.dedent(script), str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@posix
def test_a_file_size_limit_is_no_full_disk(path: Path) -> None:
    [said, again] = child(
        path,
        """
        store = SQLiteStore(path)
        fill(store, 10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        say(lambda: fill(store, 1_000_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        say(lambda: fill(store, 1_000_000))
        store.close()
        """,
    )
    assert "file-size limit of 300000 bytes" in said
    assert "disk" not in said
    assert again == "fine"


@posix
@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_lack_of_descriptors_is_named(path: Path, left: int) -> None:
    """Also where SQLite has opened the file, and lacks one for the WAL."""
    SQLiteStore(path).close()
    [opening, in_a_thread, again] = child(
        path,
        f"""
        import threading
        store = SQLiteStore(path)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for descriptor in taken[:{left}]:
            os.close(descriptor)
        say(lambda: SQLiteStore(path))
        say(lambda: fill(store, 10))
        for descriptor in taken[{left}:]:
            os.close(descriptor)
        say(lambda: fill(store, 10))
        """,
    )
    assert "no file descriptor is left" in opening
    assert "no file descriptor is left" in in_a_thread
    assert again == "fine"


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives away")
@pytest.mark.parametrize("name", ["store.db", "store.db-wal"])
def test_a_file_of_another_user_is_named(name: str) -> None:
    # Elsewhere than what pytest and our tests make, which is closed to other users.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o777)  # noqa: S103
        path = Path(directory, "store.db")
        other = SQLiteStore(path)  # keeps the WAL there
        increment(other)
        for found in files(path):
            os.chown(path.with_name(found), 65_534, 65_534)
        os.chown(path.with_name(name), 12_345, 12_345)
        [said] = child(path, "os.setuid(65_534)\nsay(lambda: fill(SQLiteStore(path), 10))")
        other.close()
    assert f"{name} belongs to user 12345, and this process runs as user 65534" in said


def test_permissions_and_folders_are_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SQLiteStore(path).close()
    assert find_cause(str(path)) is None
    path.chmod(0o400)
    monkeypatch.setattr(os, "access", lambda name, _: name != str(path))  # root may do anything
    assert "store.db cannot be read and written (mode 0400" in str(find_cause(str(path)))
    monkeypatch.setattr(os, "access", lambda name, _: name != str(path.parent))
    assert "files cannot be made in its folder" in str(find_cause(str(path)))


@posix
def test_a_file_with_two_names_is_refused_by_both(path: Path) -> None:
    """SQLite names the WAL after the name, so that each would have its own."""
    with SQLiteStore(path) as store:
        put(store, Table.SESSIONS, b"p", b"r", b"x")
    other = path.with_name("other.db")
    os.link(path, other)
    before = files(path)
    for name in (path, other):
        with pytest.raises(StoreError, match="2 names"):
            SQLiteStore(name)
        with pytest.raises(StoreError, match="2 names"), read_store_file(name):
            pass
    assert files(path) == before
    other.unlink()
    with SQLiteStore(path) as store:
        assert get(store, Table.SESSIONS, b"p", b"r") == b"x"


def test_a_wrong_passphrase_says_what_counts(path: Path) -> None:
    text = "Grüße ﬁn"  # an accent, and a ligature that only NFKC takes apart
    cheap = PassphraseCost.INTERACTIVE
    SQLiteStore(path, passphrase=text, passphrase_cost=cheap).close()
    SQLiteStore(path, passphrase=unicodedata.normalize("NFD", text)).close()  # text: the same
    SQLiteStore(path, passphrase=text.encode()).close()
    for other in (
        unicodedata.normalize("NFD", text).encode(),
        unicodedata.normalize("NFKC", text),
        text.lower(),
        text + " ",
    ):
        with pytest.raises(WrongStoreKey, match=r"capitals.*keyboard.*NFC") as caught:
            SQLiteStore(path, passphrase=other)
        assert "fin" not in str(caught.value)
