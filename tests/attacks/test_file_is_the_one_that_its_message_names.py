# SPDX-License-Identifier: Apache-2.0
"""What a recipient is shown of a file is what its message has committed to, in every part of it.

The attacker: a sender who holds the key of the file, and serves something else under it: from the
start, in one second in the middle, or behind the end; a store that helps.
"""

from dataclasses import replace
from typing import Final

import pytest

from e2ecross import Attachment, Media, Message
from e2ecross.crypto.attachment_kdf import attachment_root
from e2ecross.errors import AttachmentCorrupted
from tests.client.test_attachments import World, attachment_of
from tests.client.test_attachments import world as make_world
from tests.support.blobs import make_blob, make_file
from tests.support.devices import BUDI, dump

world = make_world
SIZE: Final = 200_000
CHUNK: Final = 65_536
HARMLESS, OTHER = make_file(SIZE, "harmless"), make_file(SIZE, "other")


def _send(world: World, attachment: Attachment) -> Attachment:
    world.ana.send(str(BUDI.user_id), Media(attachment))
    return attachment_of(world.receive())


def _serve(world: World, attachment: Attachment, blob: bytes) -> None:
    """Bring a blob of one's own making to where files are kept."""
    token = bytes(32)
    address = world.ana.device.address
    world.blobs.inner.delete_blob(address, token, attachment.blob_id)
    world.blobs.inner.begin_blob(address, token, attachment.blob_id, len(blob))
    world.blobs.inner.put_blob(address, token, attachment.blob_id, 0, blob)


def _refused(world: World, attachment: Attachment, *, readable: tuple[int, ...] = ()) -> None:
    before = dump(world.budi.device._context.store)
    with pytest.raises(AttachmentCorrupted):
        world.budi.download(attachment, world.folder / "got")
    assert not (world.folder / "got").exists()
    if readable:
        with world.budi.open_attachment(attachment) as file:
            for start in readable:
                file.seek(start)
                assert file.read(10) == HARMLESS[start : start + 10]
    assert dump(world.budi.device._context.store) == before


def test_another_file_under_the_same_key(world: World) -> None:
    attachment, blob = make_blob(HARMLESS)
    _, another = make_blob(OTHER)
    told = _send(world, attachment)
    _serve(world, attachment, another)
    _refused(world, told)
    _serve(world, attachment, another[:-128] + blob[-128:])  # behind the right hashes
    _refused(world, told)
    _serve(world, attachment, blob)
    world.budi.download(told, world.folder / "got")
    assert (world.folder / "got").read_bytes() == HARMLESS


def test_another_second_in_the_middle(world: World) -> None:
    attachment, blob = make_blob(HARMLESS)
    _, another = make_blob(HARMLESS[:CHUNK] + OTHER[CHUNK : 2 * CHUNK] + HARMLESS[2 * CHUNK :])
    told = _send(world, attachment)
    _serve(world, attachment, another[:-128] + blob[-128:])
    _refused(world, told, readable=(0, CHUNK - 10, 2 * CHUNK, SIZE - 10))
    with world.budi.open_attachment(told) as file:
        file.seek(CHUNK)
        with pytest.raises(AttachmentCorrupted):
            file.read(1)


def test_something_behind_the_end(world: World) -> None:
    longer, blob = make_blob(HARMLESS + b"hidden")
    shorter, _ = make_blob(HARMLESS)
    assert longer.blob_size == shorter.blob_size
    # The sender commits to hashes of a blob whose padding is not zero.
    told = _send(world, _committed(shorter, blob))
    _serve(world, told, blob)
    _refused(world, told, readable=(0, CHUNK))


def _committed(attachment: Attachment, blob: bytes) -> Attachment:
    table = blob[-attachment.table_size :]
    return replace(attachment, root=attachment_root(16, attachment.size, table))


@pytest.mark.parametrize("change", ["size", "chunk_log2", "root", "file_key"])
def test_a_message_that_says_something_else(world: World, change: str) -> None:
    attachment, blob = make_blob(HARMLESS)
    wrong: dict[str, object] = {
        "size": SIZE - 1,
        "chunk_log2": 17,
        "root": bytes(32),
    }
    if change == "file_key":  # then it has committed to that, and it is no longer the harmless one
        told = _send(world, replace(attachment, file_key=bytes(32)))
        _serve(world, told, blob)
        with world.budi.open_attachment(told) as file:
            assert file.read(10) != HARMLESS[:10]
        return
    told = _send(world, replace(attachment, **{change: wrong[change]}))  # type: ignore[arg-type]
    _serve(world, told, blob)
    _refused(world, told)


def test_the_digest_of_a_message_covers_its_file(world: World) -> None:
    """Two messages of one text with two files are two contents: a reference tells them apart."""
    refs = set()
    for file in (HARMLESS, OTHER):
        attachment, _ = make_blob(file)
        world.ana.send(str(BUDI.user_id), Media(attachment, "look"))
        message: Message = world.receive()
        assert message.ref is not None
        refs.add(message.ref.digest)
    assert len(refs) == 2
