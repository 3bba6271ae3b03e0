# SPDX-License-Identifier: Apache-2.0
"""The files of the page: nothing inline, nothing from elsewhere, and text is text."""

import re
from html.parser import HTMLParser
from typing import Final

import pytest

from tests.support.documents import ROOT

FOLDER: Final = ROOT / "e2ecross" / "demo" / "web" / "static"
PAGE: Final = FOLDER.joinpath("index.html").read_text("utf-8")
SCRIPT: Final = FOLDER.joinpath("page.js").read_text("utf-8")
STYLE: Final = FOLDER.joinpath("page.css").read_text("utf-8")


class Elements(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


elements = Elements(PAGE).found


def test_nothing_is_inline() -> None:
    for tag, attributes in elements:
        assert tag != "style"
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert tag != "script" or "src" in attributes


def test_it_loads_its_own_two_files_and_an_icon_in_the_page() -> None:
    loaded = [attributes.get("src") for _, attributes in elements if "src" in attributes]
    linked = [attributes.get("href") or "" for tag, attributes in elements if tag == "link"]
    assert loaded == ["page.js"]
    assert [link.partition(":")[0] for link in linked] == ["data", "page.css"]


@pytest.mark.parametrize("text", [PAGE, SCRIPT, STYLE], ids=["html", "js", "css"])
def test_no_other_server_is_named(text: str) -> None:
    addresses = re.findall(
        r"(?:https?:)?//[a-z][^\s'\"]*", re.sub(r"(?m)^\s*//.*| // .*$", "", text)
    )
    assert {*addresses} <= {"http://www.w3.org/2000/svg"}


def test_what_comes_from_elsewhere_becomes_text() -> None:
    forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser")
    assert [word for word in (*forbidden, "eval(", "Function(", "setHTML") if word in SCRIPT] == []


def test_every_id_that_the_script_looks_for_is_there() -> None:
    ids = {attributes["id"] for _, attributes in elements if "id" in attributes}
    assert {*re.findall(r'find\("([^"]+)"\)', SCRIPT)} <= ids
    assert {*re.findall(r'icon\("([^"]+)"\)', SCRIPT)} <= ids


def test_every_icon_and_every_variable_is_there_once() -> None:
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len({*ids})
    used = [attributes["href"] or "" for tag, attributes in elements if tag == "use"]
    assert {link.removeprefix("#") for link in used} <= {*ids}
    assert {*re.findall(r"var\((--[\w-]+)\)", STYLE)} == {*re.findall(r"(--[\w-]+):", STYLE)}
