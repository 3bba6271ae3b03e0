# SPDX-License-Identifier: Apache-2.0
"""People who read what they get while their devices are killed, and what must hold meanwhile."""

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from e2ecross import Address, Client, Text
from e2ecross.device.health import read_health
from e2ecross.relay import Relay
from e2ecross.state.context import system_clock
from e2ecross.state.conversations import find_conversation
from e2ecross.state.receipts import list_due
from e2ecross.stores import SQLiteStore, Store, Table
from e2ecross.wire.content import Receipt
from tests.durability.checks import check_store
from tests.durability.child import KEY, Order, store_path
from tests.durability.journal import Note
from tests.durability.receipts_child import (
    ANA,
    BUDI,
    POLICY,
    SOON,
    TOKO,
    clock_file,
    is_read_by,
)
from tests.durability.world import Figures, Nursery, World
from tests.support.accounts import device_of, make_account

ACCOUNTS: Final = {ANA: 2, BUDI: 1, TOKO: 1}
_ROUND_MS: Final = 6_000
"""From one round to the next each receipt becomes due."""
_HOURS_MS: Final = 3 * 60 * 60 * 1000


class ReceiptsWorld(World):
    """Ana with two devices, Budi whom she knows, and Toko whom she blocks now and then."""

    devices: ClassVar[Sequence[str]] = tuple(
        f"{user}.{number}" for user, count in ACCOUNTS.items() for number in range(1, count + 1)
    )

    def __init__(
        self, directory: Path, nursery: Nursery, rng: random.Random, figures: Figures
    ) -> None:
        super().__init__(directory, nursery, rng, figures)
        self._now_ms = system_clock()
        clients: list[Client] = []
        stores: list[Store] = []
        self._greetings: set[str] = set()
        with Relay(directory / "relay.db") as relay:
            for user, count in ACCOUNTS.items():
                clients += self._make(relay, Address.parse(user), count, stores)
            ana, _, budi, toko = clients
            for other in (budi, toko):
                first = other.send(ana.device.address, Text("first"))
                answer = ana.send(other.device.address, Text("answer"))
                self._greetings |= {each.message_id.hex() for each in (first, answer)}
            for client in clients * 2:
                client.confirm(client.receive())
        for store in stores:
            store.close()

    def _make(
        self, relay: Relay, address: Address, count: int, stores: list[Store]
    ) -> list[Client]:
        def make(number: int) -> Store:
            path = store_path(str(self._directory), str(device_of(address, number)))
            stores.append(SQLiteStore(path, key=KEY if self._sealed else None))
            return stores[-1]

        numbers, clock = range(1, count + 1), lambda: self._now_ms
        return make_account(address, numbers, relay, stores=make, clock=clock, policy=POLICY)

    # --- Rounds -----------------------------------------------------------------------------

    def _peers_of(self, device: str) -> list[str]:
        return [BUDI, TOKO] if _user(device) == ANA else [ANA]

    def _order(self, device: str, point: str, *, steps: int = 8) -> Order:
        return replace(super()._order(device, point, steps=steps), first_to="", retry=[])

    def _run(self, orders: list[Order]) -> list[int]:
        self._now_ms += _ROUND_MS
        clock_file(self._directory).write_text(str(self._now_ms))
        return super()._run(orders)

    def _take(self, note: Note) -> None:
        self._notes[note["what"]].append(note)

    def _drain(self) -> None:
        """What waits is sent, what was received becomes due, goes, and arrives."""
        for _ in range(4):
            for device in self.devices:
                assert self._run([self._order(device, "", steps=0)]) == [0]

    # --- What must hold ---------------------------------------------------------------------

    def _check_device(self, device: str) -> None:
        """After each kill: the store is whole, and what was opened is not in its inbox."""
        with self._copy(device) as store:
            assert check_store(store) is not None
            with store.transaction() as tx:
                health = read_health(tx, POLICY, self._now_ms)
                held = b"".join(record for _, _, record in tx.scan(Table.INBOX))
            damaged = [each for each in health.tables if each.damaged or each.too_new]
            assert not damaged, damaged
        opened = [note["id"] for note in self._notes["opened"] if note["at"] == device]
        assert not [each for each in opened if each.encode() in held]

    def _copy(self, device: str) -> SQLiteStore:
        """A copy is looked at, so that the next child finds the files as the kill has left them."""
        path = self._directory / "copy.db"
        original = store_path(str(self._directory), device)
        for suffix in ("", "-wal", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
            if (found := original.with_name(original.name + suffix)).exists():
                shutil.copy(found, path.with_name(path.name + suffix))
        store = SQLiteStore(path, key=KEY if self._sealed else None)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return store

    def _check_end(self) -> None:
        assert not self._notes["failed"]
        self._check_receipts()
        self._check_decisions()
        self._now_ms += _HOURS_MS
        self._drain()
        self._check_what_is_over()

    def _check_receipts(self) -> None:
        """Each device hears once of each that it is to hear of, and of none else."""
        told = self._told()
        assert max(told.values(), default=0) <= 1
        friends = (ANA, BUDI)
        sent = {note["id"]: note for note in self._notes["intent"]}
        handed = {(note["id"], note["at"]) for note in self._notes["handed"]}
        done = {(note["id"], note["at"]) for note in self._notes["read"]}
        begun = {(note["id"], note["at"]) for note in self._notes["reading"]}
        must, may = set(), set()
        for message_id, note in sent.items():
            sender, to = _user(note["sender"]), note["to"]
            reader = _reader(message_id, to)
            hears = [each for each in self.devices if _user(each) in (sender, to)]
            delivered = [(each, message_id, Receipt.DELIVERED) for each in hears]
            read = [(each, message_id, Receipt.READ) for each in hears]
            if (message_id, f"{to}.1") in handed:
                may |= {each for each in delivered if each[0] != f"{to}.1"}
            if (message_id, reader) in begun:
                may |= {each for each in read if each[0] != reader}
            if {sender, to} == {*friends} and (message_id, f"{to}.1") in handed:
                must |= {each for each in delivered if each[0] != f"{to}.1"}
            if {sender, to} == {*friends} and (message_id, reader) in done:
                must |= {each for each in read if each[0] != reader}
        assert not must - told.keys()
        assert not told.keys() - may
        self._figures.accepted += len(must)

    def _told(self) -> Counter[tuple[str, str, int]]:
        """How many receipts of what for which message each device has been handed."""
        receipts = {
            (note["at"], note["sender"], note["id"], note["code"], tuple(note["of"]))
            for note in self._notes["told"]
        }
        return Counter(
            (at, each, code)
            for at, _, _, code, ids in receipts
            for each in ids
            if each not in self._greetings
        )

    def _check_decisions(self) -> None:
        """Both devices of Ana think the same of Toko, and nothing is due any more."""
        found = []
        for number in (1, 2):
            with self._copy(f"{ANA}.{number}") as store, store.transaction() as tx:
                found.append(replace(find_conversation(tx, Address.parse(TOKO).user_id), waiting=0))
                assert list_due(tx) == []
        assert found[0] == found[1]

    def _check_what_is_over(self) -> None:
        over = [note["id"].encode() for note in self._notes["intent"] if note["kind"] == SOON]
        opened = [note["id"].encode() for note in self._notes["opened"]]
        for device in self.devices:
            with self._copy(device) as store, store.transaction() as tx:
                sent = b"".join(record for _, _, record in tx.scan(Table.SENT))
                inbox = b"".join(record for _, _, record in tx.scan(Table.INBOX))
            assert not [each for each in over if each in sent or each in inbox]
            assert not [each for each in opened if each in inbox]


def _reader(message_id: str, user: str) -> str:
    """The device of an account on which a message is read."""
    count = ACCOUNTS[user]
    numbers = range(1, count + 1)
    (number,) = (n for n in numbers if is_read_by(bytes.fromhex(message_id), n, count))
    return f"{user}.{number}"


def _user(device: str) -> str:
    return device.rpartition(".")[0]
