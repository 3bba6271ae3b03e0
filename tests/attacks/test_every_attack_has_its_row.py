# SPDX-License-Identifier: Apache-2.0
"""docs/security-model.md names each file of this folder once; each file says what it promises."""

import ast
from pathlib import Path

import pytest

from tests.support.documents import ROOT, section, table

FILES = sorted(set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)})
SECURITY_MODEL = ROOT / "docs" / "security-model.md"


def test_the_table_has_every_file_once() -> None:
    rows = table(section(SECURITY_MODEL, "Where each promise is tested"))
    assert all(promise for promise, _ in rows)
    assert sorted(file.strip("`") for _, file in rows) == [path.name for path in FILES]


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
