# SPDX-License-Identifier: Apache-2.0
"""Target: a reader of a blob that somebody has worked on, be it the store or the sender.

The bytes are what they do to the blob of a file of three chunks. The sender alone can have the
message commit to what came of it. Whatever they do: what comes out is a prefix of what the message
commits to, of whole chunks, and all of it if it is accepted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Final

from e2ecross.crypto.attachment_kdf import attachment_root, hash_chunks
from e2ecross.errors import AttachmentCorrupted
from e2ecross.protocol.attachment_reader import AttachmentReader, verified_prefix
from e2ecross.wire.attachment import Attachment, padded_size
from tests.fuzz.target import Source, Target, outcome
from tests.support.blobs import CHUNK, apply_stream, make_blob, make_file

__all__ = ["BLOBS"]

_SIZE: Final = 2 * CHUNK + 3000
_FLIP, _CUT, _INSERT, _COPY, _RESIZE, _COMMIT = range(6)


def _run(data: bytes) -> str:
    source = Source(data)
    attachment, whole = make_blob(make_file(_SIZE))
    named, blob = attachment, bytearray(whole)
    while source.left:
        named = _work(source, named, blob)
    plain = apply_stream(attachment.file_key, 0, bytes(blob[: padded_size(named.size)]))
    reader = AttachmentReader(named, lambda at, length: bytes(blob[at : at + length]))
    sink = BytesIO()
    came = outcome(lambda: reader.copy_to(sink), AttachmentCorrupted)
    out = sink.getvalue()
    assert len(out) == named.size if came == "accepted" else len(out) % CHUNK in (0, _rest(named))
    assert plain[: named.size].startswith(out)
    assert named != attachment or make_file(_SIZE).startswith(out)
    resumed = outcome(lambda: _resume(reader, out), AttachmentCorrupted)
    part = outcome(lambda: _range(reader, out, source.number(3)), AttachmentCorrupted)
    return f"{came},{resumed},{part}"


def _work(source: Source, named: Attachment, blob: bytearray) -> Attachment:
    """Do one thing to the blob, or to what the message says of it."""
    step, at = source.below(6), source.number(3) % (len(blob) + 1)
    if step == _FLIP:
        blob[at : at + 1] = bytes(byte ^ (1 << source.below(8)) for byte in blob[at : at + 1])
    elif step == _CUT:
        del blob[at:]
    elif step == _INSERT:
        blob[at:at] = source.take(source.below(40))
    elif step == _COPY:
        begin, length = source.number(3) % (len(blob) + 1), source.below(4) * 16_384
        blob[at : at + length] = blob[begin : begin + length]
    elif step == _RESIZE:
        return _committed(replace(named, size=min(at, _SIZE)), blob)
    else:
        padded = padded_size(named.size)
        blob[padded:] = hash_chunks(memoryview(bytes(blob[:padded])), CHUNK)
        return _committed(named, blob)
    return named


def _committed(named: Attachment, blob: bytearray) -> Attachment:
    padded = padded_size(named.size)
    table = bytes(blob[padded : padded + named.table_size])
    return replace(named, root=attachment_root(named.chunk_log2, named.size, table))


def _rest(named: Attachment) -> int:
    return named.size % CHUNK


def _resume(reader: AttachmentReader, part: bytes) -> None:
    assert verified_prefix(reader, BytesIO(part)) == len(part)


def _range(reader: AttachmentReader, out: bytes, at: int) -> None:
    read = reader.read(at, 5)
    assert len(read) == max(0, min(5, reader.attachment.size - at))
    assert not out[at : at + 5] or read.startswith(out[at : at + 5])


def _seeds() -> Sequence[bytes]:
    def step(kind: int, at: int, *more: int) -> bytes:
        return bytes((kind, *at.to_bytes(3), *more))

    padded, commit = padded_size(_SIZE), step(_COMMIT, 0)
    return (
        b"",
        step(_FLIP, 0, 1),
        step(_FLIP, CHUNK + 5, 7),
        step(_FLIP, padded + 40, 0),
        step(_FLIP, padded - 1, 0) + commit,
        step(_FLIP, CHUNK, 3) + commit,
        step(_CUT, padded),
        step(_CUT, CHUNK),
        step(_INSERT, 70, 3, 1, 2, 3),
        step(_COPY, 0, 1, 0, 0, 3),
        step(_RESIZE, CHUNK),
        step(_RESIZE, 5) + commit,
        step(_RESIZE, 0) + commit,
    )


BLOBS: Final[Mapping[str, Target]] = {"attachment-blob": Target(_run, _seeds, max_bytes=200)}
