# SPDX-License-Identifier: Apache-2.0
"""Files where the system refuses (a full disk, a limit, no folder): nothing is counted."""

import errno
import io
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from e2ecross.errors import BackendError, BlobGone
from e2ecross.relay import FolderBlobs, Relay, blob_files, sqlite_database
from tests.relay.blob_support import (
    DATA,
    PLACES,
    AnyStore,
    Place,
    begin,
    blob_id,
    content,
    delete,
    failed,
    get,
    gone,
    put,
    upload,
)
from tests.relay.support import ANA, token
from tests.relay.test_failures import fork, in_a_child


def test_a_full_disk_counts_nothing_and_keeps_nothing(
    place: Place, half: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        """Takes 50 bytes, then none."""

        room = 50

        def write(self, data: memoryview) -> int:  # type: ignore[override]
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = super().write(data[: self.room])
            self.room -= taken
            return taken

    def full(path: Path, mode: str, buffering: int, opener: Callable[[str, int], int]) -> Full:
        assert buffering == 0
        return Full(str(path), mode, opener=opener)

    with monkeypatch.context() as patch:
        patch.setattr(blob_files, "open", full, raising=False)
        failed(lambda: put(half, 1, 300, DATA[300:]), "the disk is full: make room and try again")
        assert place.part(1).read_bytes() == DATA[:300]
        assert put(half, 1, 300, DATA[300:340]) == 340  # what has room is taken
    assert place.part(1).read_bytes() == DATA[:340]
    assert put(half, 1, 300, DATA[300:]) == 700
    assert get(half, 1, 0, 700) == DATA


@pytest.mark.parametrize("name", ["fsync", "rename", "commit"])
def test_what_fails_behind_the_writing_counts_nothing(
    place: Place, half: AnyStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    def busy(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        if name == "fsync":
            patch.setattr(os, "fsync", refuse)
        elif name == "rename":
            patch.setattr(Path, "replace", refuse)
        else:
            patch.setattr(sqlite_database.SQLiteDatabase, "_require_same_file", _second_time(busy))
        failed(lambda: put(half, 1, 300, DATA[300:]), "failed: (the disk is full|SQLite reports)")
    assert place.rows()[0][3] == 300
    gone(lambda: get(half, 1, 0, 1))
    assert put(half, 1, 300, DATA[300:]) == 700
    assert get(half, 1, 0, 700) == DATA
    assert place.files() == [place.file(1)]


def _second_time(call: Callable[..., None]) -> Callable[..., None]:
    """What a transaction asks before its commit, not what it asks before it begins."""
    calls: list[object] = []

    def asked(database: object) -> None:
        calls.append(database)
        if len(calls) == 2:
            call()

    return asked


@fork
@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_of_file_sizes_counts_nothing(tmp_path: Path) -> None:
    import resource

    with FolderBlobs(tmp_path / "files") as store:
        data = content(900_000)
        begin(store, 1, 900_000)

    def call() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
        with FolderBlobs(tmp_path / "files") as store:
            assert put(store, 1, 0, data[:400_000]) == 400_000
            put(store, 1, 400_000, data[400_000:])

    assert "raise the limit (ulimit -f)" in in_a_child(call)
    with FolderBlobs(tmp_path / "files") as store:
        assert begin(store, 1, 900_000) == 400_000
        put(store, 1, 400_000, data[400_000:])
        assert get(store, 1, 0, 900_000) == data


@fork
@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_no_descriptors_left_is_named(tmp_path: Path) -> None:
    import resource

    with FolderBlobs(tmp_path / "files") as store:
        upload(store, 1, DATA)

    def call() -> None:
        with FolderBlobs(tmp_path / "files") as store:
            assert get(store, 1, 0, 1) == DATA[:1]
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
            try:
                while True:
                    os.open(os.devnull, os.O_RDONLY)
            except OSError:
                get(store, 1, 0, 1)

    assert "too few file descriptors are left" in in_a_child(call)


def test_a_folder_that_is_gone_is_no_blob_that_is_gone(tmp_path: Path) -> None:
    place = PLACES["Relay"](tmp_path)
    with place.open() as store:
        upload(store, 1, DATA)
        begin(store, 2, 700)
        put(store, 2, 0, DATA[:300])
        aside = place.folder.with_name("aside")
        place.folder.rename(aside)
        for call in (
            lambda: get(store, 1, 0, 1),
            lambda: begin(store, 1, 700),
            lambda: put(store, 2, 300, DATA[300:]),
            lambda: begin(store, 2, 700),
        ):
            failed(call, r"the folder of files .*files failed: check the folder")
        aside.rename(place.folder)
        assert get(store, 1, 0, 700) == DATA
        assert put(store, 2, 300, DATA[300:]) == 700


def test_a_program_may_change_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with Relay("r.db", blob_dir="files") as relay, FolderBlobs("folder") as store:
        relay.register(ANA, token(ANA))
        monkeypatch.chdir(tmp_path / "elsewhere")
        for each in (relay, store):
            upload(each, 1, DATA)
            assert get(each, 1, 0, 700) == DATA
    assert list(Path().iterdir()) == []


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "none" / "files"):
        failed(partial(Relay, tmp_path / "r.db", blob_dir=folder), "failed: check the")
        failed(partial(FolderBlobs, folder), "failed: check the folder")


def test_what_a_signal_handler_raises_is_no_error_of_the_folder(
    half: AnyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `TimeoutError` is an `OSError`, too."""

    def interrupted(*_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(TimeoutError):
            put(half, 1, 300, DATA[300:])
    assert put(half, 1, 300, DATA[300:]) == 700


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_MS", 50)


@pytest.mark.usefixtures("impatient")  # before there is a connection
def test_a_file_that_is_busy_changes_nothing(place: Place, half: AnyStore) -> None:
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for call in (
            lambda: put(half, 1, 300, DATA[300:]),
            lambda: begin(half, 2, 1),
            lambda: delete(half, 1),
        ):
            failed(call, "another process held it")
        connection.rollback()
    assert place.part(1).read_bytes() == DATA[:300]
    assert put(half, 1, 300, DATA[300:]) == 700


def test_errors_name_no_blob(place: Place, half: AnyStore) -> None:
    texts = []
    for call in (
        lambda: put(half, 1, 301, DATA),
        lambda: begin(half, 1, 5),
        lambda: begin(half, 1, 5_000),
        lambda: get(half, 1, 0, 10),
        lambda: half.put_blob(ANA, token(ANA), blob_id(7), 0, DATA),
    ):
        with pytest.raises((BackendError, BlobGone)) as caught:
            call()
        texts.append(repr(caught.value))
    for secret in (blob_id(1).hex(), repr(blob_id(1)), place.file(1).name, token(ANA).hex()):
        assert not any(secret in text for text in texts)
