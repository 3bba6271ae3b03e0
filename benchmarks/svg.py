# SPDX-License-Identifier: Apache-2.0
"""The little of SVG that the plots need: text, lines, bars and dots on a white page."""

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape

__all__ = ["DARK", "GREY", "LIGHT", "bar", "dot", "line", "page", "polyline", "text"]

DARK: Final = "#1f2328"
GREY: Final = "#6e7781"
LIGHT: Final = "#d8dee4"

_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

Point = tuple[float, float]


def page(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A whole image.

    Args:
        width: of the image, pixels.
        height: of it.
        title: read out to those who do not see it.
        parts: what is on it.
    """
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="{_FONT}" font-size="12">'
    )
    background = f'<rect width="{width:g}" height="{height:g}" fill="white"/>'
    return "\n".join((head, f"<title>{escape(title)}</title>", background, *parts, "</svg>", ""))


def text(
    at: Point, content: str, anchor: str = "start", fill: str = DARK, weight: int = 400
) -> str:
    """Words, with their baseline at a point.

    Args:
        at: where.
        content: the words.
        anchor: which end of them is there: start, middle or end.
        fill: colour.
        weight: of the font.
    """
    return (
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" fill="{fill}" '
        f'font-weight="{weight}">{escape(content)}</text>'
    )


def line(start: Point, end: Point, stroke: str = LIGHT, width: float = 1) -> str:
    """A straight line."""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{stroke}" stroke-width="{width:g}"/>'
    )


def polyline(points: Sequence[Point], stroke: str, width: float = 2) -> str:
    """A line through several points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"/>'


def dot(at: Point, fill: str, radius: float = 4.5) -> str:
    """A filled circle."""
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" fill="{fill}"/>'


def bar(at: Point, width: float, height: float, fill: str) -> str:
    """A filled rectangle, its upper left corner at a point."""
    return (
        f'<rect x="{at[0]:.1f}" y="{at[1]:.1f}" width="{width:.1f}" height="{height:g}" '
        f'fill="{fill}"/>'
    )
