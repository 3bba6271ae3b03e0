# SPDX-License-Identifier: Apache-2.0
"""A long life, simulated: two accounts with three devices each, a group of 50, and years.

    python -m tests.simulation.long_life --messages 100000 --seed 1

Real clients on real files write to each other through a real relay; only the clock is not. Devices
are switched off for days and weeks, restarted, linked and unlinked; phones are lost, with a backup
of their identity and without; stores are put back to older copies; the back end is not always
reached. All follows from the seed, but for what the library encapsulates, which changes nothing in
the course. With `--interrupts 0.5` a signal comes at a random moment of half of all calls, and they
are called again: such a life is another one each time.

What has to hold is asserted as it happens, and of each message when all must be told of it
(`ledger.py`); the bounds of the documents every 30 days (`store_bounds.py`, `relay_bounds.py`). Ten
times in the life a line tells how large the files are, and how many rows of which kinds there are.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

from tests.simulation.long_life.watch import HEAD, Watch
from tests.simulation.long_life.world import World, days_of

__all__ = ["main", "parse", "simulate"]

_CHECKED_EVERY: Final = 30
_LINES: Final = 10
_WIDTH: Final = 10


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.long_life")
    parser.add_argument("--messages", type=int, default=100_000, help="how many: 100,000")
    parser.add_argument("--days", type=int, default=3 * 365, help="simulated: three years")
    parser.add_argument("--members", type=int, default=50, help="accounts in the group: 50")
    parser.add_argument("--seed", type=int, default=1, help="of all that happens")
    parser.add_argument("--interrupts", type=float, default=0, help="which share of all calls: 0")
    shm = Path("/dev/shm")  # noqa: S108 - only where temporary files are made
    folder = shm if shm.is_dir() else None
    parser.add_argument("--folder", type=Path, default=folder, help="for the files: in memory")
    given = parser.parse_args(arguments)
    if given.members < 4 or given.days < _LINES or given.messages < 1:
        parser.error("at least 4 members, 10 days and a message")
    return given


def simulate(given: argparse.Namespace) -> World:
    """Let it all happen; returns the world, closed.

    Raises:
        AssertionError: something does not hold; the seed, the day and the message are told.
    """
    began, cpu = perf_counter(), process_time()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        world = World(given.seed, Path(folder), given.members, given.interrupts)
        watch = Watch(world, given.days)
        try:
            _tell(HEAD)
            for day, messages in enumerate(days_of(given.messages, given.days), start=1):
                world.live(messages)
                is_tenth = day * _LINES // given.days > (day - 1) * _LINES // given.days
                if is_tenth or day % _CHECKED_EVERY == 0:
                    line = watch.check()
                    if is_tenth:
                        _tell(line)
            world.finish()
            _tell(watch.check())
            watch.judge()
        except AssertionError as error:
            _tell_counts(world)
            where = f"seed {given.seed}, day {world.day}, message {world.sent}"
            raise AssertionError(f"{where}: {error}") from error
        finally:
            world.close()
    world.counts["times that all bounds were checked"] = watch.checks
    world.counts["seconds"] = round(perf_counter() - began)
    world.counts["seconds of CPU time"] = round(process_time() - cpu)
    return world


def main(arguments: Sequence[str]) -> None:
    """Simulate one life, and tell what happened in it."""
    given = parse(arguments)
    print(f"commit {_commit()}, {given.messages:,} messages in {given.days:,} days, seed", end=" ")
    print(given.seed, flush=True)
    try:
        world = simulate(given)
    except AssertionError as error:
        raise SystemExit(str(error)) from error
    _tell_counts(world)


def _tell_counts(world: World) -> None:
    for what, count in sorted(world.counts.items()):
        print(f"{count:>10,} {what}")


def _tell(cells: Sequence[object]) -> None:
    shown = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells)
    print("".join(f"{cell:>{_WIDTH}}" for cell in shown), flush=True)


def _commit() -> str:
    """What is checked out, for whoever reads the figures later."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


if __name__ == "__main__":
    main(sys.argv[1:])
