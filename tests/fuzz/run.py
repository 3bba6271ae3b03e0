# SPDX-License-Identifier: Apache-2.0
"""The commands of CONTRIBUTING.md: search with `atheris`, and keep what was found in the corpus.

    python -m tests.fuzz.run list
    python -m tests.fuzz.run search --seconds 120              each target, one after the other
    python -m tests.fuzz.run search --seconds 600 decrypt script
    python -m tests.fuzz.run keep                              the least that reaches the same code
    python -m tests.fuzz.run replay decrypt .fuzz/findings/decrypt-crash-0123...

What a search collects is in `.fuzz/`, findings in `.fuzz/findings/`. Only `search` needs `atheris`.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
WORK: Final = ROOT / ".fuzz"
FINDINGS: Final = WORK / "findings"
_PACKAGE: Final = str(ROOT / "e2ecross") + os.sep


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exit when it asks for something that there is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run")
    parser.add_argument("command", choices=("list", "search", "one", "keep", "replay"))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("names", nargs="*", help="targets, by default all; replay: one, then files")
    options = parser.parse_intermixed_args(arguments)
    if options.command != "one":  # which instruments the package before anything imports it
        from tests.fuzz.targets import TARGETS

        names = options.names[:1] if options.command == "replay" else options.names
        unknown = set(names) - set(TARGETS)
        if unknown or (options.command == "replay" and not names):
            parser.error(f"no such target: {', '.join(sorted(unknown))}; see list")
    return options


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says."""
    options = parse(arguments)
    if options.command == "one":
        _search_here(options.names[0], options.seconds)
        return 0
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
    action = _search if options.command == "search" else _keep
    return max([action(name, options.seconds) for name in names], default=0)


# --- Search ---------------------------------------------------------------------------------


def _search(name: str, seconds: int) -> int:
    """Search in a process of its own: libFuzzer never returns."""
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    if Path("/dev/shm").is_dir():  # noqa: S108  # files of a moment need no disk
        environment.setdefault("TMPDIR", "/dev/shm")  # noqa: S108
    command = [sys.executable, "-m", "tests.fuzz.run", "one", name, "--seconds", str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    log = done.stdout + done.stderr
    WORK.mkdir(exist_ok=True)
    WORK.joinpath(f"{name}.log").write_text(log, "utf-8")
    executed = re.findall(r"(?:stat::number_of_executed_units:|Done)\s*(\d+)", log)
    collected = len(list(WORK.joinpath(name).iterdir()))
    found = "FINDING, see .fuzz/findings" if done.returncode else "no finding"
    print(f"{name}: {executed[-1] if executed else '?'} executions, {collected} collected, {found}")
    return done.returncode


def _search_here(name: str, seconds: int) -> None:
    import atheris

    # A wide net: what is instrumented is what coverage guides by.
    with atheris.instrument_imports(include=["e2ecross"]):
        from tests.fuzz.targets import CORPUS, TARGETS
    target = TARGETS[name]
    folder = WORK / name
    for path in (folder, FINDINGS):
        path.mkdir(parents=True, exist_ok=True)
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


# --- Keep -----------------------------------------------------------------------------------


def _keep(name: str, _: int) -> int:
    """Write into `tests/corpus/` the smallest inputs that reach all that the collected ones do."""
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
        if path.name not in names:
            path.unlink()
    for file, data in names.items():
        folder.joinpath(file).write_bytes(data)
    print(f"{name}: {len(inputs)} collected, {len(names)} kept, {sum(map(len, kept))} bytes")
    return 0


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
