# SPDX-License-Identifier: Apache-2.0
"""Contestants and progress for tests of the runner and of what it feeds."""

import io
from collections.abc import Callable, Mapping

from benchmarks.engine import EngineFailed
from benchmarks.job import Job
from benchmarks.progress import Progress
from benchmarks.registry import Contestant

__all__ = ["ScriptedEngine", "contestant", "quiet"]


class ScriptedEngine:
    """Notes what it is told; answers with as many ones as there are blocks, or fails."""

    def __init__(self, name: str, log: list[tuple[str, str]], *, fails_at: str = "") -> None:
        self.operations = frozenset({"encrypt", "decrypt"})
        self.versions: Mapping[str, str] = {name: "1.0"}
        self.is_closed = False
        self._name = name
        self._log = log
        self._fails_at = fails_at

    def sample(self, job: Job) -> list[float]:
        self._log.append((self._name, job.operation))
        if job.operation == self._fails_at:
            raise EngineFailed("it does not work")
        return [1.0] * job.blocks

    def close(self) -> None:
        self.is_closed = True


def contestant(name: str, start: Callable[[], ScriptedEngine]) -> Contestant:
    return Contestant(name, name.title(), start, start, install=f"install {name}")


def quiet() -> Progress:
    return Progress(io.StringIO())
