# SPDX-License-Identifier: Apache-2.0
"""Stores of every kind, and a back end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.support import BackendSimulator, FakeClock, Stores


@pytest.fixture(params=["memory", "sqlite", "sealed"])
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
