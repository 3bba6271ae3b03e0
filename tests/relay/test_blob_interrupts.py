# SPDX-License-Identifier: Apache-2.0
"""An exception at any instruction of a call about files: what is counted is there, and goes on."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from e2ecross.errors import BlobGone
from e2ecross.relay import sqlite_database
from tests.relay.blob_support import (
    DATA,
    LIMITS,
    AnyStore,
    Place,
    begin,
    delete,
    folder_in,
    get,
    put,
    upload,
)
from tests.relay.support import BUDI
from tests.relay.test_interrupts import COMMON, RELAY, Interrupt, Interrupter, in_another_thread

CALLS: dict[str, Callable[[AnyStore], object]] = {
    "begin": lambda store: begin(store, 9, 100),
    "begin one that is damaged": lambda store: begin(store, 4, 700),
    "put": lambda store: put(store, 1, 300, DATA[300:500]),
    "put to the end": lambda store: put(store, 1, 300, DATA[300:]),
    "get": lambda store: get(store, 2, 100, 600),
    "delete": lambda store: delete(store, 2),
}
EXPECTED = {"put": 500, "put to the end": 700, "get": DATA[100:], "delete": None}


def prepare(place: Place) -> None:
    """A part, a blob, one whose time is over with the next that is begun, and a damaged one."""
    with place.open() as store:
        upload(store, 3, DATA, BUDI)
        place.clock.now_ms += LIMITS.blob_kept_ms - 10
        upload(store, 2, DATA)
        begin(store, 1, 700)
        put(store, 1, 0, DATA[:300])
        upload(store, 4, DATA)
        place.file(4).unlink()
        place.clock.now_ms += 10


def state(place: Place) -> tuple[object, object]:
    return place.rows(), {path.name: path.read_bytes() for path in place.files()}


# Of a file that was just opened, and is closed when nobody has it any more.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("event", "files"),
    [
        pytest.param("line", (RELAY,), id="line"),
        pytest.param("opcode", COMMON, id="instruction"),
    ],
)
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupt_anywhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    event: str,
    files: tuple[str, ...],
) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_MS", 500)
    # As in test_interrupts.py: Python goes on believing that the thread handles the exception.
    in_another_thread(lambda: interrupt_anywhere(tmp_path, CALLS[name], name, event, files))


def interrupt_anywhere(
    folder: Path,
    call: Callable[[AnyStore], object],
    name: str,
    event: str,
    files: tuple[str, ...],
) -> None:
    prepared = folder_in(folder / "prepared")
    prepared.folder.parent.mkdir()
    prepare(prepared)
    at, done = 0, None
    while True:
        place = folder_in(folder / f"{at}")
        place.clock = prepared.clock
        shutil.copytree(prepared.folder, place.folder)
        with place.open() as store:
            if at == 0:
                assert call(store) == EXPECTED.get(name, 0)
                require_whole(store, name)  # which also removes what is over
                done = state(place)
            else:
                interrupter = Interrupter(files, event, at)
                try:
                    interrupter.run(partial(call, store))
                    break
                except Interrupt:
                    in_another_thread(partial(store._database.write, id))
                    require_whole(store, name)
                    assert call(store) == EXPECTED.get(name, 0)
                    assert state(place) == done
        shutil.rmtree(place.folder.parent)
        at += 1
    assert at > 20


def require_whole(store: AnyStore, name: str) -> None:
    """What no call has touched is there; and what is counted, whether it was or not."""
    assert begin(store, 1, 700) in ((300,) if "put" not in name else (300, 500, 700))
    try:
        assert get(store, 2, 0, 700) == DATA
    except BlobGone:
        assert name == "delete"
