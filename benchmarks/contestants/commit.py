# SPDX-License-Identifier: Apache-2.0
"""A bare commit: what SQLite alone takes to change one row durably.

The value written is another one each time: SQLite skips a page whose content did not change.
"""

import sqlite3
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.job import Job, Step

__all__ = ["PRAGMAS", "commit"]

PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON")
"""Those that matter to the time of a commit, as `SQLiteStore` sets them."""

_RECORD_BYTES: Final = 400
_ROWS: Final = 100


def commit(job: Job, cleanup: ExitStack) -> Step:
    """A maker: BEGIN IMMEDIATE, SELECT, UPDATE, COMMIT."""
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    cleanup.callback(connection.close)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE t (id BLOB PRIMARY KEY, record BLOB) WITHOUT ROWID")
    rows = [(number.to_bytes(32), bytes(_RECORD_BYTES)) for number in range(_ROWS)]
    connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        place = (number % _ROWS).to_bytes(32)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SELECT record FROM t WHERE id = ?", (place,)).fetchone()
        record = number.to_bytes(_RECORD_BYTES)
        connection.execute("UPDATE t SET record = ? WHERE id = ?", (record, place))
        connection.execute("COMMIT")

    return step
