# SPDX-License-Identifier: Apache-2.0
"""The back end of the demo as a service: `python -m e2ecross relay` in a process of its own.

Rules:
- On a free port of this machine; only who plays in the demo knows it.
- What it lacks, or why it does not start, is a `DemoFailed` in one line.
"""

import importlib
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final, Self

from e2ecross.demo.people import DemoFailed
from e2ecross.demo.processes import last_words, see_off

__all__ = ["DemoService", "require_service"]

_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 15.0
_ROOMS: Final = ("e2ecross.service.serving", "e2ecross.service.http_backend")
_COMMAND: Final = (sys.executable, "-P", "-m", "e2ecross", "relay", "--listen", "127.0.0.1:0")
# All who play have one IP address, and ask often while a device is linked.
_LIMITS: Final = (
    *("--limit", "open_per_second=1000", "--limit", "open_burst=1000"),
    *("--limit", "register_burst=100", "--limit", "failures_per_minute=1000"),
)
_READY: Final = "listening on "


def require_service() -> None:
    """Import what it needs.

    Raises:
        DemoFailed: an extra is missing; it names what to install.
    """
    try:
        for room in _ROOMS:
            importlib.import_module(room)
    except ImportError as error:
        raise DemoFailed(
            "over a network it needs the extras server and http: install both with  "
            "pip install 'e2ecross[demo]'"
        ) from error


class DemoService:
    """The service of one relay's file.

    Args:
        relay_file: the file; created if it is not there.
        blob_folder: where it keeps files; likewise.
        environment: of the process.

    Raises:
        DemoFailed: it does not start.
    """

    def __init__(self, relay_file: Path, blob_folder: Path, environment: dict[str, str]) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            (*_COMMAND, "--db", str(relay_file), "--blob-dir", str(blob_folder), *_LIMITS),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment,
            encoding="ascii",
            errors="replace",
        )
        try:
            self.url = self._wait_until_ready()
        except BaseException:  # Ctrl-C, too: nobody would end it later
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def process_id(self) -> int:
        """Of its process."""
        return self._process.pid

    def end(self) -> None:
        """Let it end."""
        self._process.terminate()
        see_off(self._process, _END_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._complaints.close()

    def _wait_until_ready(self) -> str:
        too_late = threading.Timer(_START_SECONDS, self._process.kill)
        too_late.start()
        try:
            line = "" if self._process.stdout is None else self._process.stdout.readline()
        finally:
            too_late.cancel()
        if line.startswith(_READY):
            return line.removeprefix(_READY).strip()
        self._process.kill()
        self._process.wait()
        raise DemoFailed(f"the service does not start{last_words(self._complaints)}")
