# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross.relay import Relay
from tests.relay.blob_support import DATA, PLACES, AnyStore, Place, begin, put, upload
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


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[AnyStore]:
    with place.open() as store:
        yield store


@pytest.fixture
def half(store: AnyStore) -> AnyStore:
    """A store with 300 bytes of 700 of a blob."""
    begin(store, 1, 700)
    put(store, 1, 0, DATA[:300])
    return store


@pytest.fixture
def whole(store: AnyStore) -> AnyStore:
    """A store with a complete blob."""
    upload(store, 1, DATA)
    return store
