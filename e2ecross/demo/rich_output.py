# SPDX-License-Identifier: Apache-2.0
"""The demo in colour, with `rich`; imported only if somebody wants that."""

from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from e2ecross.demo.blocks import Block, Grid, Heading, Ledger, Pairs, Paragraph, Picture, Row
from e2ecross.demo.output import LEFT_WIDTH, MAX_WIDTH, TextOutput, for_encoding
from e2ecross.demo.people import ANA, BUDI, TOKO
from e2ecross.demo.picture import draw

__all__ = ["RichOutput"]

_COLOURS: Final = {ANA.user: "green", BUDI.user: "magenta", TOKO.user: "yellow"}


class RichOutput(TextOutput):
    """Colours and tables, as wide as the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._console.width = min(self._console.width, MAX_WIDTH)

    def print_line(self, text: str) -> None:
        """Print a line."""
        self._console.print(_text(text))

    def paint(self, block: Block) -> None:
        """Print a block."""
        match block:
            case Heading(text):
                self._console.print(Rule(_text(text, "bold cyan"), align="left", style="cyan"))
            case Paragraph(text):
                self._console.print(Padding(_text(text), (0, 0, 1, 0)))
            case Ledger(title):
                self._console.print(_text(title))
                self._console.print(_ledger(block))
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


def _ledger(ledger: Ledger) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()  # it wraps where both do not fit: what came of it is not left out
    table.add_column()
    for label, text in ledger.rows:
        sign = _text("✓ " if ledger.good else "  ", "bold green")
        table.add_row(Text.assemble(sign, _text(label, "bold" if ledger.good else "")), _text(text))
    return table


def _pairs(rows: tuple[Row, ...]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim", expand=True)
    table.add_column("the back end saw", width=LEFT_WIDTH)
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
