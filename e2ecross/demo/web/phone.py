# SPDX-License-Identifier: Apache-2.0
"""One phone of the page, in a process of its own: `python -m e2ecross.demo.web.phone`.

It has no arguments: who it is and the key of its store come in on stdin, as the first line of
JSON, since others see arguments and environments of processes. Then come stage directions, each
with a number, which its answer has, too. What the phone receives goes out unasked.

Rules:
- An error of the library is an answer in one sentence.
- The end of stdin ends the process.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from e2ecross.client.device_link import DeviceLink
from e2ecross.client.groups import Group
from e2ecross.client.sent import Sent
from e2ecross.demo.web.handset import Handset, phone_policy, require
from e2ecross.device.device import context_of
from e2ecross.errors import E2ECrossError, NoSession
from e2ecross.protocol.safety_number import SafetyNumber
from e2ecross.state.groups import load_graph
from e2ecross.wire.content import Media, SentContent, Text
from e2ecross.wire.group import GroupId, is_group_text

__all__ = ["main"]

Direction = Mapping[str, Any]
Answer = dict[str, Any]
_LINK_PAUSE_SECONDS: Final = 0.1


def main() -> NoReturn:
    """Be a phone until nobody needs it any more."""
    said = threading.Lock()

    def say(what: Mapping[str, Any]) -> None:
        line = json.dumps(what)
        with said:
            print(line, flush=True)

    phone = Handset(json.loads(sys.stdin.readline()), lambda event: say({"event": event}))
    say({"number": 0, "answer": {}})
    for line in sys.stdin:
        direction = json.loads(line)
        say({"number": direction["number"], "answer": _follow(phone, direction)})
    # The page goes, and its folder with it: nobody waits for an interpreter that tidies up.
    os._exit(0)


def _follow(phone: Handset, direction: Direction) -> Answer:
    """Do something; return what came of it, or an error with its code."""
    try:
        return _DIRECTIONS[direction["do"]](phone, direction)
    except E2ECrossError as error:
        return {"error": str(error), "code": error.code}


def _open(phone: Handset, direction: Direction) -> Answer:
    """Switch it on."""
    phone.open(restored=direction.get("restored", False))
    return {}


def _close(phone: Handset, direction: Direction) -> Answer:
    """Switch it off: the file of its store may be copied, or another one put in its place."""
    phone.close()
    return {}


def _send(phone: Handset, direction: Direction) -> Answer:
    """Send a text into a chat."""
    return _post(phone, direction["chat"], Text(direction["text"]))


def _react(phone: Handset, direction: Direction) -> Answer:
    """React to a message, or take that back."""
    chat, target = direction["chat"], bytes.fromhex(direction["target"])
    return _post(phone, chat, phone.chats.react(chat, target, direction["emoji"]))


def _send_picture(phone: Handset, direction: Direction) -> Answer:
    """Encrypt a file, bring it to the back end, and send what it is read with."""
    path = Path(direction["file"])
    upload = phone.client.upload(path, media_type=direction["media_type"])
    upload.run()
    return _post(phone, direction["chat"], Media(upload.attachment), path)


def _post(phone: Handset, chat: str, content: SentContent, picture: Path | None = None) -> Answer:
    if is_group_text(chat):
        sent = _group(phone, chat).send(content)
    else:
        sent = phone.client.send(chat, content)
    phone.chats.take(sent, picture)
    return _sent(sent)


def _create_group(phone: Handset, direction: Direction) -> Answer:
    """Make a group."""
    group = phone.client.create_group(direction["title"], direction["members"])
    phone.chats.open(str(group.id))
    return {"chat": str(group.id)}


def _read(phone: Handset, direction: Direction) -> Answer:
    """Look at a chat."""
    unread = phone.chats.take_unread(direction["chat"])
    if unread:
        phone.client.mark_read(unread)
    return {}


# --- Safety numbers ------------------------------------------------------------------------------


def _safety_number(phone: Handset, direction: Direction) -> Answer:
    """Show the safety number with somebody, in digits and as what a scanner reads."""
    number = _number(phone, direction["of"])
    return {"digits": number.digits, "code": number.scannable.hex()}


def _scan(phone: Handset, direction: Direction) -> Answer:
    """Scan the code that the other one shows; note it, if it is the right one."""
    user = direction["of"]
    matches = _number(phone, user).matches(bytes.fromhex(direction["code"]))
    identity = phone.client.device.remote_identity(user)
    if matches and identity is not None:
        phone.client.device.mark_verified(user, identity.identity_key)
    return {"matches": matches}


def _number(phone: Handset, user: str) -> SafetyNumber:
    try:
        return phone.client.device.safety_number(user)
    except NoSession:  # they have not written to each other yet: the back end has the key
        phone.client.devices(user)
        return phone.client.device.safety_number(user)


# --- A laptop is linked --------------------------------------------------------------------------


def _show_code(phone: Handset, direction: Direction) -> Answer:
    """Show what the phone scans."""
    store = phone.open_store()
    phone.device_link = DeviceLink(
        phone.own.app, direction["name"], store, phone.backend, policy=phone_policy()
    )
    return {"code": phone.device_link.code}


def _scan_code(phone: Handset, direction: Direction) -> Answer:
    """Scan it, with device 1."""
    phone.pairing = phone.client.link_device(direction["code"])
    return {}


def _wait_for_phone(phone: Handset, direction: Direction) -> Answer:
    """Wait until the phone has answered."""
    require(phone.device_link).wait(pause=_pause)
    return {}


def _show_digits(phone: Handset, direction: Direction) -> Answer:
    """Show what is typed into the laptop."""
    pairing = require(phone.pairing)
    pairing.wait(pause=_pause)
    return {"digits": pairing.digits}


def _type_digits(phone: Handset, direction: Direction) -> Answer:
    """Type it there."""
    require(phone.device_link).enter_digits(direction["digits"])
    return {}


def _confirm_device(phone: Handset, direction: Direction) -> Answer:
    """Say on the phone that this is the laptop."""
    require(phone.pairing).confirm()
    return {}


def _finish_linking(phone: Handset, direction: Direction) -> Answer:
    """Be a device of the account from now on."""
    linked = require(phone.device_link).finish(pause=_pause)
    phone.begin_as(linked.device)
    return {}


def _maintain(phone: Handset, direction: Direction) -> Answer:
    """Do what is due."""
    phone.client.maintain()
    return {}


# --- What is asked for an attack -----------------------------------------------------------------


def _settle(phone: Handset, direction: Direction) -> Answer:
    """Wait until all is shown that has left the mailbox by now."""
    phone.settle()
    return {}


def _show_devices(phone: Handset, direction: Direction) -> Answer:
    """Show which devices of somebody this one believes in."""
    found = phone.client.devices(direction["of"])
    return {"devices": [str(each.address) for each in found.devices]}


def _show_group(phone: Handset, direction: Direction) -> Answer:
    """Show who is in a group."""
    members = _group(phone, direction["chat"]).members
    return {"members": [str(each.user) for each in members]}


def _give_away(phone: Handset, direction: Direction) -> Answer:
    """Tell what members of a group alone know of it; no key is among it."""
    group, context = GroupId.parse(direction["chat"]), context_of(phone.client.device)
    with context.store.transaction() as tx:
        heads = load_graph(context, tx, group).heads
    return {
        "heads": [head.hex() for head in heads],
        "account_key": context.account_key.hex(),
    }


def _group(phone: Handset, chat: str) -> Group:
    return phone.client.group(GroupId.parse(chat))


def _sent(sent: Sent) -> Answer:
    devices = [str(each.address) for each in sent.deliveries if not each.problem]
    return {"id": sent.message_id.hex(), "devices": devices}


def _pause(seconds: float) -> None:
    """The user of the page does not wait for a second, as somebody would with a phone."""
    time.sleep(min(seconds, _LINK_PAUSE_SECONDS))


_DIRECTIONS: Final[Mapping[str, Callable[[Handset, Direction], Answer]]] = {
    "open": _open,
    "close": _close,
    "send": _send,
    "react": _react,
    "send_picture": _send_picture,
    "create_group": _create_group,
    "read": _read,
    "safety_number": _safety_number,
    "scan": _scan,
    "show_code": _show_code,
    "scan_code": _scan_code,
    "wait_for_phone": _wait_for_phone,
    "show_digits": _show_digits,
    "type_digits": _type_digits,
    "confirm_device": _confirm_device,
    "finish_linking": _finish_linking,
    "maintain": _maintain,
    "settle": _settle,
    "show_devices": _show_devices,
    "show_group": _show_group,
    "give_away": _give_away,
}

if __name__ == "__main__":
    main()
