# SPDX-License-Identifier: Apache-2.0
"""Changing the key of a store: whole, at once, without traces, and whatever happens in between."""

import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2ecross.errors import InvalidArgument, StoreClosed, StoreError, WrongStoreKey
from e2ecross.stores import SQLiteStore, Table
from tests.stores.support import KEY, ROOT, WAIT_SECONDS, content, files, get, increment, put
from tests.support.entropy import SeededEntropy

NEW_KEY = bytes(range(100, 132))
PASSPHRASE = "correct horse battery staple"
KILLS = 12
WORDS: dict[str, Any] = {"passphrase": PASSPHRASE, "passphrase_cost": "interactive"}
SECRETS: dict[str, dict[str, Any]] = {
    "none": {},
    "key": {"key": KEY},
    "passphrase": WORDS,
    "new key": {"key": NEW_KEY},
    "new passphrase": {"passphrase": b"another", "passphrase_cost": "interactive"},
}
Content = dict[tuple[Table, bytes, bytes], bytes]


def fill(store: SQLiteStore, rows: int = 120) -> Content:
    """Put rows of all sizes into every table."""
    draw = random.Random(rows)
    filled: Content = {}
    with store.transaction() as transaction:
        for number in range(rows):
            table = list(Table)[number % len(Table)]
            place = (table, b"whatsapp:planted.%d" % (number % 3), b"row %d" % number)
            filled[place] = draw.randbytes(draw.choice((0, 40, 600, 3_000)))
            transaction.put(*place, filled[place])
    return filled


def content_of(store: SQLiteStore) -> Content:
    with store.transaction() as transaction:
        return content(transaction)


def raw(path: Path) -> tuple[list[bytes], set[bytes]]:
    """The header, and every look-up key and record, as they are in the file."""
    connection = sqlite3.connect(path)
    header: list[bytes] = [
        value
        for (value,) in connection.execute(
            "SELECT value FROM store_meta WHERE name <> 'generation'"
        )
    ]
    found: set[bytes] = set()
    for table in Table:
        query = f"SELECT partition, row, record FROM {table.value}"  # noqa: S608
        for row in connection.execute(query):
            found.update(value for value in row if len(value) >= 16)
    connection.close()
    return header, found


def copy(path: Path, name: str) -> Path:
    return Path(shutil.copy(path, path.with_name(name)))


