# SPDX-License-Identifier: Apache-2.0
"""Sum up what `.ci/mutate.py` found, per package, and show the survivors.

A mutant of wording changes nothing but a text of several words, as errors have them, and is also
counted apart: tests ask messages for facts, not for their words. Of a sample the share that is
killed is told with its 95 % interval (Wilson's).

    python .ci/mutation_report.py                 figures
    python .ci/mutation_report.py protocol        and the survivors of one package
    python .ci/mutation_report.py protocol.x3dh   or module
"""

import ast
import copy
import difflib
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MUTANTS = Path("mutants")
NORMAL_95 = 1.96


class Mutant(NamedTuple):
    """A mutant that was tried."""

    name: str
    outcome: str
    is_wording: bool
    diff: list[str]


def main() -> int:
    """Print the figures, and the survivors of what is named; 1 if there is nothing to sum up."""
    mutants = list(_mutants())
    if not mutants:
        print("there are no results: run .ci/mutate.py first")
        return 1
    made = Counter(
        name.split(".")[1]
        for meta in MUTANTS.rglob("*.meta")
        for name in json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
    )
    titles = ("made", "tried", "killed", "timeout", "survived", "no tests")
    print(f"{'':14}" + "".join(f"{title:>9}" for title in titles) + "  killed, and the interval")
    for package in sorted({mutant.name.split(".")[1] for mutant in mutants}):
        of_package = [mutant for mutant in mutants if mutant.name.split(".")[1] == package]
        _print_row(package, made[package], of_package)
        _print_row("  no wording", "", [mutant for mutant in of_package if not mutant.is_wording])
    for wanted in sys.argv[1:]:
        for mutant in mutants:
            is_wanted = f"{mutant.name}.".startswith(f"e2ecross.{wanted}.")
            if is_wanted and mutant.outcome in ("survived", "no tests"):
                kind = "wording, " if mutant.is_wording else ""
                print(f"\n{mutant.name} ({kind}{mutant.outcome})", *mutant.diff, sep="\n")
    return 0


def _print_row(title: str, made: int | str, mutants: list[Mutant]) -> None:
    count = Counter(mutant.outcome for mutant in mutants)
    outcomes = ("killed", "timeout", "survived", "no tests")
    figures = [made, len(mutants), *(count[outcome] for outcome in outcomes)]
    killed, low, high = _shares(count["killed"] + count["timeout"], len(mutants))
    print(
        f"{title:14}" + "".join(f"{figure:>9}" for figure in figures),
        f" {killed:.1%}, {low:.1%} to {high:.1%}",
    )


def _shares(killed: int, tried: int) -> tuple[float, float, float]:
    """Return the share that was killed, and between what it is with 95 %."""
    if not tried:
        return 1.0, 0.0, 1.0
    share, square = killed / tried, NORMAL_95**2
    middle = (share + square / (2 * tried)) / (1 + square / tried)
    spread = math.sqrt(share * (1 - share) / tried + square / (4 * tried**2))
    reach = NORMAL_95 * spread / (1 + square / tried)
    return share, middle - reach, middle + reach


def _mutants() -> Iterator[Mutant]:
    results = MUTANTS / "results.jsonl"
    lines = results.read_text("utf-8").splitlines() if results.exists() else []
    latest = {line["mutant"]: line["outcome"] for line in map(json.loads, lines)}
    by_module = defaultdict(list)
    for name in latest:
        by_module[name.rpartition(".")[0]].append(name)
    for module, names in sorted(by_module.items()):
        path = MUTANTS / module.replace(".", "/")
        source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef)
        }
        lines = source.splitlines()
        for name in sorted(names):
            mutant = functions[name.rpartition(".")[2]]
            original = functions[mutant.name.rpartition("__mutmut_")[0] + "__mutmut_orig"]
            diff = _diff(_lines(lines, original), _lines(lines, mutant))
            yield Mutant(name, latest[name], _is_wording(original, mutant), diff)


def _is_wording(original: ast.FunctionDef, mutant: ast.FunctionDef) -> bool:
    before, after = _texts(original), _texts(mutant)
    changed = [old for old, new in zip(before, after, strict=False) if old != new]
    only_texts = bool(changed) and _shape(original) == _shape(mutant)
    return only_texts and all(" " in old for old in changed)


def _texts(function: ast.FunctionDef) -> list[str]:
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _shape(function: ast.FunctionDef) -> str:
    blank = copy.deepcopy(function)
    blank.name = ""
    for node in ast.walk(blank):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(blank)


def _lines(source: list[str], function: ast.FunctionDef) -> list[str]:
    lines = source[function.lineno - 1 : function.end_lineno]
    return [line.replace(function.name, "") for line in lines]


def _diff(before: list[str], after: list[str]) -> list[str]:
    lines = difflib.unified_diff(before, after, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


if __name__ == "__main__":
    sys.exit(main())
