# SPDX-License-Identifier: Apache-2.0
"""One phone of the page, in a process of its own: `python -m e2ecross.demo.web.phone`.

It has no arguments: who it is and the key of its store come in on stdin, as the first line of
JSON, since others see arguments and environments of processes. Then come stage directions, each
with a number, which its answer has, too. What the phone receives goes out unasked.

Rules:
- It receives by itself, in a thread of its own, which waits for mail at the back end.
- An error of the library is an answer in one sentence.
- The end of stdin ends the process.
- Everybody who writes is accepted, and every picture is fetched: a shop does that, and a user
  who is alone with a page.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from e2ecross.address import Address
from e2ecross.client.client import Client
from e2ecross.client.device_link import DeviceLink
from e2ecross.client.groups import Group
from e2ecross.client.pairing import Pairing
from e2ecross.client.sent import Sent
from e2ecross.demo.web.chats import Chats
from e2ecross.device.device import Device, context_of
from e2ecross.errors import E2ECrossError, LocalError, NoDevice, NoSession
from e2ecross.service.http_backend import HTTPBackend
from e2ecross.state.groups import load_graph
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import Message
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.policy import Policy
from e2ecross.stores import SQLiteStore
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import Content, Media, Text
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.group import GroupId, is_group_text

__all__ = ["main", "phone_policy"]

Direction = Mapping[str, Any]
Answer = dict[str, Any]
_T = TypeVar("_T")
_WAIT_MS: Final = 1_500
"""How long the back end lets a phone wait for mail: receipts that are due go out in between."""
_PAUSE_SECONDS: Final = 0.5
_LINK_PAUSE_SECONDS: Final = 0.1
_PICTURE_BYTES: Final = 2 * 1024 * 1024


def phone_policy() -> Policy:
    """What every app of the page shows: texts, pictures, reactions, receipts; in groups, too."""
    return Policy(
        capabilities=frozenset(
            {Capability.POST, Capability.MEDIA, Capability.REACTION, Capability.RECEIPTS}
        ),
        attachment_bytes=_PICTURE_BYTES,
        one_time_prekeys_low=10,
        one_time_prekeys_target=20,  # it is a short life
    )


def main() -> int:
    """Be a phone until nobody needs it any more."""
    said = threading.Lock()

    def say(what: Mapping[str, Any]) -> None:
        line = json.dumps(what)
        with said:
            print(line, flush=True)

    try:
        phone = Phone(json.loads(sys.stdin.readline()), lambda event: say({"event": event}))
        say({"number": 0, "answer": {}})
        for line in sys.stdin:
            direction = json.loads(line)
            say({"number": direction["number"], "answer": phone.follow(direction)})
    except KeyboardInterrupt:
        return 130
    # The page goes, and its folder with it: nobody waits for an interpreter that tidies up.
    os._exit(0)


class Phone:
    """A device, its store and its back end, and the chats that it shows.

    Args:
        who: its address, the file and the key (64 hexadecimal digits) of its store, the URL of the
            back end, the names of users, and whom it knows.
        say: hears its events.
    """

    def __init__(self, who: Direction, say: Callable[[Mapping[str, Any]], None]) -> None:
        self._own = Address.parse(who["address"])
        self._file = Path(who["store"])
        self._key = bytes.fromhex(who["key"])
        self._names: dict[str, str] = who["names"]
        self._contacts: list[str] = who["contacts"]
        self._say = say
        self._backend = HTTPBackend(who["url"])
        self._store: SQLiteStore | None = None
        self._found: Client | None = None
        self._chats: Chats | None = None
        self._device_link: DeviceLink | None = None
        self._pairing: Pairing | None = None
        self._receiver: threading.Thread | None = None
        self._is_closing = threading.Event()
        self._pictures = 0

    def follow(self, direction: Direction) -> Answer:
        """Do something; return what came of it, or an error with its code."""
        try:
            return _DIRECTIONS[direction["do"]](self, direction)
        except E2ECrossError as error:
            return {"error": str(error), "code": error.code}

    # --- It is switched on ----------------------------------------------------------------------

    def open(self, direction: Direction) -> Answer:
        """Open the store or make it, register, and receive from now on.

        Raises:
            RestoredStore: the store was set back, and `restored` does not say so.
        """
        store = self._open_store()
        policy = phone_policy()
        try:
            device = Device.open(store, policy=policy, restored=direction.get("restored", False))
        except NoDevice:
            device = Device.create(self._own, store, policy=policy)
        client = self._client_of(device)
        client.register()
        self._start(client)
        return {}

    def close(self, direction: Direction) -> Answer:
        """Close the store: its file may be copied, or another one put in its place."""
        self._is_closing.set()
        if self._receiver is not None:
            self._receiver.join()
        self._found = self._receiver = None
        if self._store is not None:
            self._store.close()
            self._store = None
        return {}

    def _open_store(self) -> SQLiteStore:
        if self._store is None:
            self._store = SQLiteStore(self._file, key=self._key)
        return self._store

    def _client_of(self, device: Device) -> Client:
        return Client(device, self._backend, spool_dir=self._file.parent, wait_ms=_WAIT_MS)

    def _start(self, client: Client) -> None:
        if self._own.device == PRIMARY:  # which tells the others
            for user in self._contacts:
                client.accept(user)
        self._found = client
        if self._chats is None:
            self._chats = Chats(client, self._names, self._say, self._fetch)
            for user in self._contacts:
                self._chats.open(user)
        else:
            self._chats.reopen(client)
        self._is_closing = threading.Event()
        self._receiver = threading.Thread(
            target=self._receive, args=(client.for_thread(), self._is_closing), daemon=True
        )
        self._receiver.start()

    @property
    def client(self) -> Client:
        """The device with its back end.

        Raises:
            LocalError: it is not linked yet, or switched off.
        """
        return _require(self._found)

    @property
    def chats(self) -> Chats:
        """What is shown; raises as `client`."""
        return _require(self._chats)

    # --- It receives by itself ------------------------------------------------------------------

    def _receive(self, client: Client, is_closing: threading.Event) -> None:
        trouble = ""
        while not is_closing.is_set():
            try:
                items = client.receive()
                for item in items:
                    self._take(client, item)
                client.confirm(items)
                trouble = ""
            except E2ECrossError as error:
                if error.code != trouble:  # it is told once, and tried again
                    self._complain(error)
                trouble = error.code
                is_closing.wait(_PAUSE_SECONDS)

    def _take(self, client: Client, item: InboxItem) -> None:
        if isinstance(item, Notice) and item.kind is NoticeKind.GROUP_JOINED:
            client.group(_require(item.group)).accept()
        if isinstance(item, Message) and item.request and item.group is None:
            client.accept(item.sender.user_id)
        self.chats.take(item)

    def _fetch(self, media: Media) -> Path | None:
        path = self._new_picture()
        try:
            self.client.download(media.attachment, path)
        except E2ECrossError as error:
            self._complain(error)
            return None
        return path

    def _complain(self, error: E2ECrossError) -> None:
        told = {"type": "notice", "chat": None, "text": str(error), "alarm": True}
        self._say({**told, "code": error.code, "id": ""})

    def _new_picture(self) -> Path:
        self._pictures += 1
        return self._file.parent / f"picture-{self._pictures}"

    # --- Its user does something ----------------------------------------------------------------

    def send(self, direction: Direction) -> Answer:
        """Send a text into a chat."""
        return self._post(direction["chat"], Text(direction["text"]))

    def react(self, direction: Direction) -> Answer:
        """React to a message, or take that back."""
        chat, target = direction["chat"], bytes.fromhex(direction["target"])
        return self._post(chat, self.chats.react(chat, target, direction["emoji"]))

    def send_picture(self, direction: Direction) -> Answer:
        """Encrypt a file, bring it to the back end, and send what it is read with."""
        path = Path(direction["file"])
        upload = self.client.upload(path, media_type=direction["media_type"])
        upload.run()
        return self._post(direction["chat"], Media(upload.attachment), path)

    def _post(self, chat: str, content: Content, picture: Path | None = None) -> Answer:
        if is_group_text(chat):
            sent = self._group(chat).send(content)
        else:
            sent = self.client.send(chat, content)
        self.chats.take(sent, picture)
        return _sent(sent)

    def create_group(self, direction: Direction) -> Answer:
        """Make a group."""
        group = self.client.create_group(direction["title"], direction["members"])
        self.chats.open(str(group.id))
        return {"chat": str(group.id)}

    def read(self, direction: Direction) -> Answer:
        """Look at a chat."""
        unread = self.chats.take_unread(direction["chat"])
        if unread:
            self.client.mark_read(unread)
        return {}

    # --- Safety numbers -------------------------------------------------------------------------

    def safety_number(self, direction: Direction) -> Answer:
        """Show the safety number with somebody, in digits and as what a scanner reads."""
        number = self._number(direction["of"])
        return {"digits": number.digits, "code": number.scannable.hex()}

    def scan(self, direction: Direction) -> Answer:
        """Scan the code that the other one shows; note it, if it is the right one."""
        user = direction["of"]
        matches = self._number(user).matches(bytes.fromhex(direction["code"]))
        identity = self.client.device.remote_identity(user)
        if matches and identity is not None:
            self.client.device.mark_verified(user, identity.identity_key)
        return {"matches": matches}

    def _number(self, user: str) -> Any:  # noqa: ANN401 (a SafetyNumber)
        try:
            return self.client.device.safety_number(user)
        except NoSession:  # they have not written to each other yet: the back end has the key
            self.client.devices(user)
            return self.client.device.safety_number(user)

    # --- A laptop is linked ---------------------------------------------------------------------

    def show_code(self, direction: Direction) -> Answer:
        """Show what the phone scans."""
        store = self._open_store()
        self._device_link = DeviceLink(
            self._own.app, direction["name"], store, self._backend, policy=phone_policy()
        )
        return {"code": self._device_link.code}

    def scan_code(self, direction: Direction) -> Answer:
        """Scan it, with device 1."""
        self._pairing = self.client.link_device(direction["code"])
        return {}

    def wait_for_phone(self, direction: Direction) -> Answer:
        """Wait until the phone has answered."""
        _require(self._device_link).wait(pause=_pause)
        return {}

    def show_digits(self, direction: Direction) -> Answer:
        """Show what is typed into the laptop."""
        pairing = _require(self._pairing)
        pairing.wait(pause=_pause)
        return {"digits": pairing.digits}

    def type_digits(self, direction: Direction) -> Answer:
        """Type it there."""
        _require(self._device_link).enter_digits(direction["digits"])
        return {}

    def confirm_device(self, direction: Direction) -> Answer:
        """Say on the phone that this is the laptop."""
        _require(self._pairing).confirm()
        return {}

    def finish_linking(self, direction: Direction) -> Answer:
        """Be a device of the account from now on."""
        linked = _require(self._device_link).finish(pause=_pause)
        self._start(self._client_of(linked.device))
        return {}

    def maintain(self, direction: Direction) -> Answer:
        """Do what is due."""
        self.client.maintain()
        return {}

    # --- What is asked for an attack ------------------------------------------------------------

    def show_devices(self, direction: Direction) -> Answer:
        """Show which devices of somebody this one believes in."""
        found = self.client.devices(direction["of"])
        return {"devices": [str(each.address) for each in found.devices]}

    def show_group(self, direction: Direction) -> Answer:
        """Show who is in a group."""
        members = self._group(direction["chat"]).members
        return {"members": [str(each.user) for each in members]}

    def give_away(self, direction: Direction) -> Answer:
        """Tell what members of a group alone know of it; no key is among it."""
        group, context = GroupId.parse(direction["chat"]), context_of(self.client.device)
        with context.store.transaction() as tx:
            heads = load_graph(context, tx, group).heads
        return {
            "heads": [head.hex() for head in heads],
            "account_key": context.account_key.hex(),
        }

    def _group(self, chat: str) -> Group:
        return self.client.group(GroupId.parse(chat))


def _require(value: _T | None) -> _T:
    """Return what must be there by now.

    Raises:
        LocalError: it is not.
    """
    if value is None:
        raise LocalError("this phone is switched off, or not linked yet")
    return value


def _sent(sent: Sent) -> Answer:
    devices = [str(each.address) for each in sent.deliveries if not each.problem]
    return {"id": sent.message_id.hex(), "devices": devices}


def _pause(seconds: float) -> None:
    """The user of the page does not wait for a second, as somebody would with a phone."""
    time.sleep(min(seconds, _LINK_PAUSE_SECONDS))


_DIRECTIONS: Final[Mapping[str, Callable[[Phone, Direction], Answer]]] = {
    each.__name__: each
    for each in (
        *(Phone.open, Phone.close, Phone.send, Phone.react, Phone.send_picture),
        *(Phone.create_group, Phone.read, Phone.safety_number, Phone.scan),
        *(Phone.show_code, Phone.scan_code, Phone.wait_for_phone, Phone.show_digits),
        *(Phone.type_digits, Phone.confirm_device, Phone.finish_linking, Phone.maintain),
        *(Phone.show_devices, Phone.show_group, Phone.give_away),
    )
}

if __name__ == "__main__":
    raise SystemExit(main())