CHANGES = [
    ("none", "key"),
    ("none", "passphrase"),
    ("key", "new key"),
    ("key", "key"),
    ("key", "passphrase"),
    ("passphrase", "key"),
    ("passphrase", "new passphrase"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_everything_is_there_under_the_new_key_and_only_under_it(
    path: Path, old: str, new: str
) -> None:
    with SQLiteStore(path, **SECRETS[old]) as store:
        filled = fill(store)
        assert store.rekey(**SECRETS[new]) is True
        assert set(files(path)) == {"store.db", "store.db-wal", "store.db-shm"}
        assert content_of(store) == filled  # this object goes on
        put(store, Table.DEVICE, b"p", b"r", b"after")
        filled[Table.DEVICE, b"p", b"r"] = b"after"
    for name, secret in SECRETS.items():
        if name == new:
            continue
        before = files(path)
        with pytest.raises(WrongStoreKey):
            SQLiteStore(path, **secret)
        assert files(path) == before
    with SQLiteStore(path, **SECRETS[new]) as store:
        assert content_of(store) == filled
        assert all(get(store, *place) == record for place, record in filled.items())
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA page_size").fetchone() == (1_024,)
    names = connection.execute("SELECT name FROM store_meta").fetchall()
    assert names == [("generation",), ("sealing",)]
    connection.close()


@pytest.mark.parametrize(("old", "new"), [("none", "key"), ("key", "new key")])
def test_nothing_of_the_old_state_is_readable_while_the_store_is_still_open(
    path: Path, old: str, new: str
) -> None:
    planted = b"a planted record"
    with SQLiteStore(path, **SECRETS[old]) as store:
        fill(store)
        put(store, Table.SESSIONS, b"instagram:hidden.1", b"a hidden row name", planted * 100)
    headers, values = raw(path)
    if old == "none":
        assert planted in b"".join(files(path).values())
        headers = []
    with SQLiteStore(path, **SECRETS[old]) as store:
        increment(store)
        assert store.rekey(**SECRETS[new])
        seen = b"".join(files(path).values())
        for value in (planted, b"planted", b"hidden", KEY, NEW_KEY, *headers):
            assert value not in seen
        assert len(values) > 80
        assert not [value for value in values if value[:16] in seen or value[-16:] in seen]
    after, new_values = raw(path)
    assert not values & new_values
    assert len(new_values) >= len(values) - 10
    assert not set(after) & set(headers)


@pytest.mark.parametrize(
    ("old", "rows", "seed"),
    [(None, 20, 7), (None, 20, 18), (None, 80, 22), (KEY, 20, 2), (KEY, 80, 4), (KEY, 80, 6)],
)
def test_no_old_look_up_key_stays_in_the_free_space_of_a_page(
    path: Path, old: bytes | None, rows: int, seed: int
) -> None:
    # Each of these seeds finds one where the file is not rewritten (SQLite 3.40).
    draw, entropy = random.Random(seed), SeededEntropy(seed)
    with SQLiteStore(path, key=old, entropy=entropy) as store:
        for table in (Table.SESSIONS, Table.SPQR):
            with store.transaction() as transaction:
                for _ in range(rows):
                    record = draw.randbytes(draw.randint(20, 4_000))
                    transaction.put(table, draw.randbytes(24), draw.randbytes(24), record)
    headers, values = raw(path)
    with SQLiteStore(path, key=old, entropy=entropy) as store:
        assert store.rekey(key=NEW_KEY)
    seen = path.read_bytes()
    old_values = values | {header for header in headers if len(header) > 1}
    assert not [value for value in old_values if value in seen]


@pytest.mark.parametrize("arguments", [{}, {"key": None}, {"key": KEY, "passphrase": "x"}])
def test_a_new_key_or_a_new_passphrase_has_to_be_given(
    path: Path, arguments: dict[str, Any]
) -> None:
    with SQLiteStore(path, key=KEY) as store:
        before = files(path)
        with pytest.raises(InvalidArgument):
            store.rekey(**arguments)
        assert files(path) == before


@pytest.mark.parametrize("key", [b"", bytes(31), "k" * 32, 7])
def test_the_new_key_is_checked(path: Path, key: Any) -> None:  # noqa: ANN401
    with SQLiteStore(path) as store:
        with pytest.raises(InvalidArgument, match="key must be"):
            store.rekey(key=key)
        with pytest.raises(InvalidArgument, match="passphrase must"):
            store.rekey(passphrase="")


def test_a_store_is_not_rekeyed_inside_a_transaction_or_when_closed(path: Path) -> None:
    store = SQLiteStore(path, key=KEY)
    with store.transaction() as transaction:
        transaction.put(Table.DEVICE, b"p", b"r", b"x")
        with pytest.raises(StoreError, match="open in this thread"):
            store.rekey(key=NEW_KEY)
    store.close()
    with pytest.raises(StoreClosed):
        store.rekey(key=NEW_KEY)
    with SQLiteStore(path, key=KEY) as store:
        assert get(store, Table.DEVICE, b"p", b"r") == b"x"


def test_other_objects_of_the_old_key_can_do_nothing_any_more(path: Path) -> None:
    first, second = SQLiteStore(path, key=KEY), SQLiteStore(path, key=KEY)
    increment(second)
    first.rekey(key=NEW_KEY)
    headers, values = raw(path)
    for _ in range(2):
        with pytest.raises(WrongStoreKey, match="was changed"):
            increment(second)
        with pytest.raises(WrongStoreKey, match="was changed"):
            get(second, Table.DEVICE, b"counter")
        with pytest.raises(WrongStoreKey, match="was changed"):
            second.rekey(key=bytes(32))
    assert raw(path) == (headers, values)
    second.close()
    increment(first)
    first.close()
    with SQLiteStore(path, key=NEW_KEY) as store:
        assert get(store, Table.DEVICE, b"counter") == b"2"


def test_threads_of_one_object_go_on_through_a_change(path: Path) -> None:
    store, stop = SQLiteStore(path), threading.Event()

    def work(_: int) -> int:
        done = 0
        while not stop.is_set():
            increment(store)
            done += 1
        return done

    with ThreadPoolExecutor(3) as pool:
        counts = pool.map(work, range(3))
        try:
            for number in range(4):
                store.rekey(key=bytes([number]) * 32)
        finally:
            stop.set()
    assert get(store, Table.DEVICE, b"counter") == b"%d" % sum(counts)
    store.close()
    SQLiteStore(path, key=bytes([3]) * 32).close()


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 700])
def test_progress_tells_of_each_step(path: Path, rows: int) -> None:
    told: list[tuple[int, int]] = []
    with SQLiteStore(path) as store:
        fill(store, rows)
        assert store.rekey(key=KEY, progress=lambda *steps: told.append(steps))
    done = [*range(0, rows + 1, 256), rows + 1]
    assert told == [(number, rows + 1) for number in done]


