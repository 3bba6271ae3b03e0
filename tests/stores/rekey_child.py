# SPDX-License-Identifier: Apache-2.0
"""A process that kills itself while it rekeys a store: `python -m tests.stores.rekey_child ...`.

Arguments: path, old key and new key in hexadecimal ("" for none), and when to die: `N` before the
Nth statement of the rekeying, `N/M` in the Nth statement after M steps of SQLite's machine, `-`
never. Says "armed" before it begins, and the number of statements when it lives to the end.
"""

import os
import signal
import sqlite3
import sys
from typing import Any

from e2ecross.stores import SQLiteStore


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Deadly(sqlite3.Connection):
    """A connection that counts what it executes once it is armed."""

    armed = False
    executed = 0
    statement = -1
    steps: int | None = None

    def execute(self, *arguments: Any) -> sqlite3.Cursor:  # noqa: ANN401
        self._count()
        try:
            return super().execute(*arguments)
        finally:
            self.set_progress_handler(None, 0)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:  # noqa: ANN401
        self._count()
        return super().executemany(*arguments)

    def _count(self) -> None:
        if not _Deadly.armed:
            return
        if _Deadly.executed == _Deadly.statement:
            if _Deadly.steps is None:
                _die()
            self.set_progress_handler(self._step, 1)
        _Deadly.executed += 1

    def _step(self) -> int:
        _Deadly.steps = (_Deadly.steps or 0) - 1
        if _Deadly.steps < 0:
            _die()
        return 0


def main(path: str, old: str, new: str, when: str) -> None:
    connect = sqlite3.connect

    def deadly(*arguments: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401
        connection: sqlite3.Connection = connect(*arguments, factory=_Deadly, **options)
        return connection

    sqlite3.connect = deadly  # type: ignore[assignment]
    store = SQLiteStore(path, key=bytes.fromhex(old) or None)
    with store.transaction():
        pass  # so that the connection is there
    if when != "-":
        statement, _, steps = when.partition("/")
        _Deadly.statement = int(statement)
        _Deadly.steps = int(steps) if steps else None
    print("armed", flush=True)
    _Deadly.armed = True
    store.rekey(key=bytes.fromhex(new))
    _Deadly.armed = False
    print(_Deadly.executed, flush=True)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
