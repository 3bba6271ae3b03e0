# SPDX-License-Identifier: Apache-2.0
"""Hold mutants against the tests that reach them, a fork each: CONTRIBUTING.md, "Mutate".

mutmut makes the mutants, under `mutants/`. The tests are collected once. Each mutant begins with
what killed others of its function, then come the tests of its module, then the fastest; the first
that fails ends it, and one that takes too long does when it has done so twice. Every 100th child
runs the program unchanged, and has to pass.

    python .ci/mutate.py                                  every mutant
    python .ci/mutate.py protocol.spqr --sample 200       of what is named, so many, by chance
    python .ci/mutate.py device --survivors               those once more that have survived
"""

import argparse
import contextlib
import json
import mmap
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
from mutmut.mutation import trampoline

RESULTS, REACH = Path("results.jsonl"), Path("reach.jsonl")  # within mutants/
# One above is no excuse for a missing test: these count for the mutants of these rooms alone.
UPPER = ("state", "device", "client")
LOWER_TESTS = [f"tests/{room}" for room in ("crypto", "wire", "protocol", "conversation")]
LOWER_TESTS += ["tests/properties/test_protocol_machine.py"]
UPPER_TESTS = [f"tests/{room}" for room in UPPER]
PYTEST = ["--rootdir=.", "-q", "-s", "-n=0", "--hypothesis-profile=brief", "-p", "no:cacheprovider"]
# It counts in the sources, which hold each mutant here.
PYTEST += ["--deselect=tests/device/test_expiring.py::test_no_shelf_is_forgotten_here"]
TIMERS = {signal.SIGPROF, signal.SIGALRM}
UNCHANGED_EVERY = 100
MEMORY = 4 << 30  # bytes, of a mutant that fills lists without end

Running = dict[int, tuple[str, list[str], mmap.mmap]]  # child: its mutant, tests, and where it is


