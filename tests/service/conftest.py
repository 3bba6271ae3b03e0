# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross.relay import Relay
from tests.relay.support import ANA, BUDI, FakeClock, register


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
def relay(path: Path, clock: FakeClock) -> Iterator[Relay]:
    """A relay where ana and budi are registered."""
    with Relay(path, clock=clock) as relay:
        register(relay, ANA, BUDI)
        yield relay
