# SPDX-License-Identifier: Apache-2.0
"""Engines: an implementation in this process, or in one of its own."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.implementation import find
from benchmarks.job import Job

__all__ = ["ROOT", "Engine", "EngineFailed", "LocalEngine", "ProcessEngine"]

ROOT: Final = Path(__file__).resolve().parents[1]


class EngineFailed(Exception):
    """A contestant is not there, or could not do what it was told."""


class Engine(Protocol):
    """A contestant at work.

    Attributes:
        operations: what it can be told to do.
        versions: of what it consists of.
    """

    @property
    def operations(self) -> frozenset[str]: ...
    @property
    def versions(self) -> Mapping[str, str]: ...

    def sample(self, job: Job) -> list[float]:
        """Do a job; returns seconds or bytes for one of what is reported.

        Raises:
            EngineFailed: it could not.
        """
        ...

    def close(self) -> None:
        """Stop working."""
        ...


class LocalEngine:
    """A contestant in this process.

    Raises:
        EngineFailed: what it needs is not installed.
    """

    def __init__(self, module: str, name: str) -> None:
        try:
            self._implementation = find(module, name)
        except ImportError as error:
            raise EngineFailed(str(error)) from error
        self.operations = self._implementation.operations
        self.versions = self._implementation.versions

    def sample(self, job: Job) -> list[float]:
        """See `Engine.sample`."""
        try:
            return self._implementation.sample(job)
        except Exception as error:  # one row that fails must not end the run
            raise EngineFailed(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Nothing to stop."""


class ProcessEngine:
    """A contestant in a process of its own, which times itself.

    Args:
        command: starts it.
        versions: what is known of its versions besides what it tells.

    Raises:
        EngineFailed: it does not start.
    """

    def __init__(self, command: Sequence[str], versions: Mapping[str, str] | None = None) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        except OSError as error:
            raise EngineFailed(str(error)) from error
        try:
            hello = self._ask({"request": "hello"})
        except EngineFailed:
            self.close()
            raise
        self.operations = frozenset(hello["operations"])
        self.versions = {**(versions or {}), **hello["versions"]}

    def sample(self, job: Job) -> list[float]:
        """See `Engine.sample`."""
        values: list[float] = self._ask({"request": "sample", "job": job.to_json()})["values"]
        return values

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise EngineFailed("the process has no pipes")
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError as error:
            raise EngineFailed("the process has ended") from error
        line = process.stdout.readline()
        if not line:
            raise EngineFailed("the process has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineFailed(answer["error"])
        return answer
