# SPDX-License-Identifier: Apache-2.0
"""Each row of the table of what somebody does to a blob, and what a reader asks for and gives."""

import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest

from e2ecross.crypto.attachment_kdf import attachment_root, hash_chunks
from e2ecross.errors import AttachmentCorrupted, InvalidArgument
from e2ecross.protocol.attachment_reader import AttachmentReader, verified_prefix
from e2ecross.wire.attachment import Attachment, padded_size
from tests.support.blobs import (
    CHUNK,
    HELPER,
    Store,
    apply_stream,
    make_blob,
    make_file,
    one_right_chunk,
)

SIZE = 3 * CHUNK + 1000
FILE = make_file(SIZE)
ATTACHMENT, BLOB = make_blob(FILE)
PADDED = padded_size(SIZE)
threads = pytest.mark.parametrize("helper", [None, HELPER], ids=["one thread", "two threads"])
MESSAGE = "the blob of an attachment is not the file that its message names"


def _released(reader: AttachmentReader) -> bytes:
    """What comes out before the one error that there is."""
    out: list[bytes] = []
    with pytest.raises(AttachmentCorrupted) as caught:
        out.extend(reader.chunks())
    assert str(caught.value) == MESSAGE
    assert caught.value.__context__ is None
    sink = BytesIO()
    with pytest.raises(AttachmentCorrupted, match=MESSAGE):
        reader.copy_to(sink)
    assert sink.getvalue() == b"".join(out)
    return sink.getvalue()


def _flip(blob: bytes, bit: int) -> bytes:
    changed = bytearray(blob)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _with_chunk(blob: bytes, number: int, chunk: bytes) -> bytes:
    return blob[: number * CHUNK] + chunk + blob[number * CHUNK + len(chunk) :]


# --- What somebody does -----------------------------------------------------------------------


@threads
@pytest.mark.parametrize(
    "blob",
    [
        BLOB[:-1],
        BLOB[:-32],
        BLOB[:PADDED],
        BLOB[:100],
        b"",
        BLOB[1:],
        b"\0" + BLOB,
        BLOB[:CHUNK] + BLOB[2 * CHUNK :],
        make_blob(make_file(SIZE, "another"))[1],
        make_blob(make_file(SIZE + 1))[1],
        make_blob(make_file(2 * SIZE))[1],
        make_blob(FILE, chunk_log2=17)[1],
    ],
)
def test_a_blob_that_is_cut_longer_or_of_another_file_is_refused_at_the_table(
    blob: bytes, helper: ThreadPoolExecutor | None
) -> None:
    store = Store(blob, [])
    assert _released(store.reader(ATTACHMENT, helper)) == b""
    assert store.asked == [(PADDED, 4 * 32)] * 2


def test_bytes_behind_the_blob_are_never_asked_for() -> None:
    store = Store(BLOB + b"more", [])
    assert b"".join(store.reader(ATTACHMENT).chunks()) == FILE
    assert max(offset + length for offset, length in store.asked) == len(BLOB)


@threads
@pytest.mark.parametrize("number", range(4))
def test_a_flipped_bit_is_refused_at_its_chunk(
    number: int, helper: ThreadPoolExecutor | None
) -> None:
    for byte in (number * CHUNK, number * CHUNK + 700):
        reader = Store(_flip(BLOB, 8 * byte), []).reader(ATTACHMENT, helper)
        assert _released(reader) == FILE[: number * CHUNK]


@threads
def test_swapped_and_repeated_chunks_are_refused_at_the_first_of_them(
    helper: ThreadPoolExecutor | None,
) -> None:
    first, second = BLOB[:CHUNK], BLOB[CHUNK : 2 * CHUNK]
    swapped = _with_chunk(BLOB, 0, second + first)
    assert _released(Store(swapped, []).reader(ATTACHMENT, helper)) == b""
    repeated = _with_chunk(BLOB, 1, first)
    assert _released(Store(repeated, []).reader(ATTACHMENT, helper)) == FILE[:CHUNK]


def test_a_chunk_of_another_blob_of_the_same_key_is_refused() -> None:
    _, other = make_blob(make_file(SIZE, "another"))
    spliced = _with_chunk(BLOB, 2, other[2 * CHUNK : 3 * CHUNK])
    assert _released(Store(spliced, []).reader(ATTACHMENT)) == FILE[: 2 * CHUNK]


@pytest.mark.parametrize(
    "table",
    [
        BLOB[PADDED + 32 : PADDED + 64] + BLOB[PADDED : PADDED + 32] + BLOB[PADDED + 64 :],
        BLOB[PADDED:-32] + bytes(32),
        make_blob(make_file(SIZE, "another"))[1][PADDED:],
        bytes(128),
    ],
)
def test_a_swapped_or_foreign_table_is_refused(table: bytes) -> None:
    assert _released(Store(BLOB[:PADDED] + table, []).reader(ATTACHMENT)) == b""


