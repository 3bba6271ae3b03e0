# SPDX-License-Identifier: Apache-2.0
"""Text in colour on a narrow terminal."""

import pytest

from e2ecross.demo.blocks import Ledger


def test_what_came_of_an_attack_is_not_cut_off_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    from e2ecross.demo.rich_output import RichOutput

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "dumb")
    row = ("wrote another sender on a group message", "Toko Kopi's app refused it")
    RichOutput().paint(Ledger("The back end attacked", (row,)))
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 40
    assert {word for text in row for word in text.split()} <= set(said.split())
