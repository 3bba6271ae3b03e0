# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of fleets say what they measure."""

import json
import secrets
from collections.abc import Iterator

import pytest

from tests.support.postgres import require_postgres, server

require_postgres()

import psycopg

from benchmarks import fleet
from benchmarks.fleet_parts import new_customers
from e2ecross.state.stripe import stripe_of


@pytest.fixture
def database() -> Iterator[str]:
    name = f"fleet_{secrets.token_hex(8)}"
    with psycopg.connect(server().address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield server().address(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_what_many_workers_cost(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--rounds", "1", "--seconds", "0.05", "--customers", "4", "--database", database]
    assert fleet.main(options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["cores"]
    figures, ratios = found["figures"], found["ratios"]
    assert all(value > 0 for value in (*figures.values(), *ratios.values()))
    assert {"warm_round_trips", "cold_round_trips", *ratios} == set(found["targets"])
    assert found["ratios_of_turns"].keys() == ratios.keys()
    assert ratios["send_of_bare"] == pytest.approx(
        figures["send_per_second"] / figures["bare_per_second"], abs=0.001
    )
    assert 0 < found["warm_round_trips"] <= fleet._TARGETS["warm_round_trips"]
    assert found["cold_round_trips"] > found["warm_round_trips"]


def test_two_ways_to_lock_a_row(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--hot-stripe", "--rounds", "1", "--seconds", "0.3", "--database", database]
    assert fleet.main(options) == 0
    found = json.loads(capsys.readouterr().out)
    for way in ("row", "line_and_row"):
        middle = {name: values[0] for name, values in found[way].items()}
        assert 0 < middle["p50_ms"] <= middle["p99_ms"] <= middle["longest_ms"]


def test_customers_are_each_of_a_stripe_of_their_own() -> None:
    stripes = {stripe_of(user, 64) for user in new_customers(60, 64)}
    assert len(stripes) == 60