def test_progress_that_is_no_function_is_refused(path: Path) -> None:
    progress: Any = 7
    with SQLiteStore(path) as store:
        with pytest.raises(InvalidArgument, match="progress must be a function"):
            store.rekey(key=KEY, progress=progress)
        assert store.rekey(key=KEY)


@pytest.mark.parametrize("at", [0, 256, 512, 601])
def test_an_interrupt_in_progress_leaves_one_key_and_everything(path: Path, at: int) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    store = SQLiteStore(path, key=KEY)
    filled = fill(store, 600)
    with pytest.raises(KeyboardInterrupt):
        store.rekey(key=NEW_KEY, progress=interrupt)
    assert content_of(store) == filled
    increment(store)
    store.close()
    with pytest.raises(WrongStoreKey):
        SQLiteStore(path, key=KEY if at > 600 else NEW_KEY)
    SQLiteStore(path, key=NEW_KEY if at > 600 else KEY).close()


def test_progress_may_not_use_the_store(path: Path) -> None:
    with SQLiteStore(path, key=KEY) as store:
        filled = fill(store)
        with pytest.raises(StoreError, match="open in this thread"):
            store.rekey(key=NEW_KEY, progress=lambda *_: increment(store))
        assert content_of(store) == filled


def test_a_failure_in_the_middle_keeps_the_old_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError

    store = SQLiteStore(path, key=KEY)
    filled = fill(store)
    monkeypatch.setattr("e2ecross.stores.sqlite.replace_sealing", full)
    with pytest.raises(StoreError):
        store.rekey(key=NEW_KEY)
    assert content_of(store) == filled
    store.close()
    with SQLiteStore(path, key=KEY) as store:
        assert content_of(store) == filled


def test_traces_that_a_reader_keeps_are_wiped_by_the_next_opening(path: Path) -> None:
    store = SQLiteStore(path, busy_timeout_ms=50)
    fill(store)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM sessions").fetchall()
    assert store.rekey(key=KEY) is False  # the change itself is done
    assert b"planted" in b"".join(files(path).values())
    with SQLiteStore(path, key=KEY, busy_timeout_ms=50) as other:
        increment(other)
    reader.close()
    with SQLiteStore(path, key=KEY):
        assert b"planted" not in b"".join(files(path).values())
        assert len(raw(path)[0]) == 1
    store.close()


@pytest.mark.parametrize("outcomes", [[True, False], [True, None], [None]])
def test_a_failed_wipe_does_not_fail_the_change_and_is_made_good(
    path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: list[bool | None]
) -> None:
    def truncate(_: sqlite3.Connection) -> bool:
        outcome = outcomes.pop(0)
        if outcome is None:
            raise sqlite3.OperationalError
        return outcome

    store = SQLiteStore(path, key=KEY)
    filled = fill(store)
    with monkeypatch.context() as patch:
        patch.setattr("e2ecross.stores.sqlite_schema._truncate_wal", truncate)
        assert store.rekey(key=NEW_KEY) is False
    assert not outcomes
    assert content_of(store) == filled
    assert len(raw(path)[0]) == 2  # the header, and that there is something to wipe
    SQLiteStore(path, key=NEW_KEY).close()
    assert len(raw(path)[0]) == 1
    assert content_of(store) == filled
    store.close()


def test_a_wipe_does_not_count_for_a_change_that_came_after_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, other = [True, True], SQLiteStore(path)

    def truncate(_: sqlite3.Connection) -> bool:
        outcomes.pop()
        if not outcomes:  # the file has been rewritten, and the mark is about to be removed
            with monkeypatch.context() as patch:
                patch.setattr("e2ecross.stores.sqlite.wipe_old_key", lambda _: False)
                with SQLiteStore(path, key=KEY) as second:
                    second.rekey(key=NEW_KEY)
        return True

    fill(other)
    with monkeypatch.context() as patch:
        patch.setattr("e2ecross.stores.sqlite_schema._truncate_wal", truncate)
        other.rekey(key=KEY)
    other.close()
    assert len(raw(path)[0]) == 2
    SQLiteStore(path, key=NEW_KEY).close()
    assert len(raw(path)[0]) == 1


