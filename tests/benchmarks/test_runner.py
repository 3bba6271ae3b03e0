# SPDX-License-Identifier: Apache-2.0
"""Rounds are interleaved, start fresh, and survive a contestant that is missing or fails."""

from functools import partial

import pytest

from benchmarks.contestants.ours import IMPLEMENTATIONS
from benchmarks.engine import EngineFailed, LocalEngine
from benchmarks.registry import CONTESTANTS
from benchmarks.rows import ROWS, Row
from benchmarks.runner import run_rounds
from tests.benchmarks.support import ScriptedEngine, contestant, quiet

ENCRYPT = Row("e", "message", "encrypt", "encrypt")
DECRYPT = Row("d", "message", "decrypt", "decrypt")
SEAL = Row("s", "message", "seal", "seal")


def test_contestants_take_turns_and_another_one_begins_each_round() -> None:
    log: list[tuple[str, str]] = []
    columns = [contestant(name, partial(ScriptedEngine, name, log)) for name in "abc"]
    run_rounds([ENCRYPT, DECRYPT], columns, 2, quiet(), is_quick=False)
    orders = ["".join(name for name, _ in log[i : i + 3]) for i in range(0, len(log), 3)]
    assert orders == ["abc", "abc", "bca", "bca", "cab", "cab"]
    assert [operation for _, operation in log[::3]] == ["encrypt", "decrypt"] * 3


def test_the_first_round_is_thrown_away() -> None:
    log: list[tuple[str, str]] = []
    engine = ScriptedEngine("a", log)
    measured = run_rounds([ENCRYPT], [contestant("a", lambda: engine)], 2, quiet(), is_quick=False)
    assert len(log) == 3
    assert measured.cells == {"e": {"a": [[1.0] * 5] * 2}}
    assert engine.is_closed


def test_a_missing_contestant_is_named_with_the_command_that_installs_it() -> None:
    def start() -> ScriptedEngine:
        raise EngineFailed("no such file")

    there = ScriptedEngine("there", [])
    columns = [contestant("gone", start), contestant("there", lambda: there)]
    measured = run_rounds([ENCRYPT], columns, 1, quiet(), is_quick=False)
    assert [(one.name, one.reason, one.install) for one in measured.missing] == [
        ("gone", "no such file", "install gone")
    ]
    assert set(measured.cells["e"]) == {"there"}


def test_a_failure_costs_one_cell_and_is_kept() -> None:
    log: list[tuple[str, str]] = []
    engine = ScriptedEngine("a", log, fails_at="encrypt")
    rows = [ENCRYPT, DECRYPT]
    measured = run_rounds(rows, [contestant("a", lambda: engine)], 2, quiet(), is_quick=False)
    assert measured.failed == {"e": {"a": "it does not work"}}
    assert measured.cells == {"d": {"a": [[1.0] * 5] * 2}}
    assert log.count(("a", "encrypt")) == 1


def test_a_row_that_nobody_can_do_has_no_cells() -> None:
    engine = ScriptedEngine("a", [])
    measured = run_rounds([SEAL], [contestant("a", lambda: engine)], 1, quiet(), is_quick=False)
    assert measured.cells == {}


def test_a_row_that_takes_long_is_left_out_of_later_rounds() -> None:
    log: list[tuple[str, str]] = []
    engine = ScriptedEngine("a", log)
    rows = [Row("e", "message", "encrypt", "encrypt", rounds=1)]
    run_rounds(rows, [contestant("a", lambda: engine)], 3, quiet(), is_quick=False)
    assert len(log) == 2


def test_what_is_not_installed_does_not_start() -> None:
    with pytest.raises(EngineFailed, match="nowhere"):
        LocalEngine("nowhere", "nobody")


def test_every_contestant_that_may_be_missing_says_how_to_install_it() -> None:
    always_there = {one.name for one in CONTESTANTS if not one.install}
    assert always_there == {*IMPLEMENTATIONS}


def test_names_of_rows_and_columns_are_unique() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({one.name for one in CONTESTANTS}) == len(CONTESTANTS)
