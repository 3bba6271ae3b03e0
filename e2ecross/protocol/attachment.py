# SPDX-License-Identifier: Apache-2.0
"""Encrypting a file into the blob that lies beside a message.

Rules:
- The key is drawn here, anew for each run over a source, and no interface takes one: two runs
  over a source that changed in between would give away the difference.
- One pass, in memory that does not depend on the size of the file: a span as it was read and as
  it is written (of each two with a helper), and the hashes.
- Pure but for the streams that are handed in; no thread is started here.

Source: docs/wire-format.md, attachments.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Unpack

from e2ecross.arguments import require_methods, require_whole_number
from e2ecross.crypto.attachment_kdf import attachment_root
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidArgument
from e2ecross.protocol.attachment_chunks import (
    Chunks,
    Sink,
    Source,
    in_order,
    new_buffers,
    read_up_to,
    require_helper,
    seal_chunks,
)
from e2ecross.wire.attachment import (
    BLOB_ID_BYTES,
    FILE_KEY_BYTES,
    MAX_ATTACHMENT_SIZE,
    Attachment,
    ShownAs,
    choose_chunk_log2,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["encrypt_stream"]

_NO_ROOT: Final = bytes(32)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Span(Secret):
    offset: int
    data: bytes
    buffer: bytearray


def encrypt_stream(
    source: Source,
    size: int,
    sink: Sink,
    entropy: EntropySource,
    helper: "Executor | None" = None,
    **shown: Unpack[ShownAs],
) -> Attachment:
    """Encrypt a file into a blob, and return what a message has to say of it.

    Args:
        source: the file, read to its end.
        size: of the file, 0 to 2^36 bytes.
        sink: gets the blob, `Attachment.blob_size` bytes.
        entropy: gives the key and the id of the blob.
        helper: does half of the work, in a thread of its own (`ThreadPoolExecutor(1)`).
        shown: fields of the attachment, such as `media_type` and `name`.

    Raises:
        InvalidArgument: the size or another field is not acceptable, and nothing was read; or the
            source has fewer bytes than `size`, or more: what was written is to be thrown away.

    Source: docs/wire-format.md, attachments.
    """
    require_methods("source", source, "read")
    require_methods("sink", sink, "write")
    require_helper(helper)
    require_whole_number("size", size, high=MAX_ATTACHMENT_SIZE)
    key, blob_id = entropy.bytes(FILE_KEY_BYTES), entropy.bytes(BLOB_ID_BYTES)
    draft = Attachment(key, size, choose_chunk_log2(size), _NO_ROOT, blob_id, **shown)
    return _encrypt_stream_with_key(source, sink, draft, helper)


def _encrypt_stream_with_key(
    source: Source, sink: Sink, draft: Attachment, helper: "Executor | None" = None
) -> Attachment:
    """The same with the key, size and chunks of a draft; its root is ignored."""
    chunks = Chunks.of(draft)
    seal = partial(_seal, draft, chunks.each)
    buffers = new_buffers(min(chunks.span_bytes, chunks.padded), helper)
    table = bytearray()
    for sealed, hashes in in_order(_spans(source, chunks, buffers), seal, helper):
        sink.write(sealed)
        table += hashes
    if read_up_to(source, 1):
        raise InvalidArgument(f"source has more than the {draft.size} bytes of size")
    sink.write(memoryview(table))
    return replace(draft, root=attachment_root(draft.chunk_log2, draft.size, bytes(table)))


def _spans(source: Source, chunks: Chunks, buffers: Iterator[bytearray]) -> Iterator[_Span]:
    for span in chunks.spans(range(chunks.count)):
        wanted = chunks.held(span)
        data = read_up_to(source, wanted)
        if len(data) < wanted:
            raise InvalidArgument(f"source has fewer than the {chunks.size} bytes of size")
        padded = data.ljust(chunks.length(span), b"\0")
        yield _Span(chunks.start(span.start), padded, next(buffers))


def _seal(draft: Attachment, each: int, span: _Span) -> tuple[memoryview, bytes]:
    return seal_chunks(draft.file_key, span.offset, span.data, each, span.buffer)
