# SPDX-License-Identifier: Apache-2.0
"""The phones of the page together with their back end: what all its actions work on."""

import contextlib
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

from e2ecross.address import Address
from e2ecross.demo.people import DemoFailed
from e2ecross.demo.web.cast import CITRA, PHONES, USERS
from e2ecross.demo.web.journal import Journal
from e2ecross.demo.web.phones import Phone, PhoneRefused
from e2ecross.demo.web.pictures import Pictures
from e2ecross.demo.web.watched_relay import WatchedRelay

__all__ = ["Play", "Written"]

_FIRST: Final = ("ana", "laptop", "budi", "toko")
_END_SECONDS: Final = 1.0
_MOST_GROUPS: Final = 16


class Written(NamedTuple):
    """A message that somebody has written to somebody.

    Attributes:
        phone: on which.
        chat: to whom: a user, or a group.
        id: of the message, in hexadecimal.
    """

    phone: str
    chat: str
    id: str


class Play:
    """The phones, their back end, and what has happened.

    Attributes:
        folder: where all files are.
        relay: the back end.
        url: where it is reached.
        journal: what has happened.
        pictures: what phones show.
        last_direct: the last message from one to another of those who know each other from the
            beginning; None: there is none yet.
        groups: each with who has made it, and no message.
        is_ready: whether all phones are there.
    """

    def __init__(self, folder: Path, relay: WatchedRelay, url: str, journal: Journal) -> None:
        self.folder = folder
        self.relay = relay
        self.url = url
        self.journal = journal
        self.pictures = Pictures()
        self.last_direct: Written | None = None
        self.groups: list[Written] = []
        self.is_ready = False
        self._phones: dict[str, Phone] = {}
        self._changing = threading.Lock()
        self._is_over = False

    # --- The phones -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the phones, and link Ana's laptop.

        Raises:
            DemoFailed: something does not start.
        """
        try:
            with ThreadPoolExecutor(len(_FIRST)) as together:
                for _ in together.map(self._start, _FIRST):
                    pass
                for name in _FIRST:
                    self._present(name)
                for _ in together.map(self._open, (name for name in _FIRST if name != "laptop")):
                    pass
            self._link_laptop()
        except PhoneRefused as error:
            raise DemoFailed(str(error)) from error
        self.is_ready = True
        self.journal.add({"type": "ready"})

    def add_citra(self) -> None:
        """Start the phone of a new customer.

        Raises:
            DemoFailed: it does not start, or is there already.
        """
        self._start("citra")
        self._present("citra")
        self._open("citra")

    def phone(self, name: str) -> Phone:
        """Return a phone.

        Raises:
            DemoFailed: there is none of that name.
        """
        phone = self._phones.get(name)
        if phone is None:
            raise DemoFailed(f"there is no phone {name!r} here")
        return phone

    def has(self, name: str) -> bool:
        """Tell whether there is such a phone."""
        return name in self._phones

    def end(self) -> None:
        """End all phones, and start none any more."""
        with self._changing:
            self._is_over = True
        for phone in self._phones.values():
            phone.dismiss()
        ends = time.monotonic() + _END_SECONDS
        for phone in self._phones.values():
            phone.end(ends - time.monotonic())

    def _start(self, name: str) -> None:
        person = PHONES[name]
        contacts = tuple(user for user in USERS if user != person.user)
        if person is CITRA:
            contacts = ()
        folder = self.folder / name
        credential = self.relay.credential_for(Address.parse(person.address))
        with self._changing:
            if self._is_over or name in self._phones:
                raise DemoFailed(f"the phone of {person.name} is not started again")
            phone = Phone(name, person, folder, self.url, credential, contacts, self._hear)
            self._phones[name] = phone
        phone.wait_until_started()

    def _present(self, name: str) -> None:
        phone = self._phones[name]
        person = phone.person
        self.journal.add(
            {
                **{"type": "phone", "phone": name, "name": person.name, "app": person.app},
                **{"user": person.user, "address": person.address, "process": phone.process},
            }
        )

    def _open(self, name: str) -> None:
        self._phones[name].ask("open")

    def _link_laptop(self) -> None:
        ana, laptop = self._phones["ana"], self._phones["laptop"]
        code = laptop.ask("show_code", name=laptop.person.name)["code"]
        ana.ask("scan_code", code=code)
        laptop.ask("wait_for_phone")
        laptop.ask("type_digits", digits=ana.ask("show_digits")["digits"])
        ana.ask("confirm_device")
        laptop.ask("finish_linking")
        ana.ask("maintain")

    # --- What they say --------------------------------------------------------------------------

    def _hear(self, phone: Phone, event: Mapping[str, Any]) -> None:
        told = {"type": event["type"], "phone": phone.name, **event}
        if event["type"] == "message" and event["picture"] is not None:
            name = self.pictures.add(Path(event["picture"]))
            told["picture"] = None if name is None else f"picture/{name}"
        self.journal.add(told)

    def tell(self, name: str, chat: str | None, text: str, *, alarm: bool) -> None:
        """Let a phone show a notice."""
        told = {"type": "notice", "phone": name, "chat": chat, "text": text, "alarm": alarm}
        self.journal.add({**told, "code": "", "id": ""})

    # --- What users do --------------------------------------------------------------------------

    def send(self, name: str, chat: str, text: str) -> tuple[Written, list[str]]:
        """Let somebody write; return the message, and which devices it went to.

        Raises:
            PhoneRefused: with an error of the library.
            DemoFailed: there is no such phone, or it does not answer.
        """
        answer = self.phone(name).ask("send", chat=chat, text=text)
        written = Written(name, chat, answer["id"])
        if chat in USERS and self.phone(name).person.user in {*USERS} - {chat}:
            self.last_direct = written
        return written, answer["devices"]

    def create_group(self, name: str, title: str, members: Sequence[str]) -> Written:
        """Let somebody make a group; raises as `send`."""
        if len(self.groups) >= _MOST_GROUPS:
            raise DemoFailed(f"{_MOST_GROUPS} groups are enough for a demo")
        answer = self.phone(name).ask("create_group", title=title, members=list(members))
        group = Written(name, answer["chat"], "")
        self.groups.append(group)
        return group

    @contextlib.contextmanager
    def holding(self, addresses: Collection[str]) -> Iterator[None]:
        """Let the back end hand out nothing from these mailboxes as long as the block runs."""

        def holds(address: Address, _: bytes) -> bool:
            return str(address) in addresses

        self.relay.hold(holds)
        try:
            yield
        finally:
            self.relay.release(holds)
