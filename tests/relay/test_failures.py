# SPDX-License-Identifier: Apache-2.0
"""Why a relay's file cannot be used is said; and a file that is gone is not made anew."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.relay.sqlite_database import SQLiteDatabase
from tests.relay.support import ANA, BUDI, deposit, envelope, published, register, token

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and owners of POSIX")

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may enter; those of pytest are for their owner."""
    path = Path(tempfile.mkdtemp(dir=f"{os.sep}tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def in_a_child(call: Callable[[], object], user: int | None = None) -> str:
    """What a call raises in a process of its own, whose limits may be changed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # nothing of pytest may run here: leave by os._exit
        try:
            if user is not None and os.geteuid() == 0:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            call()
            text = "nothing"
        except BackendError as error:
            text = str(error)
        except BaseException as error:
            text = repr(error)
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        text = file.read().decode()
    os.waitpid(child, 0)
    return text


fork = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@fork
def test_a_limit_of_file_sizes_is_named(path: Path) -> None:
    import resource

    with Relay(path) as relay:
        register(relay, ANA, BUDI)

    def call() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        with Relay(path) as relay:
            for number in range(10):
                deposit(relay, token(ANA), envelope(ANA, BUDI, number, 90_000).encode())

    assert in_a_child(call).endswith(
        "failed: files of this process may have 300000 bytes at most, and that is reached: raise "
        "the limit (ulimit -f)"
    )
    with Relay(path) as relay:  # what was answered is there
        numbers = [item.number for item in relay.fetch(BUDI, token(BUDI), 10)]
        assert numbers == list(range(1, len(numbers) + 1)) != []


@fork
@pytest.mark.parametrize("left", [0, 1, 2])
def test_no_descriptors_left_is_named(path: Path, left: int) -> None:
    import resource

    Relay(path).close()

    def call() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        held = []
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            for descriptor in held[:left]:
                os.close(descriptor)
        Relay(path)

    assert in_a_child(call).endswith(
        "failed: too few file descriptors are left: close files, or raise the limit (ulimit -n)"
    )


@fork
def test_an_owner_who_is_somebody_else_is_named(folder: Path) -> None:
    path = folder / "relay.db"
    Relay(path).close()
    if os.geteuid() != 0:
        path.chmod(0)
    text = in_a_child(lambda: Relay(path), NOBODY)
    assert "failed: it may not be read and written (mode " in text
    assert f"of user {path.stat().st_uid}, and this process is user " in text
    assert text.endswith("check owner and permissions")


@fork
def test_a_folder_of_somebody_else_is_named(folder: Path) -> None:
    if os.geteuid() != 0:
        folder.chmod(0o500)
    text = in_a_child(lambda: Relay(folder / "relay.db"), NOBODY)
    assert "failed: its folder may not be read and written (mode " in text
    if os.geteuid() != 0:
        folder.chmod(0o700)


def test_a_second_name_is_refused(path: Path) -> None:
    """Under each name SQLite would keep another log."""
    with Relay(path) as relay:
        register(relay, ANA)
    other = path.with_name("other.db")
    os.link(path, other)
    for name in (path, other):
        with pytest.raises(BackendError, match=r"it has 2 names \(hard links\), and may be open"):
            Relay(name)
    other.unlink()
    with Relay(path) as relay:
        assert relay.fetch(ANA, token(ANA), 1) == []


def test_a_symbolic_link_is_no_second_name(path: Path) -> None:
    other = path.with_name("other.db")
    other.symlink_to(path)
    with Relay(path) as relay, Relay(other) as same:
        register(relay, ANA)
        assert same.fetch(ANA, token(ANA), 1) == []


def test_an_odd_name_is_the_name_of_the_file(tmp_path: Path) -> None:
    for name in ("a?mode=memory", "100%41.db", "a#b", "file:a.db", "ü \udcff"):
        path = tmp_path / name
        with Relay(path) as relay:
            register(relay, ANA)
            assert relay.fetch(ANA, token(ANA), 1) == []
        assert os.listdir(tmp_path) == [name]
        path.unlink()


CALLS: dict[str, Callable[[Relay], object]] = {
    "register": lambda relay: relay.register(BUDI, token(BUDI)),
    "publish": lambda relay: relay.publish(token(ANA), published(ANA)),
    "epochs": lambda relay: relay.epochs(ANA, token(ANA)),
    "deposit": lambda relay: deposit(relay, token(ANA), envelope(ANA, ANA).encode()),
    "fetch": lambda relay: relay.fetch(ANA, token(ANA), 1),
    "acknowledge": lambda relay: relay.acknowledge(ANA, token(ANA), [1]),
    "waiting": lambda relay: relay.waiting(ANA),
}


def in_a_thread(call: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result(10)


@pytest.mark.parametrize("name", CALLS)
def test_a_file_that_was_removed_is_not_made_anew(path: Path, name: str) -> None:
    relay = Relay(path)
    register(relay, ANA)
    aside = path.with_name("aside.db")
    path.rename(aside)
    for _ in range(2):
        with pytest.raises(BackendError, match="was removed while it was open: put it back, or"):
            CALLS[name](relay)
        with pytest.raises(BackendError, match="was removed while it was open"):
            in_a_thread(lambda: CALLS[name](relay))  # which would open it
        assert not path.exists()
    aside.rename(path)
    CALLS[name](relay)
    relay.close()


def test_a_file_that_goes_between_the_look_and_the_opening_is_not_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = SQLiteDatabase._require_same_file
    with Relay(path) as relay:
        register(relay, ANA)

        def look_and_remove(database: SQLiteDatabase) -> None:
            monkeypatch.undo()
            look(database)
            path.unlink()

        monkeypatch.setattr(SQLiteDatabase, "_require_same_file", look_and_remove)
        with pytest.raises(BackendError, match="it cannot be opened"):
            in_a_thread(lambda: relay.waiting(ANA))  # which opens it
        assert not path.exists()


@pytest.mark.parametrize("name", CALLS)
def test_a_file_that_was_replaced_is_noticed(path: Path, name: str) -> None:
    """An older one, put back by who does not know that a relay has it open."""
    backup = path.with_name("backup.db")
    relay = Relay(path)
    register(relay, ANA)
    shutil.copyfile(path, backup)
    os.replace(backup, path)
    for _ in range(2):
        with pytest.raises(BackendError, match="was replaced while it was open: put it back, or"):
            CALLS[name](relay)
        with pytest.raises(BackendError, match="was replaced while it was open"):
            in_a_thread(lambda: CALLS[name](relay))
    relay.close()


def test_what_goes_into_a_file_that_is_gone_is_not_answered_as_kept(path: Path) -> None:
    """It was removed while the call waited, or worked."""
    with Relay(path) as relay:
        register(relay, ANA)
        with pytest.raises(BackendError, match="was removed while it was open"):
            relay._database.write(lambda _: path.unlink())


def test_other_files_of_the_folder_may_change(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA)
        path.with_name("other").touch()
        path.chmod(0o640)
        os.utime(path, (0, 0))
        for call in CALLS.values():
            call(relay)
