# SPDX-License-Identifier: Apache-2.0
"""Operations of `Client`, over each store; between clients is a `Relay` on a file of its own.

The same module measures the build of before, which sends to many in a loop.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from benchmarks.contestants.builds import (
    IS_BEFORE,
    address_key,
    deposit_at_once,
    encrypt_as_client,
    exchange_lists,
    hold_lists,
    publish_lists,
    register_at_once,
    send_to_all,
)
from benchmarks.contestants.devices import ANA, BUDI, NewStore, bundles_of, links, moved
from benchmarks.contestants.scratch import built_once
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Bytes, Client, Device, Message, Policy
from e2ecross.relay import Relay, RelayLimits
from e2ecross.stores import MemoryStore
from e2ecross.stores.base import Table

__all__ = [
    "acquainted",
    "backlog",
    "client_makers",
    "content_of",
    "copied",
    "read",
    "registered",
    "two_clients",
]

_SENDERS: Final = 10
_TOKEN: Final = b"t" * 32
# Few, so that a client is registered in no time.
_POLICY: Final = Policy(one_time_prekeys_low=2, one_time_prekeys_target=_SENDERS)


def client_makers(new_store: NewStore) -> dict[str, Maker]:
    """The makers of operations of a client over such a store."""

    def send(job: Job, cleanup: ExitStack) -> Step:
        ana, _ = two_clients(new_store, cleanup)
        content = content_of(job)
        return lambda: ana.send(BUDI, content)

    def send_many(job: Job, cleanup: ExitStack) -> Step:
        device, addresses = acquainted(new_store, job.parameters["count"], cleanup)
        ana = registered(device, _relay_of(addresses, cleanup))
        content = content_of(job)
        return lambda: send_to_all(ana, addresses, content)

    def receive(job: Job, cleanup: ExitStack) -> Step:
        count = job.parameters["count"]
        device = _device(BUDI, new_store, cleanup)
        relay = _relay_of([], cleanup)
        budi = registered(device, relay)
        waiting = backlog(device, job, count * job.total)
        deposit_at_once(relay.path, relay.limits, waiting)
        return lambda: read(budi, count, count)

    def ping_pong(job: Job, cleanup: ExitStack) -> Step:
        ana, budi = two_clients(new_store, cleanup)
        content = content_of(job)

        def there_and_back() -> Iterator[None]:
            while True:
                ana.send(BUDI, content)
                read(budi, 1)
                yield
                budi.send(ANA, content)
                read(ana, 1)
                yield

        return there_and_back().__next__

    return {
        "client_send": send,
        "client_send_many": send_many,
        "client_receive": receive,
        "client_ping_pong": ping_pong,
    }


def content_of(job: Job) -> Bytes:
    """What is sent."""
    return Bytes(bytes(job.parameters["bytes"]))


def acquainted(
    new_store: NewStore, number: int, cleanup: ExitStack, announced: bytes = b""
) -> tuple[Device, Sequence[Address]]:
    """A device over such a store with sessions under that many addresses, of version 4.

    One of them is genuine, and the others are copies of it under other addresses, each with a list
    of that one device: who only writes to them does not see that.

    Args:
        new_store: makes the device's store.
        number: how many addresses.
        cleanup: for the store.
        announced: what the others understand, encoded.
    """
    store = MemoryStore()
    ana, budi = Device.create(ANA, store), Device.create(BUDI, MemoryStore())
    ((end, _),) = links(ana, budi, 1, with_kyber=True)
    addresses = copied(store, end.address, number)
    hold_lists(ana, budi, addresses, announced)
    return moved(store, new_store, cleanup), addresses


def copied(store: MemoryStore, address: Address, number: int) -> Sequence[Address]:
    """Put what a store has of an address under that many others, which are returned."""
    addresses = [Address(BUDI.app, f"copy{place}") for place in range(number)]
    model = address_key(address)
    with store.transaction() as transaction:
        rows = [
            (table, partition.removeprefix(model), row, record)
            for table in Table
            for partition, row, record in transaction.scan(table)
            if partition.startswith(model)
        ]
        for other in addresses:
            for table, rest, row, record in rows:
                transaction.put(table, address_key(other) + rest, row, record)
    return addresses


def backlog(device: Device, job: Job, number: int) -> Sequence[bytes]:
    """That many encoded envelopes that wait for a device, of ten senders in turn."""
    content, senders = content_of(job), []
    for place, bundle in enumerate(bundles_of(device, _SENDERS, with_kyber=True)):
        sender = Device.create(Address(ANA.app, f"ana{place}"), MemoryStore())
        sender.start_session(bundle)
        device.decrypt(sender.encrypt(device.address, content))
        sender.decrypt(device.encrypt(sender.address, content))
        exchange_lists(sender, device)
        senders.append(sender)
    writing = islice(cycle(senders), number)
    return [encrypt_as_client(sender, device.address, content) for sender in writing]


def _device(address: Address, new_store: NewStore, cleanup: ExitStack) -> Device:
    return Device.create(address, new_store(cleanup), policy=_POLICY)


def registered(device: Device, relay: Relay) -> Client:
    """The client of a device, which has published its keys."""
    client = Client(device, relay)
    client.register()
    return client


def two_clients(new_store: NewStore, cleanup: ExitStack) -> tuple[Client, Client]:
    """Two clients that have heard from each other."""
    relay = _relay_of([], cleanup)
    devices = [_device(address, new_store, cleanup) for address in (ANA, BUDI)]
    exchange_lists(*devices)
    ana, budi = (registered(device, relay) for device in devices)
    greeting = Bytes(b"halo")
    ana.send(BUDI, greeting)
    read(budi, 1)
    budi.send(ANA, greeting)
    read(ana, 1)
    return ana, budi


def read(client: Client, count: int, limit: int = 100) -> None:
    """Receive and confirm; refuse to have measured anything but that many messages."""
    items = client.receive(limit)
    if len(items) != count or not all(isinstance(item, Message) for item in items):
        raise ValueError(f"{len(items)} items, and not {count} messages: {items[:3]}")
    client.confirm(items)


def _relay_of(addresses: Sequence[Address], cleanup: ExitStack) -> Relay:
    """A fresh relay that knows these addresses."""
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    path = folder / "relay.db"
    if addresses:
        build = "before" if IS_BEFORE else "ours"
        name = f"accounts-{len(addresses)}-{build}.db"
        shutil.copyfile(built_once(name, partial(_register_all, addresses)), path)
    relay = Relay(path)
    cleanup.callback(relay.close)
    return relay


def _register_all(addresses: Sequence[Address], path: Path) -> None:
    limits = RelayLimits()
    register_at_once(path, limits, addresses, _TOKEN)
    publish_lists(path, limits, Device.create(BUDI, MemoryStore()), addresses)
