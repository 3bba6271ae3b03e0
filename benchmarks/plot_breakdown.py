# SPDX-License-Identifier: Apache-2.0
"""Plot: where each microsecond of an operation goes, a stacked bar for each."""

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.breakdown import SEGMENTS, Breakdown
from benchmarks.cells import format_value
from benchmarks.svg import DARK, bar, page, text

__all__ = ["plot_breakdown"]

_COLOURS: Final = {
    "x25519": "#033d8b",
    "signature": "#0969da",
    "keys": "#54aeff",
    "cipher": "#80ccff",
    "mac": "#b6e3ff",
    "protobuf": "#a2d9b1",
    "primitives": "#1a7f37",
    "floor": "#8c959f",
    "protocol": "#bf8700",
    "device": "#d4a72c",
    "sealing": "#8250df",
    "store": "#c297ff",
    "commit": "#cf222e",
}
_ON_DARK: Final = frozenset({"x25519", "signature", "primitives", "protocol", "sealing", "commit"})

_LABELS: Final = 180.0
_WIDTH: Final = 560.0
_VALUES: Final = 70.0
_LINE: Final = 28.0
_HEIGHT: Final = 20.0
_LEGEND_LINE: Final = 18.0
_LEGEND_COLUMNS: Final = 3
_NARROWEST: Final = 34.0  # in which a time can be read


def plot_breakdown(breakdowns: Sequence[Breakdown]) -> str:
    """The image; empty if there is nothing to show. Every bar is as long as the others."""
    if not breakdowns:
        return ""
    parts = [part for number, one in enumerate(breakdowns) for part in _bar(one, number * _LINE)]
    used = [name for name in SEGMENTS if any(name in one.segments for one in breakdowns)]
    top = _LINE * len(breakdowns) + 12
    parts += _legend(used, top)
    height = top + _LEGEND_LINE * -(-len(used) // _LEGEND_COLUMNS) + 8
    return page(_LABELS + _WIDTH + _VALUES, height, "where each microsecond goes", parts)


def _bar(breakdown: Breakdown, top: float) -> Iterator[str]:
    y = top + 6
    yield text((_LABELS - 8, y + 14), breakdown.bar.title, "end")
    whole = sum(breakdown.segments.values())
    x = _LABELS
    for name, seconds in breakdown.segments.items():
        width = _WIDTH * seconds / whole
        yield bar((x, y), width, _HEIGHT, _COLOURS[name])
        if width >= _NARROWEST:
            fill = "white" if name in _ON_DARK else DARK
            digits = 0 if seconds >= 1e-4 else 1
            yield text((x + width / 2, y + 14), f"{seconds * 1e6:,.{digits}f}", "middle", fill)
        x += width
    yield text((_LABELS + _WIDTH + 8, y + 14), format_value(breakdown.total, "s"), weight=600)


def _legend(names: Sequence[str], top: float) -> Iterator[str]:
    column_width = (_LABELS + _WIDTH + _VALUES) / _LEGEND_COLUMNS
    for number, name in enumerate(names):
        row, column = divmod(number, _LEGEND_COLUMNS)
        x, y = 12 + column * column_width, top + row * _LEGEND_LINE
        yield bar((x, y), 12, 12, _COLOURS[name])
        yield text((x + 18, y + 10), SEGMENTS[name])
