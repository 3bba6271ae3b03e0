# SPDX-License-Identifier: Apache-2.0
"""What the tests of killed processes note is read whole, also while others write and are killed."""

from pathlib import Path

from tests.durability.journal import Journal, JournalReader


def test_a_note_is_read_once_and_not_before_it_is_whole(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path / "journal")
    assert reader.new() == []
    Journal(tmp_path / "journal").note("sent", id="1")
    assert reader.new() == [{"what": "sent", "id": "1"}]
    with (tmp_path / "journal").open("ab", buffering=0) as file:
        file.write(b'\n{"what": "sent", ')
        assert reader.new() == []
        file.write(b'"id": "2"}\n')
    assert reader.new() == [{"what": "sent", "id": "2"}]
    assert reader.new() == []


def test_half_a_note_of_who_was_killed_is_none_and_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b'\n{"what": "sent", "id": "')
    Journal(tmp_path / "journal").note("sent", id="2")
    assert JournalReader(tmp_path / "journal").new() == [{"what": "sent", "id": "2"}]
