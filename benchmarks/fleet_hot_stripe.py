# SPDX-License-Identifier: Apache-2.0
"""What a stripe does that many workers want at once: a row's lock alone, and with a line before it.

Each of eight connections, in a process of its own, takes the lock, holds it for 4 ms and writes the
row; over and over. Told is how long they have waited.
"""

import multiprocessing
import statistics
import time
from typing import Any, Final

import psycopg

__all__ = ["compare_locks"]

_CONNECTIONS: Final = 8
_HOLD_SECONDS: Final = 0.004
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS hot (stripe bigint PRIMARY KEY, version bigint NOT NULL)"
)
_ROW: Final = "INSERT INTO hot VALUES (1, 0) ON CONFLICT DO NOTHING"
_WAYS: Final = {
    "row": b"SELECT set_config('lock_timeout', '20s', true)",
    "line_and_row": b"SELECT set_config('lock_timeout', '20s', true), pg_advisory_xact_lock(1)",
}
_LOCK: Final = b"SELECT version FROM hot WHERE stripe = 1 FOR UPDATE"
_WRITE: Final = b"UPDATE hot SET version = version + 1 WHERE stripe = 1"


def compare_locks(address: str, rounds: int, seconds: float) -> dict[str, object]:
    """Measure both ways in turns.

    Args:
        address: of a database; it gets a table `hot`.
        rounds: turns of each.
        seconds: of each turn.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(_TABLE)
        connection.execute(_ROW)
    found: dict[str, dict[str, list[float]]] = {way: {} for way in _WAYS}
    for _ in range(rounds):
        for way in _WAYS:
            for name, value in _measure(address, way, seconds).items():
                found[way].setdefault(name, []).append(value)
    return {
        way: {
            name: [round(value, 1) for value in (statistics.median(each), *each)]
            for name, each in figures.items()
        }
        for way, figures in found.items()
    }


def _measure(address: str, way: str, seconds: float) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    answers, start = context.Queue(), context.Barrier(_CONNECTIONS)
    processes = [
        context.Process(target=_want, args=(address, way, seconds, answers, start))
        for _ in range(_CONNECTIONS)
    ]
    for process in processes:
        process.start()
    waits = sorted(wait for _ in processes for wait in answers.get())
    for process in processes:
        process.join()
    return {
        "per_second": len(waits) / seconds,
        "p50_ms": 1_000 * waits[len(waits) // 2],
        "p99_ms": 1_000 * waits[len(waits) * 99 // 100],
        "longest_ms": 1_000 * waits[-1],
    }


def _want(address: str, way: str, seconds: float, answers: Any, start: Any) -> None:  # noqa: ANN401
    waits = []
    with psycopg.connect(address, autocommit=True) as connection:
        start.wait()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            with connection.pipeline():
                connection.execute(b"BEGIN")
                connection.execute(_WAYS[way])
                connection.execute(_LOCK).fetchall()
            waits.append(time.monotonic() - began)
            time.sleep(_HOLD_SECONDS)
            with connection.pipeline():
                connection.execute(_WRITE)
                connection.execute(b"COMMIT")
    answers.put(waits)
