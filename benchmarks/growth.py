# SPDX-License-Identifier: Apache-2.0
"""Growth curves: what an operation takes as something grows, by what it takes without it."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.figures import Ratio, ratio_of
from benchmarks.results import Results

__all__ = ["CURVES", "LIMIT", "Curve", "Growth", "grow"]

LIMIT: Final = 1.25
"""What is aimed at: no more than that."""


class Curve(NamedTuple):
    """Rows that differ in how much of something there is.

    Attributes:
        title: what is done, and what grows.
        columns: over which stores.
        rows: of the table, by how much there is; the first is what others are held against.
    """

    title: str
    columns: Sequence[str]
    rows: Mapping[str, str]


CURVES: Final = (
    Curve(
        "decrypt, by stored skipped keys",
        ("device", "sealed"),
        {"0": "skipped-0", "100": "skipped-100", "2,000": "skipped-2000"},
    ),
    Curve(
        "decrypt, by archived sessions",
        ("device", "sealed"),
        {"0": "decrypt-100", "10": "decrypt-archived-10", "40": "decrypt-archived"},
    ),
    Curve(
        "encrypt, by sessions in the store",
        ("sealed",),
        {
            "1": "encrypt-100",
            "1,000": "encrypt-store-1k",
            "30,000": "encrypt-store-30k",
            "1,000,000": "encrypt-store",
        },
    ),
    Curve(
        "relay: fetch one, by waiting messages",
        ("device",),
        {"0": "fetch-0", "10,000": "fetch-10k", "100,000": "fetch-100k"},
    ),
)


class Growth(NamedTuple):
    """A curve of one column.

    Attributes:
        curve: which one.
        column: over which store.
        ratios: by how much there is, as far as it was measured.
    """

    curve: Curve
    column: str
    ratios: Mapping[str, Ratio]


def grow(results: Results) -> list[Growth]:
    """Every curve of the run that has more than its first point."""
    made = [Growth(c, column, _ratios(results, c, column)) for c in CURVES for column in c.columns]
    return [growth for growth in made if len(growth.ratios) > 1]


def _ratios(results: Results, curve: Curve, column: str) -> dict[str, Ratio]:
    cells = {label: results.cell(row, column) for label, row in curve.rows.items()}
    first = next(iter(cells.values()))
    if first is None:
        return {}
    ratios = {label: ratio_of(cell, first) for label, cell in cells.items() if cell is not None}
    return {label: ratio for label, ratio in ratios.items() if ratio is not None}
