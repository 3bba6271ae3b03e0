# SPDX-License-Identifier: Apache-2.0
"""A device that many workers serve: one store with stripes, a clock, and a back end.

fleet = Fleet(backend, clock)
one, two = fleet.worker(), fleet.worker()
fleet.say(BUDI, "halo")
assert shown(one.receive()) == ["halo"] and two.receive() == []
"""

from typing import cast

from e2ecross import Address, Client, Device, Policy, Text
from e2ecross.relay import Relay
from e2ecross.state.inbox_holds import HOLD_MS
from e2ecross.stores import Store, Table
from tests.support.devices import ANA, BackendSimulator, FakeClock, dump, make_client, make_device
from tests.support.entropy import SeededEntropy
from tests.support.store_kinds import new_store

__all__ = ["HOLD_MS", "AnyBackend", "Fleet"]

AnyBackend = BackendSimulator | Relay


class Fleet:
    """The device ANA, and whoever writes to it."""

    def __init__(
        self,
        backend: AnyBackend,
        clock: FakeClock,
        store: Store | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.backend = cast(BackendSimulator, backend)
        self.clock = clock
        self.store = new_store(64) if store is None else store
        self._policy = policy
        self._workers = 0
        self._customers: dict[Address, Client] = {}
        Client(make_device(ANA, self.store, clock=clock, policy=policy), backend).register()

    def worker(self, wait_ms: int = 0) -> Client:
        """One more process."""
        self._workers += 1
        entropy = SeededEntropy(f"worker {self._workers}")
        device = Device.open(
            self.store, clock=self.clock, entropy=entropy, policy=self._policy or Policy()
        )
        return Client(device, self.backend, wait_ms=wait_ms)

    def restored(self) -> Client:
        """The process that opens the store as restored."""
        device = Device.open(
            self.store, clock=self.clock, entropy=SeededEntropy("restored"), restored=True
        )
        return Client(device, self.backend)

    def customer(self, address: Address) -> Client:
        """Who writes to the device."""
        if address not in self._customers:
            self._customers[address] = make_client(address, self.backend, clock=self.clock)
        return self._customers[address]

    def say(self, address: Address, *texts: str) -> None:
        for text in texts:
            self.customer(address).send(ANA, Text(text))

    def waiting(self) -> int:
        """How many envelopes the back end has for the device."""
        if isinstance(self.backend, BackendSimulator):
            return len(self.backend.mailbox(ANA))
        return len(self.backend.waiting(ANA))

    def rows(self, table: Table = Table.INBOX) -> int:
        """How many rows the store has, of all stripes."""
        return sum(1 for place in dump(self.store) if place[0] is table)
