# SPDX-License-Identifier: Apache-2.0
"""A nursery of processes that are killed: `python -m tests.durability.child`.

It reads rounds, one line of JSON each, forks a child per order, kills those whose time is up, and
answers with how each has ended. It opens no store itself, so that nothing is shared over a fork.
A child is not reaped before it is killed: its id cannot name another process by then.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from e2ecross import Address, Client, Device, Envelope, Message, Notice, Policy, Sent, Text
from e2ecross.crypto.cipher import cbc_encrypt
from e2ecross.device import copies
from e2ecross.device.sending import Saying, encrypt_content
from e2ecross.errors import DeviceExists, NoDevice, UnknownRecipient
from e2ecross.protocol import ratchet
from e2ecross.state.context import Context
from e2ecross.stores import SQLiteStore, Transaction
from e2ecross.wire.content import PayloadContent, Resent
from tests.durability.journal import Journal, JournallingRelay, digest
from tests.durability.points import Killer, KillingBackend, KillingDatabase, KillingStore
from tests.relay.support import sqlite_of

KEY = bytes(range(32))
HANG_SECONDS = 60  # only a hang comes near
HUNG = 99
POLICY = Policy(signed_prekey_max_age_ms=100, one_time_prekeys_low=3, one_time_prekeys_target=5)


@dataclass(frozen=True)
class Order:
    """What one child does in one round.

    Attributes:
        directory: of the world.
        device: address of the device that it is.
        peers: addresses that it sends to.
        sealed: whether the store is encrypted.
        number: of the round.
        seed: of what it does.
        steps: how many things it does; 0 to receive until nothing is left.
        retry: sends whose end is not known, each recipient, message id and text.
        first_to: to whom it sends first of all, or "".
        point: where it kills itself, or "".
        visits: at which visit of that point.
        kill_after_s: when it is killed from outside, or -1.
    """

    directory: str
    device: str
    peers: list[str]
    sealed: bool
    number: int
    seed: int
    steps: int
    retry: list[tuple[str, str, str]]
    first_to: str = ""
    point: str = ""
    visits: int = 1
    kill_after_s: float = -1.0

    @property
    def is_to_die(self) -> bool:
        return bool(self.point) or self.kill_after_s >= 0

    def encode(self) -> dict[str, object]:
        return asdict(self)


def store_path(directory: str, device: str) -> Path:
    return Path(directory) / f"{device.replace(':', '-')}.db"


class Child:
    """One life of one device."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._random = random.Random(order.seed)
        self._killer = Killer(order.point or None, order.visits)
        self._journal = Journal(Path(order.directory) / "journal")
        watch_encryption(self._journal, self._killer)
        _watch_copies(self._journal)
        path = store_path(order.directory, order.device)
        key = KEY if order.sealed else None
        self._store = KillingStore(SQLiteStore(path, key=key, busy_timeout_ms=30_000), self._killer)
        self._relay = JournallingRelay(Path(order.directory) / "relay.db")
        self._relay.journal = self._journal
        database = KillingDatabase(sqlite_of(self._relay), self._killer)
        setattr(self._relay, "_database", database)  # noqa: B010
        self._client = Client(self._device(), KillingBackend(self._relay, self._killer))

    def live(self) -> None:
        order = self._order
        self._client.register()
        self._journal.note("registered", at=order.device)
        if order.first_to:
            self._send(order.first_to)
        for recipient, message_id, text in order.retry:
            self._send(recipient, message_id, text)
        for _ in range(order.steps):
            kind = self._random.random()
            if order.peers and kind < 0.4:
                self._send(self._random.choice(order.peers))
            elif order.peers and kind < 0.6:
                self._send_many()
            else:
                self._receive(self._random.choice((1, 3, 100)))
        while not order.steps and self._receive(100):
            pass
        self._store.close()
        self._relay.close()

    def _device(self) -> Device:
        for _ in range(2):
            try:
                return Device.open(self._store, policy=POLICY)
            except NoDevice:
                pass
            try:
                return Device.create(Address.parse(self._order.device), self._store, policy=POLICY)
            except DeviceExists:  # by another process, in between
                pass
        raise AssertionError("a device neither exists nor can be created")

    def _send(self, recipient: str, message_id: str = "", text: str = "") -> None:
        message_id = message_id or self._random.randbytes(16).hex()
        text = text or f"{message_id} {'x' * self._random.randrange(400)}"
        facts = {"id": message_id, "to": recipient}
        self._journal.note("intent", sender=self._order.device, text=text, **facts)
        try:
            self._client.send(
                Address.parse(recipient), Text(text), message_id=bytes.fromhex(message_id)
            )
        except UnknownRecipient:
            self._journal.note("refused", **facts)
            return
        self._killer.reach("after send")
        self._journal.note("sent", **facts)

    def _send_many(self) -> None:
        """The same to everybody, under one id."""
        message_id = self._random.randbytes(16)
        text = f"{message_id.hex()} {'x' * self._random.randrange(400)}"
        peers = self._order.peers
        for peer in peers:
            facts = {"sender": self._order.device, "id": message_id.hex(), "to": peer}
            self._journal.note("intent", text=text, **facts)
        recipients = [Address.parse(peer) for peer in peers]
        results = self._client.send_many(recipients, Text(text), message_id=message_id)
        self._killer.reach("after send")
        for peer, result in zip(peers, results, strict=True):
            assert isinstance(result, (Sent, UnknownRecipient)), result
            what = "sent" if isinstance(result, Sent) else "refused"
            self._journal.note(what, id=message_id.hex(), to=peer)

    def _receive(self, limit: int) -> bool:
        items = self._client.receive(limit)
        self._killer.reach("after receive, before the caller's note")
        for item in items:
            facts = {"at": self._order.device, "round": self._order.number}
            if isinstance(item, Message):
                assert isinstance(item.content, Text)
                self._journal.note(
                    "handed",
                    id=item.message_id.hex(),
                    sender=str(item.sender),
                    peer=str(item.peer),
                    text=item.content.text,
                    again=item.redelivered,
                    **facts,
                )
            elif isinstance(item, Notice):
                self._journal.note("notice", notice=repr(item), **facts)
            else:
                self._journal.note("failed", error=repr(item.error), **facts)
        self._killer.reach("after the caller's note, before confirm")
        if not self._order.steps or self._random.random() < 0.8:
            self._client.confirm(items)
            self._killer.reach("after confirm")
        return bool(items)


