# SPDX-License-Identifier: Apache-2.0
"""Plot: growth curves, one panel for each thing that grows."""

from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.growth import CURVES, LIMIT, Growth
from benchmarks.svg import GREY, LIGHT, dot, line, page, polyline, text

__all__ = ["plot_growth"]

_COLOURS: Final = {"device": "#0969da", "sealed": "#8250df"}
_TITLES: Final = {"device": "in memory", "sealed": "sealed SQLite"}

_PANEL: Final = 380.0
_HEIGHT: Final = 190.0
_LEFT: Final = 40.0
_PLOT_WIDTH: Final = 300.0
_TOP: Final = 34.0
_PLOT_HEIGHT: Final = 120.0
_HIGHEST: Final = 2.0


def plot_growth(growths: Sequence[Growth]) -> str:
    """The image; empty if there is nothing to show."""
    curves = [curve for curve in CURVES if any(growth.curve is curve for growth in growths)]
    if not curves:
        return ""
    parts: list[str] = []
    for number, curve in enumerate(curves):
        row, column = divmod(number, 2)
        of_it = [growth for growth in growths if growth.curve is curve]
        parts += _panel(of_it, column * _PANEL, row * _HEIGHT)
    height = _HEIGHT * -(-len(curves) // 2)
    title = "what operations take as something grows, by what they take without it"
    return page(2 * _PANEL, height, title, parts)


def _panel(growths: Sequence[Growth], left: float, top: float) -> Iterator[str]:
    curve = growths[0].curve
    x0, y0 = left + _LEFT, top + _TOP
    yield text((x0, top + 20), curve.title, weight=600)
    for value, colour in ((0.0, LIGHT), (1.0, LIGHT), (LIMIT, "#cf222e"), (2.0, LIGHT)):
        y = _height(value, y0)
        yield line((x0, y), (x0 + _PLOT_WIDTH, y), colour)
        yield text((x0 - 6, y + 4), f"{value:g}", "end", GREY)
    labels = list(curve.rows)
    places = [x0 + _PLOT_WIDTH * (n + 0.5) / len(labels) for n in range(len(labels))]
    for place, label in zip(places, labels, strict=True):
        yield text((place, y0 + _PLOT_HEIGHT + 16), label, "middle", GREY)
    for growth in growths:
        colour = _COLOURS[growth.column]
        points = [
            (place, _height(growth.ratios[label].value, y0))
            for place, label in zip(places, labels, strict=True)
            if label in growth.ratios
        ]
        yield polyline(points, colour)
        for point in points:
            yield dot(point, colour, 3.5)
    if len(growths) == 1:
        return
    for number, growth in enumerate(growths):
        y = y0 + _PLOT_HEIGHT - 8 - 15 * number
        yield text((x0 + 8, y), _TITLES[growth.column], fill=_COLOURS[growth.column])


def _height(value: float, top: float) -> float:
    return top + _PLOT_HEIGHT * (1 - min(value, _HIGHEST) / _HIGHEST)
