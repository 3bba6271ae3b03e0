# SPDX-License-Identifier: Apache-2.0
"""docs/dependencies.md names what pyproject.toml does."""

import re
import tomllib
from typing import Final

from tests.support.documents import ROOT, section, table

PAGE: Final = ROOT / "docs" / "dependencies.md"
PROJECT: Final = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: Final = PROJECT["optional-dependencies"]

rows = table(section(PAGE, "What an app installs"))


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_packages_are_those_that_are_installed() -> None:
    told = ["".join(names(row[0]) + names(row[1])) for row in rows if len(row) == 5]
    assert told == PROJECT["dependencies"]


def test_the_extras_of_users_are_told_with_their_packages() -> None:
    told = {names(row[0])[0]: names(row[1]) for row in rows if len(row) == 3}
    for extra, packages in told.items():
        wanted = [re.split(r"[\[<>=;]", line)[0] for line in EXTRAS[extra]]
        assert packages == [package for package in wanted if package != PROJECT["name"]]


def test_every_extra_is_named() -> None:
    assert set(names(section(PAGE, "What an app installs"))) >= EXTRAS.keys()
