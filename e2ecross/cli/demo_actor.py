# SPDX-License-Identifier: Apache-2.0
"""One app of the demo, in a process of its own: `python -m e2ecross.cli.demo_actor`.

Arguments: the address, the store's file, the relay's file. Stage directions come in on stdin, one
JSON object per line, and each is answered by one on stdout. What the app says to others goes
through the relay only.

Rules:
- An error of the library is an answer; any other exception ends the process.
- The end of stdin ends the process.

The store is not sealed (`SQLiteStore(key=...)`), so that a reader of the demo can look into it.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from e2ecross.address import Address
from e2ecross.client.client import Client
from e2ecross.device.device import Device
from e2ecross.errors import E2ECrossError, NoDevice
from e2ecross.relay import Relay
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage
from e2ecross.state.notice import Notice
from e2ecross.stores import SQLiteStore
from e2ecross.stores.base import Store
from e2ecross.wire.content import Text

__all__ = ["main"]

Direction = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Play one app until the director lets it go."""
    address, store_file, relay_file = arguments
    try:
        with SQLiteStore(store_file) as store, Relay(relay_file) as relay:
            device = _open_or_create(store, Address.parse(address))
            client = Client(device, relay)
            client.register()
            _answer(
                {
                    "address": str(device.address),
                    "process_id": os.getpid(),
                    "registration_id": device.registration_id,
                    "identity_key": device.identity_key.hex(),
                }
            )
            for line in sys.stdin:
                _answer(_follow(client, json.loads(line)))
    except KeyboardInterrupt:
        return 130
    except E2ECrossError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _open_or_create(store: Store, address: Address) -> Device:
    try:
        return Device.open(store)
    except NoDevice:
        return Device.create(address, store)


def _answer(answer: Direction) -> None:
    print(json.dumps(answer), flush=True)


def _follow(client: Client, direction: Direction) -> Direction:
    try:
        return _DIRECTIONS[direction["do"]](client, direction)
    except E2ECrossError as error:
        return {"error": _error(error)}


def _send(client: Client, direction: Direction) -> Direction:
    sent = client.send(direction["to"], Text(direction["text"]))
    return {"message_id": sent.message_id.hex()}


def _receive(client: Client, direction: Direction) -> Direction:
    items = client.receive()
    client.confirm(items)
    return {"items": [_item(item) for item in items]}


def _item(item: InboxItem) -> Direction:
    if isinstance(item, Notice):
        return {"notice": item.kind.value, "user": str(item.user)}
    common: Direction = {
        "sender": str(item.sender),
        "message_id": None if item.message_id is None else item.message_id.hex(),
    }
    if isinstance(item, FailedMessage):
        return {**common, "error": _error(item.error)}
    return {**common, "text": item.content.text if isinstance(item.content, Text) else None}


def _error(error: E2ECrossError) -> Direction:
    return {"type": type(error).__name__, "code": error.code, "message": str(error)}


def _show_safety_number(client: Client, direction: Direction) -> Direction:
    number = client.device.safety_number(Address.parse(direction["of"]))
    return {"digits": number.digits, "code": number.scannable.hex()}


def _scan(client: Client, direction: Direction) -> Direction:
    number = client.device.safety_number(Address.parse(direction["of"]))
    return {"matches": number.matches(bytes.fromhex(direction["code"]))}


_DIRECTIONS: Final[dict[str, Callable[[Client, Direction], Direction]]] = {
    "send": _send,
    "receive": _receive,
    "show_safety_number": _show_safety_number,
    "scan": _scan,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
