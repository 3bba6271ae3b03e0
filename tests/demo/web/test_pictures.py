# SPDX-License-Identifier: Apache-2.0
"""Which files the page shows as pictures, and how many."""

from pathlib import Path

import pytest

from e2ecross.demo.photo import draw_photo
from e2ecross.demo.web.pictures import MAX_PICTURE_BYTES, Pictures, picture_type

_PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (_PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(start: bytes, media_type: str | None) -> None:
    assert picture_type(start) == media_type


def test_a_picture_is_found_by_its_name(tmp_path: Path) -> None:
    pictures, path = Pictures(), tmp_path / "photo"
    path.write_bytes(draw_photo())
    name = pictures.add(path)
    assert name is not None
    assert pictures.find(name) == ("image/png", path.read_bytes())
    assert pictures.find(name + "x") is None
    path.unlink()
    assert pictures.find(name) is None


def test_what_is_none_is_not_taken_in(tmp_path: Path) -> None:
    pictures, path = Pictures(), tmp_path / "photo"
    assert pictures.add(path) is None
    for data in (b"<svg/>", _PNG + bytes(MAX_PICTURE_BYTES)):
        path.write_bytes(data)
        assert pictures.add(path) is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    pictures, names = Pictures(), []
    for number in range(101):
        path = tmp_path / str(number)
        path.write_bytes(_PNG)
        names.append(pictures.add(path))
    assert names[0] is not None
    assert names[1] is not None
    assert pictures.find(names[0]) is None
    assert pictures.find(names[1]) is not None
    assert len(list(tmp_path.iterdir())) == 100
