# SPDX-License-Identifier: Apache-2.0
"""Documents with figures: the part between their marks is made from the results of a run.

docs/benchmarks.md has the whole table, docs/performance.md what is made of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from benchmarks.breakdown import SEGMENTS, break_down
from benchmarks.cells import columns_of, describe, format_ratio, format_value, rows_of
from benchmarks.engine import ROOT
from benchmarks.growth import grow
from benchmarks.registry import CONTESTANTS, Contestant
from benchmarks.results import Results
from benchmarks.rows import SECTIONS, Row
from benchmarks.targets import Outcome, judge

__all__ = ["BEGIN", "END", "fill", "performance_lines", "table_lines", "write_documents"]

_DOCS: Final = ROOT / "docs"
BEGIN: Final = "<!-- made by python -m benchmarks --write-docs: begin -->"
END: Final = "<!-- made by python -m benchmarks --write-docs: end -->"


def write_documents(results: Results) -> None:
    """Put a run into the documents."""
    for name, made in (("benchmarks", table_lines), ("performance", performance_lines)):
        path = _DOCS / f"{name}.md"
        path.write_text(fill(path.read_text("utf-8"), made(results)), "utf-8")


def fill(document: str, lines: Iterable[str]) -> str:
    """The document with these lines between its marks.

    Raises:
        ValueError: it lacks a mark.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document lacks the marks")
    made = "\n".join(lines)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def table_lines(results: Results) -> Iterator[str]:
    """The table, the targets, and who was measured."""
    yield f"A {results.kind}, {results.rounds} rounds, begun {results.started}. {_python(results)}"
    yield ""
    yield from _table(("Machine", ""), list(results.machine.items()))
    for section, title in SECTIONS.items():
        rows = [row for row in rows_of(results) if row.section == section]
        columns = [one for one in columns_of(results) if _has_any(results, rows, one)]
        if rows:
            yield f"\n### {title}\n"
            head = ("", *(column.title for column in columns))
            yield from _table(head, [_cells(results, row, columns) for row in rows])
    yield "\n### Targets\n"
    yield from _table(
        ("what, by what", "limit", "measured", "verdict"),
        [_target(one) for one in judge(results)],
    )
    yield "\n### Who was measured\n"
    yield from _table(("column", "versions", "to know"), list(_columns(results)))


def performance_lines(results: Results) -> Iterator[str]:
    """Where each microsecond goes, and the growth curves."""
    kind, started = results.kind, results.started
    yield f"From the {kind} begun {started}, microseconds. {_python(results)}\n"
    breakdowns = break_down(results)
    used = [name for name in SEGMENTS if any(name in one.segments for one in breakdowns)]
    head = ("", "all", *(SEGMENTS[name] for name in used))
    yield from _table(
        head,
        [
            (
                one.bar.title,
                format_value(one.total, "s"),
                *(f"{1e6 * one.segments.get(name, 0):.1f}".replace("0.0", "") for name in used),
            )
            for one in breakdowns
        ],
    )
    yield "\n### Growth\n"
    yield from _table(
        ("what grows", "over", "from, to", "times the first"),
        [
            (
                growth.curve.title,
                growth.column,
                ", ".join(growth.ratios),
                ", ".join(f"{ratio.value:.2f}" for ratio in growth.ratios.values()),
            )
            for growth in grow(results)
        ],
    )


def _python(results: Results) -> str:
    return f"Python in all tables: {results.python}."


def _has_any(results: Results, rows: Sequence[Row], contestant: Contestant) -> bool:
    return any(results.cell(row.name, contestant.name) is not None for row in rows)


def _cells(results: Results, row: Row, columns: Sequence[Contestant]) -> Sequence[str]:
    described = [describe(results, row, column) for column in columns]
    cells = ("<br>".join(filter(None, cell)) for cell in described)
    return (row.full_title(is_quick=results.is_quick), *cells)


def _target(outcome: Outcome) -> Sequence[str]:
    measured = "" if outcome.worst is None else format_ratio(outcome.worst[1])
    verdict = outcome.verdict
    if outcome.missed and len(outcome.target.comparisons) > 1:
        verdict += ": " + ", ".join(comparison.measured.row for comparison in outcome.missed)
    return outcome.target.title, outcome.target.bound, measured, verdict


def _columns(results: Results) -> Iterator[Sequence[str]]:
    for contestant in CONTESTANTS:
        versions = results.measured.versions.get(contestant.name)
        if versions is not None:
            told = ", ".join(f"{name} {version}" for name, version in versions.items())
            yield contestant.title, told, contestant.note
    for missing in results.measured.missing:
        yield missing.name, "not installed", missing.reason


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
