# SPDX-License-Identifier: Apache-2.0
"""Contestants: e2ecross's `Device`, over each of its stores.

Messages go through `encrypt_raw` and `decrypt_raw`, as what peers send has no envelope either.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.contestants.chain import chain_makers, chain_makers_v4
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, Bytes, Device, Envelope, MessageKind, PreKeyBundle
from e2ecross.stores import MemoryStore, SQLiteStore
from e2ecross.stores.base import Store, Table
from e2ecross.wire.limits import MAX_ONE_TIME_PREKEYS

__all__ = [
    "ANA",
    "BUDI",
    "STORES",
    "STORE_KEY",
    "DeviceEnd",
    "Link",
    "NewStore",
    "bundles_of",
    "connect",
    "device_makers",
    "devices",
    "hold",
    "in_use",
    "links",
    "moved",
]

ANA: Final = Address("whatsapp", "ana")
BUDI: Final = Address("instagram", "budi")
STORE_KEY: Final = bytes(range(32))

_PLAINTEXT: Final = bytes(100)
_ROTATION_MS: Final = 8 * 24 * 60 * 60 * 1000  # more than the age at which a signed prekey goes

NewStore = Callable[[ExitStack], Store]
Link = tuple["DeviceEnd", "DeviceEnd"]


class DeviceEnd:
    """One end of a session, by the address of the other one."""

    __slots__ = ("address", "device")

    def __init__(self, device: Device, address: Address) -> None:
        self.device = device
        self.address = address

    def encrypt(self, plaintext: bytes) -> tuple[MessageKind, bytes]:
        return self.device.encrypt_raw(self.address, plaintext)

    def decrypt(self, message: tuple[MessageKind, bytes]) -> bytes:
        return self.device.decrypt_raw(self.address, *message)


def _memory(cleanup: ExitStack) -> Store:
    return MemoryStore()


def _sqlite(cleanup: ExitStack, key: bytes | None = None) -> Store:
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    store = SQLiteStore(folder / "device.db", key=key)
    cleanup.callback(store.close)
    return store


STORES: Final[dict[str, NewStore]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "sealed": partial(_sqlite, key=STORE_KEY),
}


def links(
    ana: Device,
    budi: Device,
    number: int,
    *,
    sessions: int = 1,
    first: int = 0,
    with_kyber: bool = False,
) -> list[Link]:
    """Sessions between two devices that both ends know of, each under addresses of its own.

    Args:
        ana: who starts them; the first message of each has been answered.
        budi: the other end.
        number: how many pairs of addresses.
        sessions: how many sessions each pair starts; all but the last get archived.
        first: the number in the first pair's addresses.
        with_kyber: whether they are of version 4.
    """
    made = []
    bundles = bundles_of(budi, number * sessions, with_kyber=with_kyber)
    for index in range(first, first + number):
        end = DeviceEnd(ana, Address("instagram", f"budi{index}"))
        other = DeviceEnd(budi, Address("whatsapp", f"ana{index}"))
        for _ in range(sessions):
            ana.start_session(replace(next(bundles), address=end.address))
            other.decrypt(end.encrypt(_PLAINTEXT))
            end.decrypt(other.encrypt(_PLAINTEXT))
        made.append((end, other))
    return made


def bundles_of(device: Device, number: int, *, with_kyber: bool = False) -> Iterator[PreKeyBundle]:
    """That many bundles of a device, each with another one-time prekey.

    Args:
        device: who publishes.
        number: how many.
        with_kyber: with Kyber prekeys they start sessions of version 4, without of version 3.
    """
    for start in range(0, number, MAX_ONE_TIME_PREKEYS):
        keys = device.publish(min(number - start, MAX_ONE_TIME_PREKEYS))
        device.confirm_published(keys)
        for index in range(len(keys.one_time_prekeys)):
            bundle = keys.bundle(one_time=index)
            yield bundle if with_kyber else _without_kyber(bundle)


def _without_kyber(bundle: PreKeyBundle) -> PreKeyBundle:
    return replace(bundle, kyber_prekey_id=None, kyber_prekey=None, kyber_prekey_signature=None)


def connect(new_store: NewStore, job: Job, cleanup: ExitStack, *, with_kyber: bool = False) -> Link:
    """Two devices on fresh stores, with one session, and as many archived ones as the job says.

    The first one is over such a store only if it is timed, too: in a ping-pong.
    """
    is_timed = job.operation in ("ping_pong", "ping_pong_v4")
    ana = Device.create(ANA, new_store(cleanup) if is_timed else MemoryStore())
    budi = Device.create(BUDI, new_store(cleanup))
    sessions = 1 + job.parameters.get("archived", 0)
    return links(ana, budi, 1, sessions=sessions, with_kyber=with_kyber)[0]


def hold(number: int) -> object:
    """That many sessions in memory, both ends of each."""
    return links(*devices(_memory, ExitStack()), number)


def devices(new_store: NewStore, cleanup: ExitStack) -> tuple[Device, Device]:
    """Two devices on fresh stores."""
    return Device.create(ANA, new_store(cleanup)), Device.create(BUDI, new_store(cleanup))


def moved(source: MemoryStore, new_store: NewStore, cleanup: ExitStack) -> Device:
    """The device of a store, over another one that holds the same, and was just opened.

    So that a thousand sessions are made in memory, and not with a commit for each message. In
    memory they stay where they are: there is no such thing as opening it.
    """
    if new_store is _memory:
        return Device.open(source)
    store = new_store(cleanup)
    with source.transaction() as old, store.transaction() as new:
        for table in Table:
            for place in old.scan(table):
                new.put(table, *place)
    return Device.open(store)


def in_use(device: Device, addresses: Sequence[Address]) -> Device:
    """The same, after it has written to each of these."""
    for result in device.encrypt_many(addresses, Bytes(_PLAINTEXT)):
        if not isinstance(result, Envelope):
            raise TypeError(f"{type(result).__name__} in the place of an Envelope")
    return device


def device_makers(new_store: NewStore) -> dict[str, Maker]:
    """The makers of all operations of a device over such a store."""

    def publish(job: Job, cleanup: ExitStack) -> Step:
        # A week passes with each step, so that the signed prekey is replaced each time.
        clock = count(1_700_000_000_000, _ROTATION_MS).__next__
        device = Device.create(ANA, new_store(cleanup), clock=clock)
        return lambda: device.confirm_published(device.publish(1))

    def set_up(job: Job, cleanup: ExitStack, *, with_kyber: bool = False) -> Step:
        ana, budi = devices(new_store, cleanup)
        bundles = [
            replace(bundle, address=Address("instagram", f"budi{index}"))
            for index, bundle in enumerate(bundles_of(budi, job.total, with_kyber=with_kyber))
        ]
        senders = [Address("whatsapp", f"ana{index}") for index in range(job.total)]
        meetings = zip(bundles, senders, strict=True)

        def step() -> None:
            bundle, sender = next(meetings)
            ana.start_session(bundle)
            budi.decrypt_raw(sender, *ana.encrypt_raw(bundle.address, _PLAINTEXT))

        return step

    def first_contact(job: Job, cleanup: ExitStack) -> Step:
        ana = Device.create(ANA, new_store(cleanup))
        bundles = iter([_stranger(f"budi{index}") for index in range(job.total)])

        def step() -> None:
            bundle = next(bundles)
            ana.start_session(bundle)
            ana.encrypt_raw(bundle.address, _PLAINTEXT)

        return step

    def fan_out(job: Job, cleanup: ExitStack) -> Step:
        store = MemoryStore()
        made = links(Device.create(ANA, store), Device.create(BUDI, MemoryStore()), job.total)
        addresses = [end.address for end, _ in made]
        ana = in_use(moved(store, new_store, cleanup), addresses)
        recipients = iter(addresses)
        return lambda: ana.encrypt_raw(next(recipients), _PLAINTEXT)

    def turn(job: Job, cleanup: ExitStack) -> Step:
        made = links(*devices(new_store, cleanup), job.total)
        # Each end has answered a first message: what comes next begins a turn, which is read.
        arriving = iter([(other, end.encrypt(_PLAINTEXT)) for end, other in made])

        def step() -> None:
            end, message = next(arriving)
            end.decrypt(message)

        return step

    def safety_number(job: Job, cleanup: ExitStack) -> Step:
        _, end = connect(new_store, job, cleanup)
        return lambda: end.device.safety_number(end.address)

    return {
        **_makers_of_one_session(new_store),
        "bundle_v4": publish,
        "set_up": set_up,
        "set_up_v4": partial(set_up, with_kyber=True),
        "first_contact": first_contact,
        "fan_out": fan_out,
        "turn": turn,
        "safety_number": safety_number,
    }


def _makers_of_one_session(new_store: NewStore) -> dict[str, Maker]:
    made = chain_makers(partial(connect, new_store)) | chain_makers_v4(
        partial(connect, new_store, with_kyber=True)
    )
    archived = {
        "encrypt_archived": made["encrypt"],
        "decrypt_archived": made["decrypt"],
        "encrypt_archived_v4": made["encrypt_v4"],
        "decrypt_archived_v4": made["decrypt_v4"],
    }
    return made | archived


def _stranger(name: str) -> PreKeyBundle:
    device = Device.create(Address("instagram", name), MemoryStore())
    return next(bundles_of(device, 1))
