# SPDX-License-Identifier: Apache-2.0
"""A nursery of phones and new devices that are killed: `python -m tests.durability.linking_child`.

As `child.py`, for lives in which a device is linked, unlinked, or used in peace. What a user reads
off one screen and types into the other goes by files. When one end is gone the other one is told
so, tries a little longer, and gives up, as a user would.

Between two rounds ten minutes pass for the relay: an account has three link boxes at a time.
"""

import json
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from e2ecross import Address, App, Client, Device, DeviceLink, FailedMessage, Message, Policy, Text
from e2ecross.crypto.aead import seal
from e2ecross.errors import (
    BackendRefused,
    LinkFailed,
    LocalError,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.protocol import link_sealing
from e2ecross.state.context import system_clock
from e2ecross.stores import SQLiteStore
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.linking import LinkMessage
from tests.durability.child import HANG_SECONDS, HUNG, KEY, watch_encryption
from tests.durability.journal import Journal, JournallingRelay, digest
from tests.durability.points import Killer, KillingBackend, KillingDatabase, KillingStore
from tests.relay.support import sqlite_of

POLICY: Final = Policy(max_devices=16, one_time_prekeys_low=3, one_time_prekeys_target=5)
PHONE: Final = Address("whatsapp", "ana")
CONTACT: Final = Address("instagram", "budi")
_PAUSE_SECONDS: Final = 0.01
_ROUND_MS: Final = 10 * 60 * 1000
_TRIES_ALONE: Final = 10


@dataclass(frozen=True)
class Life:
    """What one child does in one round.

    Attributes:
        directory: of the world.
        work: `link` (the phone), `join` (the new device), `unlink`, `leave` or `talk`.
        store: name of its file.
        sealed: whether the store is encrypted.
        number: of the round.
        device: number of the device to be unlinked, or 0.
        text: what it says when it talks, or "".
        point: where it kills itself, or "".
        visits: at which visit of that point.
        kill_after_s: when it is killed from outside, or -1.
    """

    directory: str
    work: str
    store: str
    sealed: bool
    number: int
    device: int = 0
    text: str = ""
    point: str = ""
    visits: int = 1
    kill_after_s: float = -1.0

    @property
    def is_to_die(self) -> bool:
        return bool(self.point) or self.kill_after_s >= 0

    @property
    def screen(self) -> Path:
        return Path(self.directory) / f"screen-{self.number}"

    def encode(self) -> dict[str, object]:
        return asdict(self)


class OtherGone(Exception):
    """The other end is not there any more."""


class LinkJournallingRelay(JournallingRelay):
    """The same for link messages: what is sealed in those that are about to leave."""

    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None:
        self.journal.note("put", text=digest(LinkMessage.decode(data).sealed))
        super().put_link(link_id, slot, data, address=address, token=token)


class Living:
    """One life of one device."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._killer = Killer(life.point or None, life.visits)
        self._journal = Journal(Path(life.directory) / "journal")
        self._tries = 0
        watch_encryption(self._journal, self._killer)
        _watch_seals(self._journal)
        path = Path(life.directory) / life.store
        inner = SQLiteStore(path, key=KEY if life.sealed else None, busy_timeout_ms=30_000)
        self._store = KillingStore(inner, self._killer)
        self._relay = LinkJournallingRelay(
            Path(life.directory) / "relay.db",
            clock=lambda: system_clock() + life.number * _ROUND_MS,
        )
        self._relay.journal = self._journal
        database = KillingDatabase(sqlite_of(self._relay), self._killer)
        setattr(self._relay, "_database", database)  # noqa: B010
        self._backend = KillingBackend(self._relay, self._killer)

    def live(self) -> None:
        work = {
            "link": self._link,
            "join": self._join,
            "unlink": self._unlink,
            "leave": self._leave,
            "talk": self._talk,
        }
        work[self._life.work]()
        self._store.close()
        self._relay.close()

    def _open(self) -> Client:
        """The device of the store; one that was linked is registered by the phone alone."""
        client = Client(Device.open(self._store, policy=POLICY), self._backend)
        if client.device.address.device == PRIMARY:
            client.register()
        client.maintain()
        return client

    def _note(self, what: str, **facts: object) -> None:
        self._journal.note(what, round=self._life.number, store=self._life.store, **facts)

    # --- Linking and unlinking --------------------------------------------------------------

    def _link(self) -> None:
        client = self._open()
        try:
            pairing = client.link_device(self._read("code"))
        except (OtherGone, BackendRefused):
            return
        self._killer.reach("after the code is scanned")
        try:
            pairing.wait(pause=self._pause)
            self._show("digits", pairing.digits)
            self._killer.reach("after the digits are shown")
            self._read("typed")
            pairing.confirm()
        except OtherGone:
            with suppress(LocalError):
                pairing.cancel()
        except LinkFailed as error:
            self._note("gave up", why=str(error))
        else:
            self._killer.reach("after the user has confirmed")
            self._note("confirmed")
        client.maintain()

    def _join(self) -> None:
        link = DeviceLink(App.WHATSAPP, "laptop", self._store, self._backend, policy=POLICY)
        self._show("code", link.code)
        self._killer.reach("after the code is shown")
        try:
            link.wait(pause=self._pause)
            link.enter_digits(self._read("digits"))
            self._show("typed", "yes")
            self._killer.reach("after the digits are typed")
            link.finish(pause=self._pause)
        except OtherGone:
            with suppress(LocalError):
                link.cancel()
        except LinkFailed as error:
            self._note("gave up", why=str(error))
        else:
            self._killer.reach("after it is linked")
            self._note("linked")

    def _unlink(self) -> None:
        client = self._open()
        client.unlink(self._life.device)
        self._killer.reach("after it is unlinked")
        self._note("unlinked", device=self._life.device)

    def _leave(self) -> None:
        try:
            self._open().leave()
        except NotRegistered:  # a phone that was killed has taken it out
            self._note("out")

    # --- Peace ------------------------------------------------------------------------------

    def _talk(self) -> None:
        """Take in what waits, and say something to the contact, or the contact to the account."""
        try:
            client = self._open()
        except NotRegistered:
            self._note("out")
            return
        while items := client.receive(100):
            for item in items:
                if isinstance(item, Message) and isinstance(item.content, Text):
                    self._note("handed", text=item.content.text, again=item.redelivered)
                elif isinstance(item, FailedMessage):
                    self._note("failed", error=item.error.code, sender=str(item.sender))
            client.confirm(items)
        if self._life.text:
            to = PHONE if client.device.address == CONTACT else CONTACT
            with suppress(UnknownRecipient):
                client.send(to.user_id, Text(self._life.text))

    # --- The two screens --------------------------------------------------------------------

    def _show(self, what: str, text: str) -> None:
        path = self._life.screen / what
        draft = path.with_suffix(".draft")
        draft.write_text(text)
        draft.rename(path)

    def _read(self, what: str) -> str:
        path = self._life.screen / what
        while not path.exists():
            self._pause(0)
        return path.read_text()

    def _pause(self, _: float) -> None:
        if (self._life.screen / "gone").exists():
            self._tries += 1
            if self._tries > _TRIES_ALONE:
                raise OtherGone
        time.sleep(_PAUSE_SECONDS)


def _watch_seals(journal: Journal) -> None:
    def watched(key: bytes, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        text = seal(key, nonce, plaintext, associated_data)
        journal.note("seal", pair=digest(key + nonce), text=digest(text))
        return text

    setattr(link_sealing, "seal", watched)  # noqa: B010


def _start(life: Life) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        Living(life).live()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(3)
    os._exit(0)


def _run_round(lives: list[Life]) -> list[int]:
    """How each child has ended: its exit code, or minus the signal."""
    begin = time.monotonic()
    running = {_start(life): life for life in lives}
    ended: dict[int, int] = {}
    while len(ended) < len(running):
        passed = time.monotonic() - begin
        for pid, life in running.items():
            if pid in ended:
                continue
            hangs = passed > HANG_SECONDS
            if hangs or 0 <= life.kill_after_s < passed:
                os.kill(pid, signal.SIGKILL)
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended[pid] = HUNG if hangs else os.waitstatus_to_exitcode(status)
                (life.screen / "gone").touch()
        time.sleep(0.001)
    return [ended[pid] for pid in running]


def main() -> None:
    for line in sys.stdin:
        lives = [Life(**fields) for fields in json.loads(line)]
        print(json.dumps(_run_round(lives)), flush=True)


if __name__ == "__main__":
    main()
