# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the tests' own: in a new folder, on a socket there, gone with the process.

It refuses to run as root; then it runs as the user `postgres`, or `nobody`.
"""

import atexit
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

import pytest

__all__ = ["Server", "pooled", "require_driver", "require_postgres", "server"]

_FOLDERS: Final = "/usr/lib/postgresql/*/bin"  # Debian's
_START_SECONDS: Final = 60
_SETTINGS: Final = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "80",
    "autovacuum": "off",
    "wal_level": "logical",  # to be asked about publications
}


def require_driver() -> None:
    """Skip a module where no driver is installed; in CI that is a failure."""
    if find_spec("psycopg") is None or find_spec("psycopg_pool") is None:
        _lacking("the extra 'postgres' is not installed: pip install -e '.[dev]'")


def require_postgres() -> None:
    """Skip where no server, or no driver, is installed; in CI that is a failure."""
    require_driver()
    if _programs() is None:
        _lacking("PostgreSQL is not installed: apt-get install postgresql")


def _lacking(why: str) -> NoReturn:
    if os.environ.get("E2ECROSS_REQUIRE_INTEROP") == "1":
        pytest.fail(why)
    pytest.skip(why, allow_module_level=True)


class Server:
    """A server that runs.

    Args:
        settings: others than usual, by name.
    """

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        programs = _programs()
        assert programs is not None
        self._programs = programs
        self._settings = {**_SETTINGS, **(settings or {})}
        self._user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=_folder_for_all()))
        self.data = self.folder / "data"
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make its data folder."""
        options = ["-D", str(self.data), "-U", "relay", "-A", "trust", "-E", "UTF8"]
        self._run("initdb", *options, "--locale=C.UTF-8", "--no-sync", "--no-instructions")

    def copy(self, primary: "Server") -> None:
        """Make its data folder: a standby of another one that runs."""
        source = ["-h", str(primary.folder), "-U", "relay", "-D", str(self.data)]
        self._run("pg_basebackup", *source, "-R", "-X", "stream", "-c", "fast")

    def copy_stopped(self, other: "Server") -> None:
        """Make its data folder: that of another one that was stopped."""
        shutil.copytree(other.data, self.data)
        if self._user is not None:
            for folder, _, names in os.walk(self.data):
                for path in (folder, *(os.path.join(folder, name) for name in names)):
                    os.chown(path, self._user, -1)

    def promote(self) -> None:
        """Let a standby be the primary, and wait until it is."""
        self.ask("SELECT pg_promote()")

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Ask it, as its owner."""
        import psycopg

        with psycopg.connect(self.address(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it, and wait until it answers."""
        given = {**self._settings, "unix_socket_directories": str(self.folder)}
        options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", str(self.data), *options],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
            )
        give_up = time.monotonic() + _START_SECONDS
        while self._run("pg_isready", "-q", "-h", str(self.folder), check=False):
            assert time.monotonic() < give_up, (self.folder / "log").read_text()
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, signal: int = 2) -> None:
        """End it: fast, or as another signal says."""
        if self._process is not None:
            self._process.send_signal(signal)
            self._process.wait(_START_SECONDS)
            self._process = None

    def remove(self) -> None:
        """End it, and take its folder away."""
        with contextlib.suppress(ProcessLookupError):
            self.stop(3)
        shutil.rmtree(self.folder, ignore_errors=True)

    def address(self, database: str = "postgres", password: str = "") -> str:
        """How it is reached; it asks for no password, and takes any."""
        user = f"relay:{password}" if password else "relay"
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True,
            user=self._user,
            cwd=self.folder,
            check=False,
        )
        assert not (check and done.returncode), done.stderr.decode()
        return done.returncode


@contextlib.contextmanager
def pooled(address: str, connections: int) -> Iterator[str]:
    """The address of a PgBouncer before a database, in transaction mode."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        _lacking("PgBouncer is not installed: apt-get install pgbouncer")
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="pool-", dir=_folder_for_all()))
    settings = folder / "settings"
    (folder / "users").write_text('"relay" ""\n')
    host = address.rpartition("host=")[2]
    settings.write_text(
        f"[databases]\n* = host={host}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\n"
        f"auth_type = trust\nauth_file = {folder}/users\npool_mode = transaction\n"
        f"default_pool_size = {connections}\nignore_startup_parameters = extra_float_digits\n"
    )
    for path in (folder, settings, folder / "users"):
        if user is not None:
            os.chown(path, user, -1)
    process = subprocess.Popen(
        [program, "-q", settings], user=user, cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        give_up = time.monotonic() + _START_SECONDS
        while not (folder / ".s.PGSQL.6432").exists():
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.02)
        yield f"{address.rpartition('host=')[0]}host={folder}&port=6432"
    finally:
        process.terminate()
        process.wait(_START_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


@cache
def server() -> Server:
    """The one server of this process's tests."""
    made = Server()
    atexit.register(made.remove)
    made.make()
    made.start()
    return made


@cache
def _programs() -> Path | None:
    found: Iterable[Path] = [
        Path(name).resolve().parent for name in [shutil.which("initdb")] if name
    ]
    found = [*found, *sorted(Path("/").glob(_FOLDERS[1:]), reverse=True)]
    return next((folder for folder in found if (folder / "postgres").exists()), None)


def _folder_for_all() -> str:
    """The first folder above that of the tests, or that, into which another user may go."""
    folder = Path(tempfile.gettempdir())
    while not folder.stat().st_mode & 0o001:
        folder = folder.parent
    return str(folder)


def _unprivileged() -> int | None:
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise AssertionError("no user to run PostgreSQL as")
