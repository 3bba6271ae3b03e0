# SPDX-License-Identifier: Apache-2.0
"""The command itself: usage, exit codes, imports, outputs without `rich`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2ecross import Address, Envelope, MessageKind
from e2ecross.demo.output import PlainOutput
from e2ecross.demo.run import choose_output
from tests.cli.support import call, run


def test_without_a_command_it_prints_help_and_exits_2() -> None:
    ended = run()
    assert ended.returncode == 2
    assert b"demo" in ended.stdout
    assert b"inspect" in ended.stdout


def test_help_and_version() -> None:
    for arguments in (["--help"], ["demo", "--help"], ["inspect", "--help"], ["--version"]):
        ended = call(*arguments)
        assert (ended.code, ended.err) == (0, "")
        assert "e2ecross" in ended.out


def test_wrong_usage_exits_2() -> None:
    for arguments in (["chatter"], ["demo", "--loud"], ["inspect"], ["inspect", "a", "b"]):
        ended = call(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert "usage" in ended.err


def test_output_that_nobody_reads_ends_the_demo_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "e2ecross", "demo", "--plain"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["demo", "--plain"], ["demo", "--json"]])
def test_an_output_that_is_full_is_told_in_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "e2ecross", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1
    assert b"No space left" in ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["inspect", "envelope"], ["--help"], ["--version"], []])
def test_an_output_that_is_full_is_told_where_little_is_said(
    tmp_path: Path, arguments: list[str]
) -> None:
    """So little that nothing of it leaves before the command has ended."""
    file = tmp_path / "envelope"
    sender, recipient = Address("whatsapp", "ana"), Address("instagram", "budi")
    envelope = Envelope(bytes(16), sender, recipient, MessageKind.SIGNAL, bytes(60))
    file.write_bytes(envelope.encode())
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "e2ecross", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "", "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1
    assert b"No space left" in ended.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
    ],
    ids=["ascii", "the C locale"],
)
def test_what_an_output_cannot_show_is_replaced(environment: dict[str, str]) -> None:
    """By what the command has set up: the whole demo is played so in `tests/demo`."""
    program = "from e2ecross.cli.command import main; main([]); print(chr(0x2713))"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.endswith(b"?" + os.linesep.encode())


def test_without_rich_the_demo_prints_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "rich" or name.startswith("rich.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "e2ecross.demo.rich_output", raising=False)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert isinstance(choose_output(plain=False, json=False), PlainOutput)


def test_nothing_imports_rich_but_the_coloured_demo() -> None:
    program = (
        "import sys, e2ecross, e2ecross.cli, e2ecross.cli.inspect\n"
        "from e2ecross.demo.run import choose_output\n"
        "choose_output(plain=True, json=False), choose_output(plain=False, json=True)\n"
        "sys.exit('rich' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
