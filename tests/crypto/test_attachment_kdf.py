# SPDX-License-Identifier: Apache-2.0
import hashlib

from e2ecross.crypto.attachment_kdf import attachment_root, hash_chunks
from tests.support.vectors import attachments, unhex

VECTORS = attachments("attachments")


def _hash(chunk: bytes) -> bytes:
    return hash_chunks(memoryview(chunk), 65_536)


def test_hashes_and_roots_are_those_of_the_vectors() -> None:
    blobs = [vector for vector in VECTORS if "blob" in vector]
    assert len(blobs) >= 3
    for vector in blobs:
        chunks = memoryview(unhex(vector["blob"]))[: vector["padded"]]
        assert hash_chunks(chunks, 1 << vector["chunk_log2"]) == unhex(vector["table"])
    for vector in VECTORS:
        if vector["table"]:
            table = unhex(vector["table"])
            root = attachment_root(vector["chunk_log2"], vector["size"], table)
            assert root.hex() == vector["root"]


def test_they_are_sha_256_behind_their_labels() -> None:
    assert _hash(b"x") == hashlib.sha256(b"\x06e2ecross/attachment-chunk/v1\0x").digest()
    head = b"\x06e2ecross/attachment-root/v1\0" + bytes([17]) + (5).to_bytes(8) + (1).to_bytes(8)
    assert attachment_root(17, 5, bytes(32)) == hashlib.sha256(head + bytes(32)).digest()


def test_a_root_binds_the_size_the_chunks_and_their_order() -> None:
    one, other = _hash(b"one"), _hash(b"other")
    roots = [
        attachment_root(16, 70_000, one + other),
        attachment_root(17, 70_000, one + other),
        attachment_root(16, 70_001, one + other),
        attachment_root(16, 70_000, other + one),
        attachment_root(16, 70_000, one),
        attachment_root(16, 70_000, one + other + other),
    ]
    assert len({*roots}) == len(roots)
    assert _hash(b"") != _hash(b"\0") != hashlib.sha256(b"\0").digest()


def test_chunks_are_hashed_one_by_one() -> None:
    hashes = [_hash(chunk) for chunk in (b"abcd", b"efgh", b"ij")]
    assert hash_chunks(memoryview(b"abcdefghij"), 4) == b"".join(hashes)
    assert hash_chunks(memoryview(b"abcdefgh"), 4) == b"".join(hashes[:2])
