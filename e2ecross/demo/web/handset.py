# SPDX-License-Identifier: Apache-2.0
"""What runs in the process of a phone of the page: a sealed store, a device, and the back end.

Rules:
- It receives by itself, in a thread of its own, which waits for mail at the back end.
- Everybody who writes is accepted, and every picture is fetched: a shop does that, and a user
  who is alone with a page.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from e2ecross.address import Address
from e2ecross.client.client import Client
from e2ecross.client.device_link import DeviceLink
from e2ecross.client.pairing import Pairing
from e2ecross.demo.web.chats import Chats
from e2ecross.demo.web.notices import sentence
from e2ecross.device.device import Device
from e2ecross.errors import E2ECrossError, LocalError, NoDevice
from e2ecross.service.http_backend import HTTPBackend
from e2ecross.state.inbox import InboxItem
from e2ecross.state.message import Message
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.policy import Policy
from e2ecross.stores import SQLiteStore
from e2ecross.wire.capabilities import Capability
from e2ecross.wire.content import Media
from e2ecross.wire.device_list import PRIMARY

__all__ = ["Handset", "phone_policy", "require"]

_T = TypeVar("_T")
_WAIT_MS: Final = 1_500
"""How long the back end lets a phone wait for mail: receipts that are due go out in between."""
_PAUSE_SECONDS: Final = 0.5
_SETTLE_SECONDS: Final = 10.0
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


class Handset:
    """A device, its store and its back end, and the chats that it shows.

    Attributes:
        own: the address of the device.
        backend: the back end.
        device_link: the attempt to link it.
        pairing: the attempt to link another one.

    Args:
        who: its address, the file and the key (64 hexadecimal digits) of its store, the URL of the
            back end, its credential there (in hexadecimal), the names of users, and whom it knows.
        say: hears its events.
    """

    def __init__(self, who: Mapping[str, Any], say: Callable[[Mapping[str, Any]], None]) -> None:
        self.own = Address.parse(who["address"])
        self._file = Path(who["store"])
        self._key = bytes.fromhex(who["key"])
        self._names: dict[str, str] = who["names"]
        self._contacts: list[str] = who["contacts"]
        self._say = say
        credential = bytes.fromhex(who["credential"])
        self.backend = HTTPBackend(who["url"], credential=lambda _: credential)
        self._store: SQLiteStore | None = None
        self._found: Client | None = None
        self._chats: Chats | None = None
        self.device_link: DeviceLink | None = None
        self.pairing: Pairing | None = None
        self._receiver: threading.Thread | None = None
        self._is_closing = threading.Event()
        self._rounds = 0
        self._round_ended = threading.Condition()
        self._pictures = 0

    # --- It is switched on ----------------------------------------------------------------------

    def open(self, *, restored: bool) -> None:
        """Open the store or make it, register, and receive from now on; if it is not open yet.

        Args:
            restored: see `Device.open`.

        Raises:
            RestoredStore: the store was set back, and `restored` does not say so.
        """
        if self._found is not None:
            return
        store = self.open_store()
        policy = phone_policy()
        try:
            device = Device.open(store, policy=policy, restored=restored)
        except NoDevice:
            device = Device.create(self.own, store, policy=policy)
        client = self._client_of(device)
        client.register()
        self._start(client)

    def begin_as(self, device: Device) -> None:
        """Be a device that was linked, and receive from now on."""
        self._start(self._client_of(device))

    def close(self) -> None:
        """Close the store: its file may be copied, or another one put in its place."""
        self._is_closing.set()
        if self._receiver is not None:
            self._receiver.join()
        self._found = self._receiver = None
        if self._store is not None:
            self._store.close()
            self._store = None

    def open_store(self) -> SQLiteStore:
        """Return the store, opened or made."""
        if self._store is None:
            self._store = SQLiteStore(self._file, key=self._key)
        return self._store

    def _client_of(self, device: Device) -> Client:
        return Client(device, self.backend, spool_dir=self._file.parent, wait_ms=_WAIT_MS)

    def _start(self, client: Client) -> None:
        if self.own.device == PRIMARY:  # which tells the others
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
        return require(self._found)

    @property
    def chats(self) -> Chats:
        """What is shown; raises as `client`."""
        return require(self._chats)

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
            with self._round_ended:
                self._rounds += 1
                self._round_ended.notify_all()

    def settle(self) -> None:
        """Wait until all is shown that has left the mailbox by now.

        Raises:
            LocalError: that takes too long.
        """
        with self._round_ended:
            now = self._rounds
            if not self._round_ended.wait_for(lambda: self._rounds > now, _SETTLE_SECONDS):
                raise LocalError("this phone does not receive any more")

    def _take(self, client: Client, item: InboxItem) -> None:
        """Take in an item; it is handed out once, so that it is shown whatever else goes wrong."""
        try:
            if isinstance(item, Notice) and item.kind is NoticeKind.GROUP_JOINED:
                client.group(require(item.group)).accept()
            if isinstance(item, Message) and item.request and item.group is None:
                client.accept(item.sender.user_id)
        except E2ECrossError as error:
            self._complain(error)
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
        told = {"type": "notice", "chat": None, "text": sentence(str(error)), "alarm": True}
        self._say({**told, "code": error.code, "id": ""})

    def _new_picture(self) -> Path:
        self._pictures += 1
        return self._file.parent / f"picture-{self._pictures}"


def require(value: _T | None) -> _T:
    """Return what must be there by now.

    Raises:
        LocalError: it is not.
    """
    if value is None:
        raise LocalError("this phone is switched off, or not linked yet")
    return value