def test_a_sender_who_serves_another_file_than_he_commits_to_is_refused() -> None:
    """He knows the key, so with a tag under a key he would get through."""
    _, other = make_blob(make_file(SIZE, "harmful"))
    assert _released(Store(other, []).reader(ATTACHMENT)) == b""
    under_the_good_table = other[:PADDED] + BLOB[PADDED:]
    assert _released(Store(under_the_good_table, []).reader(ATTACHMENT)) == b""


@threads
@pytest.mark.parametrize("size", [5, 4095, SIZE, 2**21 - CHUNK + 1])
def test_what_a_sender_puts_into_the_padding_is_refused_at_its_chunk(
    size: int, helper: ThreadPoolExecutor | None
) -> None:
    padded = padded_size(size)
    plain = make_file(size).ljust(padded, b"\0")
    for at in {size, padded - 1}:
        hidden = _flip(plain, 8 * at)
        attachment, blob = make_blob(hidden)
        root = attachment_root(16, size, blob[padded:])
        claimed = replace(attachment, size=size, root=root)
        number = at // CHUNK
        reader = Store(blob, []).reader(claimed, helper)
        assert _released(reader) == plain[: min(number * CHUNK, size)]
        if number * CHUNK < size:
            with pytest.raises(AttachmentCorrupted, match=MESSAGE):
                reader.read(number * CHUNK, 1)


def test_another_key_is_what_the_sender_has_committed_to() -> None:
    """Nobody but the sender writes the descriptor; what comes out is fixed by the message."""
    plain = make_file(4096)
    attachment, blob = make_blob(plain)
    other = replace(attachment, file_key=b"\x07" * 32)
    expected = apply_stream(b"\x07" * 32, 0, blob[:4096])
    assert Store(blob, []).reader(other).read(0, 4096) == expected


def test_a_size_that_the_message_does_not_name_is_refused() -> None:
    for size in (0, SIZE - 1, SIZE + 1, PADDED, 2 * SIZE, 2**30):
        assert _released(Store(BLOB, []).reader(replace(ATTACHMENT, size=size))) == b""
    other_chunks = replace(ATTACHMENT, chunk_log2=17)
    assert _released(Store(BLOB, []).reader(other_chunks)) == b""


def test_every_bit_of_a_small_blob() -> None:
    attachment, blob = make_blob(b"small")
    for bit in range(8 * len(blob)):
        reader = Store(_flip(blob, bit), []).reader(attachment)
        try:
            reader.read(0, 5)
        except AttachmentCorrupted:
            continue
        pytest.fail(f"bit {bit} is not noticed")


def test_every_cut_of_a_small_blob() -> None:
    attachment, blob = make_blob(b"small")
    for end in range(len(blob)):
        with pytest.raises(AttachmentCorrupted):
            Store(blob[:end], []).reader(attachment).read(0, 5)


# --- A store that lies ------------------------------------------------------------------------


@threads
@pytest.mark.parametrize(
    "lie",
    [
        lambda blob, offset, length: blob[offset : offset + length - 1],
        lambda blob, offset, length: blob[offset : offset + length] + b"\0",
        lambda blob, offset, length: blob[offset + 1 : offset + 1 + length],
        lambda blob, offset, length: b"",
        lambda blob, offset, length: bytes(length),
        lambda blob, offset, length: bytearray(blob[offset : offset + length]),
        lambda blob, offset, length: None,
    ],
)
def test_a_store_that_answers_something_else_is_refused(
    lie: Callable[[bytes, int, int], Any], helper: ThreadPoolExecutor | None
) -> None:
    everywhere = AttachmentReader(ATTACHMENT, lambda *asked: lie(BLOB, *asked), helper)
    assert _released(everywhere) == b""

    def fetch(offset: int, length: int) -> Any:  # noqa: ANN401
        if offset == PADDED:
            return BLOB[offset:]
        return lie(BLOB, offset, length)

    but_not_of_the_table = AttachmentReader(ATTACHMENT, fetch, helper)
    assert _released(but_not_of_the_table) == b""
    with pytest.raises(AttachmentCorrupted, match=MESSAGE):
        but_not_of_the_table.read(5, 1)


