# SPDX-License-Identifier: Apache-2.0
"""However many threads and processes are one device, its ratchet has one history.

The attacker: whoever gains when one state is gone on with twice, and so two messages leave under
one key. Nobody has to be hostile for it: two workers of one app are enough. All who work here
encrypt and decrypt for one peer at once; what they send is read by Budi in another order.
"""

import hashlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2ecross import Address, Client, Device, Envelope, Text
from e2ecross.errors import DuplicateMessage, StoreError
from e2ecross.protocol import ratchet
from e2ecross.protocol.session_record import seal_message
from e2ecross.relay import Relay
from e2ecross.state.context import address_key
from e2ecross.state.session_store import load_sessions, save_sessions
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table, Transaction
from e2ecross.wire.signal_message import VERSIONS, decode_signal_message
from tests.attacks.hostile_backend import results
from tests.attacks.support import ANA, BUDI, FakeClock, Person, inner_message, meet, person
from tests.attacks.twin import BUSY_TIMEOUT_MS, Work, work
from tests.support.entropy import SeededEntropy

pytestmark = pytest.mark.usefixtures("both_versions")

ROOT = Path(__file__).parents[2]
THREADS = 6
ROUNDS = 4
MESSAGES = 4  # of each worker in each round, in each direction


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A digest of every (cipher key, IV) that was used in this process."""
    used: list[str] = []
    genuine: Callable[[bytes, bytes, bytes], bytes] = vars(ratchet)["cbc_encrypt"]

    def spy(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        used.append(hashlib.sha256(cipher_key + iv).hexdigest())
        return genuine(cipher_key, iv, plaintext)

    monkeypatch.setattr(ratchet, "cbc_encrypt", spy)
    return used


@pytest.fixture(autouse=True)
def _threads_change_often() -> Iterator[None]:
    """Let a thread lose its turn after microseconds, not after milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class _Round:
    """What is given to each worker in one round, and whether all of it came to a good end."""

    def __init__(self, budi: Person, workers: int, number: int) -> None:
        self._budi = budi
        self._wanted = [f"{number} to ana {n}" for n in range(workers * MESSAGES)]
        envelopes = [budi.device.encrypt(ANA, Text(text)) for text in self._wanted]
        data = [envelope.encode().hex() for envelope in envelopes]
        random.Random(number).shuffle(data)
        self.texts = [
            [f"{number} from {worker} {n}" for n in range(MESSAGES)] for worker in range(workers)
        ]
        # Every envelope goes to two of the workers: one of them is too late.
        half = [data[worker * MESSAGES : (worker + 1) * MESSAGES] for worker in range(workers)]
        self.envelopes = [half[worker] + half[worker - 1] for worker in range(workers)]

    def check(self, done: list[Work]) -> list[Envelope]:
        assert sorted(text for one in done for text in one.read) == sorted(self._wanted)
        assert sum(one.late for one in done) == len(self._wanted)
        sent = [Envelope.decode(bytes.fromhex(data)) for one in done for data in one.sent]
        random.Random(len(sent)).shuffle(sent)
        read = [self._budi.read(envelope) for envelope in sent]
        assert sorted(read) == sorted(text for texts in self.texts for text in texts)
        return sent


def _assert_one_history(sent: list[Envelope], used: list[str], at_least: int) -> None:
    """No number of a chain twice, no key twice, no gap in a chain."""
    assert len(sent) >= at_least
    assert len(used) == len(set(used)) >= len(sent)
    messages = [decode_signal_message(inner_message(envelope), VERSIONS) for envelope in sent]
    numbers = [(message.ratchet_key, message.counter) for message in messages]
    assert len(set(numbers)) == len(numbers)
    for ratchet_key in {key for key, _ in numbers}:
        chain = sorted(number for key, number in numbers if key == ratchet_key)
        assert chain == list(range(chain[0], chain[0] + len(chain)))
        assert chain[0] <= 1  # number 0 of the first chain was sent before


def _stores(kind: str, tmp_path: Path, count: int) -> list[Store]:
    """The store of one device, as several objects where it can be."""
    if kind == "memory":
        return [MemoryStore(busy_timeout_ms=BUSY_TIMEOUT_MS)] * count
    path, number = tmp_path / "ana.db", 1 if kind == "one file object" else count
    files: list[Store] = [SQLiteStore(path, busy_timeout_ms=BUSY_TIMEOUT_MS) for _ in range(number)]
    return (files * count)[:count]


