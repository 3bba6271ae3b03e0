# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.large_file`: a file of 2 GiB, encrypted into a blob and read again.

The file is sparse, with some bytes in each 64 MiB; the blob takes as much room as the file is long.
What is read is compared with the file. Told is by how much the memory of the process was above what
it was before, at most: more than 24 MiB are a failure.
"""

import argparse
import gc
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import BinaryIO, Final

from benchmarks.cells import format_value
from benchmarks.machine import resident_bytes
from e2ecross import Attachment, AttachmentReader
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.protocol.attachment import encrypt_stream

__all__ = ["main", "parse"]

_MOST_GROWTH: Final = 24 * 2**20
_EVERY: Final = 2**26
_SMALL: Final = 2**20


class _Memory:
    """The memory of the process, the highest that was seen."""

    def __init__(self) -> None:
        gc.collect()
        self._start = resident_bytes()
        self.growth = 0

    def look(self) -> None:
        self.growth = max(self.growth, resident_bytes() - self._start)


class _Written:
    """A sink that looks at the memory."""

    def __init__(self, file: BinaryIO, memory: _Memory) -> None:
        self._file = file
        self._memory = memory

    def write(self, data: memoryview, /) -> None:
        self._file.write(data)
        self._memory.look()


class _Compared(_Written):
    """One that compares with the file what is written."""

    def write(self, data: memoryview, /) -> None:
        self._memory.look()
        if self._file.read(len(data)) != data:
            raise ValueError(f"another file, in the piece that ends at {self._file.tell()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 if memory has grown too much."""
    given = parse(arguments)
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(dir=given.folder)))
        helper = cleanup.enter_context(ThreadPoolExecutor(1)) if given.threads == 2 else None
        _round_trip(folder, _SMALL, helper, _Memory())  # code and caches that the first one brings
        memory = _Memory()
        for what, seconds in _round_trip(folder, given.size, helper, memory).items():
            speed = format_value(given.size / seconds, "B")
            print(f"{what}: {format_value(seconds, 's')}, {speed} in a second")
    is_flat = memory.growth <= _MOST_GROWTH
    verdict = "flat" if is_flat else f"not flat, {format_value(_MOST_GROWTH, 'B')} is the limit"
    print(f"memory: at most {format_value(memory.growth, 'B')} above the start: {verdict}")
    return 0 if is_flat else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line; it ends the process if it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_file", description=__doc__)
    parser.add_argument("--size", type=int, default=2**31, help="bytes; default: 2 GiB")
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1, help="default: 1")
    parser.add_argument("--folder", type=Path, help="for the files; by default a temporary one")
    given = parser.parse_args(arguments)
    if given.size < 1:
        parser.error("the file has to have a byte")
    return given


def _round_trip(
    folder: Path, size: int, helper: Executor | None, memory: _Memory
) -> dict[str, float]:
    """Encrypt a file and read it again; seconds of both."""
    path, blob_path = folder / "file", folder / "blob"
    with path.open("wb") as file:
        file.truncate(size)
        for at in range(0, size, _EVERY):
            file.seek(at)
            file.write(at.to_bytes(8)[: size - at])
    with path.open("rb") as file, blob_path.open("w+b") as blob:
        start = perf_counter()
        attachment = encrypt_stream(file, size, _Written(blob, memory), SYSTEM_ENTROPY, helper)
        between = perf_counter()
        file.seek(0)
        _read(attachment, blob, _Compared(file, memory), helper)
        end = perf_counter()
        if file.read(1):
            raise ValueError("a part of the file is missing")
    return {"encrypt and write": between - start, "read, verify and decrypt": end - between}


def _read(attachment: Attachment, blob: BinaryIO, sink: _Compared, helper: Executor | None) -> None:
    def fetch(offset: int, length: int) -> bytes:
        blob.seek(offset)
        return blob.read(length)

    AttachmentReader(attachment, fetch, helper).copy_to(sink)


if __name__ == "__main__":
    sys.exit(main())
