# SPDX-License-Identifier: Apache-2.0
"""The large file, made small: it ends well, and notices what grows or gets lost."""

import sys
from pathlib import Path

import pytest

from benchmarks import large_file
from e2ecross import AttachmentReader

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the memory")

SHORT = ("--size", "3000001")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_small_file_comes_back_and_memory_is_flat(
    threads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert large_file.main([*SHORT, "--threads", threads, "--folder", str(tmp_path)]) == 0
    encrypting, reading, verdict = capsys.readouterr().out.splitlines()
    assert encrypting.startswith("encrypt and write: ")
    assert reading.endswith(" in a second")
    assert verdict.endswith(": flat")
    assert not list(tmp_path.iterdir())


def test_a_file_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        large_file.parse(["--size", "0"])
    assert "has to have a byte" in capsys.readouterr().err


def test_memory_that_grows_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = iter(range(100, 10**12, 2**20 * 5))
    monkeypatch.setattr(large_file, "resident_bytes", lambda: next(sizes))
    assert large_file.main([*SHORT, "--folder", str(tmp_path)]) == 1
    assert "not flat" in capsys.readouterr().out


def test_what_is_lost_or_changed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AttachmentReader, "copy_to", lambda _, sink: sink.write(b"x"))
    with pytest.raises(ValueError, match="another file"):
        large_file.main([*SHORT, "--folder", str(tmp_path)])
    monkeypatch.setattr(AttachmentReader, "copy_to", lambda _, sink: None)
    with pytest.raises(ValueError, match="missing"):
        large_file.main([*SHORT, "--folder", str(tmp_path)])
