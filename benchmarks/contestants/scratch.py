# SPDX-License-Identifier: Apache-2.0
"""Files that take long to make: they are made once for all rounds of a run.

Only what such a file holds counts, and what a sample adds to it is nothing beside that; or the
sample gets a copy.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["SCRATCH", "built_once"]

SCRATCH: Final = "E2ECROSS_BENCHMARK_SCRATCH"
"""The environment variable that names the folder in which they are."""


def built_once(name: str, build: Callable[[Path], None]) -> Path:
    """The file of that name, built when there is none yet."""
    path = Path(os.environ[SCRATCH]) / name
    if not path.exists():
        building = path.with_suffix(".building")  # one that was given up must not pass for it
        build(building)
        building.rename(path)
    return path
