# SPDX-License-Identifier: Apache-2.0
"""What the site is built from is complete: each document, and each public name, once.

The build itself is a step of `.ci/run`.
"""

import re
from collections import Counter
from types import ModuleType

import pytest

import e2ecross
from e2ecross import errors, relay, service, stores
from tests.support.documents import DOCUMENTS, ROOT, name

REFERENCE = ROOT / "docs" / "reference"
OTHERS = [ROOT / "tests" / folder / "README.md" for folder in ("interop", "vectors")]

documented = Counter(
    line
    for path in REFERENCE.glob("*.md")
    for line in re.findall(r"^::: (\S+)$", path.read_text("utf-8"), re.MULTILINE)
)


def test_each_document_is_a_page_once() -> None:
    listed = re.findall(r"^ +- (\S+\.md)$", ROOT.joinpath("mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(name(path) for path in [*DOCUMENTS, *OTHERS])


@pytest.mark.parametrize("package", [e2ecross, relay, service, stores], ids=lambda p: p.__name__)
def test_each_public_name_is_in_the_reference_once(package: ModuleType) -> None:
    public = {f"{package.__name__}.{name}" for name in package.__all__ if name != "__version__"}
    here = {line for line in documented if line.rpartition(".")[0] == package.__name__}
    assert here == public | ({errors.__name__} if package is e2ecross else set())
    assert {documented[line] for line in here} == {1}


def test_each_picture_is_shown_with_a_text_and_is_small() -> None:
    shown = {
        (path.parent / target).resolve(): text
        for path in DOCUMENTS
        for text, target in re.findall(r"!\[([^\]]*)\]\((\S+\.png)\)", path.read_text("utf-8"))
    }
    pictures = {*ROOT.joinpath("docs", "images").glob("*")}
    assert shown.keys() == pictures
    assert all(text.strip() for text in shown.values())
    assert [path.name for path in pictures if path.stat().st_size > 300_000] == []
