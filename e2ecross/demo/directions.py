# SPDX-License-Identifier: Apache-2.0
"""What an app of the demo can be told to do: one function for each stage direction."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from e2ecross.address import Address
from e2ecross.client.client import Client
from e2ecross.client.device_link import DeviceLink
from e2ecross.client.groups import Group
from e2ecross.client.sent import Sent
from e2ecross.client.uploads import Upload
from e2ecross.demo.app import App, Direction, choose_policy, reach, require
from e2ecross.errors import (
    AttachmentCorrupted,
    ContentRefused,
    E2ECrossError,
    LocalError,
    LossyContent,
)
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import FailedMessage, Message
from e2ecross.state.notice import Notice
from e2ecross.wire.content import Expiry, Media, Options, SentContent, Text, UnsupportedContent
from e2ecross.wire.group import GroupId

__all__ = ["follow", "introduce"]


def follow(app: App, direction: Direction) -> Direction:
    """Do what the director says; an error of the library is an answer, too."""
    try:
        return _DIRECTIONS[direction["do"]](app, direction)
    except E2ECrossError as error:
        return {"error": _error(error)}


def introduce(app: App) -> Direction:
    """Say who this is; nothing before the device is linked."""
    if app.found is None:
        return {}
    device = app.found.device
    return {
        "address": str(device.address),
        "registration_id": device.registration_id,
        "identity_key": device.identity_key.hex(),
    }


def _reconnect(app: App, direction: Direction) -> Direction:
    app.ways.close()
    app.relay = reach(app.ways, direction["back_end"], direction["blob_folder"])
    app.found = Client(app.client.device, app.relay, spool_dir=app.folder)
    return {"process_id": os.getpid()}


def _send(app: App, direction: Direction) -> Direction:
    return _deposited(app.client.send(direction["to"], Text(direction["text"])))


def _send_poll(app: App, direction: Direction) -> Direction:
    poll = Options(direction["question"], tuple(direction["labels"].split("\n")))
    return _deposited(app.client.send(direction["to"], poll, allow_lossy=True))


def _send_file(app: App, direction: Direction) -> Direction:
    media = Media(_find_upload(app).attachment, direction["text"])
    return _deposited(app.client.send(direction["to"], media))


def _deposited(sent: Sent) -> Direction:
    devices = [str(delivery.address) for delivery in sent.deliveries]
    return {"message_id": sent.message_id.hex(), "devices": devices}


def _try_poll(app: App, direction: Direction) -> Direction:
    poll = Options(direction["question"], tuple(direction["labels"].split("\n")))
    return _try(app, direction, poll, None)


def _try_disappearing(app: App, direction: Direction) -> Direction:
    return _try(app, direction, Text(direction["text"]), Expiry(int(direction["seconds"])))


def _try(app: App, direction: Direction, content: SentContent, expiry: Expiry | None) -> Direction:
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
    _note_attachments(app, items)
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
    return introduce(app)


def _maintain(app: App, direction: Direction) -> Direction:
    app.client.maintain()
    return {}


def _show_devices(app: App, direction: Direction) -> Direction:
    found = app.client.devices(direction["of"])
    return {"devices": [str(each.address) for each in found.devices]}


# --- Files ----------------------------------------------------------------------------------


class _Interrupted(Exception):
    """The way to the back end was lost."""


class _Way:
    """Sees how a file comes along, and is lost once so many bytes are there."""

    def __init__(self, lost_at: int | None) -> None:
        self._lost_at = lost_at
        self.first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        if self.first is None:
            self.first = done
        if self._lost_at is not None and done >= self._lost_at:
            raise _Interrupted


def _find_upload(app: App) -> Upload:
    """Return the one file that this app uploads, also if another process has begun.

    Raises:
        LocalError: there is none.
    """
    for upload in app.client.uploads():
        return upload
    raise LocalError("there is nothing to upload")


def _note_attachments(app: App, items: Iterable[InboxItem]) -> None:
    """Keep what messages carry, to be fetched."""
    for item in items:
        if isinstance(item, Message) and isinstance(item.content, Media):
            app.attachments[item.message_id.hex()] = item.content.attachment


def _begin_upload(app: App, direction: Direction) -> Direction:
    name = direction["file"]
    app.client.upload(os.path.join(app.folder, name), media_type="image/png", name=name)
    return _upload(app, int(direction["lost_at"]))


def _go_on_uploading(app: App, direction: Direction) -> Direction:
    return _upload(app, None)


def _upload(app: App, lost_at: int | None) -> Direction:
    upload, way = _find_upload(app), _Way(lost_at)
    with suppress(_Interrupted):
        upload.run(way)
    return {"complete": upload.complete, "first": way.first}


def _download(app: App, direction: Direction) -> Direction:
    attachment = app.attachments[direction["message_id"]]
    path = Path(app.folder, direction["file"])
    way = _Way(int(direction["lost_at"]) if "lost_at" in direction else None)
    refused: Direction | None = None
    try:
        with suppress(_Interrupted):
            app.client.download(attachment, path, way)
    except AttachmentCorrupted as error:
        refused = {"type": type(error).__name__, "code": error.code, "message": str(error)}
    return {"complete": path.exists(), "first": way.first, "refused": refused}


# --- Groups ---------------------------------------------------------------------------------


def _create_group(app: App, direction: Direction) -> Direction:
    group = app.client.create_group(direction["name"], direction["users"].split())
    return {"group": str(group.id)}


def _accept_group(app: App, direction: Direction) -> Direction:
    _group(app, direction).accept()
    return {}


def _send_into_group(app: App, direction: Direction) -> Direction:
    sent = _group(app, direction).send(Text(direction["text"]))
    devices = [str(each.address) for each in sent.deliveries if not each.problem]
    return {"message_id": sent.message_id.hex(), "devices": devices}


def _remove_member(app: App, direction: Direction) -> Direction:
    _group(app, direction).remove(direction["user"])
    return {}


def _show_group(app: App, direction: Direction) -> Direction:
    group = _group(app, direction)
    members = [[str(each.user), each.role.name.lower()] for each in group.members]
    return {"name": group.name, "members": members, "state": str(group.state)}


def _group(app: App, direction: Direction) -> Group:
    return app.client.group(GroupId.parse(direction["group"]))


_DIRECTIONS: Final[dict[str, Callable[[App, Direction], Direction]]] = {
    "reconnect": _reconnect,
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
    "begin_upload": _begin_upload,
    "go_on_uploading": _go_on_uploading,
    "download": _download,
    "create_group": _create_group,
    "accept_group": _accept_group,
    "send_into_group": _send_into_group,
    "remove_member": _remove_member,
    "show_group": _show_group,
}
