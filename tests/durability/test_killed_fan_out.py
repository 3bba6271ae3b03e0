# SPDX-License-Identifier: Apache-2.0
"""Accounts with several devices that are killed anywhere: every device gets its copy, once.

As `test_killed_anywhere.py`, with accounts of three, two and one device. What it holds of a
message holds here of each copy; and:
- of a message the relay has the copies for all devices of its recipient and for all other devices
  of its sender, or none;
- nothing is encrypted twice to one device.

The settings are those of `test_killed_anywhere.py`.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.durability.fan_out_world import FanOutWorld
from tests.durability.points import POINTS
from tests.durability.world import RANDOM_MOMENT, Figures, Nursery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "24"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))


def test_all_copies_of_a_message_arrive_or_none(tmp_path: Path) -> None:
    print(f"E2ECROSS_KILL_SEED={SEED} E2ECROSS_KILL_ROUNDS={ROUNDS}")
    rng, figures = random.Random(SEED), Figures()
    wanted: list[str] = []
    with Nursery() as nursery:
        while figures.rounds < ROUNDS:
            if len(wanted) < len(POINTS) // 2:
                more = [*POINTS, *[RANDOM_MOMENT] * (len(POINTS) // 2)]
                wanted[:0] = rng.sample(more, len(more))
            directory = tmp_path / f"world-{figures.worlds}"
            FanOutWorld(directory, nursery, rng, figures).live(wanted)
            shutil.rmtree(directory)
    print(figures.report())
    assert figures.kills.total() > figures.rounds // 3
    if ROUNDS >= 1_000:
        assert not [point for point in POINTS if not figures.kills[point]]
