# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed while files are uploaded, sent and fetched lose none and leave nothing.

Each is really killed (SIGKILL), at the points of `transfer_child.py` and at random moments; the
next one goes on with what is there. Held is, after each:
- a file that has its name is whole and right, and a part file is a beginning of one;
- what `upload` has returned is still known, or was complete long ago.
In the end everything that was uploaded arrives, once, and no spool or part file is left.

A kill is no power cut: that data and names are flushed first is what the points stand around.
E2ECROSS_KILL_ROUNDS sets the number of rounds, E2ECROSS_KILL_SEED what they are drawn from.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.durability.journal import Journal, JournalReader
from tests.durability.transfer_child import POINTS, Order, World, data_of, live

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "36"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))
RANDOM_MOMENT = "at a random moment"
DAY_MS = 24 * 60 * 60 * 1000
VISITS = {"piece": 6, "writing": 6, "flushing": 4}
"""How often a child comes to a step; to others once or twice."""


def run(order: Order, journal: Path, first: int, wait_s: float) -> bool:
    """Let a child live; tells whether it was killed."""
    child = os.fork()
    if child == 0:  # pragma: no cover: no coverage is written by a process that is killed
        try:
            live(order, journal, first)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    if order.point is None:
        time.sleep(wait_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def check_files(got: Path, whole: set[str]) -> None:
    """Check all but those that were seen to be whole, and note these."""
    for path in got.iterdir():
        if path.name in whole:
            continue
        number, _, part = path.name.partition(".")
        right, found = data_of(int(number)), path.read_bytes()
        assert right.startswith(found), path.name
        if not part:
            assert found == right, path.name
            whole.add(path.name)


def test_files_arrive_whoever_is_killed(tmp_path: Path) -> None:
    print(f"E2ECROSS_KILL_SEED={SEED} E2ECROSS_KILL_ROUNDS={ROUNDS}")
    rng, kills = random.Random(SEED), Counter[str]()
    journal, now_ms = tmp_path / "journal", time.time_ns() // 1_000_000
    world = World(tmp_path, now_ms)
    world.begin()
    world.close()
    reader, uploaded, first, wanted = JournalReader(journal), set[int](), 0, list[str]()
    whole = set[str]()
    for _ in range(ROUNDS):
        if not wanted:
            wanted = rng.sample([*POINTS, *[RANDOM_MOMENT] * 6], len(POINTS) + 6)
        at = wanted.pop()
        most = next((most for word, most in VISITS.items() if word in at), 2)
        order = Order(
            *(tmp_path, rng.randrange(2**32), now_ms),
            *(None if at == RANDOM_MOMENT else at, rng.randint(1, most)),
        )
        if run(order, journal, first, rng.uniform(0.1, 0.5)):
            kills[at] += 1
        for note in reader.new():
            if note["what"] == "uploaded":
                uploaded.add(note["number"])
        first += 3
        check_files(tmp_path / "got", whole)
    world = World(tmp_path, now_ms)
    world.finish_uploads()
    world.fetch(Journal(journal))
    check_files(tmp_path / "got", set())
    assert uploaded <= {int(name) for name in os.listdir(tmp_path / "got")}
    assert not [name for name in os.listdir(tmp_path / "got") if "." in name]
    world.now_ms += 8 * DAY_MS
    world.ana.maintain()
    assert os.listdir(world.spool) == []
    world.close()
    print(kills)
    assert kills.total() > ROUNDS // 2
    if ROUNDS >= 500:
        assert not [point for point in POINTS if not kills[point]]
