# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks`: measures, prints the table, writes results and plots."""

import argparse
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from fnmatch import filter as matching
from pathlib import Path
from typing import Final

from benchmarks.document import write_documents
from benchmarks.machine import describe_machine
from benchmarks.plots import write_plots
from benchmarks.progress import Progress
from benchmarks.registry import CONTESTANTS
from benchmarks.report import report
from benchmarks.results import Results, load, save
from benchmarks.rows import ROWS
from benchmarks.runner import run_rounds

__all__ = ["main", "parse"]

_FOLDER: Final = Path(__file__).parent / "results"
_FULL: Final = _FOLDER / "full.json"
_ROUNDS: Final = 10
_QUICK_ROUNDS: Final = 2
_PIPE_WIDTH: Final = 250  # where there is no terminal the table stays in one piece


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    given = parse(arguments)
    if given.list:
        print(_listing())
        return 0
    if given.write_docs:
        write_documents(load(_FULL))
        return 0
    results = _run(given)
    path = given.results or _default_path(given)
    save(results, path)
    write_plots(results, path.with_suffix(""))
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else _PIPE_WIDTH
    print(report(results, width))
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line; it ends the process if it makes no sense.

    Rows and columns may be given as patterns of the shell; what comes back are their names.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="ROW and COLUMN are names, or patterns of the shell such as client-*.",
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: under a minute")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="these rows alone")
    parser.add_argument("--without", nargs="+", metavar="ROW", default=[], help="not these rows")
    parser.add_argument("--columns", nargs="+", metavar="COLUMN", help="these columns alone")
    parser.add_argument("--rounds", type=int, help=f"default: {_ROUNDS}, quick {_QUICK_ROUNDS}")
    parser.add_argument("--results", type=Path, metavar="FILE", help="where the samples go")
    parser.add_argument("--list", action="store_true", help="name rows and columns, and end")
    parser.add_argument(
        "--write-docs", action="store_true", help="write the last full run into docs/, and end"
    )
    given = parser.parse_args(arguments)
    rows, columns = [row.name for row in ROWS], [one.name for one in CONTESTANTS]
    for option, known in (("only", rows), ("without", rows), ("columns", columns)):
        patterns = getattr(given, option)
        if patterns is not None:
            setattr(given, option, _names(parser, patterns, known))
    return given


def _names(
    parser: argparse.ArgumentParser, patterns: Sequence[str], known: Collection[str]
) -> set[str]:
    """What the patterns mean; each of them has to mean something."""
    found = {pattern: matching(known, pattern) for pattern in patterns}
    unknown = [pattern for pattern, names in found.items() if not names]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}: see --list")
    return {name for names in found.values() for name in names}


def _run(given: argparse.Namespace) -> Results:
    rows = [row for row in ROWS if given.only is None or row.name in given.only]
    rows = [row for row in rows if row.name not in given.without]
    if given.quick and given.only is None:
        rows = [row for row in rows if row.quick is not None]
    columns = [one for one in CONTESTANTS if given.columns is None or one.name in given.columns]
    rounds = given.rounds or (_QUICK_ROUNDS if given.quick else _ROUNDS)
    began_at_load = _load()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    progress = Progress()
    measured = run_rounds(rows, columns, rounds, progress, is_quick=given.quick)
    progress.end()
    load_average = f"{began_at_load} when it began, {_load()} when it ended"
    machine = {**describe_machine(), "load average": load_average}
    return Results(given.quick, _is_partial(given), rounds, started, machine, measured)


def _is_partial(given: argparse.Namespace) -> bool:
    """Whether rows or columns are left out on purpose."""
    return given.only is not None or given.columns is not None or bool(given.without)


def _load() -> str:
    """How busy the machine was in the last minute: at best nothing else was."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _default_path(given: argparse.Namespace) -> Path:
    """A run of some rows or columns must not pass for a whole one."""
    if _is_partial(given):
        return _FOLDER / "part.json"
    return _FOLDER / "quick.json" if given.quick else _FULL


def _listing() -> str:
    lines = ["rows:"]
    lines += [f"  {row.name:23}{row.full_title(is_quick=False)}" for row in ROWS]
    lines += ["columns:"]
    lines += [f"  {one.name:23}{one.title}" for one in CONTESTANTS]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
