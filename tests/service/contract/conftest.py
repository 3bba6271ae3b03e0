# SPDX-License-Identifier: Apache-2.0
"""What holds for a `Relay` as a back end holds for a service and `HTTPBackend`: the same tests."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

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
