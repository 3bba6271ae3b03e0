# SPDX-License-Identifier: Apache-2.0
"""How the demo shows its facts: what every output does, and the one in plain text.

The three outputs (this one, `rich_output`, `json_output`) show the same facts; none of them decides
anything.
"""

import shutil
import sys
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final, Protocol

from e2ecross.demo.blocks import (
    Block,
    Grid,
    Heading,
    Ledger,
    Pairs,
    Paragraph,
    Picture,
    Row,
    Scene,
)
from e2ecross.demo.facts import Letter
from e2ecross.demo.picture import draw

__all__ = [
    "LEFT_WIDTH",
    "MAX_WIDTH",
    "Output",
    "PlainOutput",
    "Progress",
    "TextOutput",
    "for_encoding",
]

MAX_WIDTH: Final = 100
_MIN_WIDTH: Final = 64
LEFT_WIDTH: Final = 41
"""The longest line of what the back end sees: two addresses and an arrow (in ASCII)."""

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

    def begin(self, title: str, about: str, folder: Path | None, progress: Progress) -> None:
        """Start with what will be shown; `folder` is where the files stay, if they stay."""
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


class TextOutput(ABC):
    """Text for people: scenes have numbers, and become blocks."""

    def __init__(self) -> None:
        self._scenes = 0

    def begin(self, title: str, about: str, folder: Path | None, progress: Progress) -> None:
        """Print the opening."""
        self.paint(Heading(title))
        self.paint(Paragraph(about))
        if folder is not None:
            self.paint(Paragraph(f"The files stay in {folder}."))

    def show(self, name: str, scene: Scene) -> None:
        """Print a scene."""
        self._scenes += 1
        for block in scene.tell():
            if isinstance(block, Heading):
                self.paint(Heading(f"{self._scenes}. {block.text}"))
            else:
                self.paint(block)

    def finish(self, seconds: float) -> None:
        """Print the time: the last line."""
        self.print_line(f"Done in {seconds:.1f} seconds.")

    def fail(self, why: str, seconds: float) -> None:  # noqa: B027 (nothing is to be done)
        """Print nothing: stderr says it."""

    @abstractmethod
    def print_line(self, text: str) -> None:
        """Print a line."""

    @abstractmethod
    def paint(self, block: Block) -> None:
        """Print a block, and, unless it is a heading, an empty line."""


class PlainOutput(TextOutput):
    """Text without colour, as wide as the terminal."""

    def __init__(self) -> None:
        super().__init__()
        columns = shutil.get_terminal_size((80, 24)).columns
        self._width = min(max(columns, _MIN_WIDTH), MAX_WIDTH)

    def print_line(self, text: str) -> None:
        """Print a line."""
        print(for_encoding(text), flush=True)

    def paint(self, block: Block) -> None:
        """Print a block."""
        for line in self._lines(block):
            print(line.rstrip())
        if not isinstance(block, Heading):
            print(flush=True)

    def _lines(self, block: Block) -> Iterator[str]:
        match block:
            case Heading(text):
                yield for_encoding(text)
                yield "=" * len(text)
            case Paragraph(text):
                yield from _wrap(text, self._width)
            case Ledger():
                yield from self._ledger_lines(block)
            case Grid(header, rows):
                yield from _grid_lines(header, rows)
            case Pairs(rows):
                yield from self._pair_lines(rows)
            case Picture(text):
                yield from draw(text, self._width)

    def _ledger_lines(self, ledger: Ledger) -> Iterator[str]:
        yield from _wrap(ledger.title, self._width)
        sign = for_encoding("✓" if ledger.good else " ")
        label_width = max(len(label) for label, _ in ledger.rows)
        for label, text in ledger.rows:
            start = f"{sign} {label:<{label_width}}  "
            for line in _wrap(text, self._width - len(start)):
                yield start + line
                start = " " * len(start)

    def _pair_lines(self, rows: Sequence[Row]) -> Iterator[str]:
        right_width = self._width - LEFT_WIDTH - 3
        bar = for_encoding("│")
        yield f"{'THE BACK END SAW':<{LEFT_WIDTH}} {bar} THE PERSON SAW"
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
