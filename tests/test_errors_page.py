# SPDX-License-Identifier: Apache-2.0
"""docs/errors.md has every error of the tree, once, in its branch, with its code."""

import inspect
import re
import sys

import pytest

from e2ecross import errors
from e2ecross.errors import BackendError, E2ECrossError, LocalError, RemoteError, StoreError
from tests.support.documents import ROOT, headings, prose, section, table

PAGE = ROOT / "docs" / "errors.md"
SECTIONS = {
    "The caller": LocalError,
    "A peer or the back end": RemoteError,
    "The store": StoreError,
    "The way to the back end": BackendError,
}
ROWS = [row for title in SECTIONS for row in table(section(PAGE, title))]


def test_the_sections_are_the_branches() -> None:
    assert headings(PAGE) == ["Errors", *SECTIONS]
    assert set(SECTIONS.values()) == set(E2ECrossError.__subclasses__())


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_has_every_error_of_its_branch_in_the_order_of_the_tree(title: str) -> None:
    listed = [(row[0].strip("`"), row[1].strip("`")) for row in table(section(PAGE, title))]
    assert listed == [
        (error.__name__, error.code)
        for error in vars(sys.modules[SECTIONS[title].__module__]).values()
        if inspect.isclass(error) and issubclass(error, SECTIONS[title])
    ]


def test_every_error_is_listed_once() -> None:
    names = [row[0].strip("`") for row in ROWS]
    classes = {name for name in errors.__all__ if inspect.isclass(getattr(errors, name))}
    assert len(names) == len(set(names))
    assert {*names} == classes - {"E2ECrossError"}
    assert f"`E2ECrossError` (code `{E2ECrossError.code}`)" in " ".join(prose(PAGE).split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_every_error_has_a_cause_and_a_remedy(row: list[str]) -> None:
    assert len(row) == 4
    _, _, cause, remedy = row
    assert len(cause) > 20
    assert remedy
    assert cause != remedy


def test_fields_that_are_named_exist() -> None:
    for row in ROWS:
        error = getattr(errors, row[0].strip("`"))
        for field in re.findall(r"error\.(\w+)", row[3]):
            assert field in inspect.signature(error.__init__).parameters, row[0]
