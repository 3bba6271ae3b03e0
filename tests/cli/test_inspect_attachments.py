# SPDX-License-Identifier: Apache-2.0
"""`inspect`: descriptors of attachments, without what opens them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Attachment
from e2ecross.relay import FolderBlobs
from tests.cli.support import Ended, call, run
from tests.support.devices import ANA

KEY, BLOB_ID, ROOT = bytes(range(32)), bytes(range(64, 96)), bytes(range(128, 160))
PHOTO = Attachment(
    *(KEY, 421_337, 16, ROOT, BLOB_ID, "image/png", "beans.png"),
    *(640, 480, 0, b"\xff\xd8\xff" + bytes(997)),
)
LEAST = Attachment(KEY, 0, 16, ROOT, BLOB_ID)
NAME = hashlib.sha256(BLOB_ID).hexdigest()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inspect") / "attachment"


def _inspect(file: Path, data: bytes, *options: str) -> Ended:
    file.write_bytes(data)
    ended = call("inspect", *options, str(file))
    assert "Traceback" not in ended.err
    assert all(len(line) <= 80 for line in ended.out.splitlines() if '"' not in line)
    return ended


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_a_descriptor_shows_what_it_says_of_a_file(file: Path) -> None:
    ended = _inspect(file, PHOTO.encode())
    assert (ended.code, ended.err) == (0, "")
    text = _flat(ended.out)
    for shown in (
        "suite 1",
        f"descriptor {len(PHOTO.encode())} bytes",
        "file 421337 bytes",
        f"blob {PHOTO.blob_size} bytes: padded",
        "chunks 7 of up to 65536 bytes",
        f"root {ROOT.hex()[:50]}",
        f"name at a relay {NAME[:50]}",
        "media type image/png",
        "name 'beans.png'",
        "width, height 640 pixels, 480 pixels",
        "duration not told",
        "thumbnail 1000 bytes of JPEG",
        "key, blob id 32 bytes each, not shown",
    ):
        assert shown in text


def test_a_descriptor_is_a_document(file: Path) -> None:
    spoken = replace(PHOTO, media_type="audio/ogg", width=0, height=0, duration_ms=1500)
    assert json.loads(_inspect(file, spoken.encode(), "--json").out) == {
        "kind": "attachment",
        "size_bytes": len(spoken.encode()),
        "suite": 1,
        "file_bytes": 421_337,
        "blob_bytes": PHOTO.blob_size,
        "chunk_bytes": 65_536,
        "chunk_count": 7,
        "root": ROOT.hex(),
        "blob_name": NAME,
        "media_type": "audio/ogg",
        "name": "beans.png",
        "width": None,
        "height": None,
        "duration_ms": 1500,
        "thumbnail_bytes": 1000,
    }
    assert "duration 1500 ms" in _flat(_inspect(file, spoken.encode()).out)


def test_what_is_not_told_is_said_so(file: Path) -> None:
    text = _flat(_inspect(file, LEAST.encode()).out)
    for label in ("media type", "name", "width, height", "duration"):
        assert f"{label} not told" in text
    assert "thumbnail none" in text
    view = json.loads(_inspect(file, LEAST.encode(), "--json").out)
    assert {view[name] for name in ("media_type", "name", "width", "thumbnail_bytes")} == {None}


def test_no_part_of_the_key_or_of_the_blob_id_is_printed(file: Path) -> None:
    for options in ((), ("--json",)):
        out = "".join(_inspect(file, PHOTO.encode(), *options).out.split())
        for secret in (KEY, BLOB_ID):
            for at in range(len(secret) - 3):
                assert secret[at : at + 4].hex() not in out


def test_a_relay_keeps_the_blob_under_the_name_that_is_shown(file: Path, tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    blobs.begin_blob(ANA, bytes(32), BLOB_ID, 1)
    blobs.put_blob(ANA, bytes(32), BLOB_ID, 0, b"?")
    shown = json.loads(_inspect(file, PHOTO.encode(), "--json").out)["blob_name"]
    assert (tmp_path / "blobs" / shown).exists()


@pytest.mark.parametrize("name", ["kopi \u2615.png", "'; rm -rf ~", "not told", "\u200bx"])
def test_a_name_plays_no_tricks(file: Path, name: str) -> None:
    for options in ((), ("--json",)):
        ended = _inspect(file, replace(PHOTO, name=name).encode(), *options)
        assert ended.code == 0
        assert ended.out.isascii()
    assert f"name {name!a}" in _flat(_inspect(file, replace(PHOTO, name=name).encode()).out)


def test_it_is_read_from_standard_input() -> None:
    ended = run("inspect", "-", stdin=PHOTO.encode())
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"beans.png" in ended.stdout


def test_a_descriptor_with_a_hostile_name_is_refused_and_not_repeated(file: Path) -> None:
    hostile = PHOTO.encode().replace(b"beans.png", b"../ns.png")
    ended = _inspect(file, hostile)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert "not an envelope" in ended.err
    assert "ns.png" not in ended.err


@given(st.data())
def test_a_damaged_descriptor_is_shown_or_refused(file: Path, data: st.DataObject) -> None:
    genuine = PHOTO.encode()
    at = data.draw(st.integers(0, len(genuine) - 1))
    damaged = genuine[:at] + data.draw(st.binary(max_size=3)) + genuine[at + 1 :]
    ended = _inspect(file, damaged)
    refused = (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert refused or (ended.code, ended.err) == (0, "")
