# SPDX-License-Identifier: Apache-2.0
"""A nursery of devices that read what they get: `python -m tests.durability.receipts_child`.

As `child.py`, for lives in which messages are read and opened, are to be gone, and contacts are
accepted and blocked. Time stands still in a round: it is in a file.
"""

from pathlib import Path
from typing import Final

from e2ecross import Address, Device, Expiry, Message, Notice, Policy, Receipt, Text
from tests.durability.child import Child, Order, main

POLICY: Final = Policy(
    capabilities=frozenset((10, *range(13, 21), 32, 33)),
    one_time_prekeys_low=3,
    one_time_prekeys_target=5,
)
ANA: Final = "whatsapp:ana"
BUDI: Final = "instagram:budi"
TOKO: Final = "messenger:toko"
"""Of the three of them Ana decides about Toko alone, again and again."""
PLAIN: Final = "plain"
SOON: Final = "soon"
ONCE: Final = "once"
EXPIRY: Final = Expiry(3_600)


def clock_file(directory: str | Path) -> Path:
    return Path(directory) / "clock"


def is_read_by(message_id: bytes, device: int, devices: int) -> bool:
    """Whether a message is read on that device of its recipient: on one alone."""
    return message_id[-1] % devices + 1 == device


class ReceiptsChild(Child):
    """One life of one device."""

    def __init__(self, order: Order) -> None:
        self._now_ms = int(clock_file(order.directory).read_text())
        self._shown: list[Message] = []
        super().__init__(order)
        self._address = self._client.device.address

    def live(self) -> None:
        order = self._order
        self._client.register()
        for _ in range(order.steps):
            kind = self._random.random()
            if kind < 0.3:
                self._say(self._random.choice(order.peers))
            elif kind < 0.7:
                self._take(self._random.choice((1, 3, 100)))
            elif kind < 0.85:
                self._read()
            elif kind < 0.95 and str(self._address.user_id) == ANA:
                self._decide()
            else:
                self._client.maintain()
                self._killer.reach("after it is maintained")
        while not order.steps and self._take(100):
            pass
        self._store.close()
        self._relay.close()

    def _device(self) -> Device:
        return Device.open(self._store, policy=POLICY, clock=lambda: self._now_ms)

    def _say(self, peer: str) -> None:
        kind = self._random.choice((PLAIN, PLAIN, SOON, ONCE))
        message_id = self._random.randbytes(16)
        facts = {"sender": self._order.device, "to": peer, "id": message_id.hex(), "kind": kind}
        self._journal.note("intent", **facts)
        self._client.send(
            peer,
            Text(f"{message_id.hex()} {kind}"),
            message_id=message_id,
            expiry=EXPIRY if kind == SOON else None,
            view_once=kind == ONCE,
        )
        self._killer.reach("after send")
        self._journal.note("sent", **facts)

    def _take(self, limit: int) -> bool:
        items = self._client.receive(limit)
        self._killer.reach("after receive, before the caller's note")
        for item in items:
            if isinstance(item, Message):
                self._note_message(item)
            elif not isinstance(item, Notice):
                self._journal.note("failed", error=repr(item.error), at=self._order.device)
        self._killer.reach("after the caller's note, before confirm")
        if not self._order.steps or self._random.random() < 0.8:
            self._client.confirm(items)
            self._killer.reach("after confirm")
        return bool(items)

    def _note_message(self, item: Message) -> None:
        facts = {"at": self._order.device, "id": item.message_id.hex(), "sender": str(item.sender)}
        if isinstance(item.content, Receipt):
            told = [each.hex() for each in item.content.message_ids]
            self._journal.note("told", of=told, code=item.content.what, **facts)
        elif not item.own_copy:
            gone = item.content is None
            self._journal.note("handed", expired=item.expired, gone=gone, **facts)
            if not gone:
                self._shown.append(item)

    def _read(self) -> None:
        """Mark as read, or open, what this device has been shown in this life."""
        number = self._address.device
        devices = 2 if str(self._address.user_id) == ANA else 1
        mine = [each for each in self._shown if is_read_by(each.message_id, number, devices)]
        plain = [each for each in mine if not each.view_once]
        for each in plain:
            self._journal.note("reading", id=each.message_id.hex(), at=self._order.device)
        self._client.mark_read(plain)
        self._killer.reach("after it is marked as read")
        for each in plain:
            self._journal.note("read", id=each.message_id.hex(), at=self._order.device)
        for each in mine:
            if each.view_once:
                self._journal.note("reading", id=each.message_id.hex(), at=self._order.device)
                self._client.opened(each)
                self._killer.reach("after it is opened")
                facts = {"id": each.message_id.hex(), "at": self._order.device}
                self._journal.note("read", **facts)
                self._journal.note("opened", **facts)
        self._shown.clear()

    def _decide(self) -> None:
        client, toko = self._client, Address.parse(TOKO)
        self._random.choice((client.accept, client.block, client.unblock))(toko)
        self._killer.reach("after it is decided")


if __name__ == "__main__":
    main(ReceiptsChild)
