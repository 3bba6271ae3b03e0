# SPDX-License-Identifier: Apache-2.0
"""The long run, made short: it ends well, tells sizes, and notices what grows or gets lost."""

import sys
from pathlib import Path

import pytest

from benchmarks import long_run
from e2ecross import Client
from e2ecross.state.inbox import InboxItem

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory")

SHORT = ("--messages", "24", "--every", "12", "--recipients", "3", "--waiting", "4")


def test_a_short_run_tells_sizes_and_that_memory_is_flat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert long_run.main([*SHORT, "--folder", str(tmp_path)]) == 0
    head, first, second, verdict = capsys.readouterr().out.splitlines()
    assert len(head.split("  ")) > 9
    assert [line.split()[0] for line in (first, second)] == ["12", "24"]
    assert second.count("KiB") + second.count("MiB") >= 4
    assert verdict.endswith(": flat")
    assert not list(tmp_path.iterdir())


def test_a_run_that_could_not_tell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        long_run.parse([*SHORT, "--messages", "23"])
    assert "too few messages" in capsys.readouterr().err


def test_memory_that_grows_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = iter([100_000_000, 111_000_000])
    monkeypatch.setattr(long_run, "resident_bytes", lambda: next(sizes))
    assert long_run.main([*SHORT, "--folder", str(tmp_path)]) == 1
    assert "not flat" in capsys.readouterr().out


def test_a_message_that_is_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unspoilt = Client.receive

    def receive(client: Client) -> list[InboxItem]:
        return unspoilt(client)[1:]

    monkeypatch.setattr(Client, "receive", receive)
    with pytest.raises(ValueError, match="3 items instead of 4"):
        long_run.main([*SHORT, "--folder", str(tmp_path)])
