# SPDX-License-Identifier: Apache-2.0
"""Whose devices are killed while they read, open, accept and block loses and doubles no receipt.

As `test_killed_anywhere.py`, with Ana on two devices, Budi whom she has accepted, and Toko whom she
accepts, blocks and unblocks on either device. After each kill the store is whole, and what may be
looked at once and was opened is not in its inbox any more. In the end:
- of what was handed over, and of what was marked as read or opened in the conversation with Budi,
  each device that is to hear of it has heard once: of each (account, id, what) one receipt;
- of nobody more than one, and none of what nobody has received or read;
- both devices of Ana think the same of Toko, and nothing is due any more;
- of messages whose time is over nothing is left, in the inbox and in what is kept of sent ones.

The settings are those of `test_killed_anywhere.py`.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.durability.points import CONVERSATION_POINTS, POINTS, TRANSACTION_POINTS
from tests.durability.receipts_world import ReceiptsWorld
from tests.durability.world import RANDOM_MOMENT, Figures, Nursery

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork")

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "24"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))
TARGETS = [
    *(each for each in POINTS if not each.endswith(("publish", "publish_devices", "fetch_keys"))),
    *(*TRANSACTION_POINTS, *CONVERSATION_POINTS) * 4,
]
"""All know each other, and nobody's prekeys run out."""


def test_no_receipt_is_lost_or_doubled(tmp_path: Path) -> None:
    print(f"E2ECROSS_KILL_SEED={SEED} E2ECROSS_KILL_ROUNDS={ROUNDS}")
    rng, figures = random.Random(SEED), Figures()
    wanted: list[str] = []
    with Nursery("tests.durability.receipts_child") as nursery:
        while figures.rounds < ROUNDS:
            if len(wanted) < len(TARGETS) // 2:
                more = [*TARGETS, *[RANDOM_MOMENT] * (len(TARGETS) // 4)]
                wanted[:0] = rng.sample(more, len(more))
            directory = tmp_path / f"world-{figures.worlds}"
            ReceiptsWorld(directory, nursery, rng, figures).live(wanted)
            shutil.rmtree(directory)
    kills = sorted(figures.kills.items())
    print(f"{figures.rounds} rounds in {figures.worlds} worlds, {figures.kills.total()} kills")
    print(f"{figures.accepted} receipts had to arrive, and did")
    print("\n".join(f"{count:6} {point}" for point, count in kills))
    assert figures.accepted
    assert figures.kills.total() > figures.rounds // 6
    if ROUNDS >= 1_000:
        assert not [point for point in TARGETS if not figures.kills[point]]
