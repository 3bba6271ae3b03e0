# SPDX-License-Identifier: Apache-2.0
"""The report in plain text: one table, the targets, and what is needed to read them."""

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.cells import columns_of, describe, format_ratio, rows_of
from benchmarks.registry import CONTESTANTS
from benchmarks.results import Results
from benchmarks.rows import SECTIONS
from benchmarks.targets import judge

__all__ = ["report"]

_GAP: Final = "  "
_HEAD: Final = (
    "Each cell: the median, ± half the distance between the quartiles; below, how many times that",
    "is what e2ecross takes (the column of that name), with the 95 % interval. The sealed floor",
    "and the sealed build of before are held against e2ecross sealed.",
)


def report(results: Results, width: int) -> str:
    """The report.

    Args:
        results: of a run.
        width: of a line; the table is continued below itself where it does not fit.
    """
    parts = [
        "\n".join((*_HEAD, f"Measured with {results.python}.")),
        *_tables(results, width),
        "\n".join(_targets(results)),
        "\n".join(_surroundings(results)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _tables(results: Results, width: int) -> Iterator[str]:
    """The table; in several parts if it is too wide for the lines."""
    lines = list(_lines(results))
    if not lines:
        yield "nothing was measured"
        return
    widths = [max(len(line[i]) for line in lines if len(line) > 1) for i in range(len(lines[0]))]
    start = 1
    while start < len(widths):
        end, used = start, widths[0]
        while end < len(widths) and (end == start or used + len(_GAP) + widths[end] <= width):
            used += len(_GAP) + widths[end]
            end += 1
        shown = [0, *range(start, end)]
        yield "\n".join(_line(line, widths, shown) for line in lines)
        start = end


def _line(cells: Sequence[str], widths: Sequence[int], shown: Sequence[int]) -> str:
    if len(cells) == 1:
        return f"\n{cells[0]}"
    first, *others = ((cells[i], widths[i]) for i in shown)
    aligned = [f"{first[0]:{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]
    return _GAP.join(aligned).rstrip()


def _lines(results: Results) -> Iterator[list[str]]:
    """Cells line by line; a line of one cell is a heading."""
    columns = columns_of(results)
    if not columns:
        return
    yield ["", *(column.title for column in columns)]
    for section, heading in SECTIONS.items():
        rows = [row for row in rows_of(results) if row.section == section]
        if rows:
            yield [heading]
        for row in rows:
            described = [describe(results, row, column) for column in columns]
            title = row.full_title(is_quick=results.is_quick)
            yield [title, *(cell.value for cell in described)]
            yield ["", *(cell.ratio for cell in described)]


def _targets(results: Results) -> Iterator[str]:
    """Every target; of a run of some rows those alone that it says something about."""
    outcomes = [one for one in judge(results) if one.ratios or not results.is_partial]
    if not outcomes:
        return
    wide = max(len(outcome.target.title) for outcome in outcomes)
    yield f"{'Targets':{wide}}  limit          measured             verdict"
    for outcome in outcomes:
        measured, missed = "", ""
        if outcome.worst is not None:
            measured = format_ratio(outcome.worst[1])
        if outcome.missed and len(outcome.target.comparisons) > 1:
            missed = ": " + ", ".join(comparison.measured.row for comparison in outcome.missed)
        title, bound = outcome.target.title, outcome.target.bound
        yield f"{title:{wide}}  {bound:13}  {measured:19}  {outcome.verdict}{missed}"


def _surroundings(results: Results) -> Iterator[str]:
    yield f"{results.kind}, {results.rounds} rounds, begun {results.started}"
    yield from (f"{name}: {value}" for name, value in results.machine.items())
    measured = results.measured
    for contestant in CONTESTANTS:
        if contestant.name in measured.versions:
            versions = measured.versions[contestant.name].items()
            told = ", ".join(f"{name} {version}" for name, version in versions)
            note = f"; {contestant.note}" if contestant.note else ""
            yield f"{contestant.title}: {told}{note}"
    for missing in measured.missing:
        yield f"{missing.name} is missing ({missing.reason}): install it with\n  {missing.install}"
    for row, reasons in measured.failed.items():
        yield from (f"{row}, {name}: failed, {reason}" for name, reason in reasons.items())
