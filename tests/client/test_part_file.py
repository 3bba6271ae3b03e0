# SPDX-License-Identifier: Apache-2.0
"""The file in which a download grows: of one download, of the own user, and safe on a full disk."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2ecross.client.part_file import PartFile
from e2ecross.errors import StoreBusy, StoreError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits, modes, locks of POSIX")


@contextmanager
def room_for(length: int) -> Iterator[None]:
    """No file may get longer than that."""
    import resource
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("length", [100, 5000, 100_000])
def test_a_full_disk_is_one_error_also_for_the_last_bytes(tmp_path: Path, length: int) -> None:
    part, data = tmp_path / "a.part", os.urandom(length)
    with room_for(length - 1):
        with pytest.raises(StoreError, match="cannot be written"), PartFile(part, 1, None) as file:
            file.write(memoryview(data))
        with PartFile(part, 1, None) as file:
            file.write(memoryview(data)[:-1])
    with PartFile(part, length, None) as file:
        assert file.read(length) == data[:-1]
        file.keep(length - 1)
        file.write(memoryview(data)[-1:])
        file.finish(str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == data


def test_a_disk_that_does_not_read_is_told_like_one_that_does_not_write(tmp_path: Path) -> None:
    with PartFile(tmp_path / "a.part", 1, None) as file:
        file._file.close()
        file._file = broken = _Broken(os.devnull)
        with pytest.raises(StoreError, match="cannot be written: Input/output"):
            file.read(1)
        broken.error = TimeoutError()  # a signal handler's
        with pytest.raises(TimeoutError):
            file.read(1)


class _Broken(io.FileIO):
    error = OSError(5, "Input/output error")

    def read(self, _: int | None = -1, /) -> bytes:
        raise self.error


def test_one_at_a_time_writes_it(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    with PartFile(part, 3, None) as file:
        with pytest.raises(StoreBusy, match="not over"), PartFile(part, 3, None):
            pass
        file.write(memoryview(b"abc"))
        file.finish(str(tmp_path / "a"))
        with PartFile(part, 3, None):
            pass  # another file
    with PartFile(part, 3, None):
        pass
    assert (tmp_path / "a").read_bytes() == b"abc"


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_file_that_gets_its_name_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_made_anew: bool
) -> None:
    part, whole, opened = tmp_path / "a.part", tmp_path / "a", os.open
    part.write_bytes(b"abc")

    def slow(*args: object) -> int:
        number = opened(*args)  # type: ignore[arg-type]
        monkeypatch.undo()
        part.rename(whole)  # the other download is over
        if is_made_anew:
            part.touch()
        return number

    monkeypatch.setattr("e2ecross.client.part_file.os.open", slow)
    with pytest.raises(StoreBusy), PartFile(part, 3, None):
        pass
    assert whole.read_bytes() == b"abc"


def test_a_process_forked_meanwhile_does_not_keep_it(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    with PartFile(part, 3, None) as file:
        number = os.dup(file._file.fileno())  # as after a fork
    with PartFile(part, 3, None):
        pass
    os.close(number)


def test_a_disk_without_locks_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", none)
    with PartFile(tmp_path / "a.part", 3, None) as file:
        file.write(memoryview(b"abc"))
        file.finish(str(tmp_path / "a"))
    assert (tmp_path / "a").exists()


def test_only_the_own_user_reads_what_somebody_else_has_made(tmp_path: Path) -> None:
    part = tmp_path / "a.part"
    part.touch()
    part.chmod(0o666)
    with PartFile(part, 0, None) as file:
        file.finish(str(tmp_path / "a"))
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_no_part_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.part")
    with pytest.raises(StoreError, match="no file"), PartFile(tmp_path / "a.part", 3, None):
        pass


def test_progress_is_told_once_when_nothing_is_missing(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))

    with PartFile(tmp_path / "a.part", 3, progress) as file:
        file.keep(0)
        file.write(memoryview(b"abc"))
        file.keep(3)
    with PartFile(tmp_path / "b.part", 0, progress) as file:
        file.keep(0)
    assert told == [(3, 3), (3, 3), (0, 0)]
