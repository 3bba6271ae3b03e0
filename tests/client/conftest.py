# SPDX-License-Identifier: Apache-2.0
"""Two clients that know each other."""

import pytest

from e2ecross import Client
from tests.client.conversation import meet
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, make_client


@pytest.fixture
def pair(backend: BackendSimulator, clock: FakeClock) -> tuple[Client, Client]:
    """Ana and Budi in conversation."""
    ana, budi = (make_client(address, backend, clock=clock) for address in (ANA, BUDI))
    meet(ana, budi)
    return ana, budi
