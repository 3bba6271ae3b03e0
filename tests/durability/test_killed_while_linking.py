# SPDX-License-Identifier: Apache-2.0
"""Phones and new devices that are killed while one is linked or unlinked leave nothing half done.

Processes on SQLite stores and one relay file are really killed (SIGKILL), the phone or the new
device or both, at the points of `points.py` and at random moments. After each kill:
- every store is whole; that of a new device is empty, or it is linked: it has the list that names
  it, its own key stands there, and the relay knows its token;
- there is one list of each number, it verifies, and continues the one before; the relay has one of
  them; no number and no key was given twice;
- the next attempt works, and then the relay has the newest list.
In the end every device that is listed gets what is said to the account, once, and no other does;
and of all that left, no two things were sealed or encrypted with one key and nonce.

E2ECROSS_KILL_ROUNDS, how often it is tried to kill somebody, and E2ECROSS_KILL_SEED are as in
`test_killed_anywhere.py`.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.durability.linking_world import MOMENTS, TARGETS, LinkFigures, LinkWorld
from tests.durability.world import Nursery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "24"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))


def test_who_is_killed_while_linking_leaves_nothing_half_done(tmp_path: Path) -> None:
    print(f"E2ECROSS_KILL_SEED={SEED} E2ECROSS_KILL_ROUNDS={ROUNDS}")
    rng, figures = random.Random(SEED), LinkFigures()
    wanted = [*TARGETS, *MOMENTS * 4]
    rng.shuffle(wanted)
    with Nursery("tests.durability.linking_child") as nursery:
        while figures.tries < ROUNDS:
            if len(wanted) < len(TARGETS) // 2:
                more = [*TARGETS, *MOMENTS * 4]
                wanted[:0] = rng.sample(more, len(more))
            directory = tmp_path / f"world-{figures.worlds}"
            LinkWorld(directory, nursery, rng, figures).live(wanted)
            shutil.rmtree(directory)
    print(figures.report())
    assert figures.kills.total() > ROUNDS // 3
    if ROUNDS >= 1_000:
        assert not [target for target in TARGETS if not figures.kills[target]]
