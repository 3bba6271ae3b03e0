# SPDX-License-Identifier: Apache-2.0
"""Plots of a run, as SVG files beside its results.

- `-messages`: for some operations, what each contestant takes: dots on a logarithmic axis, with
  the quartiles.
- `-skipped`: what a decryption takes with more and more skipped keys stored.
- `-breakdown`: where each microsecond goes (`plot_breakdown.py`).
- `-growth`: what operations take as something grows (`plot_growth.py`).
"""

from collections.abc import Iterator, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Final

from benchmarks.breakdown import break_down
from benchmarks.cells import columns_of, format_value
from benchmarks.figures import Figure, figure_of
from benchmarks.growth import grow
from benchmarks.plot_breakdown import plot_breakdown
from benchmarks.plot_growth import plot_growth
from benchmarks.results import Results
from benchmarks.rows import ROWS
from benchmarks.svg import DARK, GREY, dot, line, page, polyline, text

__all__ = ["write_plots"]

_PANELS: Final = ("set-up", "encrypt-100", "decrypt-100", "ping-pong")
_DURABLE: Final = ("sqlite", "sealed", "before-sealed", "vodozemac-sqlite")
_SKIPPED: Final = ("skipped-0", "skipped-100", "skipped-2000")
_TITLES: Final = {row.name: row.full_title(is_quick=False) for row in ROWS}

# By kind of contestant; ours stands out, shades tell others apart.
_COLOURS: Final = {
    "floor": GREY,
    "protocol": "#033d8b",
    "device": "#0969da",
    "sqlite": "#54aeff",
    "sealed": "#80ccff",
    "before": "#57606a",
    "before-sealed": "#afb8c1",
    "vodozemac": "#cf222e",
    "vodozemac-sqlite": "#ff8182",
    "doubleratchet": "#bf8700",
    "axolotl": "#953800",
    "libsignal-node": "#1a7f37",
    "libsignal-0.22": "#8250df",
    "libsignal-0.103": "#c297ff",
}

_LABELS: Final = 150.0
_AXIS: Final = 430.0
_VALUES: Final = 80.0
_LINE: Final = 19.0
_PANEL_HEAD: Final = 34.0
_PANEL_FOOT: Final = 30.0


class _Scale:
    """A logarithmic axis over whole decades."""

    def __init__(self, values: Sequence[float], start: float, length: float) -> None:
        self.low = floor(log10(min(values)))
        self.high = max(ceil(log10(max(values))), self.low + 1)
        self._start = start
        self._length = length

    def __call__(self, value: float) -> float:
        part = (log10(value) - self.low) / (self.high - self.low)
        return self._start + part * self._length

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def write_plots(results: Results, prefix: Path) -> list[Path]:
    """Write every plot that the run has the figures for.

    Args:
        results: of the run.
        prefix: the files' names begin with it.

    Returns:
        The files.
    """
    written = []
    images = {
        "messages": _messages(results),
        "skipped": _skipped(results),
        "breakdown": plot_breakdown(break_down(results)),
        "growth": plot_growth(grow(results)),
    }
    for name, image in images.items():
        if image:
            path = prefix.with_name(f"{prefix.name}-{name}.svg")
            path.write_text(image, "utf-8")
            written.append(path)
    return written


def _messages(results: Results) -> str:
    panels = [(row, figures) for row in _PANELS if (figures := _figures(results, row))]
    if not panels:
        return ""
    parts: list[str] = []
    top = 0.0
    for row, figures in panels:
        parts += _panel(results, row, figures, top)
        top += _PANEL_HEAD + _LINE * len(figures) + _PANEL_FOOT
    title = "what each operation takes: " + ", ".join(_TITLES[row] for row, _ in panels)
    return page(_LABELS + _AXIS + _VALUES, top, title, parts)


def _panel(results: Results, row: str, figures: dict[str, Figure], top: float) -> Iterator[str]:
    titles = {column.name: column.title for column in columns_of(results)}
    extremes = [value for figure in figures.values() for value in (figure.low, figure.high)]
    scale = _Scale(extremes, _LABELS, _AXIS)
    yield text((_LABELS, top + 22), _TITLES[row], weight=600)
    bottom = top + _PANEL_HEAD + _LINE * len(figures)
    for decade in scale.decades:
        yield line((scale(decade), top + _PANEL_HEAD - 4), (scale(decade), bottom))
        yield text((scale(decade), bottom + 14), format_value(decade, "s"), "middle", GREY)
    for number, (name, figure) in enumerate(figures.items()):
        y = top + _PANEL_HEAD + _LINE * (number + 0.5)
        colour, is_ours = _COLOURS.get(name, DARK), name == "device"
        yield text((_LABELS - 8, y + 4), titles[name], "end", weight=600 if is_ours else 400)
        yield line((scale(figure.low), y), (scale(figure.high), y), colour, 2)
        yield dot((scale(figure.median), y), colour)
        value = format_value(figure.median, "s")
        yield text((_LABELS + _AXIS + 8, y + 4), value, weight=600 if is_ours else 400)


def _skipped(results: Results) -> str:
    by_row = [_figures(results, row) for row in _SKIPPED]
    titles = {
        column.name: column.title
        for column in columns_of(results)
        # A commit costs the same whatever is stored, and hides what is shown here.
        if column.name not in _DURABLE and all(column.name in figures for figures in by_row)
    }
    if not titles:
        return ""
    medians = {name: [figures[name].median for figures in by_row] for name in titles}
    scale = _Scale([value for values in medians.values() for value in values], 320, -270)
    places = [80.0 + 190 * number for number in range(len(_SKIPPED))]
    parts = [text((80, 24), "decrypt 100 B, skipped keys stored:", weight=600)]
    for decade in scale.decades:
        parts.append(line((places[0], scale(decade)), (places[-1], scale(decade))))
        parts.append(text((72, scale(decade) + 4), format_value(decade, "s"), "end", GREY))
    for place, label in zip(places, ("0", "100", "2,000"), strict=True):
        parts.append(text((place, 342), label, "middle", GREY))
    for name, values in medians.items():
        points = [(place, scale(value)) for place, value in zip(places, values, strict=True)]
        parts.append(polyline(points, _COLOURS.get(name, DARK)))
        parts += [dot(point, _COLOURS.get(name, DARK), 3.5) for point in points]
    parts += _names(titles, {name: scale(values[-1]) for name, values in medians.items()})
    return page(640, 360, "what decryption takes with skipped keys stored", parts)


def _names(titles: dict[str, str], ends: dict[str, float]) -> Iterator[str]:
    """Names at the ends of the lines, moved apart where they would overlap."""
    above = float("inf")
    for name in sorted(ends, key=ends.__getitem__, reverse=True):
        above = min(ends[name] + 4, above - 14)
        yield text((472, above), titles[name], fill=_COLOURS.get(name, DARK))


def _figures(results: Results, row: str) -> dict[str, Figure]:
    cells = ((column.name, results.cell(row, column.name)) for column in columns_of(results))
    return {name: figure_of(cell) for name, cell in cells if cell is not None}
