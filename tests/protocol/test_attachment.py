# SPDX-License-Identifier: Apache-2.0
import hashlib
import inspect
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest

from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.errors import InvalidArgument
from e2ecross.protocol import attachment as writer
from e2ecross.protocol.attachment import _encrypt_stream_with_key, encrypt_stream
from e2ecross.protocol.attachment_reader import AttachmentReader
from e2ecross.wire.attachment import Attachment, choose_chunk_log2, padded_size
from tests.support.blobs import CHUNK, HELPER, Store, Zeros, apply_stream, make_blob, make_file
from tests.support.entropy import SeededEntropy
from tests.support.vectors import attachments, unhex

VECTORS = attachments("attachments")
MOST = 2**36
SIZES = [0, 1, 15, 16, 17, 4095, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1]
SIZES += [padded_size(100_000) + more for more in (-1, 0, 1)]
SIZES += [2**19 - 1, 2**19, 2**19 + 1, 5 * 2**18]  # of spans
threads = pytest.mark.parametrize("helper", [None, HELPER], ids=["one thread", "two threads"])


class Nowhere:
    def write(self, data: memoryview, /) -> None:
        pass


class Dribble:
    """A source that gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self.data.read(min(size, 4999))


@threads
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_blobs_are_those_of_the_vectors(
    vector: dict[str, Any], helper: ThreadPoolExecutor | None
) -> None:
    file = make_file(vector["size"], f"e2ecross-vec/attachment/{vector['name']}")
    key = make_file(32, f"e2ecross-vec/attachment-key/{vector['name']}")
    assert key.hex() == vector["file_key"]
    draft = Attachment(key, len(file), vector["chunk_log2"], bytes(32), bytes(32))
    sink = BytesIO()
    attachment = _encrypt_stream_with_key(BytesIO(file), sink, draft, helper)
    blob = sink.getvalue()
    assert attachment.root.hex() == vector["root"]
    assert hashlib.sha256(blob).hexdigest() == vector["blob_sha256"]
    assert len(blob) == vector["blob_size"] == attachment.blob_size
    assert attachment.chunk_count == vector["chunks"]
    assert padded_size(len(file)) == vector["padded"]
    assert blob.hex() == vector.get("blob", blob.hex())
    assert blob[vector["padded"] :].hex() == vector["table"]
    assert b"".join(Store(blob, []).reader(attachment, helper).chunks()) == file


def test_the_vectors_have_blobs_and_tables() -> None:
    assert len(VECTORS) == 9
    assert all(unhex(vector["table"]) for vector in VECTORS)


@threads
@pytest.mark.parametrize("size", SIZES)
def test_what_is_encrypted_is_read_again(size: int, helper: ThreadPoolExecutor | None) -> None:
    file, sink = make_file(size), BytesIO()
    attachment = encrypt_stream(BytesIO(file), size, sink, SYSTEM_ENTROPY, helper)
    assert len(sink.getvalue()) == attachment.blob_size
    reader = Store(sink.getvalue(), []).reader(attachment, helper)
    pieces = [*reader.chunks()]
    assert b"".join(pieces) == file == reader.read(0, size + 1)
    copy = BytesIO()
    reader.copy_to(copy)
    assert copy.getvalue() == file
    assert all(0 < len(piece) <= 2**19 for piece in pieces)


@threads
def test_a_source_may_give_less_than_it_is_asked_for(helper: ThreadPoolExecutor | None) -> None:
    file, sink = make_file(700_000), BytesIO()
    attachment = encrypt_stream(Dribble(file), len(file), sink, SYSTEM_ENTROPY, helper)
    assert b"".join(Store(sink.getvalue(), []).reader(attachment).chunks()) == file


def test_the_key_and_the_name_of_the_blob_are_drawn_anew_each_time() -> None:
    entropy, file = SeededEntropy("attachments"), make_file(10)
    blobs = [BytesIO(), BytesIO()]
    made = [encrypt_stream(BytesIO(file), 10, blob, entropy) for blob in blobs]
    again = SeededEntropy("attachments")
    assert [again.bytes(32) for _ in range(4)] == [
        value for one in made for value in (one.file_key, one.blob_id)
    ]
    assert blobs[0].getvalue()[:4096] != blobs[1].getvalue()[:4096]


def test_no_interface_takes_a_key() -> None:
    assert writer.__all__ == ["encrypt_stream"]
    assert not [name for name in inspect.signature(encrypt_stream).parameters if "key" in name]
    with pytest.raises(TypeError, match="file_key"):
        encrypt_stream(BytesIO(), 0, Nowhere(), SYSTEM_ENTROPY, file_key=bytes(32))  # type: ignore[call-arg]


def test_the_fields_that_are_shown_are_handed_on() -> None:
    attachment = encrypt_stream(
        *(BytesIO(b"abc"), 3, Nowhere(), SYSTEM_ENTROPY),
        media_type="image/jpeg",
        name="cat.jpg",
        width=3,
        height=4,
        duration_ms=5,
        thumbnail=b"\xff\xd8\xff",
    )
    shown = (attachment.media_type, attachment.name, attachment.width, attachment.height)
    assert shown == ("image/jpeg", "cat.jpg", 3, 4)
    assert (attachment.duration_ms, attachment.thumbnail) == (5, b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (MOST + 1, {}),
        (-1, {}),
        (True, {}),
        (1.0, {}),
        (None, {}),
        (3, {"name": "a/b"}),
        (3, {"media_type": "x"}),
        (3, {"thumbnail": b"no"}),
    ],
)
def test_what_is_not_acceptable_is_refused_before_anything_is_read(
    size: object, shown: dict[str, Any]
) -> None:
    source, sink = BytesIO(b"abc"), BytesIO()
    with pytest.raises(InvalidArgument):
        encrypt_stream(source, size, sink, SYSTEM_ENTROPY, **shown)  # type: ignore[arg-type]
    assert (source.tell(), sink.getvalue()) == (0, b"")


@pytest.mark.parametrize(("source", "sink"), [(b"abc", BytesIO()), (BytesIO(b"abc"), None)])
def test_streams_have_to_be_some(source: object, sink: object) -> None:
    with pytest.raises(InvalidArgument, match=r"must have a method"):
        encrypt_stream(source, 3, sink, SYSTEM_ENTROPY)  # type: ignore[arg-type]


def test_a_helper_has_to_be_one() -> None:
    source = BytesIO(b"abc")
    with pytest.raises(InvalidArgument, match=r"^helper must have a method submit"):
        encrypt_stream(source, 3, Nowhere(), SYSTEM_ENTROPY, 2)  # type: ignore[arg-type]
    assert source.tell() == 0


@threads
@pytest.mark.parametrize("size", [1, 4096, CHUNK, 600_000, 2**20])
def test_a_source_that_is_shorter_or_longer_is_refused(
    size: int, helper: ThreadPoolExecutor | None
) -> None:
    for other, what in ((size - 1, "fewer"), (size + 1, "more"), (2 * size + 70_000, "more")):
        with pytest.raises(InvalidArgument, match=f"^source has {what} "):
            encrypt_stream(Zeros(other), size, Nowhere(), SYSTEM_ENTROPY, helper)


def test_an_empty_file_has_nothing_in_it() -> None:
    with pytest.raises(InvalidArgument, match=r"^source has more "):
        encrypt_stream(BytesIO(b"a"), 0, Nowhere(), SYSTEM_ENTROPY)


def test_the_largest_file_begins_as_any_other() -> None:
    """64 GiB are not encrypted here: the source ends after a megabyte."""
    source = Zeros(2**22 + 2**20)
    with pytest.raises(InvalidArgument, match=f"^source has fewer than the {MOST} bytes"):
        encrypt_stream(source, MOST, Nowhere(), SYSTEM_ENTROPY)
    assert source.left == 0


@pytest.mark.parametrize("answer", ["text", None, bytearray(3), b"four"])
def test_a_source_gives_bytes_and_no_more_than_it_is_asked_for(answer: object) -> None:
    class Wrong:
        def read(self, size: int, /) -> bytes:
            return answer  # type: ignore[return-value]

    with pytest.raises(InvalidArgument, match=r"^source\.read\(\) "):
        encrypt_stream(Wrong(), 3, Nowhere(), SYSTEM_ENTROPY)


@threads
def test_the_error_of_a_stream_comes_through(helper: ThreadPoolExecutor | None) -> None:
    class Full:
        def write(self, data: memoryview, /) -> None:
            raise OSError("disk full")

    class Unreadable:
        def __init__(self) -> None:
            self.left = 2

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            if not self.left:
                raise OSError("no medium")
            return bytes(size)

    with pytest.raises(OSError, match="disk full"):
        encrypt_stream(Zeros(2**21), 2**21, Full(), SYSTEM_ENTROPY, helper)
    with pytest.raises(OSError, match="no medium"):
        encrypt_stream(Unreadable(), 2**21, Nowhere(), SYSTEM_ENTROPY, helper)


@pytest.mark.parametrize(("padded", "log2", "count"), attachments("chunk_log2"))
def test_chunks_are_chosen_as_in_the_vectors(padded: int, log2: int, count: int) -> None:
    assert choose_chunk_log2(padded) == log2
    assert Attachment(bytes(32), padded, log2, bytes(32), bytes(32)).chunk_count == count


def test_sizes_of_blobs_are_those_of_the_table() -> None:
    largest = Attachment(bytes(32), MOST, 22, bytes(32), bytes(32))
    assert (largest.table_size, largest.blob_size) == (524_288, MOST + 524_288)
    least = Attachment(bytes(32), 0, 16, bytes(32), bytes(32))
    assert (least.table_size, least.blob_size) == (32, 4128)


def test_who_has_the_message_and_the_file_can_make_the_blob_again() -> None:
    file = make_file(200_000)
    assert make_blob(file) == make_blob(file)


@threads
def test_memory_does_not_depend_on_the_size(helper: ThreadPoolExecutor | None) -> None:
    """Both ways; 2 GiB are a command of CONTRIBUTING.md."""
    size = 2**28
    table: list[bytes] = []

    class Ends:
        def write(self, data: memoryview, /) -> None:
            table[:] = [bytes(data[:131_072])]

    tracemalloc.start()
    try:
        attachment = encrypt_stream(Zeros(size), size, Ends(), SYSTEM_ENTROPY, helper)
        _, encrypting = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()

        def fetch(offset: int, length: int) -> bytes:
            if offset == size:
                return table[0]
            return apply_stream(attachment.file_key, offset, bytes(length))

        reader = AttachmentReader(attachment, fetch, helper)
        read = sum(map(len, reader.chunks()))
        reader.copy_to(Nowhere())
        _, reading = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == size
    assert encrypting < 2**22 + 2**19
    assert reading < 2**22 + 2**19
