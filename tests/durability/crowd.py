# SPDX-License-Identifier: Apache-2.0
"""One of several processes on one store: `python -m tests.durability.crowd COMMAND PATH ...`.

Each reads a line of JSON when it may begin and answers with one.
"""

import json
import random
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from e2ecross import Address, Client, Device, Envelope, FailedMessage, Message, PublishedKeys, Text
from e2ecross.crypto.cipher import cbc_encrypt
from e2ecross.errors import DuplicateMessage
from e2ecross.protocol import ratchet
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore, SQLiteStore
from tests.durability.child import KEY
from tests.durability.journal import digest
from tests.support.devices import bundle_from

WAIT_MS = 60_000  # for a turn in the store: only a hang comes near
TURNS = 4  # of the conversation that each thread has for itself

Job = dict[str, Any]
_pairs: list[str] = []


def talk(path: str) -> None:
    """Encrypt and decrypt in several threads, as told, phase after phase."""
    _watch_encryption()
    store = SQLiteStore(path, key=KEY, busy_timeout_ms=WAIT_MS)
    device = Device.open(store)
    with ThreadPoolExecutor(16) as pool:
        for line in sys.stdin:
            jobs: list[Job] = json.loads(line)
            start = threading.Barrier(len(jobs))
            done = list(pool.map(partial(_work, device, start), jobs))
            print(json.dumps({"threads": done, "pairs": _pairs}), flush=True)
            _pairs.clear()
    store.close()


def _work(device: Device, start: threading.Barrier, job: Job) -> Job:
    """What one thread does in one phase, in an order of its own."""
    done: Job = {"sent": [], "read": [], "repeated": 0, "own": 0}
    shared = Address.parse(job["shared"])

    def send(text: str) -> None:
        done["sent"].append(device.encrypt(shared, Text(text)).encode().hex())

    def read(data: str) -> None:
        try:
            message = device.decrypt(Envelope.decode(bytes.fromhex(data)))
        except DuplicateMessage:  # another thread or process was faster
            done["repeated"] += 1
        else:
            assert isinstance(message.content, Text)
            done["read"].append(message.content.text)

    tasks: list[Callable[[], None]] = [partial(send, text) for text in job["send"]]
    tasks += [partial(read, data) for data in job["read"]]
    own = _own_conversation(device, job, done)
    tasks += [partial(next, own)] * TURNS
    random.Random(job["seed"]).shuffle(tasks)
    start.wait()
    for task in tasks:
        task()
    return done


def _own_conversation(device: Device, job: Job, done: Job) -> Iterator[None]:
    """A peer that only this thread talks with: each turn there and back, so the ratchet turns."""
    peer = Device.create(Address.parse(job["peer"]), MemoryStore())
    published = PublishedKeys.decode(bytes.fromhex(job["published"]))
    peer.start_session(bundle_from(published, job["prekey"]))
    while True:
        there = peer.encrypt(device.address, Text("there"))
        assert device.decrypt(Envelope.decode(there.encode())).content == Text("there")
        back = device.encrypt(peer.address, Text("back"))
        done["sent"].append(back.encode().hex())
        assert peer.decrypt(Envelope.decode(back.encode())).content == Text("back")
        done["own"] += 1
        yield


def receive(path: str, relay_path: str, limit: str) -> None:
    """Be one of two clients on one mailbox until it is empty."""
    store = SQLiteStore(path, key=KEY, busy_timeout_ms=WAIT_MS)
    relay = Relay(relay_path)
    client = Client(Device.open(store), relay)
    client.register()
    print(json.dumps("ready"), flush=True)
    sys.stdin.readline()
    handed, failed = [], []
    while items := client.receive(int(limit)):
        for item in items:
            if isinstance(item, FailedMessage):
                failed.append(repr(item.error))
            elif isinstance(item, Message) and isinstance(item.content, Text):
                handed.append([item.content.text, item.redelivered])
        client.confirm(items)
    print(json.dumps({"handed": handed, "failed": failed}), flush=True)
    store.close()
    relay.close()


def hold(path: str) -> None:
    """Stay inside a transaction until told to end."""
    with SQLiteStore(path, key=KEY) as store, store.transaction():
        print(json.dumps("inside"), flush=True)
        sys.stdin.readline()


def _watch_encryption() -> None:
    def watched(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        _pairs.append(digest(cipher_key + iv))
        return cbc_encrypt(cipher_key, iv, plaintext)

    setattr(ratchet, "cbc_encrypt", watched)  # noqa: B010


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
