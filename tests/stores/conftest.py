# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross.stores import Store
from tests.stores.support import KINDS, make_store


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """One empty store of each kind."""
    store = make_store(request.param, tmp_path)
    yield store
    store.close()


@pytest.fixture(params=KINDS)
def hasty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store that waits for others 50 ms only."""
    store = make_store(request.param, tmp_path, busy_timeout_ms=50)
    yield store
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"