@pytest.mark.parametrize("kind", ["memory", "one file object", "several file objects"])
def test_threads_with_devices_of_their_own(kind: str, tmp_path: Path, pairs: list[str]) -> None:
    stores = _stores(kind, tmp_path, THREADS)
    ana, budi = person(ANA, store=stores[0]), person(BUDI)
    meet(ana, budi)
    devices = [
        Device.open(store, clock=FakeClock(), entropy=SeededEntropy(f"twin {number}"))
        for number, store in enumerate(stores)
    ]
    sent: list[Envelope] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(ROUNDS):
            together = _Round(budi, THREADS, number)
            start = threading.Barrier(THREADS)

            def run(
                worker: int, together: _Round = together, start: threading.Barrier = start
            ) -> Work:
                start.wait()
                return work(devices[worker], together.texts[worker], together.envelopes[worker])

            sent += together.check(list(pool.map(run, range(THREADS))))
    _assert_one_history(sent, pairs, ROUNDS * THREADS * MESSAGES)
    assert (
        len({decode_signal_message(inner_message(e), VERSIONS).ratchet_key for e in sent}) >= ROUNDS
    )
    for store in stores:
        store.close()


def test_two_processes_and_this_one(tmp_path: Path, pairs: list[str]) -> None:
    path = tmp_path / "ana.db"
    ana = person(ANA, store=SQLiteStore(path, busy_timeout_ms=BUSY_TIMEOUT_MS))
    budi = person(BUDI)
    meet(ana, budi)
    with _twin(path) as one, _twin(path) as two:
        sent: list[Envelope] = []
        for number in range(ROUNDS):
            together = _Round(budi, 3, number)
            for twin, place in ((one, 1), (two, 2)):
                _say(twin, [together.texts[place], together.envelopes[place]])
            done = [work(ana.device, together.texts[0], together.envelopes[0])]
            for twin in (one, two):
                answer = _hear(twin)
                pairs += answer["pairs"]
                done.append(Work(answer["sent"], answer["read"], answer["late"]))
            sent += together.check(done)
    _assert_one_history(sent, pairs, ROUNDS * 3 * MESSAGES)
    ana.store.close()


