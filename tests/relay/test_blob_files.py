# SPDX-License-Identifier: Apache-2.0
"""What becomes of files that somebody has changed, or that killed processes have left."""

import os
import shutil
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from e2ecross.errors import BackendError
from e2ecross.relay import RelayLimits
from e2ecross.relay.blob_files import BlobFiles
from e2ecross.relay.sqlite_database import SQLiteDatabase
from tests.relay.blob_support import (
    DATA,
    LIMITS,
    PLACES,
    AnyStore,
    Place,
    begin,
    delete,
    failed,
    get,
    gone,
    put,
    upload,
)


def set_stored(place: Place, stored: int) -> None:
    """As if the commit of what came last had not taken place."""
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute("UPDATE blobs SET stored = ?", (stored,))


def test_a_part_that_is_too_long_is_cut(place: Place, half: AnyStore) -> None:
    """Written, and then killed before it was counted; by another process, or this thread."""
    place.part(1).write_bytes(DATA[:300] + bytes(1_000))
    assert put(half, 1, 300, DATA[300:500]) == 500
    assert place.part(1).read_bytes() == DATA[:500]
    place.part(1).write_bytes(DATA[:500] + bytes(1_000))
    assert begin(half, 1, 700) == 500
    assert place.part(1).read_bytes() == DATA[:500]
    put(half, 1, 500, DATA[500:])
    assert get(half, 1, 0, 700) == DATA


@pytest.mark.parametrize("left", [None, 0, 299])
def test_a_part_that_lacks_bytes_is_begun_anew(
    place: Place, half: AnyStore, left: int | None
) -> None:
    if left is None:
        place.part(1).unlink()
    else:
        os.truncate(place.part(1), left)
    gone(lambda: put(half, 1, 300, DATA[300:]))
    gone(lambda: put(half, 1, 0, DATA[:300]))
    assert begin(half, 1, 700) == 0
    put(half, 1, 0, DATA)
    assert get(half, 1, 0, 700) == DATA
    assert place.files() == [place.file(1)]


@pytest.mark.parametrize("left", [None, 0, 699])
def test_a_blob_that_lacks_bytes_is_begun_anew(
    place: Place, whole: AnyStore, left: int | None
) -> None:
    if left is None:
        place.file(1).unlink()
    else:
        os.truncate(place.file(1), left)
    gone(lambda: get(whole, 1, 0, 700))
    gone(lambda: put(whole, 1, 0, DATA))
    place.clock.now_ms += 5
    assert begin(whole, 1, 700) == 0
    assert place.rows()[0][4] == place.clock.now_ms + LIMITS.blob_part_kept_ms
    put(whole, 1, 0, DATA)
    assert get(whole, 1, 0, 700) == DATA


def test_what_is_added_to_a_blob_is_not_read(place: Place, whole: AnyStore) -> None:
    place.file(1).write_bytes(DATA + b"more")
    assert get(whole, 1, 600, 100) == DATA[600:]
    with pytest.raises(BackendError, match="of a file of 700"):
        get(whole, 1, 600, 101)
    assert begin(whole, 1, 700) == 700


def test_a_name_that_came_before_its_row_is_taken_back(place: Place, whole: AnyStore) -> None:
    set_stored(place, 300)
    gone(lambda: get(whole, 1, 0, 1))
    assert begin(whole, 1, 700) == 300
    assert place.part(1).read_bytes() == DATA[:300]
    assert put(whole, 1, 300, DATA[300:]) == 700
    assert get(whole, 1, 0, 700) == DATA
    assert place.files() == [place.file(1)]


def test_a_blob_whose_file_lacks_can_be_deleted_and_expires(place: Place, whole: AnyStore) -> None:
    place.file(1).unlink()
    delete(whole, 1)
    assert place.rows() == []
    upload(whole, 2, DATA)
    place.file(2).unlink()
    place.clock.now_ms += LIMITS.blob_kept_ms
    begin(whole, 3, 1)
    assert len(place.rows()) == 1


