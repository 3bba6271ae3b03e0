# SPDX-License-Identifier: Apache-2.0
"""The commands of CONTRIBUTING.md: search with `atheris`, and keep what was found in the corpus.

    python -m tests.fuzz.run list
    python -m tests.fuzz.run search --seconds 120              each target, one after the other
    python -m tests.fuzz.run search --jobs 2                   or two at once
    python -m tests.fuzz.run search --seconds 600 decrypt script
    python -m tests.fuzz.run keep                              the least that reaches the same code
    python -m tests.fuzz.run replay decrypt .fuzz/findings/decrypt-crash-0123...

What a search collects is in `.fuzz/`, findings in `.fuzz/findings/`. Only `search` needs `atheris`.
"""

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / ".fuzz"
FINDINGS: Final = WORK / "findings"
FOUND: Final = "found-"
"""Of what made a target raise, in the corpus."""
_PACKAGE: Final = str(ROOT / "e2ecross") + os.sep


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exit when it asks for something that there is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("command", choices=("list", "search", "keep", "replay"))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="searches at once (default: 1)")
    parser.add_argument("names", nargs="*", help="targets, by default all; replay: one, then files")
    options = parser.parse_intermixed_args(arguments)
    from tests.fuzz.targets import TARGETS

    names = options.names[:1] if options.command == "replay" else options.names
    unknown = set(names) - set(TARGETS)
    if unknown or (options.command == "replay" and not names):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; see list")
    return options


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says."""
    if arguments[:1] == ["search"]:  # before anything imports the package
        _instrument()
    options = parse(arguments)
    from tests.fuzz.targets import TARGETS

    if options.command == "list":
        print("\n".join(TARGETS))
        return 0
    if options.command == "replay":
        name, *files = options.names
        for file in files:
            print(file, TARGETS[name].run(Path(file).read_bytes()))
        return 0
    names = options.names or list(TARGETS)
    if options.command == "search":
        return _search(names, options.seconds, options.jobs)
    for name in names:
        _keep(name)
    return 0


# --- Search ---------------------------------------------------------------------------------


def _instrument() -> None:
    """Import the package so that a search sees which ways it goes; that takes ten seconds, once."""
    if Path("/dev/shm").is_dir():  # noqa: S108  # files of a moment need no disk
        os.environ.setdefault("TMPDIR", "/dev/shm")  # noqa: S108
    import atheris

    # A wide net: what is instrumented is what coverage guides by.
    with atheris.instrument_imports(include=["e2ecross"]):
        import tests.fuzz.targets  # noqa: F401


def _search(names: Iterable[str], seconds: int, jobs: int) -> int:
    """Search each in a process of its own: libFuzzer never returns."""
    left, running, worst = list(names), dict[int, str](), 0
    while left or running:
        while left and len(running) < jobs:
            name = left.pop(0)
            pid = os.fork()
            if not pid:
                _search_here(name, seconds)
            running[pid] = name
        pid, status = os.wait()
        worst = max(worst, _report(running.pop(pid), os.waitstatus_to_exitcode(status)))
    return worst


def _report(name: str, code: int) -> int:
    """Tell what a search has done; 1 if it has found something."""
    log = WORK.joinpath(f"{name}.log").read_text("utf-8", "replace")
    executed = re.findall(r"(?:stat::number_of_executed_units:|Done)\s*(\d+)", log)
    collected = len(list(WORK.joinpath(name).iterdir()))
    found = "FINDING, see .fuzz/findings" if code else "no finding"
    print(f"{name}: {executed[-1] if executed else '?'} executions, {collected} collected, {found}")
    sys.stdout.flush()
    return 1 if code else 0


def _search_here(name: str, seconds: int) -> NoReturn:
    import atheris

    from tests.fuzz.targets import CORPUS, TARGETS

    target = TARGETS[name]
    folder = WORK / name
    for path in (folder, FINDINGS):
        path.mkdir(parents=True, exist_ok=True)
    log = os.open(WORK / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    seeds = CORPUS / name
    for seed in target.seeds():
        folder.joinpath(hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)

    def one_input(data: bytes) -> None:
        target.run(data)

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.max_bytes}",
        f"-artifact_prefix={FINDINGS}/{name}-",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    folders = [str(folder), *([str(seeds)] if seeds.is_dir() else [])]
    atheris.Setup([sys.argv[0], *options, *folders], one_input)
    atheris.Fuzz()
    os._exit(70)  # not reached: it ends the process


# --- Keep -----------------------------------------------------------------------------------


def _keep(name: str) -> None:
    """Write into `tests/corpus/` the smallest inputs that reach all that the collected ones do.

    What is named `found-…` there stays: the mended code may take the same way with other inputs.
    """
    from tests.fuzz.targets import CORPUS, TARGETS

    target = TARGETS[name]
    folder = CORPUS / name
    inputs = {bytes(seed) for seed in target.seeds()}
    for place in (folder, WORK / name):
        inputs |= {path.read_bytes() for path in place.glob("*")}
    kept = smallest(target.run, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    names = {hashlib.sha256(data).hexdigest()[:16]: data for data in kept}
    for path in folder.iterdir():
        if path.name not in names and not path.name.startswith(FOUND):
            path.unlink()
    for file, data in names.items():
        folder.joinpath(file).write_bytes(data)
    print(f"{name}: {len(inputs)} collected, {len(names)} kept, {sum(map(len, kept))} bytes")


def smallest(run: Callable[[bytes], str], inputs: Iterable[bytes]) -> list[bytes]:
    """The smaller inputs that reach, together, all that all of them reach."""
    reached: set[object] = set()
    kept = []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        new = set(reaches(run, data)) - reached
        if new:
            reached |= new
            kept.append(data)
    return kept


def reaches(run: Callable[[bytes], str], data: bytes) -> Iterator[object]:
    """Every step from line to line of the package, and what came of it."""
    steps: set[object] = set()

    def trace(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return None
        last = [0]

        def line(frame: FrameType, event: str, argument: object) -> Any:  # noqa: ANN401
            steps.add((code.co_filename, last[0], frame.f_lineno))
            last[0] = frame.f_lineno
            return line

        return line

    before = sys.gettrace()  # of whoever measures the coverage of the suite
    sys.settrace(trace)
    try:
        came = run(data)
    finally:
        sys.settrace(before)
    yield from steps
    yield came


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
