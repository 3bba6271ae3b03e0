# SPDX-License-Identifier: Apache-2.0
"""A device with many sessions: rows of its own for each, found by an index."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.postgres import require_postgres, server

require_postgres()

from benchmarks import fleet_sessions


@pytest.fixture(autouse=True)
def _on_the_server_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def database(_: None) -> Iterator[str]:
        yield server().address()

    names = {name: f"sessions_{secrets.token_hex(8)}" for name in ("few", "many")}
    new = fleet_sessions._new_database
    monkeypatch.setattr(fleet_sessions, "database", database)
    monkeypatch.setattr(
        fleet_sessions, "_new_database", lambda address, name: new(address, names[name])
    )
    # So few that their time says nothing.
    monkeypatch.setattr(fleet_sessions, "_MOST_GROWTH", 1_000)
    monkeypatch.setattr(fleet_sessions, "_FEW", 100)


def test_many_sessions(capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet_sessions.main(["--sessions", "3000", "--rounds", "1", "--sends", "5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["statements_through_a_table"] == []
    assert found["bytes"]["3000"] > found["bytes"]["100"]
    assert found["many_of_few"] > 0
