# SPDX-License-Identifier: Apache-2.0
"""What a run prints, stores and draws, from figures that are known."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.cells import columns_of, describe, format_value
from benchmarks.document import BEGIN, END, fill, performance_lines, table_lines
from benchmarks.machine import PYTHON
from benchmarks.plots import write_plots
from benchmarks.registry import CONTESTANTS, REVISION
from benchmarks.report import report
from benchmarks.results import Results, load, save
from benchmarks.rows import ROWS
from benchmarks.runner import Measured, Missing
from benchmarks.targets import TARGETS, judge

CELLS = {
    "encrypt-100": {"floor": [[10e-6]] * 3, "protocol": [[14e-6]] * 3, "device": [[20e-6]] * 3},
    "decrypt-100": {"floor": [[10e-6]] * 3, "protocol": [[16e-6]] * 3, "device": [[40e-6]] * 3},
    "memory": {"device": [[2048.0]]},
}
RESULTS = Results(
    is_quick=False,
    is_partial=False,
    rounds=3,
    started="2026-11-25T20:00:00+00:00",
    machine={"processor": "a fast one"},
    measured=Measured(
        cells=CELLS,
        versions={"device": {"e2ecross": "0.1.0"}},
        missing=[Missing("vodozemac", "No module named 'vodozemac'", "pip install it")],
        failed={"ping-pong": {"device": "it fell over"}},
    ),
)


ENCRYPT_PIECES = ("chain-keys", "message-keys", "cbc-encrypt", "mac", "encode")


def with_cells(cells: dict[str, dict[str, list[list[float]]]]) -> Results:
    return replace(RESULTS, measured=replace(RESULTS.measured, cells=cells))


def test_a_report_has_figures_ratios_and_what_is_missing() -> None:
    text = report(RESULTS, 200)
    (row,) = [line for line in text.splitlines() if line.startswith("encrypt 100 B")]
    assert " ".join(row.split()) == "encrypt 100 B, one chain 10 µs ±0% 14 µs ±0% 20 µs ±0%"
    assert "0.5x 0.5-0.5" in text
    assert "2 KiB" in text
    assert "pip install it" in text
    assert "ping-pong, device: failed, it fell over" in text
    assert "a fast one" in text


def test_a_table_that_is_too_wide_goes_on_below() -> None:
    narrow, wide = report(RESULTS, 60), report(RESULTS, 200)
    assert narrow.count("encrypt 100 B, one chain") > wide.count("encrypt 100 B, one chain") == 1
    table = narrow.partition("Targets")[0]
    assert max(map(len, table.splitlines()[3:])) <= 60


def test_targets_are_judged_by_their_limits() -> None:
    verdicts = {outcome.target.title: outcome.verdict for outcome in judge(RESULTS)}
    assert verdicts["encrypt-100: protocol by floor"] == "met"
    assert verdicts["decrypt-100: protocol by floor"] == "missed"
    assert verdicts["ping-pong: protocol by floor"] == "not measured"


def test_a_lower_limit_is_missed_by_what_is_below_it() -> None:
    cells = {
        "v4-decrypt-100": {"device": [[20e-6]] * 3, "libsignal-0.103": [[50e-6]] * 3},
        "v4-encrypt-100": {"device": [[20e-6]] * 3, "libsignal-0.103": [[90e-6]] * 3},
        "v4-encrypt-chunk": {"device": [[20e-6]] * 3, "libsignal-0.103": [[50e-6]] * 3},
    }
    outcomes = {one.target.title: one for one in judge(with_cells(cells))}
    assert outcomes["v4 chain decrypt: libsignal-0.103 by device"].verdict == "met"
    encrypt = outcomes["v4 chain encrypt: libsignal-0.103 by device"]
    assert encrypt.verdict == "missed in 1 of 2"
    assert encrypt.worst is not None
    assert encrypt.worst[1].value == pytest.approx(2.5)
    assert "at least 3 " in report(with_cells(cells), 200)


def test_what_is_sealed_stands_beside_what_is_sealed() -> None:
    cells = {
        "client-send": {
            "device": [[1e-3]] * 3,
            "sealed": [[2e-3]] * 3,
            "before": [[2e-3]] * 3,
            "before-sealed": [[5e-3]] * 3,
            "floor-sealed": [[1e-3]] * 3,
        }
    }
    results = with_cells(cells)
    (row,) = [row for row in ROWS if row.name == "client-send"]
    ratios = {one.name: describe(results, row, one).ratio for one in columns_of(results)}
    assert ratios["before"].startswith("2x")
    assert ratios["before-sealed"].startswith("2.5x")
    assert ratios["floor-sealed"].startswith("0.5x")
    assert ratios["device"] == ""
    verdicts = {outcome.target.title: outcome.verdict for outcome in judge(results)}
    assert verdicts[f"sealed client-send by that of {REVISION}"] == "met"


def test_a_run_of_some_rows_tells_of_the_targets_of_these_alone() -> None:
    assert "ping-pong: protocol by floor" in report(RESULTS, 200)
    partial = report(replace(RESULTS, is_partial=True), 200)
    assert "decrypt-100: protocol by floor" in partial
    assert "ping-pong: protocol by floor" not in partial


def test_every_table_says_which_python_it_is_of() -> None:
    results = replace(RESULTS, machine={PYTHON: "CPython 3.99"})
    assert "CPython 3.99" in report(results, 200).partition("encrypt")[0]
    for lines in (table_lines(results), performance_lines(results)):
        assert "CPython 3.99" in next(iter(lines))


@pytest.mark.parametrize(("theirs", "verdict"), [(196.0, "met"), (197.0, "missed in 1 of 2")])
def test_equal_is_neither_more_nor_less(theirs: float, verdict: str) -> None:
    cells = {"v4-chain-bytes": {"device": [[196.0]], "libsignal-0.103": [[theirs]]}}
    outcomes = {one.target.title: one for one in judge(with_cells(cells))}
    assert outcomes["v4-chain-bytes: equal to those of libsignal-0.103"].verdict == verdict


def test_every_cell_that_a_target_names_is_in_a_row_and_a_column() -> None:
    rows, columns = {row.name for row in ROWS}, {one.name for one in CONTESTANTS}
    for target in TARGETS:
        for measured, references in target.comparisons:
            for place in (measured, *references):
                assert place.row in rows, target.title
                assert place.contestant in columns, target.title


def test_titles_of_targets_are_unique() -> None:
    assert len({target.title for target in TARGETS}) == len(TARGETS)


def test_results_survive_their_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save(RESULTS, path)
    assert load(path) == RESULTS


def test_plots_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    (path,) = write_plots(RESULTS, tmp_path / "run")
    assert path.name == "run-messages.svg"
    root = ElementTree.parse(path).getroot()  # noqa: S314 - our own file
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"encrypt 100 B, one chain", "e2ecross protocol", "14 µs"} <= {*words}


def test_the_document_is_filled_between_its_marks() -> None:
    once = fill(f"before\n{BEGIN}\nold\n{END}\nafter", table_lines(RESULTS))
    assert once.startswith("before")
    assert once.endswith("after")
    assert "old" not in once
    assert "| encrypt 100 B, one chain | 10 µs ±0%<br>0.5x 0.5-0.5 |" in once
    assert fill(once, table_lines(RESULTS)) == once
    with pytest.raises(ValueError, match="marks"):
        fill("no marks", ())


def test_the_breakdown_and_the_growth_are_told_and_drawn(tmp_path: Path) -> None:
    pieces = {f"piece-{name}": {"floor": [[1e-6]]} for name in ENCRYPT_PIECES}
    waiting = {"fetch-0": {"device": [[1e-3]]}, "fetch-100k": {"device": [[1.1e-3]]}}
    results = with_cells({**CELLS, **pieces, **waiting})
    lines = [*performance_lines(results)]
    assert "| encrypt 100 B | 20 µs | 2.0 | 1.0 | 1.0 | 1.0 | 5.0 | 4.0 | 6.0 |" in lines
    assert any(line.endswith("| device | 0, 100,000 | 1.00, 1.10 |") for line in lines)
    names = {path.name for path in write_plots(results, tmp_path / "run")}
    assert names == {"run-messages.svg", "run-breakdown.svg", "run-growth.svg"}
    words = (tmp_path / "run-breakdown.svg").read_text("utf-8")
    assert "encrypt 100 B" in words
    assert "decrypt" not in words


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.5, "s", "1.5 s"),
        (0.0123, "s", "12.3 ms"),
        (9.876e-6, "s", "9.88 µs"),
        (5e-8, "s", "0.05 µs"),
        (123.4e-6, "s", "123 µs"),
        (512.0, "B", "512 B"),
        (1536.0, "B", "1.5 KiB"),
        (-2048.0, "B", "-2 KiB"),
        (0.0, "B", "0 B"),
    ],
)
def test_values_are_written_with_a_unit_that_suits(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text
