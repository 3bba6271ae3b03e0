# SPDX-License-Identifier: Apache-2.0
"""Shows that a test stands behind each rule: breaks copies of the package, and demands a failure.

    python .ci/broken_copies.py            every break of broken_copies.toml
    python .ci/broken_copies.py D H        those of two rules, while one is written

Rules:
- The tests that are named pass on a copy that is not broken, none of them skipped; else nothing
  else is said.
- A break replaces one text, which stands in its file exactly once. In a copy that has this break
  alone each of its tests has to fail: in its own body, with an assertion or an error of the
  package. A copy that cannot be imported or names what there is not shows nothing, nor does a test
  that was not run or takes too long.
- The exit code is 0 only when each rule has a break, and every break was caught: 1 if one was not,
  2 if it could not be tried.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE: Final = Path(__file__).with_suffix(".toml")
RULES: Final = {
    "A": "what fails for one delays that one alone",
    "B": "what `send` was given arrives once, or the app is told",
    "C": "a back end that was put back hides no message",
    "D": "an exception at any instruction leaves everything right",
    "E": "history is claimed only of what is authentic",
    "F": "a time after now counts as now",
    "G": "numbers of the back end change nothing without a bound",
    "H": "an older state under an open store is noticed each time",
    "I": "a text names a user, an address the account of its device",
    "J": "a message id belongs to its recipient and content",
    "K": "a call costs what it works on",
    "L": "requests are asked for by nobody, and share nothing",
    "M": "moving an identity ends the old installation",
    "N": "a restore is done once",
    "O": "one base key, one session",
    "P": "`confirm` closes what is of its own inbox",
    "Q": "no secret in the locals of an error",
    "R": "an error names its cause; no command ends with a traceback",
    "S": "what is saved because only we write is right",
    "T": "the list of an account's devices is what its device 1 signs, and knows to be the newest",
    "U": "who the newest list of an account has not, by number and key, is nobody of it",
    "V": "what belonged to another device or key is used for nobody",
    "W": "a hint is no evidence, and nobody makes a client answer",
    "X": "what clients tell each other counts only from who may",
    "Y": "who may not act on a message changes nothing of a conversation",
    "Z": "what protects somebody is obeyed by every device, or nothing is sent",
    "AF": "of a file nothing comes out but what its message names",
    "AG": "an upload goes on where it stood, and a blob goes with the last message that carries it",
    "SK": "a sender key reads each message once, and sends none twice",
    "AA": "who has no power in a group changes nothing of it, whatever is signed, and when",
    "GM": "who is out feeds nobody commits, and what others sign of groups is bounded",
    "GC": "what is sent into groups reaches each device once, and signals go where they are wanted",
    "NET": "a service is as good as a relay, and what stands in its place gains nothing",
    "FS": "many workers send in order, and each what another has left; one id is one message",
    "FR": "a customer is with one worker at a time, and comes to another when that is gone",
    "FE": "each stripe is held against what left it, and no worker sleeps through a restore",
    "CO": "no more is sent than was consented to, and nothing after it was taken back",
    "EX": "who examines a store in a database changes nothing, misses nothing and shows nothing",
}
_COPIED: Final = ("e2ecross", "tests", "pyproject.toml")
_SECONDS: Final = 180
_NOTHING_SHOWN: Final = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError")
"""What a break raises that is no program any more, rather than one that does the wrong thing."""


@dataclass(frozen=True, slots=True)
class Break:
    """One row of the table.

    Attributes:
        rule: its letter.
        what: the break in a few words.
        file: of the package, from the root.
        old: what stands there, exactly once.
        new: what is put there.
        tests: nodes of pytest; each has to fail.
    """

    rule: str
    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one test, all its examples together.

    Attributes:
        ran: how many of them.
        failures: what those raised that failed in the test itself.
        trouble: what else there was: an error outside of the body, a skip.
    """

    ran: int
    failures: tuple[str, ...]
    trouble: tuple[str, ...]


def read_table() -> list[Break]:
    """Read the breaks; whatever is wrong with the table ends the program."""
    rows = tomllib.loads(TABLE.read_text("utf-8"))["break"]
    breaks = [Break(**{**row, "tests": tuple(row["tests"])}) for row in rows]
    for one in breaks:
        found = (ROOT / one.file).read_text("utf-8").count(one.old)
        if found != 1:
            _stop(f"{one.rule}, {one.what}: the text stands in {one.file} {found} times, not once")
        if one.rule not in RULES or one.old == one.new or not one.tests:
            _stop(
                f"{one.rule}, {one.what}: no such rule, or nothing is broken, or no test is named"
            )
        if not one.file.startswith("e2ecross/"):
            _stop(f"{one.rule}, {one.what}: {one.file} is not of the package")
    lacking = [rule for rule in RULES if all(one.rule != rule for one in breaks)]
    if lacking:
        _stop(f"no break for the rules {', '.join(lacking)}")
    if len({(one.rule, one.what) for one in breaks}) != len(breaks):
        _stop("two breaks have one name")
    return breaks


