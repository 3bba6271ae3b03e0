# SPDX-License-Identifier: Apache-2.0
"""QR codes in a terminal: what a scanner reads of them, and where there can be none."""

import io
import sys
from types import SimpleNamespace

import pytest

from e2ecross.demo.picture import draw
from tests.cli.support import read_qr_code
from tests.support.vectors import devices

CODE = devices("linking")["text"]


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


@pytest.mark.parametrize("text", [CODE, "e2x1:" + 251 * "A", "x"])
def test_a_scanner_reads_what_was_drawn(stdout: io.TextIOWrapper, text: str) -> None:
    pytest.importorskip("segno")
    lines = list(draw(text, 80))
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    assert read_qr_code("\n".join(lines)) == text


def test_without_segno_it_says_what_to_install(
    stdout: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)
    first, *lines = draw(CODE, 80)
    assert "python -m pip install segno" in first
    assert "".join(lines) == CODE
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-encoding"])
def test_without_blocks_it_is_text(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    pytest.importorskip("segno")
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding=encoding))
    _, *lines = draw(CODE, 80)
    assert "".join(lines) == CODE


def test_lines_of_text_are_full_whatever_is_in_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("segno")
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding="ascii"))
    for place in range(60, 80):
        code = "e2x1:" + place * "A" + "-" + 40 * "_-"
        _, *lines = draw(code, 80)
        assert {len(line) for line in lines[:-1]} == {80}
        assert "".join(lines) == code