@threads
def test_the_error_of_a_store_comes_through_and_it_can_be_read_again(
    helper: ThreadPoolExecutor | None,
) -> None:
    file = make_file(2**21)
    attachment, blob = make_blob(file)
    away = [True]

    def fetch(offset: int, length: int) -> bytes:
        if away[0] and offset == 2**20:
            raise ConnectionError("away")
        return blob[offset : offset + length]

    reader = AttachmentReader(attachment, fetch, helper)
    out: list[bytes] = []
    with pytest.raises(ConnectionError, match="away"):
        out.extend(reader.chunks())
    held = b"".join(out)
    assert file.startswith(held)
    away[0] = False
    assert held + b"".join(reader.chunks(len(held))) == file


# --- What is asked for, and when --------------------------------------------------------------


@threads
def test_the_table_is_asked_for_first_and_once(helper: ThreadPoolExecutor | None) -> None:
    file = make_file(2**20 + 5)
    attachment, blob = make_blob(file)
    store = Store(blob, [])
    reader = store.reader(attachment, helper)
    pieces = reader.chunks()
    assert store.asked == []
    next(pieces)
    assert store.asked[:2] == [(padded_size(len(file)), attachment.table_size), (0, 2**19)]
    assert b"".join(pieces) == file[2**19 :]
    reader.read(3, 4)
    assert store.asked[1:] == [(0, 2**19), (2**19, 2**19), (2**20, CHUNK // 2), (0, CHUNK)]
    assert reader.table() == blob[padded_size(len(file)) :]


def test_chunks_of_padding_are_asked_for_too() -> None:
    """Or the store would learn the size from what is left out."""
    size = 2**22 + 1
    attachment, blob = make_blob(make_file(size))
    store = Store(blob, [])
    assert sum(map(len, store.reader(attachment).chunks())) == size
    padded = padded_size(size)
    assert padded - size > CHUNK
    assert sum(length for _, length in store.asked) == len(blob)
    store.asked.clear()
    assert [*store.reader(attachment).chunks(size)] == []
    assert sum(length for _, length in store.asked) == len(blob) - 65 * CHUNK


def test_a_range_asks_for_its_chunks_alone() -> None:
    store = Store(BLOB, [])
    reader = store.reader(ATTACHMENT)
    assert reader.read(CHUNK - 1, 2) == FILE[CHUNK - 1 : CHUNK + 1]
    assert reader.read(CHUNK, CHUNK) == FILE[CHUNK : 2 * CHUNK]
    assert reader.read(SIZE - 1, 100) == FILE[-1:]
    assert store.asked[1:] == [(0, 2 * CHUNK), (CHUNK, CHUNK), (3 * CHUNK, PADDED - 3 * CHUNK)]


def test_what_is_beyond_the_end_is_left_out() -> None:
    store = Store(BLOB, [])
    reader = store.reader(ATTACHMENT)
    assert reader.read(SIZE, 1) == reader.read(2**60, 5) == reader.read(7, 0) == b""
    assert store.asked == []
    assert reader.read(0, 2**62) == FILE


@pytest.mark.parametrize(
    ("offset", "length"), [(-1, 5), (0, -1), (0, 1.0), (None, 1), (True, 1), (2**63, 1)]
)
def test_a_range_is_of_whole_numbers(offset: object, length: object) -> None:
    store = Store(BLOB, [])
    with pytest.raises(InvalidArgument):
        store.reader(ATTACHMENT).read(offset, length)  # type: ignore[arg-type]
    assert store.asked == []


def test_one_begins_at_the_end_of_a_chunk_or_of_the_file() -> None:
    reader = Store(BLOB, []).reader(ATTACHMENT)
    for start in (0, CHUNK, 3 * CHUNK, SIZE):
        assert b"".join(reader.chunks(start)) == FILE[start:]
        sink = BytesIO()
        reader.copy_to(sink, start)
        assert sink.getvalue() == FILE[start:]
    for wrong in (-1, 1, CHUNK - 1, SIZE - 1, SIZE + 1, PADDED, 4 * CHUNK, None):
        with pytest.raises(InvalidArgument, match=r"^start "):
            reader.chunks(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"^start "):
        reader.copy_to(BytesIO(), 1)
    with pytest.raises(InvalidArgument, match=r"^sink "):
        reader.copy_to(None)  # type: ignore[arg-type]


def test_what_is_no_attachment_or_no_function_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^attachment "):
        AttachmentReader(ATTACHMENT.encode(), bytes)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"^fetch "):
        AttachmentReader(ATTACHMENT, BLOB)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"^helper "):
        AttachmentReader(ATTACHMENT, Store(BLOB, []).fetch, 2)  # type: ignore[arg-type]


