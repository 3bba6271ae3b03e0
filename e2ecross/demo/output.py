# SPDX-License-Identifier: Apache-2.0
"""How the demo shows its facts: what every output does, and the one in plain text.

The three outputs (this one, `rich_output`, `json_output`) show the same facts; none of them decides
anything.
"""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final, Protocol

from e2ecross.demo.blocks import Block, Grid, Heading, Pairs, Paragraph, Picture, Row, Ticks
from e2ecross.demo.facts import Letter
from e2ecross.demo.picture import draw
from e2ecross.demo.scene import Scene
from e2ecross.demo.words import opening, tell

__all__ = [
    "LEFT_WIDTH",
    "MAX_WIDTH",
    "Output",
    "PlainOutput",
    "Progress",
    "for_encoding",
]

MAX_WIDTH: Final = 100
_MIN_WIDTH: Final = 64
LEFT_WIDTH: Final = 41
"""The longest line of what the relay sees: two addresses and an arrow (in ASCII)."""

_PLAINER: Final = {
    "→": "->",
    "…": "...",
    "“": '"',
    "”": '"',
    "✓": "ok",
    "✗": "NO:",
    "│": "|",
    "☕": "",
}


class Progress(Protocol):
    """What is known while the demo plays.

    Attributes:
        letters: all that were sent, in that order.
        read: those of them that arrived as they were written, in the order of reading.
    """

    letters: list[Letter]
    read: list[Letter]


class Output(Protocol):
    """Shows the demo."""

    def begin(self, folder: Path | None, progress: Progress) -> None:
        """Start; `folder` is where the files stay, if they stay."""
        ...

    def show(self, name: str, scene: Scene) -> None:
        """Show the facts of a scene."""
        ...

    def finish(self, seconds: float) -> None:
        """End well, after so many seconds."""
        ...

    def fail(self, why: str, seconds: float) -> None:
        """End badly; why goes to stderr elsewhere."""
        ...


def for_encoding(text: str) -> str:
    """Spell out signs that stdout's encoding lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for sign, plainer in _PLAINER.items():
        if sign in text:
            try:
                sign.encode(encoding)
            except (UnicodeEncodeError, LookupError):
                text = text.replace(sign, plainer)
    return text


class PlainOutput:
    """Text without colour, as wide as the terminal."""

    def __init__(self) -> None:
        columns = shutil.get_terminal_size((80, 24)).columns
        self._width = min(max(columns, _MIN_WIDTH), MAX_WIDTH)
        self._folder: Path | None = None

    def begin(self, folder: Path | None, progress: Progress) -> None:
        """Print the opening."""
        self._folder = folder
        for block in opening():
            self.paint(block)

    def show(self, name: str, scene: Scene) -> None:
        """Print a scene."""
        for block in tell(scene):
            self.paint(block)

    def finish(self, seconds: float) -> None:
        """Print the time, and where the files are."""
        kept = f" The files are in {self._folder}." if self._folder else ""
        self.paint(Paragraph(f"Done in {seconds:.1f} seconds.{kept}"))

    def fail(self, why: str, seconds: float) -> None:
        """Print nothing: stderr says it."""

    def paint(self, block: Block) -> None:
        """Print a block."""
        for line in self._lines(block):
            print(line.rstrip())
        print(flush=True)

    def _lines(self, block: Block) -> Iterator[str]:
        match block:
            case Heading(text):
                yield for_encoding(text)
                yield "=" * len(text)
            case Paragraph(text):
                yield from _wrap(text, self._width)
            case Ticks(lines):
                yield from (for_encoding(f"✓ {line}") for line in lines)
            case Grid(header, rows):
                yield from _grid_lines(header, rows)
            case Pairs(rows):
                yield from self._pair_lines(rows)
            case Picture(text):
                yield from draw(text, self._width)

    def _pair_lines(self, rows: Sequence[Row]) -> Iterator[str]:
        right_width = self._width - LEFT_WIDTH - 3
        bar = for_encoding("│")
        yield f"{'THE RELAY SAW':<{LEFT_WIDTH}} {bar} THE PERSON SAW"
        for row in rows:
            yield f"{'-' * LEFT_WIDTH}-{bar}-{'-' * right_width}"
            left = [piece for line in row.left for piece in _wrap(line, LEFT_WIDTH)]
            right = [*_wrap(row.head, right_width), *_wrap(row.body, right_width)]
            for pair in zip_longest(left, right, fillvalue=""):
                yield f"{pair[0]:<{LEFT_WIDTH}} {bar} {pair[1]}"


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(for_encoding(text), width, break_on_hyphens=False)


def _grid_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cells = [[for_encoding(cell).split("\n") for cell in row] for row in (header, *rows)]
    widths = [max(len(line) for row in cells for line in row[at]) for at in range(len(header))]
    tall = any(len(cell) > 1 for row in cells for cell in row)
    for number, row in enumerate(cells):
        if tall and number > 1:
            yield ""
        for lines in zip_longest(*row, fillvalue=""):
            yield "  ".join(f"{line:<{width}}" for line, width in zip(lines, widths, strict=True))
        if number == 0:
            yield "  ".join("-" * width for width in widths)