def watch_encryption(journal: Journal, killer: Killer) -> None:
    original = cbc_encrypt

    def watched(cipher_key: bytes, iv: bytes, plaintext: bytes) -> bytes:
        killer.reach("before encryption")
        text = original(cipher_key, iv, plaintext)
        journal.note("key", pair=digest(cipher_key + iv), text=digest(text))
        killer.reach("after encryption")
        return text

    setattr(ratchet, "cbc_encrypt", watched)  # noqa: B010


def _watch_copies(journal: Journal) -> None:
    """Note which message goes under the id of an envelope."""

    def watched(
        context: Context,
        tx: Transaction,
        address: Address,
        content: PayloadContent,
        envelope_id: bytes,
        sent_at_ms: int,
        saying: Saying,
        least: int,
    ) -> Envelope:
        journal.note(
            "copy",
            envelope=envelope_id.hex(),
            sender=str(context.address),
            at=str(address),
            peer=str(saying.peer or context.address.user_id),
            id=(content.message_id if isinstance(content, Resent) else envelope_id).hex(),
        )
        facts = (content, envelope_id, sent_at_ms, saying, least)
        return encrypt_content(context, tx, address, *facts)

    setattr(copies, "encrypt_content", watched)  # noqa: B010


def _start(order: Order, make: type[Child]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        make(order).live()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(3)
    os._exit(0)


def _run_round(orders: list[Order], make: type[Child]) -> list[int]:
    """How each child has ended: its exit code, or minus the signal."""
    begin = time.monotonic()
    running = {_start(order, make): order for order in orders}
    ended: dict[int, int] = {}
    while len(ended) < len(running):
        passed = time.monotonic() - begin
        for pid, order in running.items():
            if pid in ended:
                continue
            # First killed, then reaped: the id is still this child's.
            hangs = passed > HANG_SECONDS
            if hangs or 0 <= order.kill_after_s < passed:
                os.kill(pid, signal.SIGKILL)
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                ended[pid] = HUNG if hangs else os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return [ended[pid] for pid in running]


def main(make: type[Child] = Child) -> None:
    """Run children of that kind, as told."""
    for line in sys.stdin:
        orders = [Order(**fields) for fields in json.loads(line)]
        print(json.dumps(_run_round(orders, make)), flush=True)


if __name__ == "__main__":
    main()
