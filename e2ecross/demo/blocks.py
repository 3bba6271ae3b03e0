# SPDX-License-Identifier: Apache-2.0
"""What the demo's text is made of: blocks that a painter puts on the terminal."""

from dataclasses import dataclass

from e2ecross.demo.people import Person

__all__ = ["Block", "Grid", "Heading", "Pairs", "Paragraph", "Picture", "Row", "Ticks"]


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a scene."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text, to be wrapped."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One event in two views.

    Attributes:
        left: lines of what the relay saw or did; the last line may be wrapped.
        head: who saw it at the other end.
        body: what they saw, to be wrapped.
        person: whose screen it is.
        refused: whether it was an attack that the app refused.
    """

    left: tuple[str, ...]
    head: str
    body: str
    person: Person
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Pairs:
    """Events: what the relay saw beside what a person saw."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A small table; cells may have several lines."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Ticks:
    """Results, one per line, each of them good."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A text as a QR code, where that can be drawn."""

    text: str


Block = Heading | Paragraph | Pairs | Grid | Ticks | Picture
