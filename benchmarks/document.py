# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.md: the part between its marks is made from the results of a run."""

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.cells import columns_of, describe, format_ratio, rows_of
from benchmarks.engine import ROOT
from benchmarks.registry import CONTESTANTS, Contestant
from benchmarks.results import Results
from benchmarks.rows import SECTIONS, Row
from benchmarks.targets import Outcome, judge

__all__ = ["BEGIN", "DOCUMENT", "END", "fill", "write_document"]

DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- made by python -m benchmarks --write-docs: begin -->"
END: Final = "<!-- made by python -m benchmarks --write-docs: end -->"


def write_document(results: Results) -> None:
    """Put a run into the document."""
    DOCUMENT.write_text(fill(DOCUMENT.read_text("utf-8"), results), "utf-8")


def fill(document: str, results: Results) -> str:
    """The document with this run between its marks.

    Raises:
        ValueError: it lacks a mark.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document lacks the marks")
    made = "\n".join(_made(results))
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def _made(results: Results) -> Iterator[str]:
    yield f"A {results.kind}, {results.rounds} rounds, begun {results.started}."
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
