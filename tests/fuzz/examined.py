# SPDX-License-Identifier: Apache-2.0
"""Targets: what the doctor says of groups whose rows somebody has changed who can write to them.

It says something of any store, and raises nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from e2ecross import Policy
from e2ecross.cli.doctor_advice import find_notes, find_problems
from e2ecross.cli.doctor_groups import group_facts
from e2ecross.device.health import read_health
from e2ecross.stores import MemoryStore, Table
from tests.attacks.support import Rows, dump
from tests.fuzz.rows import changed
from tests.fuzz.target import ACCEPTED, Source, Target
from tests.fuzz.world import fill
from tests.support.devices import ANA, BUDI, NOW_MS, TOKO
from tests.support.group_sending import deliver, send
from tests.support.group_world import GroupWorld

__all__ = ["EXAMINED"]

_TABLES: Final = (
    *(Table.GROUPS, Table.GROUP_COMMITS, Table.GROUP_GRANTS, Table.OWN_SENDER_KEYS),
    *(Table.SENDER_KEYS, Table.SENDER_KEY_SEEDS, Table.OUTBOX, Table.ACCOUNTS),
)


@cache
def _rows() -> Rows:
    """Ana's store: she is in a group in which she and Budi have written."""
    world = GroupWorld(sessions=True)
    group = world.create(ANA, BUDI, TOKO)
    world.tell(group, ANA, BUDI)
    ana, budi = world.devices[ANA], world.devices[BUDI]
    send(budi, group)
    deliver(budi, ana)
    send(ana, group)
    return dump(world.context(ANA).store)


def _examine(data: bytes) -> str:
    of_groups = tuple(row for row in _rows() if row[0] in _TABLES)
    rest = tuple(row for row in _rows() if row[0] not in _TABLES)
    store = MemoryStore()
    fill(store, (*rest, *changed(of_groups, Source(data))))
    with store.transaction() as tx:
        health = read_health(tx, Policy(), NOW_MS)
    facts = [*group_facts(health.groups, health.sender_keys)]
    problems = [*find_problems(health, Policy(), is_intact=True)]
    assert all(text for _, text in facts)
    codes = {each.code for each in (*problems, *find_notes(health))}
    return ",".join(sorted({ACCEPTED, *codes}))


def _seeds() -> Sequence[bytes]:
    places = range(sum(row[0] in _TABLES for row in _rows()))
    return [bytes((0, place, choice, 0, 8, 3, 9, 9)) for place in places for choice in range(6)]


EXAMINED: Final[Mapping[str, Target]] = {"examined-groups": Target(_examine, _seeds, 96)}
