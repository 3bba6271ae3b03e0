# SPDX-License-Identifier: Apache-2.0
"""One sample: which operation is timed, how often, and the loop that times it.

Rules:
- A maker prepares all that an operation needs and returns a step; only steps are timed.
- Steps are timed in blocks, so that reading the clock costs nothing that matters.
- The garbage collector runs before the first block and is off until the last has ended.
- Standard library only: peers use it in environments of their own.
"""

import gc
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import repeat
from time import perf_counter
from typing import Any

__all__ = ["Job", "Maker", "Step", "take_sample"]

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Job:
    """What to time.

    Attributes:
        operation: its name in a contestant's table of makers.
        parameters: what the operation is to be prepared with, as a row of the table says.
        count: steps in a block.
        blocks: how many blocks are timed.
        warmup: steps before the first block, not timed.
        per: how many of what is reported one step does.
    """

    operation: str
    parameters: Mapping[str, int]
    count: int
    blocks: int
    warmup: int
    per: int = 1

    @property
    def total(self) -> int:
        """How many steps there will be."""
        return self.warmup + self.blocks * self.count

    def to_json(self) -> dict[str, Any]:
        """The job as values that JSON has."""
        return asdict(self)


Maker = Callable[[Job, ExitStack], Step]
"""Prepares an operation; what has to be removed afterwards goes onto the stack."""


def take_sample(maker: Maker, job: Job) -> list[float]:
    """Time an operation from a fresh start; returns seconds for one, one number a block."""
    with ExitStack() as cleanup:
        step = maker(job, cleanup)
        for _ in repeat(None, job.warmup):
            step()
        gc.collect()
        gc.disable()
        try:
            return [_time_block(step, job.count) / job.per for _ in range(job.blocks)]
        finally:
            gc.enable()


def _time_block(step: Step, count: int) -> float:
    start = perf_counter()
    for _ in repeat(None, count):
        step()
    return (perf_counter() - start) / count