def test_a_row_that_no_relay_wrote_is_damage(place: Place, whole: AnyStore) -> None:
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute("UPDATE blobs SET size = 'many'")
    for call in (
        lambda: get(whole, 1, 0, 1),
        lambda: put(whole, 1, 0, b"x"),
        lambda: begin(whole, 1, 700),
    ):
        failed(call, "holds something that no relay wrote")


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder is not flushed")
def test_data_and_names_are_on_the_disk_before_they_are_counted(
    place: Place, store: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order, whatever a power cut leaves: data, name, row."""
    steps: list[object] = []
    flush, rename, look = os.fsync, Path.replace, SQLiteDatabase._require_same_file

    def flushed(descriptor: int) -> None:
        found = os.fstat(descriptor)
        is_folder = found.st_ino == place.folder.stat().st_ino
        steps.append("folder" if is_folder else found.st_size)
        flush(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        result = rename(path, target)
        steps.append("rename")
        return result

    def looked(
        database: SQLiteDatabase,
    ) -> None:  # before a transaction begins, and before its commit
        steps.append("row")
        look(database)

    begin(store, 1, 700)
    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    monkeypatch.setattr(SQLiteDatabase, "_require_same_file", looked)
    put(store, 1, 0, DATA[:300])
    put(store, 1, 300, DATA[300:400])
    put(store, 1, 100, DATA[100:300])  # which is there
    put(store, 1, 400, DATA[400:])
    assert steps == [
        *("row", 300, "folder", "row"),
        *("row", 400, "row"),
        *("row", "row"),
        *("row", 700, "rename", "folder", "row"),
    ]


# --- On start -----------------------------------------------------------------------------------


def test_on_start_parts_are_cut_and_files_without_a_row_go(place: Place) -> None:
    place.limits = RelayLimits()
    with place.open() as store:
        upload(store, 1, DATA)
        begin(store, 2, 700)
        put(store, 2, 0, DATA[:300])
        begin(store, 3, 700)
        upload(store, 4, DATA)
        begin(store, 5, 700)
        put(store, 5, 0, DATA[:300])
    place.part(2).write_bytes(DATA[:400])
    place.part(3).write_bytes(DATA[:50])  # the first that was put, and not counted
    place.part(5).unlink()
    for number in (6, 7):
        place.file(number).write_bytes(DATA)
        place.part(number + 1).write_bytes(DATA)
    others = ["README", "f" * 63, "f" * 64 + ".tmp", "F" * 64, "blobs.db.bak"]
    for name in others:
        (place.folder / name).write_bytes(b"not ours")
    with place.open() as store:
        kept = {place.file(1): DATA, place.file(4): DATA, place.part(2): DATA[:300]}
        kept[place.part(3)] = b""
        left = {path: path.read_bytes() for path in place.files()}
        left.pop(place.folder / ("F" * 64), None)
        left.pop(place.folder / ("f" * 64 + ".tmp"), None)
        assert left == kept
        assert all((place.folder / name).read_bytes() == b"not ours" for name in others)
        assert len(place.rows()) == 5
        assert [begin(store, number, 700) for number in range(1, 6)] == [700, 300, 0, 700, 0]


def test_on_start_a_name_that_came_before_its_row_is_taken_back(place: Place) -> None:
    """Also what a database says that was put back from a backup."""
    with place.open() as store:
        upload(store, 1, DATA)
    set_stored(place, 300)
    with place.open() as store:
        assert place.files() == [place.part(1)]
        assert put(store, 1, 300, DATA[300:]) == 700
        assert get(store, 1, 0, 700) == DATA


def test_on_start_more_files_than_one_transaction_looks_at(place: Place) -> None:
    with place.open() as store:
        upload(store, 1, DATA)
    for number in range(1_000, 1_250):
        place.file(number).touch()
        place.part(number).touch()
    with place.open() as store:
        assert place.files() == [place.file(1)]
        assert get(store, 1, 0, 700) == DATA


def test_a_disk_that_was_not_there_on_start_loses_nothing(place: Place) -> None:
    """An empty folder in its place: rows stay, and files that come back have them."""
    with place.open() as store:
        upload(store, 1, DATA)
    aside = place.folder.with_name("aside")
    shutil.copytree(place.folder, aside)
    place.file(1).unlink()
    with place.open() as store:
        gone(lambda: get(store, 1, 0, 1))
    shutil.copy(aside / place.file(1).name, place.file(1))
    with place.open() as store:
        assert get(store, 1, 0, 700) == DATA


def test_what_another_process_is_just_writing_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is there before its row counts it: who starts waits for that transaction."""
    place = PLACES["FolderBlobs"](tmp_path)
    written, go_on = threading.Event(), threading.Event()
    append = BlobFiles.append

    def slowly(files: BlobFiles, key: bytes, stored: int, data: memoryview) -> None:
        append(files, key, stored, data)
        written.set()
        assert go_on.wait(10)

    monkeypatch.setattr(BlobFiles, "append", slowly)
    with place.open() as store, ThreadPoolExecutor(2) as pool:
        begin(store, 1, 700)
        putting = pool.submit(put, store, 1, 0, DATA[:300])
        assert written.wait(10)
        starting = pool.submit(place.open)
        go_on.set()
        assert putting.result(10) == 300
        with starting.result(10) as other:
            assert begin(other, 1, 700) == 300
            assert place.part(1).read_bytes() == DATA[:300]
