# SPDX-License-Identifier: Apache-2.0
"""A device whose workers are killed, its customers, and what must hold all the while."""

import itertools
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from e2ecross import Address, Client, Device, Envelope, Message, Text
from e2ecross.stores import MemoryStore
from e2ecross.wire.exchange import Waiting
from tests.durability.fleet_child import (
    POLICY,
    Fleet,
    WatchedRelay,
    open_relay,
    open_store,
    signal_message,
)
from tests.durability.journal import Journal, JournalReader, Note

TOKO: Final = Address("whatsapp", "toko")
CUSTOMERS: Final = [
    Address(app, f"customer-{number}")
    for number in range(16)
    for app in [("instagram", "messenger", "whatsapp")[number % 3]]
]
_ROOT: Final = Path(__file__).parents[2]
_HANG_S: Final = 120  # only a hang comes near
_BACKLOG: Final = 64
_LONG_MS: Final = 60 * 60 * 1000
"""No hold and no wait is as long."""


@dataclass
class Figures:
    """What was done."""

    kills: int = 0
    sent: int = 0
    received: int = 0
    handed_again: int = 0
    deposits: int = 0
    seconds: float = 0

    def report(self) -> str:
        return (
            f"{self.kills} kills in {self.seconds:.0f} s; {self.sent} messages of the fleet and "
            f"{self.received} to it, {self.handed_again} hand-overs flagged as repeated; "
            f"{self.deposits} deposits"
        )


