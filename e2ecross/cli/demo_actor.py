# SPDX-License-Identifier: Apache-2.0
"""One app of the demo, in a process of its own: `python -m e2ecross.cli.demo_actor`.

Arguments: the address, the store's file, the relay's file or the URL of its service. Stage
directions come in on stdin, one JSON object per line, and each is answered by one on stdout. What
the app says to others goes through the relay only. A device with another number than 1 has to be
linked before it can do anything else.

Rules:
- An error of the library is an answer; any other exception ends the process.
- The end of stdin ends the process.

The store is not sealed (`SQLiteStore(key=...)`), so that a reader of the demo can look into it.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from e2ecross.address import Address
from e2ecross.client.backend import Backend
from e2ecross.client.client import Client
from e2ecross.client.device_link import DeviceLink
from e2ecross.client.pairing import Pairing
from e2ecross.device.device import Device
from e2ecross.errors import E2ECrossError, LocalError, NoDevice
from e2ecross.relay import Relay
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage
from e2ecross.state.notice import Notice
from e2ecross.stores import SQLiteStore
from e2ecross.stores.base import Store
from e2ecross.wire.content import Text
from e2ecross.wire.device_list import PRIMARY

if TYPE_CHECKING:
    from e2ecross.service.http_backend import HTTPBackend

__all__ = ["main"]

Direction = dict[str, Any]
_T = TypeVar("_T")


@dataclass
class App:
    """What runs in this process.

    Attributes:
        name: the app's, for a device to be linked.
        store: where the device is, or will be.
        relay: the back end.
        found: the device with its back end; None before it is linked.
        device_link: the attempt to link it.
        pairing: the attempt to link another one.
    """

    name: str
    store: Store
    relay: Backend
    found: Client | None = None
    device_link: DeviceLink | None = None
    pairing: Pairing | None = None

    @property
    def client(self) -> Client:
        """The device with its back end."""
        return _require(self.found)


def _require(value: _T | None) -> _T:
    if value is None:
        raise LocalError("it is not yet time for that")
    return value


def main(arguments: list[str]) -> int:
    """Play one app until the director lets it go."""
    address, store_file, back_end = arguments
    try:
        with SQLiteStore(store_file) as store, _reach(back_end) as relay:
            own = Address.parse(address)
            app = App(own.app, store, relay)
            if own.device == PRIMARY:
                app.found = Client(_open_or_create(store, own), relay)
                app.found.register()
            _answer({"process_id": os.getpid(), **_who(app)})
            for line in sys.stdin:
                _answer(_follow(app, json.loads(line)))
    except KeyboardInterrupt:
        return 130
    except E2ECrossError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _reach(back_end: str) -> "Relay | HTTPBackend":
    if not back_end.startswith("http://"):
        return Relay(back_end)
    from e2ecross.service.http_backend import HTTPBackend

    return HTTPBackend(back_end)


def _open_or_create(store: Store, address: Address) -> Device:
    try:
        return Device.open(store)
    except NoDevice:
        return Device.create(address, store)


def _answer(answer: Direction) -> None:
    print(json.dumps(answer), flush=True)


def _who(app: App) -> Direction:
    if app.found is None:
        return {}
    device = app.found.device
    return {
        "address": str(device.address),
        "registration_id": device.registration_id,
        "identity_key": device.identity_key.hex(),
    }


def _follow(app: App, direction: Direction) -> Direction:
    try:
        return _DIRECTIONS[direction["do"]](app, direction)
    except E2ECrossError as error:
        return {"error": _error(error)}


def _send(app: App, direction: Direction) -> Direction:
    sent = app.client.send(direction["to"], Text(direction["text"]))
    devices = [str(delivery.address) for delivery in sent.deliveries]
    return {"message_id": sent.message_id.hex(), "devices": devices}


def _receive(app: App, direction: Direction) -> Direction:
    items = app.client.receive()
    app.client.confirm(items)
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
    text = item.content.text if isinstance(item.content, Text) else None
    return {**common, "text": text, "own_copy": item.own_copy}


def _error(error: E2ECrossError) -> Direction:
    return {"type": type(error).__name__, "code": error.code, "message": str(error)}


def _show_safety_number(app: App, direction: Direction) -> Direction:
    number = app.client.device.safety_number(Address.parse(direction["of"]))
    return {"digits": number.digits, "code": number.scannable.hex()}


def _scan(app: App, direction: Direction) -> Direction:
    number = app.client.device.safety_number(Address.parse(direction["of"]))
    return {"matches": number.matches(bytes.fromhex(direction["code"]))}


# --- Another device is linked ---------------------------------------------------------------


def _show_code(app: App, direction: Direction) -> Direction:
    app.device_link = DeviceLink(app.name, direction["name"], app.store, app.relay)
    return {"code": app.device_link.code}


def _scan_code(app: App, direction: Direction) -> Direction:
    app.pairing = app.client.link_device(direction["code"])
    return {}


def _wait_for_phone(app: App, direction: Direction) -> Direction:
    link = _require(app.device_link)
    link.wait()
    return {"user": str(link.user)}


def _show_digits(app: App, direction: Direction) -> Direction:
    pairing = _require(app.pairing)
    pairing.wait()
    return {"name": pairing.name, "digits": pairing.digits}


def _type_digits(app: App, direction: Direction) -> Direction:
    _require(app.device_link).enter_digits(direction["digits"])
    return {}


def _confirm_device(app: App, direction: Direction) -> Direction:
    _require(app.pairing).confirm()
    return {}


def _finish_linking(app: App, direction: Direction) -> Direction:
    app.found = _require(app.device_link).finish()
    return _who(app)


def _maintain(app: App, direction: Direction) -> Direction:
    app.client.maintain()
    return {}


def _show_devices(app: App, direction: Direction) -> Direction:
    found = app.client.devices(direction["of"])
    return {"devices": [str(each.address) for each in found.devices]}


_DIRECTIONS: Final[dict[str, Callable[[App, Direction], Direction]]] = {
    "send": _send,
    "receive": _receive,
    "show_safety_number": _show_safety_number,
    "scan": _scan,
    "show_code": _show_code,
    "scan_code": _scan_code,
    "wait_for_phone": _wait_for_phone,
    "show_digits": _show_digits,
    "type_digits": _type_digits,
    "confirm_device": _confirm_device,
    "finish_linking": _finish_linking,
    "maintain": _maintain,
    "show_devices": _show_devices,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
