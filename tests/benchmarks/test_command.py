# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks`: it runs, also where no peer is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import parse
from tests.support.documents import ROOT

QUICK = ("--quick", "--rounds", "1", "--only", "encrypt-100", "ping-pong", "--without", "ping-pong")


def run(*arguments: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=None if path is None else os.environ | {"PATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_a_quick_run_measures_prints_and_stores(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    done = run(*QUICK, "--results", str(path))
    assert done.returncode == 0, done.stderr
    assert "encrypt 100 B, one chain" in done.stdout
    assert "100 %" in done.stderr
    measured = json.loads(path.read_text("utf-8"))["measured"]["cells"]
    cells = measured.pop("encrypt-100")
    assert not measured
    assert {"floor", "protocol", "device", "sqlite", "sealed"} <= set(cells)
    assert path.with_name("run-messages.svg").is_file()


def test_a_peer_that_is_missing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    columns = ("--columns", "device", "libsignal-node")
    done = run(*QUICK, *columns, "--results", str(tmp_path / "run.json"), path=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "libsignal-node is missing" in done.stdout
    assert "benchmarks/peers/install.sh" in done.stdout


def test_rows_and_columns_are_listed() -> None:
    done = run("--list")
    assert done.returncode == 0
    assert "encrypt-100" in done.stdout
    assert "libsignal-0.103" in done.stdout


def test_rows_and_columns_are_named_by_patterns() -> None:
    given = parse(["--only", "client-receive-*", "commit", "--columns", "before*"])
    assert given.only == {"client-receive-100", "client-receive-1000", "commit"}
    assert given.columns == {"before", "before-sealed"}
    assert parse([]).only is None


@pytest.mark.parametrize("option", ["--only", "--without", "--columns"])
@pytest.mark.parametrize("unknown", ["nonsense", "nonsense-*"])
def test_what_does_not_exist_is_refused(
    option: str, unknown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([option, "*", unknown])
    assert caught.value.code == 2
    assert f"there is no {unknown}: see --list" in capsys.readouterr().err
