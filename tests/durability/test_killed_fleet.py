# SPDX-License-Identifier: Apache-2.0
"""Workers of one device that are killed anywhere lose nothing, double nothing, and reuse no key.

Four processes are one device, on one `PostgresStore`: each sends to sixteen customers and receives
from them, through a relay on a file, and through one on PostgreSQL. Every quarter of a second one
of them is killed (SIGKILL), and another takes its place, which sends again, under the same ids,
what its predecessor may have sent. Their clock is twenty times as fast, so that what a dead one
held comes to another within seconds.

What is held, and where it is checked (`fleet_world.py`):
- of the ciphertexts that leave, no two have the same ratchet key and counter;
- what was sent arrives once, and nothing else does; of one worker in the order in which it sent,
  and of each chain of the ratchet in its order, with none missing: so in the order of the commits;
- what a customer sent is handled, in its order, and what is handled again is flagged.

E2ECROSS_FLEET_MESSAGES sets how many go in each direction, E2ECROSS_KILL_SEED what is drawn.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.durability.fleet_world import World
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import address_of_stores

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")

MESSAGES = int(os.environ.get("E2ECROSS_FLEET_MESSAGES", "100"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))


def relay_of(kind: str, path: Path) -> str:
    if kind == "file":
        return str(path)
    from tests.relay.postgres.on_postgres import address_of

    return address_of(path)


@pytest.mark.parametrize("kind", ["file", "server"])
def test_killed_workers_lose_nothing_double_nothing_and_reuse_no_key(
    kind: str, tmp_path: Path
) -> None:
    require_postgres()
    relay = relay_of(kind, tmp_path / "relay.db")
    world = World(tmp_path / f"fleet-{kind}", address_of_stores(), relay, SEED)
    figures = world.live(MESSAGES)
    print(figures.report())
    assert figures.kills >= 4
