# SPDX-License-Identifier: Apache-2.0
"""What a contestant can do, and the loop in which it does it in a process of its own.

    python -m benchmarks.implementation MODULE NAME

A request is a JSON object on a line of standard input, and so is the answer on standard output.
Only the job comes in and only the figures go out: nothing that is timed passes a pipe.

Standard library only: peers use it in environments of their own.
"""

import gc
import importlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from benchmarks.job import Job, Maker, take_sample
from benchmarks.machine import resident_bytes, versions_of

__all__ = ["Implementation", "Measure", "find", "measure_memory"]

Measure = Callable[[Job], float]
"""Measures something that no clock shows; called once in a fresh process."""

_FIRST_SESSIONS: Final = 10


@dataclass(frozen=True, slots=True)
class Implementation:
    """The operations of a contestant.

    Attributes:
        makers: of what is timed, by operation.
        measures: of what is not, by operation.
        packages: distributions whose versions matter to the figures.
    """

    makers: Mapping[str, Maker]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    packages: tuple[str, ...] = ()

    @property
    def operations(self) -> frozenset[str]:
        """What it can be told to do."""
        return frozenset({*self.makers, *self.measures})

    @property
    def versions(self) -> dict[str, str]:
        """The versions of its packages."""
        return versions_of(self.packages)

    def sample(self, job: Job) -> list[float]:
        """Do a job; returns seconds or bytes for one of what is reported."""
        if job.operation in self.measures:
            return [self.measures[job.operation](job)]
        return take_sample(self.makers[job.operation], job)


def measure_memory(hold: Callable[[int], object]) -> Measure:
    """How much memory one end of a session takes.

    Args:
        hold: makes that many sessions, and returns what keeps both ends of each.
    """
    return partial(_measure_memory, hold)


def _measure_memory(hold: Callable[[int], object], job: Job) -> float:
    count = job.parameters["count"]
    first = hold(_FIRST_SESSIONS)  # code and caches that the first ones bring
    gc.collect()
    before = resident_bytes()
    held = hold(count)
    gc.collect()
    after = resident_bytes()
    del first, held
    return (after - before) / (2 * count)


def find(module: str, name: str) -> Implementation:
    """The implementation of that name in a module of `benchmarks.contestants`.

    Raises:
        ImportError: what it needs is not installed.
    """
    found = importlib.import_module(f"benchmarks.contestants.{module}")
    implementation: Implementation = found.IMPLEMENTATIONS[name]
    return implementation


def _answer(implementation: Implementation, request: dict[str, Any]) -> dict[str, Any]:
    if request["request"] == "hello":
        operations = sorted(implementation.operations)
        return {"operations": operations, "versions": implementation.versions}
    return {"values": implementation.sample(Job(**request["job"]))}


def _main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may talk into our answers
    implementation = find(*sys.argv[1:])
    for line in sys.stdin:
        try:
            answer = _answer(implementation, json.loads(line))
        except Exception as error:  # whatever a library raises is the answer to this request
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _main()
