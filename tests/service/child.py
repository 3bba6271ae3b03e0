# SPDX-License-Identifier: Apache-2.0
"""`python -m e2ecross relay` as a process of a test."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["RelayProcess"]


class RelayProcess:
    """The command, until the block ends."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        listen: str = "127.0.0.1:0",
        path: Path | None = None,
        database: str = "relay.db",
    ) -> None:
        self.folder = folder
        self._path = [] if path is None else [str(path)]
        self._options: Sequence[str] = options
        self._listen = listen
        self._database = database
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "e2ecross", "relay"]
        root = Path(__file__).parents[2]
        self._log = (self.folder / "stderr").open("ab")
        self.process = subprocess.Popen(
            [*command, "--listen", self._listen, *self._options],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*self._path, str(root), *sys.path]),
                "E2ECROSS_DATABASE": self._database,
            },
        )
        assert self.process.stdout is not None
        killer = threading.Timer(60, self.process.kill)
        killer.start()
        line = self.process.stdout.readline().decode()
        killer.cancel()
        assert line.startswith("listening on "), self.log()
        self.url = line.removeprefix("listening on ").strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def log(self) -> str:
        return (self.folder / "stderr").read_text()
