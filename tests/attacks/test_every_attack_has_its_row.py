# SPDX-License-Identifier: Apache-2.0
"""docs/threat-model.md has each file of this folder in one row; each file says what it promises."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.documents import ROOT, headings, section, table

FILES = sorted(set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)})
THREAT_MODEL = ROOT / "docs" / "threat-model.md"
PROMISES = "The promises of the README"
ATTACKERS = headings(THREAT_MODEL)[2:-1]

rows = [row for attacker in ATTACKERS for row in table(section(THREAT_MODEL, attacker))]
promises = table(section(THREAT_MODEL, PROMISES))


def named(cell: str) -> list[str]:
    """The tests in a cell, by their paths from the root."""
    found = re.findall(r"`([\w/.:-]+)`", cell)
    return [test if "/" in test else f"tests/attacks/{test}" for test in found]


def test_the_tables_have_every_file_once() -> None:
    assert all(promise for promise, _, _ in rows)
    here = [test for _, _, tests in rows for test in named(tests) if "/attacks/" in test]
    assert sorted(here) == [path.relative_to(ROOT).as_posix() for path in FILES]


def test_every_test_that_is_named_exists() -> None:
    for promise, *_, tests in [*promises, *rows]:
        assert named(tests), promise
        for test in named(tests):
            path, _, function = test.partition("::")
            tree = ast.parse(ROOT.joinpath(path).read_text("utf-8"))
            nodes = [*ast.walk(tree)]
            known = {getattr(node, "name", getattr(node, "id", "")) or "" for node in nodes}
            assert function in known or not function, test
            assert any(name.startswith(("test_", "Test")) for name in known), test


def test_the_promises_are_those_of_the_readme() -> None:
    both = table(section(ROOT / "README.md", "What it promises, and what not"))
    assert [promise for promise, _ in promises] == [promise for promise, _ in both[: len(promises)]]
    assert both[len(promises)][0] == "Hidden metadata."  # the first that is not promised


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_begins_with_its_promise_and_its_attacker(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    promise, _, rest = docstring.partition("\n\n")
    assert promise.endswith((".", ".)"))
    assert rest.startswith("The attacker: ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_compares_the_store_before_and_after(path: Path) -> None:
    """Unless it hunts for keys: then it looks at what the store holds."""
    calls = {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    }
    assert (
        calls & {"assert_group_refused", "assert_refused", "dump", "rest"} or "secret" in path.stem
    )
