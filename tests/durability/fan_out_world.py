# SPDX-License-Identifier: Apache-2.0
"""Accounts with several devices that are killed while they write to each other."""

import random
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path
from typing import ClassVar

from e2ecross import Address
from e2ecross.relay import Relay
from e2ecross.state.context import system_clock
from e2ecross.stores import SQLiteStore
from tests.durability.child import KEY, POLICY, store_path
from tests.durability.world import Figures, Message, Nursery, World, triple_sha256
from tests.support.accounts import device_of, make_account

ACCOUNTS = {"whatsapp:ana": 3, "instagram:budi": 2, "messenger:toko": 1}


class FanOutWorld(World):
    """Three accounts with six devices, which are linked when it begins."""

    devices: ClassVar[Sequence[str]] = tuple(
        f"{user}.{number}" for user, count in ACCOUNTS.items() for number in range(1, count + 1)
    )

    def __init__(
        self, directory: Path, nursery: Nursery, rng: random.Random, figures: Figures
    ) -> None:
        super().__init__(directory, nursery, rng, figures)
        with Relay(directory / "relay.db") as relay:
            for user, count in ACCOUNTS.items():
                self._make(relay, Address.parse(user), count)

    def _make(self, relay: Relay, address: Address, count: int) -> None:
        stores: list[SQLiteStore] = []

        def make(number: int) -> SQLiteStore:
            path = store_path(str(self._directory), str(device_of(address, number)))
            stores.append(SQLiteStore(path, key=KEY if self._sealed else None))
            return stores[-1]

        make_account(
            *(address, range(1, count + 1), relay),
            stores=make,
            clock=system_clock,
            policy=POLICY,
        )
        for store in stores:
            store.close()

    def _peers_of(self, device: str) -> list[str]:
        return [f"{user}.1" for user in ACCOUNTS if user != _user(device)]

    def _accepted(self, known: Set[bytes]) -> set[Message]:
        """Every message that the relay has any copy of; it has all of them, or none."""
        there = {
            (note["sender"], note["at"], note["peer"], note["id"])
            for note in self._notes["copy"]
            if triple_sha256(note["sender"], note["at"], note["envelope"]) in known
        }
        accepted: set[Message] = set()
        for note in self._notes["intent"]:
            sender, to = note["sender"], note["to"]
            recipients = [(each, _user(sender)) for each in _devices(to)]
            own = [(each, _user(to)) for each in _devices(sender) if each != sender]
            copies = {
                Message(sender, at, peer, note["id"], note["text"])
                for at, peer in (*recipients, *own)
            }
            found = {copy for copy in copies if copy[:4] in there}
            assert not found or found == copies
            accepted |= found
        return accepted

    def _check_end(self) -> None:
        super()._check_end()
        # Nothing is encrypted twice to one device: as many ciphertexts have left as there are.
        texts = Counter(message_id for message_id, _ in self._left())
        intents: Counter[str] = Counter()
        for note in {(n["sender"], n["to"], n["id"]) for n in self._notes["intent"]}:
            sender, to, message_id = note
            intents[message_id] += len(_devices(to)) + len(_devices(sender)) - 1
        assert all(count <= intents[message_id] for message_id, count in texts.items())

    def _left(self) -> set[tuple[str, str]]:
        return {(self._ids[note["id"]], note["text"]) for note in self._notes["left"]}


def _devices(address: str) -> list[str]:
    user = _user(address)
    return [f"{user}.{number}" for number in range(1, ACCOUNTS[user] + 1)]


def _user(address: str) -> str:
    return address.rpartition(".")[0]
