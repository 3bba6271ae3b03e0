# SPDX-License-Identifier: Apache-2.0
"""What the README says: its quickstart runs as pasted, its commands are the ones promised."""

import tomllib
from pathlib import Path

import pytest

import e2ecross
from tests.support.documents import ROOT, blocks, commands, run_python

README = ROOT / "README.md"
QUICKSTARTS = blocks(README, "python")


@pytest.mark.parametrize("code", QUICKSTARTS, ids=["devices", "clients"])
def test_a_quickstart_runs_as_pasted(code: str, tmp_path: Path) -> None:
    assert run_python(code, tmp_path) == "whatsapp:ana.1 wrote halo\n"


@pytest.mark.parametrize("code", QUICKSTARTS, ids=["devices", "clients"])
def test_a_quickstart_has_at_most_20_lines(code: str) -> None:
    assert len(code.splitlines()) <= 20


def test_the_two_commands_are_there_as_promised() -> None:
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    assert lines == [
        'python -m pip install ".[demo]" && python -m e2ecross demo',
        'python -m pip install -e ".[test]" && python -m pytest',
    ]
    assert "python -m e2ecross demo" in commands(README)


def test_it_says_what_the_library_is_in_two_sentences() -> None:
    title, first = README.read_text("utf-8").split("\n\n")[:2]
    assert title == "# e2ecross"
    assert first.count(". ") == 1
    assert first.endswith(".")


def test_version_licence_and_python_are_those_of_the_package() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
    readme = README.read_text("utf-8")
    assert f"Version {e2ecross.__version__} " in readme
    assert project["license"] == "Apache-2.0"
    assert "[Apache-2.0](LICENSE)" in readme
    assert f"Python {project['requires-python'].removeprefix('>=')} or later" in readme
    licence = ROOT.joinpath("LICENSE").read_text("utf-8")
    assert licence.split() != []
    assert "Apache License" in licence.splitlines()[1]
    assert "Version 2.0, January 2004" in licence.splitlines()[2]
    changelog = ROOT.joinpath("CHANGELOG.md").read_text("utf-8")
    assert f"## [{e2ecross.__version__}]" in changelog
