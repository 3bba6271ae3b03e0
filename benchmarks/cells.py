# SPDX-License-Identifier: Apache-2.0
"""What stands in a cell of the table."""

from typing import Final, NamedTuple

from benchmarks.figures import Ratio, figure_of, ratio_of
from benchmarks.registry import CONTESTANTS, Contestant
from benchmarks.results import Results
from benchmarks.rows import ROWS, Row

__all__ = ["Described", "columns_of", "describe", "format_ratio", "format_value", "rows_of"]

_SECONDS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTES: Final = ((2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


class Described(NamedTuple):
    """A cell in words: a figure with its spread, and its ratio to that beside which it stands."""

    value: str
    ratio: str


def columns_of(results: Results) -> list[Contestant]:
    """Who was measured at all."""
    cells = results.measured.cells.values()
    return [one for one in CONTESTANTS if any(one.name in columns for columns in cells)]


def rows_of(results: Results) -> list[Row]:
    """What was measured at all."""
    return [row for row in ROWS if results.measured.cells.get(row.name)]


def describe(results: Results, row: Row, contestant: Contestant) -> Described:
    """A cell in words."""
    cell, beside = (results.cell(row.name, name) for name in (contestant.name, contestant.beside))
    if cell is None:
        return Described("", "")
    figure = figure_of(cell)
    value = f"{format_value(figure.median, row.unit)} ±{100 * figure.spread / 2:.0f}%"
    if beside is None or contestant.name == contestant.beside:
        return Described(value, "")
    ratio = ratio_of(cell, beside)
    return Described(value, "" if ratio is None else format_ratio(ratio))


def format_ratio(ratio: Ratio) -> str:
    """A ratio with its interval."""
    return f"{_digits(ratio.value, 3)}x {_digits(ratio.low, 2)}-{_digits(ratio.high, 2)}"


def format_value(value: float, unit: str) -> str:
    """Seconds or bytes, with three digits and a unit that suits."""
    units = _SECONDS if unit == "s" else _BYTES
    size, name = next((one for one in units if abs(value) >= one[0]), units[-1])
    return f"{_digits(value / size, 3)} {name}"


def _digits(value: float, digits: int) -> str:
    """That many digits, and no exponent."""
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
