# SPDX-License-Identifier: Apache-2.0
"""Two clients that know each other."""

import pytest

from e2ecross import Client
from tests.client.conversation import meet
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, make_client
from tests.support.lone_worker import be_alone


@pytest.fixture
def pair(backend: BackendSimulator, clock: FakeClock) -> tuple[Client, Client]:
    """Ana and Budi in conversation."""
    ana, budi = (make_client(address, backend, clock=clock) for address in (ANA, BUDI))
    meet(ana, budi)
    return ana, budi


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client is the only worker of its device; see `tests/support/lone_worker.py`."""
    be_alone(monkeypatch)
