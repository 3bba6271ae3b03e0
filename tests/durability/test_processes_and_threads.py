# SPDX-License-Identifier: Apache-2.0
"""Several processes with several threads each are one device: on one store, at one mailbox."""

import json
import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from e2ecross import Address, Client, Device, Envelope, MessageKind, PublishedKeys, Text
from e2ecross.errors import StoreBusy
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore, SQLiteStore
from e2ecross.wire.signal_message import (
    SignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
)
from tests.durability.checks import check_store
from tests.durability.child import KEY
from tests.durability.crowd import TURNS, Job
from tests.support.devices import bundle_from

ANA, BUDI = Address("whatsapp", "ana"), Address("instagram", "budi")
PROCESSES = 4
THREADS = 4  # of each process
PHASES = 3
MESSAGES = 3  # of each thread in each phase, in each direction, on the shared session
MAIL = 120
_ROOT = Path(__file__).parents[2]


class Process:
    """A process of `crowd.py`: a line in, a line out."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.durability.crowd", *map(str, arguments)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:  # noqa: ANN401
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process has failed"
        return json.loads(line)

    def end(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


def message_of(envelope: Envelope) -> SignalMessage:
    if envelope.kind is MessageKind.PREKEY:
        return decode_prekey_signal_message(envelope.ciphertext).message
    return decode_signal_message(envelope.ciphertext)


def phase_jobs(phase: int, incoming: list[str], published: PublishedKeys) -> list[list[Job]]:
    """What each thread of each process does; each incoming message is given to two processes."""
    jobs: list[list[Job]] = [
        [
            {
                "shared": str(BUDI),
                "send": [f"{phase} {process} {thread} {n}" for n in range(MESSAGES)],
                "read": [],
                "peer": f"messenger:p{phase}{process}{thread}.1",
                "published": published.encode().hex(),
                "prekey": 1 + (phase * PROCESSES + process) * THREADS + thread,
                "seed": (phase * PROCESSES + process) * THREADS + thread,
            }
            for thread in range(THREADS)
        ]
        for process in range(PROCESSES)
    ]
    rng = random.Random(phase)
    for data in incoming:
        for process in rng.sample(range(PROCESSES), 2):
            rng.choice(jobs[process])["read"].append(data)
    return jobs


def run_phase(
    budi: Device, crowd: list[Process], phase: int, published: PublishedKeys
) -> tuple[list[Envelope], list[str]]:
    """Let all go on at once; returns what they encrypted, and the keys that they used."""
    texts = [f"to ana {phase} {n}" for n in range(PROCESSES * THREADS * MESSAGES)]
    incoming = [budi.encrypt(ANA, Text(text)).encode().hex() for text in texts]
    jobs = phase_jobs(phase, incoming, published)
    for process, of_process in zip(crowd, jobs, strict=True):
        process.say(of_process)
    answers = [process.hear() for process in crowd]
    threads = [thread for answer in answers for thread in answer["threads"]]
    assert all(thread["own"] == TURNS for thread in threads)
    assert sorted(text for thread in threads for text in thread["read"]) == sorted(texts)
    assert sum(thread["repeated"] for thread in threads) == len(texts)
    sent = [Envelope.decode(bytes.fromhex(data)) for thread in threads for data in thread["sent"]]
    to_budi = [envelope for envelope in sent if envelope.recipient == BUDI]
    wanted = [text for of_process in jobs for job in of_process for text in job["send"]]
    random.Random(phase).shuffle(to_budi)
    contents = [budi.decrypt(envelope).content for envelope in to_budi]
    assert sorted(c.text for c in contents if isinstance(c, Text)) == sorted(wanted)
    return sent, [pair for answer in answers for pair in answer["pairs"]]


def test_processes_and_threads_share_sessions_and_use_no_key_twice(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    with SQLiteStore(path, key=KEY) as store:
        ana, budi = Device.create(ANA, store), Device.create(BUDI, MemoryStore())
        published = ana.publish(1 + PHASES * PROCESSES * THREADS)
        ana.confirm_published(published)
        budi.start_session(bundle_from(published))
        ana.decrypt(budi.encrypt(ANA, Text("first")))
        budi.decrypt(ana.encrypt(BUDI, Text("answer")))
    crowd = [Process("talk", path) for _ in range(PROCESSES)]
    sent: list[Envelope] = []
    pairs: list[str] = []
    for phase in range(PHASES):
        envelopes, used = run_phase(budi, crowd, phase, published)
        sent += envelopes
        pairs += used
    for process in crowd:
        process.end()
    assert len(set(pairs)) == len(pairs) == len(sent) + PHASES * PROCESSES * THREADS * TURNS
    numbers = Counter((e.recipient, message_of(e).ratchet_key, message_of(e).counter) for e in sent)
    assert max(numbers.values()) == 1
    chains: defaultdict[bytes, set[int]] = defaultdict(set)
    for address, ratchet_key, number in numbers:
        if address == BUDI:
            chains[ratchet_key].add(number)
    assert len(chains) >= PHASES  # the shared session's ratchet has turned under their hands
    gaps = [chain for chain in chains.values() if chain != set(range(len(chain)))]
    assert len(gaps) <= 1  # number 0 of one chain was the answer
    assert all(chain == set(range(1, len(chain) + 1)) for chain in gaps)
    with SQLiteStore(path, key=KEY) as store:
        facts = check_store(store)
    assert facts is not None
    assert facts.one_time_prekeys == set()  # each conversation used one


def test_a_writer_that_waits_too_long_is_told_and_has_changed_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    store = SQLiteStore(path, key=KEY, busy_timeout_ms=50)
    ana, budi = Device.create(ANA, store), Device.create(BUDI, MemoryStore())
    ana.start_session(bundle_from(budi.publish(1)))
    held = Process("hold", path)
    assert held.hear() == "inside"
    for _ in range(3):
        with pytest.raises(StoreBusy):
            ana.encrypt(BUDI, Text("too early"))
    held.say("end")
    held.end()
    envelope = ana.encrypt(BUDI, Text("halo"))
    assert message_of(envelope).counter == 0  # no number was spent
    assert budi.decrypt(envelope).content == Text("halo")
    store.close()


def test_two_processes_at_one_mailbox_lose_nothing_and_make_no_failures(tmp_path: Path) -> None:
    path, relay_path = tmp_path / "budi.db", tmp_path / "relay.db"
    store = SQLiteStore(path, key=KEY)
    with Relay(relay_path) as relay:
        ana = Client(Device.create(ANA, MemoryStore()), relay)
        budi = Client(Device.create(BUDI, store), relay)
        ana.register()
        budi.register()
        budi.accept(ANA)  # else that many are too many of a stranger
        texts = [str(number) for number in range(MAIL)]
        for text in texts:
            ana.send(BUDI, Text(text))
        both = [Process("receive", path, relay_path, limit) for limit in (5, 40)]
        assert [process.hear() for process in both] == ["ready", "ready"]
        for process in both:
            process.say("go")
        answers = [process.hear() for process in both]
        for process in both:
            process.end()
        assert [answer["failed"] for answer in answers] == [[], []]
        handed = [(text, again) for answer in answers for text, again in answer["handed"]]
        assert {text for text, _ in handed} == set(texts)
        unflagged = Counter(text for text, again in handed if not again)
        assert max(unflagged.values()) == 1
        assert relay.waiting(BUDI) == []
        assert budi.receive() == []
    facts = check_store(store)
    assert facts is not None
    assert facts.inbox == set()
    store.close()
