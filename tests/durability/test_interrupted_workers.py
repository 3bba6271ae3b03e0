# SPDX-License-Identifier: Apache-2.0
"""A worker over PostgreSQL that is interrupted at random moments of its calls, and calls again.

Customers write to it and hear from it. Whatever a signal comes into, nothing is lost, nothing is
doubled but what is flagged, no key encrypts two messages, and no stripe stays locked.

The suite has a few of them; E2ECROSS_INTERRUPTS=N goes on until N signals have come.
"""

import os
import random
import secrets
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from e2ecross import Address, Client, Device, Message, Text
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore
from tests.durability.fleet_child import WatchedRelay
from tests.durability.interrupts import STRIPES, in_own_process, nobody_has_stripes
from tests.durability.journal import Journal, JournalReader
from tests.simulation.long_life.interrupting import Interrupt, Interrupts
from tests.support.devices import FakeClock
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import address_of_stores, make_postgres_store

if TYPE_CHECKING:
    from e2ecross.stores.postgres import PostgresStore

Result = TypeVar("Result")


pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGALRM"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

SIGNALS = int(os.environ.get("E2ECROSS_INTERRUPTS", "40"))
SEED = int(os.environ.get("E2ECROSS_INTERRUPT_SEED", "1"))
SHOP = Address.parse("whatsapp:shop.1")
CUSTOMERS = [Address.parse(f"instagram:customer-{number}.1") for number in range(4)]
MOST = 50  # messages at once
HELD_MS = 120_000


@pytest.fixture(autouse=True)
def _server() -> None:
    require_postgres()
    address_of_stores()  # of this process: one of the child's would be left behind


class Shop:
    """The worker, and what it has handed over.

    Args:
        relay: its back end.
        clock: of all.
        interrupts: of its calls.
    """

    def __init__(self, relay: Relay, clock: FakeClock, interrupts: Interrupts) -> None:
        self.name = secrets.token_hex(8)
        self.handed: Counter[bytes] = Counter()
        self._relay = relay
        self._clock = clock
        self._interrupts = interrupts
        self._store = self._open_store()
        self._client = Client(Device.create(SHOP, self._store, clock=clock), relay)
        self.call("register", self._client.register)

    def call(self, what: str, call: Callable[[], Result]) -> Result:
        """Call until it is done; after each signal no stripe is locked."""
        while True:
            with suppress(Interrupt):
                return self._interrupts.try_once(what, call)
            nobody_has_stripes(self.name)

    def send(self, to: Address, text: str) -> None:
        """Send, by an id of its own: again is the same message."""
        message_id = secrets.token_bytes(16)
        self.call("send", lambda: self._client.send(to, Text(text), message_id=message_id))

    def receive(self) -> None:
        """Receive and confirm what there is."""
        items = self.call("receive", lambda: self._client.receive(MOST))
        for item in items:
            assert isinstance(item, Message), item
            assert item.redelivered or not self.handed[item.message_id]
            self.handed[item.message_id] += 1
        self.call("confirm", lambda: self._client.confirm(items))

    def restart(self) -> None:
        """Close the store, and open it."""
        self.call("closing a store", self.close)
        self._store = self.call("opening a store", self._open_store)
        device = self.call("open", lambda: Device.open(self._store, clock=self._clock))
        self._client = Client(device, self._relay)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _open_store(self) -> "PostgresStore":
        return make_postgres_store(
            self.name, keys={1: bytes(32)}, stripes=STRIPES, connections=2, busy_timeout_ms=2_000
        )


@in_own_process
def test_nothing_is_lost_or_doubled_and_no_stripe_stays_locked(tmp_path: Path) -> None:
    rng, counts = random.Random(SEED), Counter[str]()
    clock = FakeClock()
    relay = WatchedRelay(tmp_path / "relay.db", clock=clock)
    relay.journal = Journal(tmp_path / "left")
    shop = Shop(relay, clock, Interrupts(rng, 0.5, counts))
    customers = [
        Client(Device.create(each, MemoryStore(), clock=clock), relay) for each in CUSTOMERS
    ]
    to_shop: set[bytes] = set()
    expected: Counter[tuple[Address, str]] = Counter()
    heard: Counter[tuple[Address, str]] = Counter()

    def hear() -> None:
        for address, client in zip(CUSTOMERS, customers, strict=True):
            items = client.receive(MOST)
            for item in items:
                assert isinstance(item, Message), item
                assert isinstance(item.content, Text)
                heard[address, item.content.text] += 1
            client.confirm(items)

    for client in customers:
        client.register()
    number = 0
    while counts["interrupts"] < SIGNALS:
        number += 1
        clock.now_ms += 1_000
        which = rng.randrange(len(CUSTOMERS))
        match rng.choice(("to the shop", "from the shop", "read", "restart")):
            case "to the shop":
                to_shop.add(customers[which].send(SHOP, Text(f"{number}")).message_id)
            case "from the shop":
                shop.send(CUSTOMERS[which], f"{number}")
                expected[CUSTOMERS[which], f"{number}"] = 1
            case "read":
                shop.receive()
                hear()
            case "restart" if rng.random() < 0.2:
                shop.restart()
    for _ in range(3):
        clock.now_ms += HELD_MS  # what was on its way back when a signal came is given again
        shop.receive()
    hear()
    assert heard == expected
    assert set(shop.handed) == to_shop
    shop.call("closing a store", shop.close)
    texts: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for note in JournalReader(tmp_path / "left").new():
        texts[note["sender"], note["key"]].add(note["text"])
    assert {len(found) for found in texts.values()} == {1}
    print(f"{number} steps, {len(texts)} messages, {dict(counts)}")
