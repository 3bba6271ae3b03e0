# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed while they work with files: what was counted is there, and goes on.

A child works with a relay or a folder and is really killed (SIGKILL): at each of the points of
`blob_child.py` and at random moments. The next one begins where that has stopped. Held is:
- a blob stands where the last answer said, or where a call that was not answered would have put it;
- what can be read is complete, and what was put; what is not complete cannot be read;
- what was deleted is gone, and so is what has expired;
- in the end all can be completed and deleted, and no file is left behind.

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

from tests.durability.blob_child import (
    ANA,
    KEPT_MS,
    POINTS,
    SIZES,
    TOKEN,
    Order,
    data_of,
    live,
    open_store,
)
from tests.durability.journal import JournalReader, Note, digest
from tests.relay.blob_support import blob_id

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "60"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))
NUMBERS = range(len(SIZES))
RANDOM_MOMENT = "at a random moment"
RARE = {"cutting": 1, "renaming": 3}
"""How often a child comes to what it does not come to often; to other steps dozens of times."""


class Model:
    """Where each blob may stand: 0 also for one that is none."""

    def __init__(self) -> None:
        self.stands: dict[int, set[int]] = {number: {0} for number in NUMBERS}

    def expire(self) -> None:
        self.stands = {number: {0} for number in NUMBERS}

    def hear(self, note: Note) -> None:
        number = note["number"]
        possible = self.stands[number]
        match note["what"]:
            case "begin":
                pass
            case "put":
                possible.add(note["stored"])
            case "delete":
                possible.add(0)
            case "stands":
                assert note["stored"] in possible, (note, possible)
                self.stands[number] = {note["stored"]}
            case "gone":
                possible.discard(SIZES[number])
                assert possible
            case "read":
                assert note["digest"] == digest(data_of(number))
                assert SIZES[number] in possible
                self.stands[number] = {SIZES[number]}
            case what:
                raise AssertionError(what)


def run(order: Order, journal: Path, wait_s: float) -> bool:
    """Let a child live; tells whether it was killed."""
    child = os.fork()
    if child == 0:  # pragma: no cover: no coverage is written by a process that is killed
        try:
            live(order, journal)
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


def check_end(order: Order, model: Model) -> None:
    """All can be completed, read and deleted."""
    with open_store(order) as store:
        for number, size in enumerate(SIZES):
            stored = store.begin_blob(ANA, TOKEN, blob_id(number), size)
            assert stored in model.stands[number]
            if stored < size:
                piece = data_of(number)[stored:]
                assert store.put_blob(ANA, TOKEN, blob_id(number), stored, piece) == size
            assert store.get_blob(blob_id(number), 0, size) == data_of(number)
        names = [path for path in order.directory.iterdir() if len(path.name) >= 64]
        assert len(names) == len(SIZES)
        for number in NUMBERS:
            store.delete_blob(ANA, TOKEN, blob_id(number))
    assert [path for path in order.directory.iterdir() if len(path.name) >= 64] == []


@pytest.mark.parametrize("kind", ["Relay", "FolderBlobs"])
def test_files_of_processes_that_are_killed_anywhere(kind: str, tmp_path: Path) -> None:
    rng, model, kills = random.Random(f"{SEED} {kind}"), Model(), Counter[str]()
    directory = tmp_path / "store"
    directory.mkdir()
    journal = tmp_path / "journal"
    reader, now_ms, rounds = JournalReader(journal), 1_700_000_000_000, 0
    wanted: list[str] = []
    while rounds < ROUNDS // 2 or any(not kills[point] for point in POINTS):
        assert rounds < 3 * ROUNDS + 300  # else some point cannot be reached
        rounds += 1
        if not wanted:
            wanted = rng.sample([*POINTS, *[RANDOM_MOMENT] * 4], len(POINTS) + 4)
        at = wanted.pop()
        point = None if at == RANDOM_MOMENT else at
        if rng.random() < 0.15:
            now_ms += KEPT_MS
            model.expire()
        visits = rng.randint(1, next((most for end, most in RARE.items() if at.endswith(end)), 12))
        order = Order(directory, kind, rng.randrange(2**32), now_ms, point, visits)
        if run(order, journal, rng.uniform(0.005, 0.06)):
            kills[at] += 1
        for note in reader.new():
            model.hear(note)
        if rng.random() < 0.1:
            check_end(order, model)
            model.expire()
    check_end(order, model)
    print(f"E2ECROSS_KILL_SEED={SEED} {kind}: {rounds} rounds, {sum(kills.values())} killed")
    print(*(f"{count:6} {point}" for point, count in sorted(kills.items())), sep="\n")
