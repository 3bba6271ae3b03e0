# SPDX-License-Identifier: Apache-2.0
"""Devices that are killed anywhere lose nothing, repeat nothing unmarked, and reuse no key.

Processes with a `Client` each, on SQLite stores and one relay file, are really killed (SIGKILL):
at each of the points of `points.py` and at random moments, alone and beside others, also beside
another process of the same device. After each kill the store is reopened, checked, and used on.

What is held, and where it is checked (`world.py`):
- the reopened store is whole, and no one-time prekey is gone without its message: after each kill;
- what the relay hands out of a device's prekeys is in its store, and the reverse;
- of the ciphertexts that leave a process, no two have the same (cipher key, IV);
- what the relay accepted arrives, as it was sent; nothing else arrives, and nothing fails;
- what is handed to the caller a second time is flagged as `redelivered`.

Not held here, because it is not promised yet: that a message which its sender sends again is shown
once where the relay does not know the repetition any more; retry requests; stores that were
restored or copied. Sends are repeated here under the same message id, and it is the relay that
lets only the first through. A kill is no power cut: `test_torn_wal.py` is nearer to that.

E2ECROSS_KILL_ROUNDS sets the number of rounds, E2ECROSS_KILL_SEED what they are drawn from. A seed
repeats what the devices try, not the moments at which the operating system lets them.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.durability.points import POINTS
from tests.durability.world import RANDOM_MOMENT, Figures, Nursery, World

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "72"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))


def test_a_device_killed_anywhere_loses_nothing_and_reuses_nothing(tmp_path: Path) -> None:
    print(f"E2ECROSS_KILL_SEED={SEED} E2ECROSS_KILL_ROUNDS={ROUNDS}")
    rng, figures = random.Random(SEED), Figures()
    wanted: list[str] = []
    with Nursery() as nursery:
        while figures.rounds < ROUNDS or any(not figures.kills[point] for point in POINTS):
            assert figures.rounds < 3 * ROUNDS + 300  # else some point cannot be reached
            if len(wanted) < len(POINTS) // 2:
                more = [*POINTS, *[RANDOM_MOMENT] * (len(POINTS) // 2)]
                wanted[:0] = rng.sample(more, len(more))
            directory = tmp_path / f"world-{figures.worlds}"
            World(directory, nursery, rng, figures).live(wanted)
            shutil.rmtree(directory)
    print(figures.report())
