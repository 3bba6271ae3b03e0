# SPDX-License-Identifier: Apache-2.0
"""The results of a run, and their file: all samples, so that every figure can be made again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Cell
from benchmarks.machine import PYTHON
from benchmarks.runner import Measured, Missing

__all__ = ["Results", "load", "save"]


@dataclass(frozen=True, slots=True)
class Results:
    """A run.

    Attributes:
        is_quick: whether it was a quick one.
        is_partial: whether rows or columns were left out on purpose.
        rounds: how many.
        started: when, ISO 8601, UTC.
        machine: what it ran on.
        measured: what came of it.
    """

    is_quick: bool
    is_partial: bool
    rounds: int
    started: str
    machine: Mapping[str, str]
    measured: Measured

    @property
    def kind(self) -> str:
        """Which kind of run it was."""
        extent = " of some rows" if self.is_partial else ""
        return f"{'quick' if self.is_quick else 'full'} run{extent}"

    @property
    def python(self) -> str:
        """Which build of Python the table is of."""
        return self.machine.get(PYTHON, "an unknown Python")

    def cell(self, row: str, contestant: str) -> Cell | None:
        """The samples of a cell, if there are any."""
        return self.measured.cells.get(row, {}).get(contestant)


def save(results: Results, path: Path) -> None:
    """Write a run to a file; seconds and bytes are cut to what a clock can tell."""
    data = asdict(results)
    for columns in data["measured"]["cells"].values():
        for name, rounds in columns.items():
            columns[name] = [[float(f"{value:.5g}") for value in blocks] for blocks in rounds]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def load(path: Path) -> Results:
    """Read a run from a file."""
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    measured = data.pop("measured")
    missing = [Missing(**entry) for entry in measured.pop("missing")]
    return Results(measured=Measured(missing=missing, **measured), **data)
