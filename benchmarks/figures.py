# SPDX-License-Identifier: Apache-2.0
"""Figures from samples: medians, spread, and ratios with an interval.

Rules:
- A cell of the table is a list of rounds, each a list of blocks. A round counts with the median
  of its blocks, a cell with the median of its rounds.
- Both sides of a ratio are taken from the same rounds, in which they saw the same machine: the
  bootstrap draws rounds, not samples of either side.
- The bootstrap is seeded: the same samples give the same interval.
"""

from collections.abc import Sequence
from itertools import chain
from random import Random
from statistics import median, quantiles
from typing import Final, NamedTuple

__all__ = ["Cell", "Figure", "Ratio", "figure_of", "ratio_of"]

Cell = Sequence[Sequence[float]]
"""Rounds of blocks; seconds or bytes."""

_DRAWS: Final = 1_000
_OUTSIDE: Final = 0.025  # on each side of an interval of 95 %
_SEED: Final = 4


class Figure(NamedTuple):
    """A median, and the quartiles of all blocks around it."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """The distance between the quartiles, as a part of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


class Ratio(NamedTuple):
    """A ratio of medians, and the interval that holds it with a confidence of 95 %."""

    value: float
    low: float
    high: float


def figure_of(cell: Cell) -> Figure:
    """The figure of a cell; it has at least one block."""
    blocks = list(chain.from_iterable(cell))
    low, _, high = quantiles(blocks, n=4, method="inclusive") if len(blocks) > 1 else 3 * blocks
    return Figure(median(map(median, cell)), low, high)


def ratio_of(measured: Cell, *references: Cell) -> Ratio | None:
    """A cell by the sum of others of the same rounds; None if that sum is not positive."""
    sides = [[median(blocks) for blocks in cell] for cell in (measured, *references)]
    rounds = min(map(len, sides))
    value = _ratio(sides, range(rounds))
    if value is None:
        return None
    random = Random(_SEED)  # noqa: S311 - statistics
    drawn = [_ratio(sides, random.choices(range(rounds), k=rounds)) for _ in range(_DRAWS)]
    ratios = sorted(ratio for ratio in drawn if ratio is not None)
    outside = int(_OUTSIDE * len(ratios))
    return Ratio(value, ratios[outside], ratios[-1 - outside])


def _ratio(sides: Sequence[Sequence[float]], rounds: Sequence[int]) -> float | None:
    measured, *references = (median([side[i] for i in rounds]) for side in sides)
    reference = sum(references)
    return measured / reference if reference > 0 else None
