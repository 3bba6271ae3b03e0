# SPDX-License-Identifier: Apache-2.0
"""Where each microsecond goes: the primitives are counted right, and nothing is lost."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from benchmarks import floor
from benchmarks.breakdown import BARS, SEGMENTS, Bar, Breakdown, break_down
from benchmarks.contestants.floor_makers import MAKERS
from benchmarks.contestants.pieces import MAKERS as PIECES
from benchmarks.growth import CURVES, grow
from benchmarks.job import Job
from benchmarks.results import Results
from benchmarks.rows import ROWS
from benchmarks.runner import Measured

PIECE_OF = {
    "key_pair": "key-pair",
    "agree": "agree",
    "verify": "verify",
    "initiate": "initial-root",
    "respond": "initial-root",
    "next_root": "next-root",
    "chain_keys": "chain-keys",
    "message_keys": "message-keys",
    "cbc_encrypt": "cbc-encrypt",
    "cbc_decrypt": "cbc-decrypt",
    "mac_of_parts": "mac",
    "encrypt": "encode",
    "decrypt": "decode",
    "ratchet_key": "decode",
    "wrap": "wrap",
    "unwrap": "unwrap",
}
OPERATIONS = {row.name: row.operation for row in ROWS}
DIVIDED = [bar for bar in BARS if bar.pieces]


def _results(cells: dict[str, dict[str, list[list[float]]]]) -> Results:
    return Results(False, False, 1, "now", {}, Measured(cells=cells))


def _cells_of(bar: Bar, total: float) -> dict[str, dict[str, list[list[float]]]]:
    cells = {f"piece-{name}": {"floor": [[1e-6]]} for p in bar.pieces.values() for name in p}
    layers = {"floor": total - 200e-6, "protocol": total - 150e-6, "device": total - 100e-6}
    cells[bar.row] = {name: [[value]] for name, value in ({**layers, bar.column: total}).items()}
    if bar.sealing:
        cells[bar.sealing] = {"floor": [[10e-6]]}
        cells["commit"] = {"floor": [[30e-6]]}
    return cells


def _of(bar: Bar, cells: dict[str, dict[str, list[list[float]]]]) -> Breakdown | None:
    return next((one for one in break_down(_results(cells)) if one.bar is bar), None)


@pytest.mark.parametrize("bar", DIVIDED, ids=lambda bar: bar.title)
def test_the_primitives_of_an_operation_are_those_that_the_floor_calls(
    bar: Bar, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: Counter[str] = Counter()

    def counting(name: str) -> Callable[..., object]:
        original: Callable[..., object] = getattr(floor, name)

        def call(*arguments: object) -> object:
            counted[PIECE_OF[name]] += 1
            return original(*arguments)

        return call

    operation = OPERATIONS[bar.row]
    with ExitStack() as cleanup:
        step = MAKERS[operation](Job(operation, {"bytes": 100}, 1, 1, 0), cleanup)
        for name in PIECE_OF:
            monkeypatch.setattr(floor, name, counting(name))
        step()
    expected = {name: n for pieces in bar.pieces.values() for name, n in pieces.items()}
    assert dict(counted) == expected


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.title}, {bar.column}")
def test_the_segments_add_up_to_the_whole(bar: Bar) -> None:
    made = _of(bar, _cells_of(bar, 1e-3))
    assert made is not None
    assert list(made.segments) == [name for name in SEGMENTS if name in made.segments]
    assert sum(made.segments.values()) == pytest.approx(made.total) == 1e-3
    if bar.sealing:
        assert made.segments["store"] == pytest.approx(60e-6)


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.title}, {bar.column}")
def test_an_operation_of_which_something_was_not_measured_is_left_out(bar: Bar) -> None:
    cells = _cells_of(bar, 1e-3)
    for row in cells:
        assert _of(bar, {name: cells[name] for name in cells if name != row}) is None


def test_every_piece_and_every_row_of_a_curve_stands_in_the_table() -> None:
    names = {row.name for row in ROWS}
    operations = {row.operation for row in ROWS}
    assert {*PIECES} <= operations
    assert {f"piece-{name}" for bar in BARS for p in bar.pieces.values() for name in p} <= names
    assert {row for curve in CURVES for row in curve.rows.values()} <= names


def test_a_curve_holds_each_point_against_the_first() -> None:
    cells = {
        "skipped-0": {"device": [[10e-6]]},
        "skipped-2000": {"device": [[12e-6]], "sealed": [[300e-6]]},
        "fetch-0": {"device": [[1e-3]]},
    }
    (growth,) = grow(_results(cells))
    assert (growth.curve, growth.column) == (CURVES[0], "device")
    assert {label: ratio.value for label, ratio in growth.ratios.items()} == {
        "0": pytest.approx(1),
        "2,000": pytest.approx(1.2),
    }
