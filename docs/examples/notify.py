# SPDX-License-Identifier: Apache-2.0
"""A process beside the app that says when mail comes, while the app sleeps.

python notify.py --url http://127.0.0.1:8080 --store ana.db --key-file ana.key

It opens the app's own store, which both may use at once. It reads what comes and confirms nothing:
so the app gets every item, marked `redelivered`, and shows it. Needs the extra `http`.
"""

import argparse
import signal
import threading
from pathlib import Path

from e2ecross import Client, Device, FailedMessage, InboxItem, Message, Notice, NoticeKind
from e2ecross.errors import BackendError, NotRegistered
from e2ecross.service import HTTPBackend
from e2ecross.stores import SQLiteStore

ALARMING = {NoticeKind.DEVICE_LINKED, NoticeKind.FOREIGN_LIST, NoticeKind.IDENTITY_PENDING}


def headline(item: InboxItem) -> str | None:
    """What a locked screen may show: who, and never what. None: nothing."""
    match item:
        case Message(own_copy=True) | Message(request=True) | Message(content=None):
            return None  # the own user wrote it; a stranger did; nothing is left of it
        case Message():
            return f"message from {item.group or item.sender.user_id}"
        case FailedMessage(retrying=True):
            return None  # it comes again
        case FailedMessage():
            return f"a message of {item.sender} could not be read"
        case Notice(kind=kind) if kind in ALARMING:
            return f"look at your account: {kind}"
        case Notice():
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Say when mail comes.")
    for option in ("--url", "--store", "--key-file"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    ended = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: ended.set())

    with SQLiteStore(options.store, key=Path(options.key_file).read_bytes()) as store:
        client = Client(Device.open(store), HTTPBackend(options.url), wait_ms=2_000)
        print("waiting for mail", flush=True)
        while not ended.is_set():
            try:
                items = client.receive()
            except NotRegistered:
                print("this device is not registered any more: open the app", flush=True)
                return
            except BackendError:
                ended.wait(10)
                continue
            for item in items:
                # What an earlier run has told is handed over again, and not told again.
                line = None if item.redelivered else headline(item)
                if line is not None:
                    print(line, flush=True)


if __name__ == "__main__":
    main()
