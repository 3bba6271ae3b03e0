# SPDX-License-Identifier: Apache-2.0
"""Nothing of a file is written or read before it was verified, and all refusals look alike.

The attacker: a blob store that cuts, lengthens, swaps and flips, shows an older or another blob,
and answers other ranges than it was asked for; somebody who changes what an interrupted download
has left on the disk.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from e2ecross import Attachment
from e2ecross.errors import AttachmentCorrupted, BackendError, RemoteError
from tests.client.test_attachments import World, part_of
from tests.client.test_attachments import world as make_world
from tests.support.devices import dump
from tests.support.lying_blobs import READ_LIES, LyingBlobs, ReadLie

world = make_world
SIZE: Final = 300 * 1024 + 5
CHUNK: Final = 64 * 1024


def _changed(blob: bytes, start: int, data: bytes) -> bytes:
    return blob[:start] + data + blob[start + len(data) :]


WRONG: Final[Mapping[str, Callable[[bytes, bytes], bytes]]] = {
    "cut": lambda blob, other: blob[:-1],
    "cut to nothing": lambda blob, other: b"",
    "longer": lambda blob, other: b"\0" + blob,
    "of another file": lambda blob, other: other,
    "a bit of the first chunk": lambda blob, other: _changed(blob, 0, bytes((blob[0] ^ 1,))),
    "a bit of the last chunk": lambda blob, other: _changed(
        blob, 4 * CHUNK + 9, bytes((blob[4 * CHUNK + 9] ^ 128,))
    ),
    "a bit of the table": lambda blob, other: _changed(blob, len(blob) - 1, b"\0\0"[:1]),
    "two chunks swapped": lambda blob, other: (
        blob[CHUNK : 2 * CHUNK] + blob[:CHUNK] + blob[2 * CHUNK :]
    ),
    "a chunk twice": lambda blob, other: _changed(blob, CHUNK, blob[:CHUNK]),
    "a chunk of another file": lambda blob, other: _changed(blob, CHUNK, other[CHUNK : 2 * CHUNK]),
    "the table of another file": lambda blob, other: blob[:-160] + other[-160:],
}


def _lie(wrong: Callable[[bytes, bytes], bytes], right: bytes, other: bytes) -> ReadLie:
    shown = wrong(right, other)
    return lambda read, offset, length: shown[offset : offset + length]


def _blob_of(world: World, attachment: Attachment) -> bytes:
    return world.blobs.inner.get_blob(attachment.blob_id, 0, attachment.blob_size)


def _attack(world: World, attachment: Attachment, lie: ReadLie) -> list[RemoteError]:
    """Download, then read all chunks, from who lies; returns the refusals."""
    right, got = world.file(SIZE).read_bytes(), world.folder / "got"
    before = dump(world.budi.device._context.store)
    honest = world.blobs.inner
    world.blobs.inner = LyingBlobs(honest, reads=lie)
    refusals: list[RemoteError] = []
    try:
        with pytest.raises(AttachmentCorrupted) as caught:
            world.budi.download(attachment, got)
        refusals.append(caught.value)
        try:
            with world.budi.open_attachment(attachment) as file:
                for start in range(0, SIZE, CHUNK):
                    file.seek(start)
                    try:
                        assert file.read(CHUNK) == right[start : start + CHUNK]
                    except AttachmentCorrupted as error:
                        refusals.append(error)
        except AttachmentCorrupted as error:  # the table
            refusals.append(error)
    finally:
        world.blobs.inner = honest
    assert not got.exists()
    part = part_of(attachment, got)
    assert right.startswith(part.read_bytes() if part.exists() else b"")
    assert dump(world.budi.device._context.store) == before
    return refusals


@pytest.mark.parametrize("name", WRONG)
def test_a_blob_that_was_tampered_with(world: World, name: str) -> None:
    other = world.ana.upload(world.file(SIZE, "other.png"))
    other.run()
    attachment = world.sent(SIZE)
    blobs = [_blob_of(world, each) for each in (attachment, other.attachment)]
    refusals = _attack(world, attachment, _lie(WRONG[name], *blobs))
    assert len(refusals) >= 2
    assert len({str(error) for error in refusals}) == 1
    world.budi.download(attachment, world.folder / "got")


@pytest.mark.parametrize("name", READ_LIES)
def test_a_store_that_answers_something_else(world: World, name: str) -> None:
    refusals = _attack(world, world.sent(SIZE), READ_LIES[name])
    assert len({str(error) for error in refusals}) == 1


def test_what_was_changed_on_the_disk_is_not_kept(world: World) -> None:
    attachment, got = world.sent(SIZE), world.folder / "got"
    right, part = world.file(SIZE).read_bytes(), part_of(attachment, got)
    before = dump(world.budi.device._context.store)
    for place in (0, CHUNK - 1, CHUNK, SIZE - 1):
        part.write_bytes(_changed(right, place, bytes((right[place] ^ 1,))))
        world.blobs.fail("get_blob", BackendError("away"), after=1)
        with pytest.raises(BackendError, match="away"):
            world.budi.download(attachment, got)
        assert part.read_bytes() == right[: place - place % CHUNK]
        world.budi.download(attachment, got)
        assert got.read_bytes() == right
        got.unlink()
    assert dump(world.budi.device._context.store) == before


def test_names_and_sizes_from_outside_reach_no_other_file(world: World, tmp_path: Path) -> None:
    """A name is shown; where a file goes says the app alone."""
    upload = world.ana.upload(world.file(10), name="..harmless")
    upload.run()
    before = dump(world.budi.device._context.store)
    world.budi.download(upload.attachment, tmp_path / "got")
    assert sorted(os.listdir(tmp_path)) == ["blobs", "got", "photo.png", "spool"]
    assert dump(world.budi.device._context.store) == before
