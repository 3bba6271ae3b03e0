# SPDX-License-Identifier: Apache-2.0
"""A short life; `python -m tests.simulation.long_life` lets one last for years."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.long_life.__main__ import main, parse, simulate


def test_a_short_life(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--messages", "150", "--days", "40", "--members", "4", "--seed", "3"]
    counts = simulate(parse([*given, "--folder", str(tmp_path)])).counts
    for what in ("messages settled", "messages into the group", "restarts", "devices linked"):
        assert counts[what], f"{what}: none, so nothing was tested"
    assert counts["times that all bounds were checked"] == 12
    assert len(capsys.readouterr().out.splitlines()) == 12  # a head, ten lines, one for the end


def test_the_command_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--messages", "20", "--days", "10", "--members", "4", "--seed", "5"])
    out = capsys.readouterr().out
    assert "20 messages in 10 days, seed 5" in out
    assert "messages settled" in out


def test_calls_may_be_interrupted() -> None:
    given = ["--messages", "80", "--days", "20", "--members", "4", "--seed", "3"]
    # In a process of its own: whatever a signal hits there, no other test has it as a context.
    ended = subprocess.run(
        [sys.executable, "-m", "tests.simulation.long_life", *given, "--interrupts", "0.5"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for what in ("interrupts of send", "interrupts of receive", "messages settled"):
        assert what in ended.stdout


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(SystemExit):
        parse(["--days", "3"])
