# SPDX-License-Identifier: Apache-2.0
"""The file: foreign, newer, damaged, busy; threads, fork and closing."""

import copy
import gc
import os
import pickle
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2ecross.errors import BackendError
from e2ecross.relay import Relay, RelayLimits, schema, sqlite_database
from e2ecross.relay.schema import APPLICATION_ID, SCHEMA_VERSION
from tests.relay.support import (
    ANA,
    BUDI,
    deposit,
    envelope,
    published,
    register,
    sqlite_of,
    take,
    token,
)


def write(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_connections_keep_the_rules(relay: Relay) -> None:
    names = (
        "journal_mode",
        "synchronous",
        "secure_delete",
        "busy_timeout",
        "application_id",
        "user_version",
    )

    def read(connection: sqlite3.Connection) -> dict[str, object]:
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    pragmas = sqlite_of(relay).write(read)
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "busy_timeout": sqlite_database.BUSY_TIMEOUT_MS,
        "application_id": APPLICATION_ID,
        "user_version": SCHEMA_VERSION,
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there are no file modes")
def test_the_file_is_for_its_owner_only(path: Path, relay: Relay) -> None:
    register(relay, ANA)
    modes = {file.stat().st_mode & 0o777 for file in path.parent.glob(f"{path.name}*")}
    assert modes == {0o600}


def test_a_reopened_file_holds_everything(path: Path) -> None:
    with Relay(str(path)) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 4)))
        deposit(relay, token(BUDI), envelope(BUDI, ANA).encode())
        assert take(relay, BUDI, ANA) == 1
    with Relay(path) as relay:
        register(relay, ANA)
        assert take(relay, BUDI, ANA) == 2
        assert relay.waiting(ANA) == [envelope(BUDI, ANA)]
        deposit(relay, token(BUDI), envelope(BUDI, ANA).encode())
        assert len(relay.waiting(ANA)) == 1