# --- Several processes, killed ones ---------------------------------------------------------


def rekey_in_a_child(path: Path, old: bytes, new: bytes, when: str) -> tuple[int, str]:
    child = subprocess.run(
        [sys.executable, "-m", "tests.stores.rekey_child", path, old.hex(), new.hex(), when],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=WAIT_SECONDS,
    )
    return child.returncode, child.stdout


def check_one_key_opens(
    path: Path, old: bytes, filled: Content, old_values: set[bytes] | None = None
) -> bool:
    """Whether it is the new one; everything has to be there, and nothing of the other key."""
    opened = []
    for key in (old or None, NEW_KEY):
        try:
            with SQLiteStore(path, key=key) as store:
                assert content_of(store) == filled
                increment(store)  # it can be written, too
            opened.append(key)
        except WrongStoreKey:
            pass
    assert len(opened) == 1
    assert set(files(path)) == {path.name}
    if opened == [NEW_KEY]:
        seen = path.read_bytes()
        assert not [value for value in old_values or () if value in seen]
        assert b"planted" not in seen
        assert len(raw(path)[0]) == 1
    return opened == [NEW_KEY]


def test_another_process_of_the_old_key_is_refused(path: Path) -> None:
    store = SQLiteStore(path, key=KEY)
    filled = fill(store)
    code, _ = rekey_in_a_child(path, KEY, NEW_KEY, "-")
    assert code == 0
    with pytest.raises(WrongStoreKey, match="was changed"):
        increment(store)
    store.close()
    assert check_one_key_opens(path, KEY, filled)


def test_of_two_processes_that_change_the_key_at_once_one_succeeds(path: Path) -> None:
    with SQLiteStore(path, key=KEY) as store:
        filled = fill(store)
    keys = [bytes([number]) * 32 for number in (1, 2)]
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.stores.rekey_child", path, KEY.hex(), key.hex(), "-"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for key in keys
    ]
    errors = [child.communicate(timeout=WAIT_SECONDS)[1] for child in children]
    assert sorted(child.returncode for child in children) == [0, 1]
    for key, child, error in zip(keys, children, errors, strict=True):
        if child.returncode:
            assert "WrongStoreKey" in error
            with pytest.raises(WrongStoreKey):
                SQLiteStore(path, key=key)
        else:
            with SQLiteStore(path, key=key) as store:
                assert content_of(store) == filled


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("old", [b"", KEY], ids=["unsealed", "sealed"])
def test_a_killed_change_leaves_one_key_and_everything(path: Path, old: bytes) -> None:
    with SQLiteStore(path, key=old or None) as store:
        filled = fill(store, rows=40)
    headers, values = raw(path)
    values |= {header for header in headers if len(header) > 1}
    code, output = rekey_in_a_child(copy(path, "whole.db"), old, NEW_KEY, "-")
    assert code == 0
    statements = int(output.removeprefix("armed\n"))
    assert statements > 3 * len(filled)
    # The last ones, counted from the end: COMMIT, is there something to wipe, truncate, VACUUM,
    # truncate, forget that there was something to wipe.
    commit, vacuum = statements - 6, statements - 3
    whens = [str(number) for number in (1, 30, commit // 2, *range(commit - 1, statements))]
    whens += [f"{vacuum}/{steps}" for steps in (0, 30, 100, 300)]
    outcomes = {}
    for number, when in enumerate(whens):
        victim = copy(path, f"victim {number}.db")
        code, _ = rekey_in_a_child(victim, old, NEW_KEY, when)
        assert code == -9, when
        outcomes[when] = check_one_key_opens(victim, old, filled, values)
    assert [outcomes[when] for when in whens] == [False] * 5 + [True] * (len(whens) - 5)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_change_killed_at_any_moment_leaves_one_key_and_everything(path: Path) -> None:
    # Also inside of COMMIT, VACUUM and the truncations, where no statement ends.
    with SQLiteStore(path) as store:
        filled = fill(store, rows=600)
    with SQLiteStore(copy(path, "whole.db")) as store:
        began = time.monotonic()
        store.rekey(key=NEW_KEY)
        seconds = time.monotonic() - began
    for number in range(KILLS):
        victim = copy(path, f"victim {number}.db")
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.stores.rekey_child", victim, "", NEW_KEY.hex(), "-"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "armed\n"
        time.sleep(seconds * 1.2 * number / KILLS)
        child.kill()
        child.communicate(timeout=WAIT_SECONDS)
        check_one_key_opens(victim, b"", filled)