class Copy:
    """A copy of the package and its tests, to be broken and mended again."""

    def __init__(self, folder: Path) -> None:
        """Make it, in a folder that is not there yet."""
        self.folder = folder
        folder.mkdir()
        leave = shutil.ignore_patterns("__pycache__", "node_modules", ".venv*", ".hypothesis")
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=leave)
            else:
                shutil.copy2(source, folder / name)

    def write(self, file: str, text: str) -> None:
        """Replace a file, and what Python has kept of it: that is told by its second alone."""
        path = self.folder / file
        path.write_text(text, "utf-8")
        for kept in self.folder.rglob(f"{path.stem}.*.pyc"):
            kept.unlink()

    def run(self, tests: Sequence[str]) -> tuple[int, dict[str, Result]]:
        """Run tests; returns the exit code of pytest, and what became of each."""
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
        command += ["--tb=line", f"--junitxml={report}", *tests]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        try:
            done = subprocess.run(  # noqa: S603 - what is in the table
                command,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                timeout=_SECONDS * (1 if len(tests) < 10 else 10),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -1, {}
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314
        return done.returncode, {test: _result(test, cases) for test in tests}

    def try_break(self, one: Break) -> tuple[str, str]:
        """Return what was raised where the break was caught, or else nothing and why it was not."""
        text = (self.folder / one.file).read_text("utf-8")
        self.write(one.file, text.replace(one.old, one.new))
        try:
            code, results = self.run(one.tests)
        finally:
            self.write(one.file, text)
        if code != 1:
            return "", {0: "all passed", -1: "took too long"}.get(code, f"pytest ended with {code}")
        raised: list[str] = []
        for test, result in results.items():
            if result.trouble:
                return "", f"{_name(test)}: {result.trouble[0]}"
            if not result.failures:
                return "", f"{_name(test)} passed"
            raised.append(result.failures[0])
        for error in raised:
            if error in _NOTHING_SHOWN:
                return "", f"the copy is no program any more: {error}"
        return ", ".join(dict.fromkeys(raised)), ""


def _result(test: str, cases: Sequence[ET.Element]) -> Result:
    path, _, name = test.partition("::")
    module = path.removesuffix(".py").replace("/", ".")
    wanted = ".".join((module, *name.split("::")))
    ran, failures, trouble = 0, list[str](), list[str]()
    for case in cases:
        found = f"{case.get('classname')}.{case.get('name')}"
        if found != wanted and not found.startswith(f"{wanted}["):
            continue
        ran += 1
        for child in case:
            message = child.get("message") or ""
            if child.tag == "failure":
                failures.append(_error_in(message))
            elif child.tag in ("error", "skipped"):
                trouble.append(f"{child.tag}: {message[:80]}")
    return Result(ran, tuple(failures), tuple(trouble))


def _error_in(message: str) -> str:
    """The name of the error that a message begins with; an assertion alone has none."""
    found = re.match(r"(?:\w+\.)*(\w+)(?::|$)", message)
    return found[1] if found else "AssertionError"


def check_whole(copy: Copy, breaks: Sequence[Break]) -> None:
    """Make sure that all named tests pass where nothing is broken."""
    shown = subprocess.run(
        [sys.executable, "-c", "import e2ecross; print(e2ecross.__file__)"],
        cwd=copy.folder,
        env={**os.environ, "PYTHONPATH": str(copy.folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    if not Path(shown.stdout.strip()).is_relative_to(copy.folder):
        _stop(f"not the copy is imported but {shown.stdout.strip()}")
    tests = list(dict.fromkeys(test for one in breaks for test in one.tests))
    code, results = copy.run(tests)
    for test, result in results.items():
        if not result.ran or result.failures or result.trouble:
            why = (*result.failures, *result.trouble, "was not run")[0]
            _stop(f"{test} does not pass on a copy that is not broken: {why}")
    if code != 0 or len(results) != len(tests):
        _stop(f"the tests do not pass on a copy that is not broken: pytest ended with {code}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Break copies of the package; tests have to fail.")
    parser.add_argument("rules", nargs="*", help="letters; by default all of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="copies at once")
    arguments = parser.parse_args()
    breaks = read_table()
    if unknown := [rule for rule in arguments.rules if rule not in RULES]:
        parser.error(f"no such rule: {', '.join(unknown)}")
    tried = [one for one in breaks if not arguments.rules or one.rule in arguments.rules]
    with tempfile.TemporaryDirectory(prefix="broken-copies-") as name:
        jobs = max(1, min(arguments.jobs, len(tried)))
        copies = SimpleQueue[Copy]()
        for number in range(jobs):
            copies.put(Copy(Path(name).resolve() / str(number)))
        whole = copies.get()
        check_whole(whole, tried)
        copies.put(whole)

        def attempt(one: Break) -> tuple[str, str]:
            copy = copies.get()
            try:
                return copy.try_break(one)
            finally:
                copies.put(copy)

        missed = Counter[str]()
        with ThreadPoolExecutor(jobs) as pool:
            for one, (raised, why) in zip(tried, pool.map(attempt, tried), strict=True):
                missed[one.rule] += not raised
                said = f"caught: {raised}" if raised else f"NOT CAUGHT: {why}"
                tests = ", ".join(_name(test) for test in one.tests)
                print(f"{one.rule} | {one.what} | {tests} | {said}", flush=True)
    counts = Counter(one.rule for one in tried)
    for rule, count in sorted(counts.items()):
        print(f"{rule} | {RULES[rule]} | {count} breaks, {count - missed[rule]} caught")
    lost = missed.total()
    print(f"{len(tried)} breaks, {len(tried) - lost} caught, {lost} not caught", end="")
    print("" if len(tried) == len(breaks) else f"; {len(breaks)} are in the table")
    return 1 if lost else 0


def _name(test: str) -> str:
    return test.rpartition("::")[2]


def _stop(why: str) -> NoReturn:
    print(f"broken_copies: {why}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
