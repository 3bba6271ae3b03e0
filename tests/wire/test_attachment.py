# SPDX-License-Identifier: Apache-2.0
import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import errors
from e2ecross.errors import DecodeError, InvalidArgument, RemoteError, UnsupportedVersion
from e2ecross.wire.attachment import Attachment, padded_size
from tests.support.formats import ATTACHMENT
from tests.support.protobuf import fields, message
from tests.support.vectors import attachments, unhex

DESCRIPTORS = attachments("descriptors")
JPEG = b"\xff\xd8\xff"
LEAST = Attachment(b"\x01" * 32, 0, 16, bytes(32), bytes(32))


@pytest.mark.parametrize("vector", DESCRIPTORS, ids=[vector["what"] for vector in DESCRIPTORS])
def test_descriptors_are_read_and_refused_as_in_the_vectors(vector: dict[str, Any]) -> None:
    data = unhex(vector["descriptor"])
    if vector["error"]:
        with pytest.raises(getattr(errors, vector["error"])):
            Attachment.decode(data)
    else:
        assert Attachment.decode(data).encode() == data


@pytest.mark.parametrize(("name", "is_fine"), attachments("names"))
def test_names_are_those_of_the_vectors(name: str, is_fine: bool) -> None:
    if is_fine:
        assert replace(LEAST, name=name).name == name
    else:
        with pytest.raises(InvalidArgument, match=r"^name "):
            replace(LEAST, name=name)


@pytest.mark.parametrize(("size", "padded"), attachments("padded_size"))
def test_sizes_are_padded_as_in_the_vectors(size: int, padded: int) -> None:
    assert padded_size(size) == padded


@pytest.mark.parametrize(("size", "chunk_log2", "chunks"), attachments("chunk_log2"))
def test_chunks_are_counted_as_in_the_vectors(size: int, chunk_log2: int, chunks: int) -> None:
    assert replace(LEAST, size=size, chunk_log2=chunk_log2).chunk_count == chunks


@given(st.integers(0, 2**36))
def test_padding_is_small_and_stays_where_it_is(size: int) -> None:
    padded = padded_size(size)
    assert padded == padded_size(padded)
    assert max(size, 4096) <= padded <= max(size * 1.0625, 4096)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("file_key", [bytes(32)], [bytes(31), bytes(33), "x" * 32, bytearray(32)]),
        ("size", [0, 2**30], [-1, 2**36 + 1, True, 1.0]),
        ("chunk_log2", [16, 22], [15, 23, None]),
        ("root", [bytes(32)], [bytes(31), bytes(33), None]),
        ("blob_id", [bytes(32)], [bytes(31), bytes(33), None]),
        (
            "media_type",
            ["", "a/b", "image/svg+xml", "0/1", "a/" + "b" * 98],
            ["a", "/", "a/", "/b", "A/b", "a/b/c", "a/b\n", "a/ b", "é/b", "a/" + "b" * 99, None],
        ),
        ("name", ["", "a", "é" * 127], ["é" * 128, "\ud800", None, b"a"]),
        ("width", [0, 32_768], [-1, 32_769]),
        ("height", [0, 32_768], [-1, 32_769]),
        ("duration_ms", [0, 2**32 - 1], [-1, 2**32]),
        (
            "thumbnail",
            [b"", JPEG, JPEG.ljust(24_576, b"\0")],
            [b"\xff\xd8", b"\x89PNG", JPEG.ljust(24_577, b"\0"), "x", None],
        ),
    ],
)
def test_each_field_has_its_bounds(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        changed = replace(LEAST, **{name: value})
        assert getattr(Attachment.decode(changed.encode()), name) == value
    for value in bad:
        with pytest.raises(InvalidArgument, match=f"^{name} "):
            replace(LEAST, **{name: value})


def test_there_are_at_most_16384_chunks() -> None:
    most = replace(LEAST, size=2**30)
    assert most.chunk_count == 16_384
    with pytest.raises(InvalidArgument, match=r"^chunk_log2 16 makes 16896 chunks .* 16384$"):
        replace(LEAST, size=2**30 + 1)
    assert replace(LEAST, size=2**36, chunk_log2=22).chunk_count == 16_384


def test_a_later_suite_is_told_before_its_other_fields() -> None:
    later = message([(1, 2), *fields(LEAST.encode())[1:], (13, b"new")])
    with pytest.raises(UnsupportedVersion, match="suite 2"):
        Attachment.decode(later)
    for missing in (b"", message(fields(LEAST.encode())[1:])):
        with pytest.raises(DecodeError, match="suite"):
            Attachment.decode(missing)


def test_the_size_is_checked_before_anything_is_parsed() -> None:
    largest = replace(
        *(ATTACHMENT,),
        media_type="a/" + "b" * 98,
        name="n" * 255,
        thumbnail=JPEG.ljust(24_576, b"\0"),
    )
    assert Attachment.decode(largest.encode()) == largest
    with pytest.raises(DecodeError, match="25600"):
        Attachment.decode(b"\xff" * 25_601)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_attachment_or_a_remote_error(data: bytes) -> None:
    try:
        found = Attachment.decode(data)
    except RemoteError:
        return
    assert found.encode() == data


def test_equal_is_what_says_the_same() -> None:
    same = Attachment.decode(ATTACHMENT.encode())
    assert same is not ATTACHMENT
    assert same == ATTACHMENT
    assert hash(same) == hash(ATTACHMENT)
    for other in (replace(same, name="b"), replace(same, file_key=bytes(32)), ATTACHMENT.encode()):
        assert other != ATTACHMENT


def test_an_attachment_is_a_secret() -> None:
    assert repr(ATTACHMENT) == "<Attachment: secret>"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            leak(ATTACHMENT)
