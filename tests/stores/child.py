# SPDX-License-Identifier: Apache-2.0
"""What tests run in processes of their own: `python -m tests.stores.child COMMAND PATH ...`."""

import os
import sys
import threading
import time

from e2ecross.errors import StoreError
from e2ecross.stores import SQLiteStore, Table
from tests.stores.support import KEY, WAIT_SECONDS, increment


def _say(text: str) -> None:
    print(text, flush=True)


def increments(path: str, threads: str, times: str) -> None:
    """Open (or create) the store on a signal and count up from several threads."""
    _say("ready")
    sys.stdin.readline()
    store = SQLiteStore(path, key=KEY, busy_timeout_ms=WAIT_SECONDS * 1000)

    def work() -> None:
        for _ in range(int(times)):
            increment(store)

    workers = [threading.Thread(target=work) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store.close()


def hold(path: str) -> None:
    """Stay inside a transaction that has written, until killed or told to end."""
    store = SQLiteStore(path)
    increment(store)
    with store.transaction() as transaction:
        transaction.put(Table.DEVICE, b"counter", b"", b"never committed")
        for number in range(2_000):  # more than SQLite's cache, so that some reach the WAL
            transaction.put(Table.INBOX, b"", b"%d" % number, bytes(2_000))
        _say("inside")
        sys.stdin.readline()


def fork(path: str) -> None:
    """Parent and child of a fork both use the store object, the child until its ordinary exit."""
    store = SQLiteStore(path)
    increment(store)
    pid = os.fork()
    for _ in range(40):
        increment(store)
        time.sleep(0.001)
    if pid == 0:
        sys.exit(0)
    _, status = os.waitpid(pid, 0)
    for _ in range(10):
        increment(store)
    store.close()
    _say(f"child ended with {status}")


def fork_inside(path: str) -> None:
    """A child that is forked inside a transaction can do nothing with it."""
    store = SQLiteStore(path)
    reader, writer = os.pipe()
    parent = os.getpid()
    failures = 0
    try:
        with store.transaction() as transaction:
            transaction.put(Table.DEVICE, b"counter", b"", b"1")
            pid = os.fork()
            if pid:
                os.waitpid(pid, 0)
            else:
                try:
                    transaction.put(Table.DEVICE, b"counter", b"", b"2")
                except StoreError:
                    failures += 1
    except StoreError:
        failures += 1
    if os.getpid() != parent:
        os.write(writer, b"%d refused" % failures)
        sys.exit(0)
    _say(os.read(reader, 100).decode())
    increment(store)
    store.close()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