def main() -> int:
    """Make the mutants, and run what is asked for; what was tried before is not tried again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wanted", nargs="*", help="packages or modules, as protocol.spqr")
    parser.add_argument("--sample", type=int, help="so many of each that is named")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--survivors", action="store_true", help="try again who has survived")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds of tests for a mutant")
    parser.add_argument("--tests", nargs="+", help="files or folders: these alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    make_mutants()
    os.chdir("mutants")
    sys.path.insert(0, os.getcwd())
    mutants = choose(options)
    tests = UPPER_TESTS if any(_is_upper(mutant) for mutant in mutants) else []
    if any(not _is_upper(mutant) for mutant in mutants) or not tests:
        tests = LOWER_TESTS + tests
    return pytest.main([*PYTEST, *(options.tests or tests)], plugins=[Run(mutants, options)])


def make_mutants() -> None:
    """Have mutmut bring `mutants/` up to date."""
    os.environ["MUTANT_UNDER_TEST"] = "mutant_generation"
    Path("mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(os.cpu_count() or 1)
    os.environ["MUTANT_UNDER_TEST"] = ""


def choose(options: argparse.Namespace) -> list[str]:
    """Name the mutants to try, in an order that mixes the modules."""
    names = [
        name
        for meta in sorted(Path("e2ecross").rglob("*.meta"))
        for name in json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
    ]
    chosen: dict[str, None] = {}
    for wanted in options.wanted or sorted({name.split(".")[1] for name in names}):
        of_wanted = [name for name in names if f"{name}.".startswith(f"e2ecross.{wanted}.")]
        count = min(options.sample or len(of_wanted), len(of_wanted))
        print(f"{wanted}: {count} of {len(of_wanted)} mutants")
        draw = random.Random(f"{options.seed} {wanted}")  # noqa: S311 - no secret
        drawn = draw.sample(of_wanted, count)
        chosen.update(dict.fromkeys(drawn))
    before = {line["mutant"]: line["outcome"] for line in _read(RESULTS)}
    if options.survivors:
        return [name for name in chosen if before.get(name) == "survived"]
    return [name for name in chosen if name not in before]


class Run:
    """A plugin of pytest: takes the place of the loop over the tests."""

    def __init__(self, mutants: list[str], options: argparse.Namespace) -> None:
        self.mutants, self.options = mutants, options
        self.seconds: dict[str, float] = {}  # of each test, of processor time
        self.reaching: dict[str, list[str]] = defaultdict(list)  # tests of each function
        self.killers: dict[str, dict[str, None]] = defaultdict(dict)  # of each function
        self.failed: set[str] = set()
        self.slow: set[str] = set()  # mutants that have taken too long once: they are tried again

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn which tests reach what, and try the mutants."""
        self.items = {item.nodeid: item for item in session.items}
        self._learn()
        for line in _read(RESULTS):
            if line["outcome"] == "killed":
                self.killers[_function(line["mutant"])][line["by"]] = None
        running: Running = {}
        for number, mutant in enumerate(self.mutants):
            tests = self._tests_of(mutant)
            for name in ("", mutant) if number % UNCHANGED_EVERY == 0 else (mutant,):
                while len(running) >= self.options.jobs:  # who was too slow is tried again
                    self._settle(running)
                self._try(name, tests, running)
        while running:
            self._settle(running)
        return True

    def _try(self, mutant: str, tests: list[str], running: Running) -> None:
        at = mmap.mmap(-1, 4)  # which test it is at; the child writes it
        running[self._fork(mutant, partial(self._run, tests, at))] = mutant, tests, at

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """End the child at the first failure; where the program is unchanged, tell of it."""
        if report.failed and os.environ["MUTANT_UNDER_TEST"] == "stats":
            print(f"{report.nodeid} fails unchanged:", report.longreprtext, sep="\n")
            self.failed.add(report.nodeid)
        elif report.failed:
            os._exit(1)

    def _learn(self) -> None:
        """Run what was never run, unchanged, and keep which functions it has reached."""
        jobs = self.options.jobs
        known = {line["test"] for line in _read(REACH)}
        unknown = [item for test, item in self.items.items() if test not in known]
        children = [
            self._fork("stats", partial(self._note_what_is_reached, unknown[first::jobs]))
            for first in range(min(jobs, len(unknown)))
        ]
        for child in children:
            if os.waitpid(child, 0)[1]:
                raise RuntimeError("tests fail unchanged: see above")
        for line in _read(REACH):
            if line["test"] in self.items:
                self.seconds[line["test"]] = line["seconds"]
                for function in line["functions"]:
                    self.reaching[function].append(line["test"])

    def _fork(self, mutant: str, work: Callable[[], None]) -> int:
        """Have a child do this, under this mutant; its status is 0 if no test fails."""
        if child := os.fork():
            return child
        try:
            os.environ["MUTANT_UNDER_TEST"] = mutant
            work()
            os._exit(0)
        except BaseException:  # nothing of a child goes on in its parent's code
            traceback.print_exc()
            os._exit(1)

    def _note_what_is_reached(self, items: list[pytest.Item]) -> None:
        reached: set[str] = set()
        trampoline.record_trampoline_hit = lambda name, caller: reached.add(name)
        with REACH.open("a", buffering=1, encoding="utf-8") as file:
            for item, following in zip(items, [*items[1:], None], strict=True):
                reached.clear()
                before = time.process_time()
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
                seconds = round(time.process_time() - before, 3)
                line = {"test": item.nodeid, "seconds": seconds, "functions": sorted(reached)}
                if item.nodeid not in self.failed:
                    file.write(json.dumps(line) + "\n")
        if self.failed:
            os._exit(1)

    def _tests_of(self, mutant: str) -> list[str]:
        function = _function(mutant)
        room, module = mutant.split(".")[1], function.split(".")[-2]
        reaching = [
            test
            for test in self.reaching[function]
            if _is_upper(mutant) or not test.startswith(tuple(UPPER_TESTS))
        ]
        mirror = f"tests/{room}/test_{module}"
        reaching.sort(key=lambda test: (not test.startswith(mirror), self.seconds[test]))
        known = [test for test in reversed(self.killers[function]) if test in self.items]
        return list(dict.fromkeys([*known, *reaching]))

    def _run(self, tests: list[str], at: mmap.mmap) -> None:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        end = time.process_time() + self.options.budget
        for number, test in enumerate(tests):
            if time.process_time() > end:
                break
            at[:] = number.to_bytes(4, "big")
            # Both kill the child: a loop without end, and a wait.
            signal.setitimer(signal.ITIMER_PROF, 2 + 8 * self.seconds[test])
            signal.setitimer(signal.ITIMER_REAL, 60 + 60 * self.seconds[test])
            following = self.items[tests[number + 1]] if number + 1 < len(tests) else None
            item = self.items[test]
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)

    def _settle(self, running: Running) -> None:
        """Wait for a child, and keep what became of its mutant."""
        child, status = os.wait()
        mutant, tests, at = running.pop(child)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # processes that its tests have left
        last = int.from_bytes(at[:], "big")
        if not mutant:
            if status:
                raise RuntimeError(f"{tests[last]} fails unchanged")
            return
        line: dict[str, Any] = {"mutant": mutant, "outcome": "survived" if tests else "no tests"}
        if status and os.WIFSIGNALED(status) and os.WTERMSIG(status) in TIMERS:
            if mutant not in self.slow:  # the machine may have been busy
                self.slow.add(mutant)
                self._try(mutant, tests, running)
                return
            line = {"mutant": mutant, "outcome": "timeout", "by": tests[last]}
        elif status:
            line = {"mutant": mutant, "outcome": "killed", "by": tests[last]}
            self.killers[_function(mutant)][tests[last]] = None
        elif last + 1 < len(tests):
            line["left"] = len(tests) - last - 1
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _is_upper(mutant: str) -> bool:
    return mutant.split(".")[1] in UPPER


def _function(mutant: str) -> str:
    return mutant.partition("__mutmut_")[0]


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
