# SPDX-License-Identifier: Apache-2.0
"""Files: encrypted, and verified and decrypted, from memory into nowhere.

All go in chunks of the size that ours have for the file, which lie in memory as they are wanted:
what is measured is no stream and no store. The floor calls the cipher and the hash on each chunk,
and does nothing else: it hashes with no prefix, keeps no hash and compares none.
"""

import hashlib
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from os import urandom
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from benchmarks.job import Job, Maker, Step
from benchmarks.media_formats import MediaFormat, decrypt_media, encrypt_media
from e2ecross import AttachmentReader
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.protocol.attachment import encrypt_stream
from e2ecross.wire.attachment import choose_chunk_log2

__all__ = ["FLOOR", "MAKERS", "TWO_THREADS", "a_file", "media_makers"]

_REPEATED: Final = 2**20


class Nowhere:
    """A sink."""

    def __init__(self) -> None:
        self.done = 0

    def write(self, data: memoryview, /) -> None:
        """Forget it."""
        self.done += len(data)


class Memory:
    """A source, and a store, that has each part as bytes once it was asked for it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._parts: dict[tuple[int, int], bytes] = {}
        self._at = 0

    def fetch(self, offset: int, length: int) -> bytes:
        key = offset, length
        if key not in self._parts:
            self._parts[key] = self._data[offset : offset + length]
        return self._parts[key]

    def rewind(self) -> "Memory":
        self._at = 0
        return self

    def read(self, size: int, /) -> bytes:
        part = self.fetch(self._at, size)
        self._at += len(part)
        return part


def a_file(job: Job) -> bytes:
    """As many bytes as the row says, in memory of their own."""
    size = job.parameters["bytes"]
    return (urandom(min(size, _REPEATED)) * (size // _REPEATED + 1))[:size]


def media_makers(form: MediaFormat) -> dict[str, Maker]:
    """The makers of such a format."""

    def encrypt(job: Job, cleanup: ExitStack) -> Step:
        file, write = a_file(job), Nowhere().write
        return partial(encrypt_media, form, file, _each(file), write)

    def decrypt(job: Job, cleanup: ExitStack) -> Step:
        file, blob = a_file(job), BytesIO()
        keys = encrypt_media(form, file, _each(file), blob.write)
        return partial(decrypt_media, form, keys, blob.getvalue(), _each(file), Nowhere().write)

    return {"attachment_encrypt": encrypt, "attachment_decrypt": decrypt}


def _each(file: bytes) -> int:
    return 1 << choose_chunk_log2(len(file))


def _floor_encrypt(job: Job, cleanup: ExitStack) -> Step:
    file, cipher = a_file(job), _cipher()
    view, each = memoryview(file), _each(file)
    out = memoryview(bytearray(each + 15))

    def step() -> None:
        for start in range(0, len(file), each):
            chunk = view[start : start + each]
            cipher.update_into(chunk, out)
            hashlib.sha256(out[: len(chunk)]).digest()

    return step


def _floor_decrypt(job: Job, cleanup: ExitStack) -> Step:
    file, cipher = a_file(job), _cipher()
    view, each = memoryview(file), _each(file)
    out = memoryview(bytearray(each + 15))

    def step() -> None:
        for start in range(0, len(file), each):
            chunk = view[start : start + each]
            hashlib.sha256(chunk).digest()
            cipher.update_into(chunk, out)

    return step


def _cipher() -> CipherContext:
    return Cipher(AES256(urandom(32)), CTR(bytes(16))).encryptor()


def _makers(threads: int) -> dict[str, Maker]:
    def encrypt(job: Job, cleanup: ExitStack) -> Step:
        size, source = job.parameters["bytes"], Memory(a_file(job))
        helper = _helper(threads, cleanup)
        return lambda: encrypt_stream(source.rewind(), size, Nowhere(), SYSTEM_ENTROPY, helper)

    def decrypt(job: Job, cleanup: ExitStack) -> Step:
        file, blob, helper = a_file(job), BytesIO(), _helper(threads, cleanup)
        attachment = encrypt_stream(BytesIO(file), len(file), blob, SYSTEM_ENTROPY)
        store = Memory(blob.getvalue())

        def step() -> None:
            sink = Nowhere()
            AttachmentReader(attachment, store.fetch, helper).copy_to(sink)
            if sink.done != len(file):
                raise ValueError(f"{sink.done} bytes of {len(file)}")

        return step

    return {"attachment_encrypt": encrypt, "attachment_decrypt": decrypt}


def _helper(threads: int, cleanup: ExitStack) -> Executor | None:
    return cleanup.enter_context(ThreadPoolExecutor(1)) if threads > 1 else None


FLOOR: Final[dict[str, Maker]] = {
    "attachment_encrypt": _floor_encrypt,
    "attachment_decrypt": _floor_decrypt,
}
MAKERS: Final = _makers(1)
TWO_THREADS: Final = _makers(2)
