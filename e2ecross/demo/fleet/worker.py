# SPDX-License-Identifier: Apache-2.0
"""A worker of the demo of a fleet: answers customers in the shop's name, until it is told to end.

Rules:
- It tells what it does, a JSON object in a line: what it takes in hand, what it has answered, what
  it has confirmed.
- An answer's id is made of that of the message: however often a message is handled, and by
  whomever, it is answered once.
- How the database is reached comes from the environment, the key from a file: others on the machine
  see arguments.
"""

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from e2ecross.cli.conninfo import DATABASE
from e2ecross.client.client import Client
from e2ecross.demo.fleet.clock import fast_clock
from e2ecross.device.device import Device
from e2ecross.errors import E2ECrossError, StoreBusy
from e2ecross.relay import Relay
from e2ecross.state.message import Message
from e2ecross.state.policy import Policy
from e2ecross.stores.postgres import PostgresStore
from e2ecross.wire.content import Text

__all__ = ["answer_id", "main"]

_WORK_SECONDS: Final = 0.02
"""What it takes to think of an answer, and to file it."""

_POLICY: Final = Policy(send_delivered_receipts=False, send_read_receipts=False)
_PAUSE_SECONDS: Final = 0.02
_AT_ONCE: Final = 8


def main(arguments: list[str]) -> int:
    """Work until stdin ends.

    Args:
        arguments: the relay's file, the file of the store's key, and when the demo's clock began.
    """
    relay_file, key_file, start = arguments
    clock = fast_clock(int(start))
    gone = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(gone,), daemon=True).start()
    try:
        keys = {1: Path(key_file).read_bytes()}
        with PostgresStore(os.environ[DATABASE], "shop", keys=keys, connections=2) as store:
            device = Device.open(store, policy=_POLICY, clock=clock)
            client = Client(device, Relay(relay_file, clock=clock))
            _tell(ready=os.getpid())
            while not gone.is_set():
                client = _work(client)
    except KeyboardInterrupt:
        return 130
    except E2ECrossError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def answer_id(message_id: bytes) -> bytes:
    """Return the id of the answer to a message, 16 bytes."""
    return hashlib.sha256(b"answer" + message_id).digest()[:16]


def _work(client: Client) -> Client:
    """Handle what has come; returns who goes on."""
    try:
        items = client.receive(limit=_AT_ONCE)
        messages = [item for item in items if isinstance(item, Message)]
        if messages:
            _tell(took=[_name(message) for message in messages])
        for message in messages:
            time.sleep(_WORK_SECONDS)
            if isinstance(message.content, Text):
                answer = Text(f"{message.content.text} is on its way")
                sender = message.sender.user_id
                client.send(str(sender), answer, message_id=answer_id(message.message_id))
            _tell(answered=_name(message))
            time.sleep(_WORK_SECONDS)
        client.confirm(items)
        if messages:
            _tell(confirmed=[_name(message) for message in messages])
    except StoreBusy:  # another worker was in the way for too long
        return client.for_thread()  # what is left comes again, before what follows it
    if not items:
        time.sleep(_PAUSE_SECONDS)
    return client


def _name(message: Message) -> str:
    return message.message_id.hex()


def _tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def _wait_for_the_end(gone: threading.Event) -> None:
    while os.read(0, 1):  # not by `sys.stdin`, which a thread must not hold when the process ends
        pass
    gone.set()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
