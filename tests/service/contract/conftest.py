# SPDX-License-Identifier: Apache-2.0
"""What holds for a `Relay` as a back end holds for a service and `HTTPBackend`: the same tests."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.relay import blob_support
from tests.relay.blob_support import DATA, Place, begin, put, relay_in, upload
from tests.relay.support import ANA, BUDI, FakeClock, register

NOT_HERE: Final = {
    # Who has no valid token is refused before anything is read.
    "test_nonsense_alone_is_refused_in_its_place",
    # The service looks for the holder of a token in a transaction before the call's.
    "test_one_call_is_one_transaction",
    "test_a_token_that_somebody_damaged_in_the_file",
    "test_no_statement_of_a_call_scans_a_table",
    # An envelope that no relay takes, and that no client reads.
    "test_one_is_returned_however_large",
    # The bell is that of the service.
    "test_a_bell_is_rung_after_the_commit",
    "test_a_bell_can_be_rung",
    # What a signal handler raises there is a fault of the service.
    "test_what_a_signal_handler_raises_is_no_error_of_the_folder",
    "test_the_bell_is_rung_for_those_who_get_one",
    # What `authorise` raises is a fault of the service, and stays there.
    "test_an_error_of_the_app_comes_out_and_holds_nothing",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    items[:] = [
        item
        for item in items
        if not (str(item.path).startswith(here) and item.name.partition("[")[0] in NOT_HERE)
    ]


@pytest.fixture(autouse=True)
def through_a_service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.service.contract.over_http import OverHTTP

    name = request.path.stem
    module = importlib.import_module(f"tests.relay.{name}")
    monkeypatch.setattr(module, "Relay", OverHTTP, raising=False)
    monkeypatch.setattr(blob_support, "Relay", OverHTTP)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
def relay(path: Path, clock: FakeClock) -> Iterator[Any]:
    """A relay where ana and budi are registered."""
    from tests.service.contract.over_http import OverHTTP

    with OverHTTP(path, clock=clock) as relay:
        register(relay, ANA, BUDI)
        yield relay


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Where a relay keeps files, and how it is reached there."""
    return relay_in(tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[Any]:
    with place.open() as store:
        yield store


@pytest.fixture
def half(store: Any) -> Any:  # noqa: ANN401
    begin(store, 1, 700)
    put(store, 1, 0, DATA[:300])
    return store


@pytest.fixture
def whole(store: Any) -> Any:  # noqa: ANN401
    upload(store, 1, DATA)
    return store
