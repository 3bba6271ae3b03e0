# SPDX-License-Identifier: Apache-2.0
"""The demo in colour, with `rich`; imported only if somebody wants that."""

from pathlib import Path
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from e2ecross.demo.blocks import Block, Grid, Heading, Pairs, Paragraph, Picture, Row, Ticks
from e2ecross.demo.output import LEFT_WIDTH, MAX_WIDTH, Progress, for_encoding
from e2ecross.demo.people import ANA, BUDI, TOKO
from e2ecross.demo.picture import draw
from e2ecross.demo.scene import Scene
from e2ecross.demo.words import opening, tell

__all__ = ["RichOutput"]

_COLOURS: Final = {ANA.user: "green", BUDI.user: "magenta", TOKO.user: "yellow"}


class RichOutput:
    """Colours and tables, as wide as the terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._console.width = min(self._console.width, MAX_WIDTH)
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
        match block:
            case Heading(text):
                self._console.print(Rule(_text(text, "bold cyan"), align="left", style="cyan"))
            case Paragraph(text):
                self._console.print(Padding(_text(text), (0, 0, 1, 0)))
            case Ticks(lines):
                for line in lines:
                    self._console.print(Text.assemble(_text("✓ ", "bold green"), _text(line)))
                self._console.print()
            case Grid(header, rows):
                self._console.print(_grid(header, rows))
                self._console.print()
            case Pairs(rows):
                self._console.print(_pairs(rows))
                self._console.print()
            case Picture(text):
                for line in draw(text, self._console.width):
                    self._console.print(Text(line, "bright_white on black"))
                self._console.print()


def _grid(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for title in header:
        table.add_column(_text(title), no_wrap=True)
    tall = any("\n" in cell for row in rows for cell in row)
    for number, row in enumerate(rows):
        if tall and number:
            table.add_row()
        table.add_row(*(_text(cell) for cell in row))
    return table


def _pairs(rows: tuple[Row, ...]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", expand=True)
    table.add_column("the relay saw", width=LEFT_WIDTH)
    table.add_column("the person saw", ratio=1)
    for number, row in enumerate(rows):
        if number:
            table.add_row()
        table.add_row(_left(row), _right(row))
    return table


def _left(row: Row) -> Text:
    addresses, *seen = row.left[:3]
    left = _text(addresses)
    for line in seen:
        left.append("\n").append_text(_text(line, "dim"))
    for note in row.left[3:]:
        left.append("\n").append_text(_text(note, "red" if row.refused else "green"))
    return left


def _right(row: Row) -> Text:
    style = "bold red" if row.refused else f"bold {_COLOURS[row.person.user]}"
    return _text(row.head, style).append("\n").append_text(_text(row.body))


def _text(text: str, style: str = "") -> Text:
    return Text(for_encoding(text), style)