@contextmanager
def _twin(path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.attacks.twin", str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert _hear(process) == "ready"
    try:
        yield process
    finally:
        process.communicate()
    assert process.returncode == 0


def _say(process: "subprocess.Popen[str]", what: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()


def _hear(process: "subprocess.Popen[str]") -> Any:  # noqa: ANN401
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the twin has failed"
    return json.loads(line)


def test_a_device_that_was_opened_long_ago_goes_by_what_is_stored(
    tmp_path: Path, pairs: list[str]
) -> None:
    """It has seen an early state and slept; others have turned the ratchet many times since."""
    path = tmp_path / "ana.db"
    ana, budi = person(ANA, store=SQLiteStore(path)), person(BUDI)
    meet(ana, budi)
    sleeper_store = SQLiteStore(path)
    sleeper = Device.open(sleeper_store, clock=FakeClock(), entropy=SeededEntropy("sleeper"))
    sent = [sleeper.encrypt(BUDI, Text("before"))]
    assert budi.read(sent[0]) == "before"
    answer = budi.send(ana, "answer")
    assert ana.read(answer) == "answer"
    with pytest.raises(DuplicateMessage):
        sleeper.decrypt(answer)
    for turn in range(3):
        sent += [ana.send(budi, f"{turn}"), sleeper.encrypt(BUDI, Text(f"sleeper {turn}"))]
        assert [budi.read(envelope) for envelope in sent[-2:]] == [f"{turn}", f"sleeper {turn}"]
        assert ana.read(budi.send(ana, "turn")) == "turn"
    _assert_one_history(sent, pairs, 7)
    sleeper_store.close()
    ana.store.close()


def test_clients_that_start_with_one_peer_at_once(tmp_path: Path, pairs: list[str]) -> None:
    """Each finds no session, fetches a bundle and starts one; the peer starts one, too."""
    stores = [SQLiteStore(tmp_path / "ana.db", busy_timeout_ms=BUSY_TIMEOUT_MS) for _ in range(3)]
    ana, budi = person(ANA, store=stores[0], one_time=0), person(BUDI, one_time=0)
    with Relay(tmp_path / "relay.db") as relay:
        peer = Client(budi.device, relay)
        peer.register()
        clients = [Client(Device.open(store), relay) for store in stores]
        clients[0].register()
        assert not ana.device.has_session(BUDI)
        start = threading.Barrier(len(clients) + 1)

        def send(client: Client, to: Address, name: str) -> None:
            start.wait()
            for number in range(MESSAGES):
                client.send(to, Text(f"{name} {number}"))

        with ThreadPoolExecutor(len(clients) + 1) as pool:
            jobs = [pool.submit(send, client, BUDI, f"{n}") for n, client in enumerate(clients)]
            jobs.append(pool.submit(send, peer, ANA, "peer"))
            for job in jobs:
                job.result()
        wanted = {f"{n} {number}" for n in range(len(clients)) for number in range(MESSAGES)}
        assert sorted(results(peer.receive())) == sorted(wanted)
        answers = results(clients[1].receive())
        assert answers == [f"peer {number}" for number in range(MESSAGES)]
        clients[2].send(BUDI, Text("goes on"))
        assert results(peer.receive()) == ["goes on"]
    assert len(pairs) == len(set(pairs)) >= (len(clients) + 1) * MESSAGES
    for store in stores:
        store.close()


# --- A stale view cannot be committed -------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def two_views(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """One store as two workers have it."""
    if request.param == "memory":
        store = MemoryStore(busy_timeout_ms=0)
        yield store, store
    else:
        with (
            SQLiteStore(tmp_path / "a.db", busy_timeout_ms=0) as one,
            SQLiteStore(tmp_path / "a.db", busy_timeout_ms=0) as two,
        ):
            yield one, two


def test_a_view_is_useless_after_its_transaction(two_views: tuple[Store, Store]) -> None:
    """What was read in one transaction cannot be written on top of another one's work with it."""
    ana, budi = person(ANA, store=two_views[0]), person(BUDI)
    meet(ana, budi)
    with two_views[0].transaction() as stale:
        before = load_sessions(stale, BUDI)
    other = Device.open(two_views[1], clock=FakeClock(), entropy=SeededEntropy("other"))
    assert budi.read(other.encrypt(BUDI, Text("meanwhile"))) == "meanwhile"
    after, *_ = seal_message(before, b"a fork", ana.device.registration_id, SeededEntropy("fork"))
    now = ana.dump()
    with pytest.raises(StoreError):
        save_sessions(stale, address_key(BUDI), before, after)
    with pytest.raises(StoreError):
        stale.put(Table.SESSIONS, b"", b"", b"")
    assert ana.dump() == now
    assert budi.read(ana.send(budi, "goes on")) == "goes on"


def test_nobody_else_gets_in_between_reading_and_writing(two_views: tuple[Store, Store]) -> None:
    """While one worker is inside, another one can neither read nor write: it would fork."""
    ana, budi = person(ANA, store=two_views[0]), person(BUDI)
    meet(ana, budi)
    other = Device.open(two_views[1], clock=FakeClock(), entropy=SeededEntropy("other"))
    answer = budi.send(ana, "answer")
    results: list[BaseException | object] = []

    def try_it(call: Callable[[], object]) -> None:
        try:
            results.append(call())
        except StoreError as error:
            results.append(error)

    def inside() -> list[BaseException | object]:
        results.clear()
        for call in (
            lambda: other.encrypt(BUDI, Text("fork")),
            lambda: other.encrypt_raw(BUDI, b"fork"),
            lambda: other.decrypt(answer),
            lambda: other.start_session(budi.bundle()),
        ):
            thread = threading.Thread(target=try_it, args=(call,))
            thread.start()
            thread.join()
        return list(results)

    before = ana.dump()
    with two_views[0].transaction() as tx:
        assert load_sessions(tx, BUDI).current is not None
        assert all(isinstance(result, StoreError) for result in inside())
        assert len(results) == 4
    assert ana.dump() == before
    assert ana.read(answer) == "answer"
    assert budi.read(other.encrypt(BUDI, Text("one history"))) == "one history"


class _Interrupting(MemoryStore):
    """Lets another worker run at the very end of a transaction, if the store lets it in."""

    __slots__ = ("other",)

    def __init__(self) -> None:
        super().__init__(busy_timeout_ms=0)
        self.other: Callable[[], object] | None = None

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with super().transaction(stripe, moved=moved) as tx:
            yield tx
            if self.other is not None:
                call, self.other = self.other, None
                call()


def test_reentry_in_one_thread_is_no_way_in_either(pairs: list[str]) -> None:
    """A callback, a signal handler, a generator: code that comes back while the store is held."""
    store = _Interrupting()
    ana, budi = person(ANA, store=store), person(BUDI)
    meet(ana, budi)
    pairs.clear()
    before = ana.dump()
    store.other = lambda: ana.device.encrypt(BUDI, Text("inner"))
    with pytest.raises(StoreError):
        ana.send(budi, "outer")
    assert ana.dump() == before
    assert len(pairs) == 1, "the inner one was stopped before it encrypted anything"
    assert budi.read(ana.send(budi, "one history")) == "one history"