class MailRelay(WatchedRelay):
    """It keeps what was fetched, in the order of the mailboxes."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.relay, clock=fleet.now_ms)
        self.journal = Journal(Path(fleet.directory) / "left")
        self.fetched: defaultdict[Address, dict[int, bytes]] = defaultdict(dict)

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        batch = super().fetch(
            address, token, limit, after, wait_ms=wait_ms, hold_ms=hold_ms, holder=holder
        )
        self.fetched[address].update(batch)
        return batch


@dataclass
class Customer:
    """One that is not killed.

    Attributes:
        client: of it.
        said: texts, as it sent them.
        heard: texts, as it was handed them.
    """

    client: Client
    said: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    @property
    def address(self) -> Address:
        return self.client.device.address

    def say(self) -> None:
        text = str(len(self.said))
        self.client.send(TOKO, Text(text))
        self.said.append(text)

    def hear(self) -> None:
        while items := self.client.receive():
            for item in items:
                assert isinstance(item, Message), item
                assert isinstance(item.content, Text)
                assert not item.redelivered
                self.heard.append(item.content.text)
            self.client.confirm(items)


class World:
    """A fleet of one device at a relay, from its creation to the last message.

    Args:
        directory: a new one.
        database: the conninfo of a database that has the schema.
        relay: the file of the relay, or its conninfo.
        seed: of what the workers do.
    """

    def __init__(self, directory: Path, database: str, relay: str, seed: int) -> None:
        directory.mkdir()
        self._fleet = Fleet(
            directory=str(directory),
            database=database,
            name=directory.name,
            relay=relay,
            customers=[str(each) for each in CUSTOMERS],
            workers=4,
            seed=seed,
            since_ms=time.time_ns() // 1_000_000,
            speed=20,
        )
        self._handled = JournalReader(directory / "handled")
        self._notes: list[Note] = []
        self._mail = MailRelay(self._fleet)
        self._customers = [self._join(address) for address in CUSTOMERS]

    def live(self, messages: int) -> Figures:
        """Let that many messages go in each direction under kills, then come to an end."""
        figures, begin = Figures(), time.monotonic()
        self._meet()
        with self._workers() as workers:
            self._talk(messages, workers)
            figures.seconds = time.monotonic() - begin
            say(workers, "quiet")
            self._settle(workers)
            say(workers, "end")
            assert workers.stdout is not None
            figures.kills = int(workers.stdout.readline())
        self._take_over()
        self._check(figures)
        return figures

    # --- What is done -----------------------------------------------------------------------

    def _join(self, address: Address) -> Customer:
        device = Device.create(address, MemoryStore(), clock=self._fleet.now_ms)
        client = Client(device, self._mail)
        client.register()
        return Customer(client)

    def _meet(self) -> None:
        """Each has a session with the device, and its answer; nobody is a stranger."""
        with open_store(self._fleet) as store:
            device = Device.create(TOKO, store, policy=POLICY, clock=self._fleet.now_ms)
            client = Client(device, open_relay(self._fleet))
            client.register()
            for customer in self._customers:
                client.accept(customer.address)
                customer.client.accept(TOKO)
                customer.client.send(TOKO, Text("halo"))
            while items := client.receive():
                client.confirm(items)
            client.send_many(CUSTOMERS, Text("halo"))
        for customer in self._customers:
            customer.hear()
            assert customer.heard.pop() == "halo"

    @contextmanager
    def _workers(self) -> Iterator["subprocess.Popen[str]"]:
        command = [sys.executable, "-m", "tests.durability.fleet_child"]
        process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            say(process, self._fleet.encode())
            yield process
        finally:
            process.communicate()
        assert process.returncode == 0

    def _talk(self, messages: int, workers: "subprocess.Popen[str]") -> None:
        for customer in itertools.cycle(self._customers):
            said = sum(len(each.said) for each in self._customers)
            if said < messages and said - self._count() < _BACKLOG:
                customer.say()
            customer.hear()
            heard = sum(len(each.heard) for each in self._customers)
            if min(heard, self._count()) >= messages:
                return
            assert workers.poll() is None, "a worker has failed"

    def _settle(self, workers: "subprocess.Popen[str]") -> None:
        """Nobody is killed any more, and the workers do what is left."""
        said = sum(len(each.said) for each in self._customers)
        give_up = time.monotonic() + _HANG_S
        while self._count() < said or self._mail.waiting(TOKO):
            for customer in self._customers:
                customer.hear()
            assert workers.poll() is None, "a worker has failed"
            assert time.monotonic() < give_up, (self._count(), said)
            time.sleep(0.05)

    def _take_over(self) -> None:
        """What the last of them have left is done by another, later."""

        def later() -> int:
            return self._fleet.now_ms() + _LONG_MS

        with open_store(self._fleet) as store:
            client = Client(Device.open(store, policy=POLICY, clock=later), self._mail)
            while items := client.receive():
                for item in items:
                    assert isinstance(item, Message), item
                    assert item.redelivered
                client.confirm(items)
            client.maintain()
            assert client.pending() == []
        assert self._mail.waiting(TOKO) == []
        for customer in self._customers:
            customer.hear()
            assert self._mail.waiting(customer.address) == []

    def _count(self) -> int:
        """How many messages of customers were handled."""
        self._notes += self._handled.new()
        return len({(note["sender"], note["id"]) for note in self._notes})

    # --- What must hold ---------------------------------------------------------------------

    def _check(self, figures: Figures) -> None:
        self._check_received(figures)
        self._check_sent(figures)
        self._check_keys(figures)

    def _check_received(self, figures: Figures) -> None:
        """All that was sent is handled, in the order of its sender; what is repeated is flagged."""
        assert [note for note in self._notes if note["what"] != "handled"] == []
        handled: defaultdict[str, list[str]] = defaultdict(list)
        unflagged: Counter[tuple[str, str]] = Counter()
        for note in self._notes:
            if note["text"] not in handled[note["sender"]]:
                handled[note["sender"]].append(note["text"])
            unflagged[note["sender"], note["text"]] += not note["again"]
            figures.handed_again += note["again"]
        for customer in self._customers:
            assert handled[str(customer.address)] == customer.said, customer.address
        assert max(unflagged.values()) == 1
        figures.received = sum(len(each.said) for each in self._customers)

    def _check_sent(self, figures: Figures) -> None:
        """What was sent is heard once, and what a worker sent later comes later."""
        begun: defaultdict[str, set[str]] = defaultdict(set)
        sent: set[str] = set()
        for slot in range(self._fleet.workers):
            for note in JournalReader(self._fleet.journal_of(slot)).new():
                if note["what"] == "begun":
                    begun[note["to"]].add(note["text"])
                else:
                    sent.add(note["text"])
        for customer in self._customers:
            heard = customer.heard
            assert len(set(heard)) == len(heard)
            assert sent & begun[str(customer.address)] <= set(heard) <= begun[str(customer.address)]
            by_slot = sorted(heard, key=slot_and_number)
            for slot, texts in itertools.groupby(
                by_slot, key=lambda text: slot_and_number(text)[0]
            ):
                assert [text for text in heard if slot_and_number(text)[0] == slot] == list(texts)
            figures.sent += len(heard)

    def _check_keys(self, figures: Figures) -> None:
        """No message key has made two ciphertexts, and none came before one of its chain."""
        texts: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for note in JournalReader(Path(self._fleet.directory) / "left").new():
            texts[note["sender"], note["key"]].add(note["text"])
            figures.deposits += 1
        assert all(len(found) == 1 for found in texts.values())
        for customer in self._customers:
            chains: defaultdict[bytes, list[int]] = defaultdict(list)
            for _, data in sorted(self._mail.fetched[customer.address].items()):
                message = signal_message(Envelope.decode(data))
                chains[message.ratchet_key].append(message.counter)
            assert all(chain == list(range(len(chain))) for chain in chains.values())


def slot_and_number(text: str) -> tuple[int, int]:
    """Of a text of the fleet: who of them began to send it, as which of his."""
    slot, number, _ = text.split(" ", 2)
    return int(slot), int(number)


def say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
