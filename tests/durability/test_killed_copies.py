# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed while they deposit for many: all of it is there, or nothing.

A child works with a relay's file and is really killed (SIGKILL): before any statement of any
transaction, right after a commit, and at random moments. Held is, of the file as it is left:
- a message is in the mailboxes of all its recipients, or of none, but where it was acknowledged;
- each shared ciphertext has exactly its copies, and each copy is whole;
- the epoch that came with a message is known exactly when the message is there;
- what was answered is there.

E2ECROSS_KILL_ROUNDS sets the number of rounds, E2ECROSS_KILL_SEED what they are drawn from.
"""

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import pytest

from e2ecross.address import Address
from e2ecross.relay import Relay
from e2ecross.relay.sqlite_database import SQLiteDatabase
from tests.durability.journal import Journal, JournalReader
from tests.relay.support import ANA, copies, epoch_of, register, shared_rows, token

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL and no fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

ROUNDS = int(os.environ.get("E2ECROSS_KILL_ROUNDS", "60"))
SEED = int(os.environ.get("E2ECROSS_KILL_SEED", "1"))
CROWD: Final = [Address("x", f"user-{number}") for number in range(12)]


def die_after(statements: int) -> None:  # pragma: no cover: who is killed writes none
    """Die before that statement of those of all transactions, or after the commit before it."""
    left, inner = statements, SQLiteDatabase.write

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(database: SQLiteDatabase, work: Callable[[Any], object], *_: object) -> object:
        def watched(connection: sqlite3.Connection) -> object:
            connection.set_trace_callback(count)
            return work(connection)

        result = inner(database, watched)
        count("")
        return result

    cast("Any", SQLiteDatabase).write = write


def live(path: Path, journal: Journal, first: int, seed: int) -> None:  # pragma: no cover
    """Deposit for all, and let some of them acknowledge."""
    draw = random.Random(seed)
    with Relay(path) as relay:
        for number in range(first, first + 30):
            journal.note("deposit", number=number)
            message = copies(ANA, number, *CROWD, size=draw.choice((80, 9_000)))
            answer = relay.deposit_copies(token(ANA), message.encode(), epochs={0: number})
            assert answer.refused == {}
            journal.note("deposited", number=number)
            for each in draw.sample(CROWD, 4):
                items = relay.fetch(each, token(each), draw.randint(1, 9))
                relay.acknowledge(each, token(each), [item.number for item in items])


def run(path: Path, journal: Path, first: int, draw: random.Random) -> bool:
    """Let a child live; tells whether it was killed."""
    statements = draw.choice((None, draw.randint(1, 60), draw.randint(60, 1_500)))
    seed, wait_s = draw.randrange(2**32), draw.uniform(0.005, 0.08)
    child = os.fork()
    if child == 0:  # pragma: no cover: no coverage is written by a process that is killed
        try:
            if statements is not None:
                die_after(statements)
            live(path, Journal(journal), first, seed)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    if statements is None:
        time.sleep(wait_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def known_triples(path: Path) -> list[int]:
    """How many messages each of the crowd has or had."""
    with sqlite3.connect(path) as connection:
        found = dict(
            connection.execute("SELECT recipient, COUNT(*) FROM deposits GROUP BY recipient")
        )
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    return [found.get(str(each), 0) for each in CROWD]


def test_a_message_is_there_for_all_or_for_none(tmp_path: Path) -> None:
    path, journal = tmp_path / "relay.db", tmp_path / "journal"
    with Relay(path) as relay:
        register(relay, ANA, *CROWD)
    reader, draw, killed, first = JournalReader(journal), random.Random(SEED), 0, 1
    deposited = 0
    for _ in range(max(ROUNDS // 2, 10)):
        killed += run(path, journal, first, draw)
        begun = first - 1
        for note in reader.new():
            if note["what"] == "deposit":
                begun = note["number"]
            else:
                deposited += 1
        counts = known_triples(path)
        assert len(set(counts)) == 1
        shared_rows(path)
        with Relay(path) as relay:
            epoch = epoch_of(relay, ANA, token(ANA))
            assert epoch in (begun - 1, begun)
            # All that were answered, and the last one perhaps.
            assert counts[0] == deposited + (epoch == begun and counts[0] > deposited)
            deposited = counts[0]
            for each in CROWD:
                for envelope in relay.waiting(each):
                    assert envelope.recipient == each
            again = copies(ANA, begun, *CROWD).encode() if begun else b""
            if again:  # as a sender that has heard nothing
                assert relay.deposit_copies(token(ANA), again, epochs={0: begun}).refused == {}
                deposited = known_triples(path)[0]
        first = begun + 1
    assert killed > ROUNDS // 8
    with Relay(path) as relay:
        for each in CROWD:
            while items := relay.fetch(each, token(each), 1_000):
                relay.acknowledge(each, token(each), [item.number for item in items])
    assert shared_rows(path) == []
    print(f"E2ECROSS_KILL_SEED={SEED}: {first - 1} messages, {killed} killed")
