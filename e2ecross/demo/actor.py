# SPDX-License-Identifier: Apache-2.0
"""One app of the demo, in a process of its own: `python -m e2ecross.demo.actor`.

Arguments: the address, the store's file, the relay's file or the URL of its service, and the
relay's folder for files. Stage directions come in on stdin, one JSON object per line, and each is
answered by one on stdout. What the app says to others goes through the relay only. A device with
another number than 1 has to be linked before it can do anything else.

Rules:
- An error of the library is an answer; any other exception ends the process.
- The end of stdin ends the process.

The store is not sealed (`SQLiteStore(key=...)`), so that a reader of the demo can look into it.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from e2ecross.address import Address
from e2ecross.client.client import Client
from e2ecross.client.device_link import DeviceLink
from e2ecross.client.sent import Sent
from e2ecross.demo.actor_files import (
    FILE_DIRECTIONS,
    find_upload,
    note_attachments,
)
from e2ecross.demo.actor_groups import GROUP_DIRECTIONS
from e2ecross.demo.app import App, Direction, choose_policy, require
from e2ecross.device.device import Device
from e2ecross.errors import ContentRefused, E2ECrossError, LossyContent, NoDevice
from e2ecross.relay import Relay
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage
from e2ecross.state.notice import Notice
from e2ecross.stores import SQLiteStore
from e2ecross.stores.base import Store
from e2ecross.wire.content import (
    Content,
    Expiry,
    Media,
    Options,
    Text,
    UnsupportedContent,
)
from e2ecross.wire.device_list import PRIMARY

if TYPE_CHECKING:
    from e2ecross.service.http_backend import HTTPBackend

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Play one app until the director lets it go."""
    address, store_file, back_end, blob_folder = arguments
    try:
        with SQLiteStore(store_file) as store, _reach(back_end, blob_folder) as relay:
            app = App(Address.parse(address), store, relay, os.path.dirname(store_file))
            if app.own.device == PRIMARY:
                device = _open_or_create(store, app.own)
                app.found = Client(device, relay, spool_dir=app.folder)
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


def _reach(back_end: str, blob_folder: str) -> "Relay | HTTPBackend":
    if not back_end.startswith("http://"):
        return Relay(back_end, blob_dir=blob_folder)
    from e2ecross.service.http_backend import HTTPBackend

    return HTTPBackend(back_end)


def _open_or_create(store: Store, address: Address) -> Device:
    policy = choose_policy(address.app)
    try:
        return Device.open(store, policy=policy)
    except NoDevice:
        return Device.create(address, store, policy=policy)


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
    return _deposited(app.client.send(direction["to"], Text(direction["text"])))


def _send_poll(app: App, direction: Direction) -> Direction:
    poll = Options(direction["question"], tuple(direction["labels"].split("\n")))
    return _deposited(app.client.send(direction["to"], poll, allow_lossy=True))


def _send_file(app: App, direction: Direction) -> Direction:
    media = Media(find_upload(app).attachment, direction["text"])
    return _deposited(app.client.send(direction["to"], media))


def _deposited(sent: Sent) -> Direction:
    devices = [str(delivery.address) for delivery in sent.deliveries]
    return {"message_id": sent.message_id.hex(), "devices": devices}


def _try_poll(app: App, direction: Direction) -> Direction:
    poll = Options(direction["question"], tuple(direction["labels"].split("\n")))
    return _try(app, direction, poll, None)


def _try_disappearing(app: App, direction: Direction) -> Direction:
    return _try(app, direction, Text(direction["text"]), Expiry(int(direction["seconds"])))


def _try(app: App, direction: Direction, content: Content, expiry: Expiry | None) -> Direction:
    """Send what must not leave: not like this, or not at all."""
    try:
        sent = app.client.send(direction["to"], content, expiry=expiry)
    except (LossyContent, ContentRefused) as error:
        plan = error.plan
        lacking = [int(loss.capability) for loss in plan.losses]
        return {"refused": _error(error), "lacking": lacking, "fallback": plan.fallback}
    return _deposited(sent)


def _receive(app: App, direction: Direction) -> Direction:
    items = app.client.receive()
    note_attachments(app, items)
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
    group = None if item.group is None else str(item.group)
    return {**common, "text": _shown(item.content), "own_copy": item.own_copy, "group": group}


def _shown(content: object) -> str | None:
    """The text of a content; of what the app does not show the one that stands in for it."""
    match content:
        case Text(text=text) | Media(caption=text):
            return text
        case UnsupportedContent(frame=frame) if frame is not None:
            return frame.fallback
    return None


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
    app.device_link = DeviceLink(
        app.own.app,
        direction["name"],
        app.store,
        app.relay,
        policy=choose_policy(app.own.app),
    )
    return {"code": app.device_link.code}


def _scan_code(app: App, direction: Direction) -> Direction:
    app.pairing = app.client.link_device(direction["code"])
    return {}


def _wait_for_phone(app: App, direction: Direction) -> Direction:
    link = require(app.device_link)
    link.wait()
    return {"user": str(link.user)}


def _show_digits(app: App, direction: Direction) -> Direction:
    pairing = require(app.pairing)
    pairing.wait()
    return {"name": pairing.name, "digits": pairing.digits}


def _type_digits(app: App, direction: Direction) -> Direction:
    require(app.device_link).enter_digits(direction["digits"])
    return {}


def _confirm_device(app: App, direction: Direction) -> Direction:
    require(app.pairing).confirm()
    return {}


def _finish_linking(app: App, direction: Direction) -> Direction:
    app.found = require(app.device_link).finish()
    return _who(app)


def _maintain(app: App, direction: Direction) -> Direction:
    app.client.maintain()
    return {}


def _show_devices(app: App, direction: Direction) -> Direction:
    found = app.client.devices(direction["of"])
    return {"devices": [str(each.address) for each in found.devices]}


_DIRECTIONS: Final[dict[str, Callable[[App, Direction], Direction]]] = {
    "send": _send,
    "send_poll": _send_poll,
    "send_file": _send_file,
    "try_poll": _try_poll,
    "try_disappearing": _try_disappearing,
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
    **FILE_DIRECTIONS,
    **GROUP_DIRECTIONS,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
