# SPDX-License-Identifier: Apache-2.0
"""Every operation of ours runs, here and in a process of its own."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.contestants.ours import IMPLEMENTATIONS
from benchmarks.contestants.scratch import SCRATCH
from benchmarks.contestants.written import rows_of_decryption, rows_of_encryption
from benchmarks.engine import EngineFailed, LocalEngine, ProcessEngine
from benchmarks.job import Job
from benchmarks.rows import ROWS
from e2ecross.stores import Table

# The parameters of all rows, made small.
SMALL = {
    "accounts": 2,
    "archived": 1,
    "bytes": 100,
    "changes": 12,
    "count": 3,
    "devices": 3,
    "fewer": 1,
    "held": 5,
    "mailboxes": 3,
    "members": 70,
    "more": 3,
    "skipped": 5,
    "turns": 1,
    "waiting": 2,
    "window": 2,
}
RUNS = [
    pytest.param(name, operation, id=f"{name}-{operation}")
    for name, implementation in IMPLEMENTATIONS.items()
    for operation in sorted(implementation.operations - {"memory"})
]


def test_the_small_parameters_are_those_of_the_rows() -> None:
    assert {name for row in ROWS for name in row.parameters} == {*SMALL}


@pytest.mark.parametrize(("name", "operation"), RUNS)
def test_every_operation_runs(
    name: str, operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCRATCH, str(tmp_path))
    is_batch = any(row.operation == operation and row.is_batch for row in ROWS)
    steps, warmup = (1, 0) if is_batch else (SMALL["count"], 1)
    values = IMPLEMENTATIONS[name].sample(Job(operation, SMALL, steps, 1, warmup))
    assert len(values) == 1


@pytest.mark.parametrize("rows_of", [rows_of_encryption, rows_of_decryption])
def test_what_is_sealed_is_what_a_message_writes(
    rows_of: Callable[[Job, ExitStack], list[tuple[Table, bytes, bytes, bytes]]],
) -> None:
    with ExitStack() as cleanup:
        rows = rows_of(Job("seal", {}, 1, 1, 0), cleanup)
    assert Table.SESSIONS in {table for table, _, _, _ in rows}
    assert all(isinstance(record, bytes) for _, _, _, record in rows)


def test_every_operation_of_ours_stands_in_a_row() -> None:
    operations = {name for one in IMPLEMENTATIONS.values() for name in one.operations}
    assert operations <= {row.operation for row in ROWS}


def test_a_process_of_its_own_times_itself() -> None:
    module = "benchmarks.implementation"
    engine = ProcessEngine((sys.executable, "-m", module, "ours", "protocol"))
    try:
        assert engine.operations == IMPLEMENTATIONS["protocol"].operations
        assert engine.versions == IMPLEMENTATIONS["protocol"].versions
        assert len(engine.sample(Job("encrypt", {"bytes": 100}, 2, 3, 1))) == 3
        with pytest.raises(EngineFailed, match="KeyError"):
            engine.sample(Job("nothing", {}, 1, 1, 0))
        assert engine.sample(Job("decrypt", {"bytes": 100}, 2, 1, 1))
    finally:
        engine.close()


def test_our_build_does_not_pass_for_the_one_of_before() -> None:
    with pytest.raises(EngineFailed, match="has our build"):
        LocalEngine("before", "before")


def test_a_process_that_does_not_start_is_missing() -> None:
    with pytest.raises(EngineFailed):
        ProcessEngine(("/nowhere/python",))
    with pytest.raises(EngineFailed, match="has ended"):
        ProcessEngine((sys.executable, "-c", "pass"))
