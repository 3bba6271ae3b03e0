# SPDX-License-Identifier: Apache-2.0
"""Hypothesis profiles, and how the suite is run.

`E2ECROSS_HYPOTHESIS_PROFILE=deep` searches longer, with fresh seeds; `fresh` for a minute or so, to
be repeated for as long as there is time.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.support.devices import BackendSimulator, FakeClock, Stores
from tests.support.remembered import remember
from tests.support.running import keep_bytecode, keep_files_in_memory, workers_for
from tests.support.store_kinds import KINDS, close_stores, expect_failures, use_stores

keep_bytecode(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
keep_files_in_memory()
remember()
use_stores()

# The suite: the same examples on every machine and in every run.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep",
    deadline=None,
    derandomize=False,
    max_examples=2000,
    stateful_step_count=80,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fresh", parent=settings.get_profile("deep"), max_examples=200)
# Mutation testing runs thousands of suites: few examples, the same ones, and no search for a
# smaller one, since nobody reads it (.ci/mutate.py). Nor does the run with the oldest dependencies
# need more (.ci/run).
settings.register_profile(
    "brief",
    deadline=None,
    derandomize=True,
    max_examples=10,
    stateful_step_count=20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("E2ECROSS_HYPOTHESIS_PROFILE", "default"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Workers for many tests, none for a few; `-n 4` or `-n 0` is done as it says."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return workers_for(config.args, cores or 1)


def pytest_collection_finish() -> None:
    """Ten thousand tests are never garbage: do not look at them again at every collection."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Over stores with stripes, see to it that what they refuse is refused."""
    expect_failures(items)


@pytest.fixture(autouse=True)
def _stores_of_a_server() -> Iterator[None]:
    yield
    close_stores()


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    opened = Stores(request.param, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend() -> BackendSimulator:
    return BackendSimulator()
