# SPDX-License-Identifier: Apache-2.0
"""Runs rounds: in each, every contestant does every row once, one contestant after the other.

Rules:
- Within a row the contestants take turns, so that what the machine does meanwhile meets all of
  them; the first one is another in each round.
- A first round is thrown away: it fills caches, and lets the compiler of Node see the code.
- Every sample prepares its own sessions and stores; a round leaves nothing to the next.
- A contestant that fails at a row gets no figure there, and the reason is kept.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.contestants.imports import time_import
from benchmarks.contestants.scratch import SCRATCH
from benchmarks.engine import Engine, EngineFailed
from benchmarks.job import Job
from benchmarks.progress import Progress
from benchmarks.registry import Contestant
from benchmarks.rows import Row

__all__ = ["Measured", "Missing", "run_rounds"]


@dataclass(frozen=True, slots=True)
class Missing:
    """A contestant that is not there."""

    name: str
    reason: str
    install: str


@dataclass(slots=True)
class Measured:
    """What a run brought.

    Attributes:
        cells: by row and contestant, a list of rounds, each a list of blocks.
        versions: by contestant, of what it consists of.
        missing: contestants that are not there.
        failed: by row and contestant, why there is no figure.
    """

    cells: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    versions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)


def run_rounds(
    rows: Sequence[Row],
    contestants: Sequence[Contestant],
    rounds: int,
    progress: Progress,
    *,
    is_quick: bool,
) -> Measured:
    """Measure every row of every contestant that is there, in that many rounds and one before."""
    measured = Measured()
    with ExitStack() as cleanup:
        os.environ[SCRATCH] = cleanup.enter_context(tempfile.TemporaryDirectory())
        present = _start(contestants, measured, cleanup)
        turns = [[entry for entry in present if _can(*entry, row)] for row in rows]
        progress.begin(sum(map(len, turns)) * (rounds + 1))
        for number in range(rounds + 1):
            for row, turn in zip(rows, turns, strict=True):
                if number > row.rounds:
                    progress.skip(len(turn))
                    continue
                first = number % max(len(turn), 1)
                for contestant, engine in (*turn[first:], *turn[:first]):
                    progress.step(f"round {number} of {rounds}", row.name, contestant.title)
                    _take(measured, row, contestant, engine, is_quick, is_kept=number > 0)
    return measured


def _start(
    contestants: Sequence[Contestant], measured: Measured, cleanup: ExitStack
) -> list[tuple[Contestant, Engine]]:
    present = []
    for contestant in contestants:
        try:
            engine = contestant.start()
        except EngineFailed as error:
            measured.missing.append(Missing(contestant.name, str(error), contestant.install))
            continue
        cleanup.callback(engine.close)
        measured.versions[contestant.name] = engine.versions
        present.append((contestant, engine))
    return present


def _can(contestant: Contestant, engine: Engine, row: Row) -> bool:
    if row.operation == "import":
        return contestant.import_command is not None
    return row.operation in engine.operations


def _take(
    measured: Measured,
    row: Row,
    contestant: Contestant,
    engine: Engine,
    is_quick: bool,
    *,
    is_kept: bool,
) -> None:
    """Take one sample, unless an earlier one has failed."""
    if contestant.name in measured.failed.get(row.name, {}) or (row.is_fresh and not is_kept):
        return
    try:
        blocks = _sample(row, contestant, engine, row.job(is_quick=is_quick, pace=contestant.pace))
    except (EngineFailed, OSError, subprocess.CalledProcessError) as error:
        measured.failed.setdefault(row.name, {})[contestant.name] = str(error)
        measured.cells.get(row.name, {}).pop(contestant.name, None)
        return
    if is_kept:
        measured.cells.setdefault(row.name, {}).setdefault(contestant.name, []).append(blocks)


def _sample(row: Row, contestant: Contestant, engine: Engine, job: Job) -> list[float]:
    if contestant.import_command is not None and row.operation == "import":
        return [time_import(contestant.import_command())]
    if not row.is_fresh:
        return engine.sample(job)
    fresh = contestant.start_fresh()
    try:
        return fresh.sample(job)
    finally:
        fresh.close()
