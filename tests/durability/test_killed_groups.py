# SPDX-License-Identifier: Apache-2.0
"""Members of a group that are killed anywhere: everybody gets each message and each change, once.

Held is, whatever was killed when:
- no two messages leave under one key and iteration;
- each message of who is in the group all the time comes to all of their devices, or to none; to
  none only if its sender was killed before it was encrypted; and to none twice unflagged;
- all who are in come to know the same commits, and nothing is left to be told;
- a group that was made is there for all who are in it, or for nobody.

The settings are those of `test_killed_anywhere.py`.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.durability.groups_world import GroupsWorld
from tests.durability.points import GROUP_POINTS, POINTS
from tests.durability.world import RANDOM_MOMENT, Figures, Nursery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "24"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))
WANTED = (*GROUP_POINTS, *POINTS)


def test_members_get_each_message_and_each_change_once(tmp_path: Path) -> None:
    print(f"E2ECROSS_KILL_SEED={SEED} E2ECROSS_KILL_ROUNDS={ROUNDS}")
    rng, figures = random.Random(SEED), Figures()
    wanted: list[str] = []
    with Nursery("tests.durability.groups_child") as nursery:
        while figures.rounds < ROUNDS:
            if len(wanted) < len(WANTED) // 2:
                more = [*WANTED, *[RANDOM_MOMENT] * (len(WANTED) // 2)]
                wanted[:0] = rng.sample(more, len(more))
            directory = tmp_path / f"world-{figures.worlds}"
            GroupsWorld(directory, nursery, rng, figures).live(wanted)
            shutil.rmtree(directory)
    print(figures.report())
    assert figures.kills.total() > 6 * figures.worlds
    if ROUNDS >= 1_000:
        assert not [point for point in WANTED if not figures.kills[point]]