FOREIGN: dict[str, Callable[[Path], object]] = {
    "table": lambda path: write(path, "CREATE TABLE notes (text)"),
    "wal": lambda path: write(path, "PRAGMA journal_mode = WAL", "CREATE TABLE notes (text)"),
    "application_id": lambda path: write(path, "PRAGMA application_id = 5"),
    "user_version": lambda path: write(path, "PRAGMA user_version = 1"),
    "text": lambda path: path.write_text(
        "no database at all, but long enough to look like one\n" * 99
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_refused_and_not_touched(path: Path, kind: str) -> None:
    FOREIGN[kind](path)
    before = path.read_bytes()
    with pytest.raises(BackendError, match="name another path; it was not changed"):
        Relay(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_newer_file_is_refused_with_both_versions(path: Path) -> None:
    Relay(path).close()
    write(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(
        BackendError,
        match=rf"has schema {SCHEMA_VERSION + 1}, this release reads schema {SCHEMA_VERSION}: ",
    ):
        Relay(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_relay(path: Path) -> None:
    path.touch()
    with Relay(path) as relay:
        register(relay, ANA)


def test_an_interrupted_creation_leaves_an_empty_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA", ("CREATE TABLE half (a)", "no SQL"))
        with pytest.raises(BackendError, match="SQLite reports: near"):
            Relay(path)
    with Relay(path) as relay:
        register(relay, ANA)


def test_a_damaged_file_is_a_backend_error(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA)
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xa5" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(BackendError, match="damaged: restore it"), Relay(path) as relay:
        relay.fetch(ANA, token(ANA), 1)


def test_a_path_in_no_folder_is_a_backend_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot be opened: check the folder"):
        Relay(tmp_path / "none" / "relay.db")
    with pytest.raises(BackendError, match="it is not a file, name another path"):
        Relay(tmp_path)


def test_a_busy_file_is_a_backend_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_MS", 20)
    with Relay(path) as relay:
        register(relay, ANA)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendError, match="another process held it for too long: try again"):
            register(relay, BUDI)
        other.execute("ROLLBACK")
        other.close()
        register(relay, BUDI)


def test_a_new_file_that_stays_locked_is_a_backend_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_MS", 20)
    Relay(path).close()
    write(path, "PRAGMA journal_mode = DELETE")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM accounts").fetchall()
    with pytest.raises(BackendError, match="another process held it for too long"):
        Relay(path)
    other.close()
    Relay(path).close()


def test_a_failure_inside_a_transaction_keeps_nothing(relay: Relay) -> None:
    def fail(error: BaseException) -> None:
        def work(raw: sqlite3.Connection) -> None:
            raw.execute("DELETE FROM accounts")
            raise error

        sqlite_of(relay).write(work)

    with pytest.raises(BackendError, match="SQLite reports: odd"):
        fail(sqlite3.OperationalError("odd"))
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    assert relay.fetch(ANA, token(ANA), 1) == []


def test_a_closed_relay_says_so(path: Path) -> None:
    relay = Relay(path)
    register(relay, ANA)
    relay.close()
    relay.close()
    with pytest.raises(BackendError, match="has been closed: open it anew"):
        relay.fetch(ANA, token(ANA), 1)
    assert list(path.parent.iterdir()) == [path]  # the WAL went into the file


def test_a_relative_path_stays_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with Relay("relay.db") as relay:
        register(relay, ANA)
        monkeypatch.chdir(tmp_path / "elsewhere")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(relay.fetch, ANA, token(ANA), 1).result() == []
        assert relay.path == tmp_path / "relay.db"
        assert repr(relay) == f"<Relay {tmp_path / 'relay.db'}>"


def test_threads_share_a_relay(path: Path) -> None:
    relay = Relay(path, limits=RelayLimits(one_time_prekeys_per_requester=100))
    register(relay, ANA, BUDI)
    relay.publish(token(ANA), published(ANA, range(1, 41)))

    def work(thread: int) -> list[int | None]:
        for number in range(10):
            data = envelope(BUDI, ANA, thread * 100 + number).encode()
            deposit(relay, token(BUDI), data)
            deposit(relay, token(BUDI), data)
        return [take(relay, BUDI, ANA) for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        taken = [prekey for prekeys in pool.map(work, range(4)) for prekey in prekeys]
    assert sorted(prekey for prekey in taken if prekey is not None) == list(range(1, 41))
    assert len(relay.waiting(ANA)) == 40
    relay.close()


def test_connections_of_ended_threads_are_closed(relay: Relay) -> None:
    for _ in range(5):
        thread = threading.Thread(target=relay.fetch, args=(ANA, token(ANA), 1))
        thread.start()
        thread.join()
    gc.collect()
    assert len(sqlite_of(relay)._connections.all) == 1


def test_a_relay_is_neither_pickled_nor_copied(relay: Relay) -> None:
    for make in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a Relay cannot be pickled or copied: open its path"):
            make(relay)


def test_a_dropped_relay_closes_its_file(path: Path) -> None:
    relay = Relay(path)
    register(relay, ANA)
    del relay
    gc.collect()
    assert list(path.parent.iterdir()) == [path]


def test_closing_waits_for_calls_of_other_threads(path: Path) -> None:
    relay = Relay(path)
    inside, go_on = threading.Event(), threading.Event()

    def work(raw: sqlite3.Connection) -> None:
        inside.set()
        assert go_on.wait(10)
        raw.execute("UPDATE mailboxes SET waiting = 0")

    with ThreadPoolExecutor(2) as pool:
        working = pool.submit(sqlite_of(relay).write, work)
        assert inside.wait(10)
        closing = pool.submit(relay.close)
        with pytest.raises(TimeoutError):
            closing.result(0.1)
        go_on.set()
        working.result(10)
        closing.result(10)
    assert list(path.parent.iterdir()) == [path]


def test_a_call_overtaken_by_close_says_so(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite_of(relay)._connection

    def overtaken() -> sqlite_database._Connection:
        connection = connect()
        relay.close()
        return connection

    monkeypatch.setattr(sqlite_of(relay), "_connection", overtaken)
    with pytest.raises(BackendError, match="has been closed"):
        relay.fetch(ANA, token(ANA), 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_connection_does_not_cross_a_fork(relay: Relay) -> None:
    """The child gets a connection of its own; the parent's stays as it was."""
    deposit(relay, token(BUDI), envelope(BUDI, ANA, 1).encode())
    of_parent = sqlite_of(relay).read(id)
    child = os.fork()
    if child == 0:  # nothing of pytest may run here: leave by os._exit
        result = 1
        try:
            inherited = sqlite_of(relay)._connections
            deposit(relay, token(BUDI), envelope(BUDI, ANA, 2).encode())
            fresh = sqlite_of(relay)._connections
            apart = fresh is not inherited and inherited in sqlite_database._left_behind
            apart = apart and sqlite_of(relay).read(id) != of_parent
            relay.close()
            result = 0 if apart else 2
        finally:
            os._exit(result)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    deposit(relay, token(BUDI), envelope(BUDI, ANA, 3).encode())
    assert relay.waiting(ANA) == [envelope(BUDI, ANA, number) for number in (1, 2, 3)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_only_drops_the_relay_closes_nothing_of_its_parent(path: Path) -> None:
    relay = Relay(path)
    register(relay, ANA, BUDI)
    child = os.fork()
    if child == 0:
        result = 1
        try:
            relay.close()
            del relay
            gc.collect()
            result = 0 if sqlite_database._left_behind else 2
        finally:
            os._exit(result)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    deposit(relay, token(BUDI), envelope(BUDI, ANA).encode())
    relay.close()
    with Relay(path) as relay:
        assert len(relay.waiting(ANA)) == 1
