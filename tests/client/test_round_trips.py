# SPDX-License-Identifier: Apache-2.0
"""What sending costs over a network: round trips to PostgreSQL, counted."""

import pytest

from e2ecross import Text
from tests.client.conversation import read
from tests.client.fleet import Fleet
from tests.support.devices import BUDI, BackendSimulator, FakeClock
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import make_postgres_store


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    require_postgres()


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Those of each round trip."""
    from e2ecross.stores.postgres_link import Link

    seen: list[list[str]] = []
    run = Link._run

    def note(link: Link, listed: object) -> object:
        seen.append([each[0] for each in listed])  # type: ignore[attr-defined]
        return run(link, listed)  # type: ignore[arg-type]

    monkeypatch.setattr(Link, "_run", note)
    return seen


def test_a_warm_send_is_four_round_trips(statements: list[list[str]]) -> None:
    clock = FakeClock()
    with make_postgres_store(keys={1: bytes(32)}) as store:
        fleet = Fleet(BackendSimulator(clock=clock), clock, store)
        customer, worker = fleet.customer(BUDI), fleet.worker()
        for _ in range(4):
            statements.clear()
            worker.send(BUDI, Text("halo"))
        assert read(customer) == ["halo"] * 4
        assert len(statements) == 4
        commits = [each for sent in statements for each in sent if each.startswith("COMMIT")]
        assert len(commits) == 2
