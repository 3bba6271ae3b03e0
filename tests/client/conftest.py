# SPDX-License-Identifier: Apache-2.0
"""Stores of every kind, and a back end."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.support import BackendSimulator, FakeClock, Stores

# Mutation testing runs thousands of suites, and mutates no store: memory will do (pyproject.toml).
_KINDS = ["memory"] if "MUTANT_UNDER_TEST" in os.environ else ["memory", "sqlite", "sealed"]


@pytest.fixture(params=_KINDS)
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
