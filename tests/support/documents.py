# SPDX-License-Identifier: Apache-2.0
"""The project's documents as data: their blocks, headings, links, tables and commands."""

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "DOCUMENTS",
    "ROOT",
    "anchors",
    "blocks",
    "check_command",
    "commands",
    "headings",
    "links",
    "name",
    "prose",
    "run_python",
    "section",
    "table",
]

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.joinpath("docs").rglob("*.md")])

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_INLINE_COMMAND = re.compile(r"`((?:python -m|\.ci/|[A-Z0-9_]+=\S+ python)[^`]*)`")


def name(path: Path) -> str:
    """The path of a document below the root, for messages and test ids."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of that language."""
    return [text for kind, text in _FENCED.findall(path.read_text("utf-8")) if kind == language]


def prose(path: Path) -> str:
    """Return the document without its fenced and indented blocks."""
    text = _FENCED.sub("", path.read_text("utf-8"))
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


def headings(path: Path) -> list[str]:
    """Return the text of every heading, without backticks."""
    return [heading.replace("`", "") for heading in _HEADING.findall(prose(path))]


def anchors(path: Path) -> set[str]:
    """Return the names by which links reach the headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings(path)}


def links(path: Path) -> list[str]:
    """Return where every link leads."""
    return _LINK.findall(prose(path))


def section(path: Path, heading: str) -> str:
    """Return what stands below a heading, up to the next one."""
    parts = _HEADING.split(prose(path))
    found = [parts[i + 1] for i in range(1, len(parts), 2) if parts[i].replace("`", "") == heading]
    assert len(found) == 1, f"{name(path)} has {len(found)} headings {heading!r}"
    return found[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of every row of the tables in a text, without the heads."""
    rows = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    rules = {i for i, row in enumerate(rows) if all(set(cell) <= set("-") for cell in row)}
    return [row for i, row in enumerate(rows) if i not in rules and i + 1 not in rules]


# protobuf 4.25 on Python 3.12 and later, when it is imported
_OLD_PROTOBUF = "ignore:Type google._upb._message:DeprecationWarning"


def run_python(code: str, folder: Path) -> str:
    """Run code in a process of its own, in that folder; return what it printed."""
    script = folder / "block.py"
    script.write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", _OLD_PROTOBUF, script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(path: Path) -> list[str]:
    """Return the shell commands of a document: lines of sh blocks, and those within sentences."""
    lines = [line for block in blocks(path, "sh") for line in block.splitlines() if line]
    lines += [match.replace("\n", " ") for match in _INLINE_COMMAND.findall(prose(path))]
    return [part.strip() for line in lines for part in line.split("&&")]


def check_command(command: str) -> None:
    """Fail unless everything that a command names exists; forms that are not known fail, too."""
    words = shlex.split(command, comments=True)
    while re.fullmatch(r"[A-Z0-9_]+=\S*", words[0]):
        _check_variable(words.pop(0).partition("=")[0])
    program, *arguments = words
    if program == "." and arguments == [".venv/bin/activate"]:
        return
    own_environment = re.match(r"\.venv-(?:protoc|fuzz|mutate)/bin/", program)
    if own_environment:
        program = program.removeprefix(own_environment[0])
        words = [program, *arguments]
    if words[:2] == ["python", "-m"]:
        _check_module(words[2], words[3:])
    elif program == "pip":
        _check_module("pip", arguments)
    elif program == "python":
        _check_script(ROOT / arguments[0], arguments[1:])
    else:
        path = ROOT / program
        assert os.access(path, os.X_OK), f"{program} is not a program of this project"
        _check_script(path, arguments)


def _check_variable(variable: str) -> None:
    files = [*ROOT.joinpath("tests").glob("*.py"), *ROOT.glob("tests/*/*.py")]
    read = re.compile(rf"\b{variable}\b")
    assert any(read.search(file.read_text("utf-8")) for file in files), f"nobody reads {variable}"


def _check_script(path: Path, arguments: list[str]) -> None:
    assert path.is_file(), f"there is no {name(path)}"
    for option in arguments:
        if path.suffix == ".py" and ROOT.joinpath("e2ecross", option).is_dir():
            continue  # a package, as an argument
        assert option in path.read_text("utf-8"), f"{name(path)} does not know {option}"


def _check_module(module: str, arguments: list[str]) -> None:
    extras = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    if module == "pip":
        assert arguments[0] == "install"
        for word in arguments[1:]:
            extra = re.fullmatch(r"\.(?:\[(\w+)\])?", word)
            if extra is None:
                assert word in {"-e", "-r"} or ROOT.joinpath(word).is_file(), word
            else:
                assert extra[1] is None or extra[1] in extras, f"there is no extra {extra[1]}"
        return
    if module == "e2ecross":
        help_of = [arguments[0]] if arguments and arguments[0] != "--help" else []
        subprocess.run(
            [sys.executable, "-m", "e2ecross", *help_of, "--help"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        return
    if module.startswith("e2ecross."):
        assert find_spec(module), f"there is no {module}"
        return
    if module.split(".")[0] in ("tests", "benchmarks"):
        is_folder = (ROOT / module.replace(".", "/")).is_dir()
        importlib.import_module(f"{module}.__main__" if is_folder else module).parse(arguments)
        return
    wanted = " ".join(extras["dev"] + extras["test"] + extras["docs"])
    assert module in wanted or (module in sys.stdlib_module_names and find_spec(module)), module
    for word in arguments:
        if "/" in word:
            assert ROOT.joinpath(word).exists(), f"there is no {word}"
