# SPDX-License-Identifier: Apache-2.0
"""`--step`: one key for each scene, at a terminal; and what becomes of the terminal."""

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross.demo.people import DemoFailed
from e2ecross.demo.step import Step
from tests.cli.support import call
from tests.support.postgres import require_postgres

termios = pytest.importorskip("termios")  # on Windows `msvcrt` does it

_ROOT = Path(__file__).parents[2]
_SECONDS = 120
_SCENES = 4
"""How many are played: the first."""

# As a shell would: the terminal is that of the process, so that its Ctrl-C is a signal.
_PROGRAM = (
    "import os, fcntl, sys, termios\n"
    "os.setsid()\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "from e2ecross.cli import main\n"
    "from e2ecross.demo import run\n"
    f"run.SCENES = dict([*run.SCENES.items()][:{_SCENES}])\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


class Terminal:
    """Both ends of a terminal; a context manager.

    Attributes:
        end: what a program has as stdin.
    """

    def __init__(self) -> None:
        self.keyboard, self.end = os.openpty()

    def press(self, key: bytes) -> None:
        os.write(self.keyboard, key)

    def settings(self) -> object:
        return termios.tcgetattr(self.end)

    def waits_for_a_key(self) -> bool:
        """Whether a key counts without Enter."""
        flags: int = termios.tcgetattr(self.end)[3]
        return not flags & termios.ICANON


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal()
    yield found
    for end in (found.keyboard, found.end):
        with contextlib.suppress(OSError):
            os.close(end)


def play(terminal: Terminal, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "demo", "--plain", *arguments],
        stdin=terminal.end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf-8"},
    )


def wait_until_it_waits(process: subprocess.Popen[bytes], terminal: Terminal, scene: str) -> None:
    """Read what it asks until it asks for the key of a scene, and a key is one."""
    assert process.stderr is not None
    asked = b""
    while not asked.endswith(b") "):
        piece = os.read(process.stderr.fileno(), 1)
        assert piece, process.communicate()
        asked += piece
    assert asked.decode().lstrip("\r ") == f"-- Enter, or any key: {scene} (Ctrl-C ends) "
    while not terminal.waits_for_a_key():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_each_scene_waits_for_a_key_of_any_kind(terminal: Terminal) -> None:
    before = terminal.settings()
    process = play(terminal, "--step")
    keys = [b"\n", b" ", b"x", b"\x1b[B"]  # the last is one key: an arrow
    for number in range(1, _SCENES + 1):
        wait_until_it_waits(process, terminal, f"scene {number} of {_SCENES}")
        terminal.press(keys[number % len(keys)])
    out, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0
    assert terminal.settings() == before
    assert f"{_SCENES}. Attack:" in out.decode()
    assert b"any key" not in out
    assert err.isspace()  # the last question was wiped out


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize(
    ("arguments", "scene"), [((), f"scene 1 of {_SCENES}"), (("--fleet",), "the shop opens")]
)
def test_whatever_ends_it_ends_with_130_and_leaves_the_terminal_as_it_was(
    terminal: Terminal, arguments: tuple[str, ...], scene: str, how: str
) -> None:
    if arguments:
        pytest.importorskip("psycopg")
        require_postgres()
    before = terminal.settings()
    process = play(terminal, "--step", *arguments)
    wait_until_it_waits(process, terminal, scene)
    if how == "Ctrl-C":
        terminal.press(b"\x03")
    else:
        process.terminate()
    out, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 130
    assert b"1. " not in out
    assert b"Traceback" not in err
    assert terminal.settings() == before


def test_what_was_typed_before_does_not_count(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with os.fdopen(os.dup(terminal.end)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        terminal.press(b"too early\n")
        assert select.select([stdin], [], [], _SECONDS)[0]  # it takes a moment to be there
        timer = Typist(terminal)
        steps = Step(wanted=True)
        steps.wait("the end")
        timer.join()
        assert steps.waited >= timer.seconds
    said = capfd.readouterr().err
    assert said.startswith("-- Enter, or any key: the end")
    assert said.split("\r")[1].isspace()  # it is wiped out


class Typist(threading.Thread):
    """Presses a key a little later."""

    seconds = 0.2

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal
        self.start()

    def run(self) -> None:
        while not self._terminal.waits_for_a_key():
            time.sleep(0.01)
        time.sleep(self.seconds)
        self._terminal.press(b"x")


def test_a_terminal_that_goes_away_is_told(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with os.fdopen(os.dup(terminal.end)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(os, "read", lambda *_: b"")
        with pytest.raises(DemoFailed, match="the terminal has gone"):
            Step(wanted=True).wait("the end")
        assert not terminal.waits_for_a_key()


def test_who_does_not_want_it_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    steps = Step(wanted=False)
    steps.wait("the end")
    assert steps.waited == 0


@pytest.mark.parametrize("arguments", [(), ("--fleet",), ("--network",)])
def test_without_a_terminal_it_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    with open(os.devnull) as nothing:
        for stdin in (nothing, None):
            monkeypatch.setattr(sys, "stdin", stdin)
            ended = call("demo", "--step", *arguments)
            assert (ended.code, ended.out) == (2, "")
            assert ended.err.count("\n") == 1
            assert "--step waits for a key, but the input is no terminal" in ended.err


def test_json_does_not_wait(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with os.fdopen(os.dup(terminal.end)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        ended = call("demo", "--step", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "leave one of them out" in ended.err


def test_the_page_has_no_steps() -> None:
    ended = call("demo", "--step", "--web")
    assert (ended.code, ended.out) == (2, "")
    assert "--web has no --json, no --dir and no --step" in ended.err
