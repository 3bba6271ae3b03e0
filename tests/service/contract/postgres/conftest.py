# SPDX-License-Identifier: Apache-2.0
"""What holds for a service over a file holds for one over PostgreSQL: the same tests."""

import importlib
from pathlib import Path

import pytest

from tests.relay import blob_support, support
from tests.relay.postgres.conftest import leave_out
from tests.support.postgres import require_postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    leave_out(items, Path(__file__).parent)


@pytest.fixture(autouse=True)
def over_postgres(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, through_a_service: None
) -> None:
    require_postgres()
    from tests.relay.postgres.on_postgres import OnPostgres, Operators, forget_paths
    from tests.service.contract import over_http

    forget_paths()
    monkeypatch.setattr(over_http, "Relay", OnPostgres)
    module = importlib.import_module(f"tests.relay.{request.path.stem}")
    for each in (module, blob_support, support):
        monkeypatch.setattr(each, "sqlite3", Operators, raising=False)