# --- The ends of the range --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "chunk_log2", "number"),
    [(2**36, 22, 16_383), (2**36, 22, 0), (2**30, 16, 16_383), (2**36 - 5, 22, 16_383)],
)
def test_the_largest_files_and_the_most_chunks(size: int, chunk_log2: int, number: int) -> None:
    each = 1 << chunk_log2
    begin = number * each
    plain = make_file(min(each, size - begin))
    attachment, table, sealed = one_right_chunk(size, chunk_log2, number, plain)
    answers = {padded_size(size): table, begin: sealed}
    reader = AttachmentReader(attachment, lambda offset, _: answers.get(offset, bytes(each)))
    assert reader.read(begin, each) == plain
    assert reader.read(begin + 7, 9) == plain[7:16]
    with pytest.raises(AttachmentCorrupted, match=MESSAGE):
        reader.read((begin - each) % size // each * each, 1)


def test_nothing_has_more_than_16384_chunks() -> None:
    with pytest.raises(InvalidArgument, match="16384"):
        Attachment(bytes(32), 2**30 + 1, 16, bytes(32), bytes(32))
    with pytest.raises(InvalidArgument, match=r"^size "):
        Attachment(bytes(32), 2**36 + 1, 22, bytes(32), bytes(32))


# --- Going on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, SIZE - 1, SIZE])
def test_a_part_is_right_up_to_its_last_whole_chunk(held: int) -> None:
    store = Store(BLOB, [])
    reader = store.reader(ATTACHMENT)
    verified = verified_prefix(reader, BytesIO(FILE[:held]))
    assert verified == (SIZE if held == SIZE else held // CHUNK * CHUNK)
    assert store.asked == [(PADDED, 128)]
    assert FILE[:verified] + b"".join(reader.chunks(verified)) == FILE


@pytest.mark.parametrize("changed", [0, CHUNK - 1, CHUNK, 2 * CHUNK + 5, SIZE - 1])
def test_a_part_that_somebody_has_changed_is_found(changed: int) -> None:
    part = _flip(FILE, 8 * changed)
    reader = Store(BLOB, []).reader(ATTACHMENT)
    assert verified_prefix(reader, BytesIO(part)) == changed // CHUNK * CHUNK


def test_a_part_with_more_than_the_file_is_right_up_to_its_end() -> None:
    reader = Store(BLOB, []).reader(ATTACHMENT)
    assert verified_prefix(reader, BytesIO(FILE + bytes(PADDED))) == SIZE


def test_zeros_that_follow_in_the_file_are_not_taken_for_held() -> None:
    file = FILE[:100] + bytes(3 * CHUNK)
    attachment, blob = make_blob(file)
    reader = Store(blob, []).reader(attachment)
    for held in (100, CHUNK - 1, CHUNK + 5, len(file) - 1):
        assert verified_prefix(reader, BytesIO(file[:held])) == held // CHUNK * CHUNK


@pytest.mark.parametrize("size", [0, 1, 4096, 2**20 + 1, 2**21 + 1])
def test_a_part_of_several_spans_and_of_none(size: int) -> None:
    file = make_file(size)
    attachment, blob = make_blob(file)
    reader = Store(blob, []).reader(attachment)
    assert verified_prefix(reader, BytesIO(file)) == size
    assert verified_prefix(reader, BytesIO()) == 0
    most = max(size - 1, 0) // CHUNK * CHUNK
    assert verified_prefix(reader, BytesIO(file[:most])) == most


def test_a_part_is_held_against_no_table_but_the_right_one() -> None:
    with pytest.raises(AttachmentCorrupted, match=MESSAGE):
        verified_prefix(Store(bytes(len(BLOB)), []).reader(ATTACHMENT), BytesIO(FILE))


# --- What is shown ----------------------------------------------------------------------------


def test_a_reader_shows_nothing() -> None:
    reader = Store(BLOB, []).reader(ATTACHMENT)
    assert repr(reader) == "<AttachmentReader: secret>"
    assert reader.attachment == ATTACHMENT


@threads
def test_nothing_of_the_file_is_in_the_frames_of_an_error(
    helper: ThreadPoolExecutor | None,
) -> None:
    reader = Store(_flip(BLOB, 8 * 2 * CHUNK), []).reader(ATTACHMENT, helper)
    with pytest.raises(AttachmentCorrupted) as caught:
        reader.copy_to(BytesIO())
    for plain in _bytes_in(caught.value):
        assert plain[:16] not in FILE


def _bytes_in(error: BaseException) -> Iterator[bytes]:
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_globals["__name__"].startswith("e2ecross"):
            waiting = [*frame.f_locals.values()]
            while waiting:
                value = waiting.pop()
                if isinstance(value, bytes | bytearray | memoryview) and value:
                    yield bytes(value)
                elif isinstance(value, list | tuple):
                    waiting += value


def test_a_chunk_alone_is_hashed_as_it_lies() -> None:
    assert BLOB[PADDED : PADDED + 32] == hash_chunks(memoryview(BLOB)[:CHUNK], CHUNK)
