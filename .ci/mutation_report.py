# SPDX-License-Identifier: Apache-2.0
"""Sum up what `mutmut run` found, per package, and show the survivors.

A mutant of wording changes nothing but a text of several words, as errors have them, and is also
counted apart: tests ask messages for facts, not for their words.

    python .ci/mutation_report.py                 figures
    python .ci/mutation_report.py protocol        and the survivors of one package
    python .ci/mutation_report.py protocol.x3dh   or module
"""

import ast
import copy
import difflib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MUTANTS = Path("mutants/e2ecross")
SURVIVED, NO_TESTS = {0}, {5, 33}
TIMEOUTS = {-24, 24, 36, 152, 255, -9}  # by SIGXCPU or SIGKILL


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
        print("there are no results: run mutmut first")
        return 1
    print(f"{'':12}{'mutants':>8}{'killed':>8}{'timeout':>8}{'survived':>9}{'no tests':>9}  killed")
    for package in sorted({mutant.name.split(".")[1] for mutant in mutants}):
        of_package = [mutant for mutant in mutants if mutant.name.split(".")[1] == package]
        _print_row(package, of_package)
        _print_row("  no wording", [mutant for mutant in of_package if not mutant.is_wording])
    for wanted in sys.argv[1:]:
        for mutant in mutants:
            if mutant.outcome != "killed" and mutant.name.startswith(f"e2ecross.{wanted}"):
                kind = "wording, " if mutant.is_wording else ""
                print(f"\n{mutant.name} ({kind}{mutant.outcome})", *mutant.diff, sep="\n")
    return 0


def _print_row(title: str, mutants: list[Mutant]) -> None:
    count = Counter(mutant.outcome for mutant in mutants)
    share = (count["killed"] + count["timeout"]) / len(mutants) if mutants else 1
    print(
        f"{title:12}{len(mutants):8}{count['killed']:8}{count['timeout']:8}"
        f"{count['survived']:9}{count['no tests']:9}  {share:.1%}"
    )


def _mutants() -> Iterator[Mutant]:
    for meta in sorted(MUTANTS.rglob("*.meta")):
        source = meta.with_suffix("").read_text("utf-8")
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef)
        }
        for name, code in json.loads(meta.read_text("utf-8"))["exit_code_by_key"].items():
            if code is None:
                continue
            mutant = functions[name.rpartition(".")[2]]
            original = functions[mutant.name.rpartition("__mutmut_")[0] + "__mutmut_orig"]
            diff = _diff(_lines(source, original), _lines(source, mutant))
            yield Mutant(name, _outcome(code), _is_wording(original, mutant), diff)


def _outcome(code: int) -> str:
    if code in SURVIVED:
        return "survived"
    if code in NO_TESTS:
        return "no tests"
    return "timeout" if code in TIMEOUTS else "killed"


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


def _lines(source: str, function: ast.FunctionDef) -> list[str]:
    text = ast.get_source_segment(source, function) or ""
    return text.replace(function.name, "").splitlines()


def _diff(before: list[str], after: list[str]) -> list[str]:
    lines = difflib.unified_diff(before, after, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


if __name__ == "__main__":
    sys.exit(main())
