# SPDX-License-Identifier: Apache-2.0
"""Operations on accounts of several devices, over each store; all sessions are of version 4.

The devices of an account are listed without being linked (`accounts.py`). Between the ends is a
`Relay` on a file of its own, which has their lists and keys.
"""

import gc
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from benchmarks.contestants.accounts import account_of, hold, own_list, sign_devices
from benchmarks.contestants.clients import content_of, registered
from benchmarks.contestants.devices import ANA, BUDI, NewStore, bundles_of, moved
from benchmarks.contestants.many import require_all
from benchmarks.implementation import Measure
from benchmarks.job import Job, Maker, Step
from e2ecross import Bytes, Client, Device, Envelope, UserId
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore
from e2ecross.wire.exchange import Deposited

__all__ = ["Nowhere", "further_measures", "relay_in", "several_makers", "with_account"]

_Prepare = Callable[[NewStore, Job, int, ExitStack], Step]
_GREETING: Final = Bytes(b"halo")


def several_makers(new_store: NewStore) -> dict[str, Maker]:
    """The makers of operations of a device or a client over such a store."""

    def send(job: Job, cleanup: ExitStack) -> Step:
        return _send(new_store, job, job.parameters["devices"], cleanup)

    def encrypt(job: Job, cleanup: ExitStack) -> Step:
        ana, budis = with_account(new_store, job.parameters["devices"], cleanup)
        addresses, content = [budi.address for budi in budis], content_of(job)

        def step() -> None:
            for address in addresses:
                ana.encrypt(address, content)

        return step

    def first_contact(job: Job, cleanup: ExitStack) -> Step:
        accounts, devices = job.parameters["accounts"], job.parameters["devices"]
        relay = relay_in(cleanup)
        ana, content = registered(Device.create(ANA, new_store(cleanup)), relay), content_of(job)
        strangers = [
            _strangers(relay, UserId(BUDI.app, f"budi{number}"), devices)
            for number in range(job.total * accounts)
        ]
        meetings = iter(strangers)

        def step() -> None:
            for _ in repeat(None, accounts):
                _send_copies(ana, next(meetings), content, devices)

        return step

    return {
        "client_send_devices": send,
        "encrypt_devices": encrypt,
        "client_first_contact": first_contact,
    }


def further_measures(new_store: NewStore) -> dict[str, Measure]:
    """What one more device or recipient costs over such a store, in seconds."""
    prepared: dict[str, _Prepare] = {
        "client_send_further": _send,
        "client_encrypt_further": _send_nowhere,
        "encrypt_many_further": _encrypt_many,
    }
    return {name: _further(new_store, prepare) for name, prepare in prepared.items()}


def with_account(
    new_store: NewStore, number: int, cleanup: ExitStack
) -> tuple[Device, Sequence[Device]]:
    """A device over such a store, and an account of that many, all of which have answered it."""
    store = MemoryStore()
    ana, budis = Device.create(ANA, store), account_of(BUDI.user_id, number)
    own = own_list(ana)
    hold(ana, [sign_devices(*budis)])
    for budi in budis:
        hold(budi, [own])
        ana.start_session(next(bundles_of(budi, 1, with_kyber=True)))
        budi.decrypt(ana.encrypt(budi.address, _GREETING))
        ana.decrypt(budi.encrypt(ANA, _GREETING))
    return moved(store, new_store, cleanup), budis


class Nowhere(Relay):
    """A back end that takes every envelope at once, and keeps none."""

    def deposit_all(self, *arguments: object, **others: object) -> Deposited:
        return Deposited()

    def deposit_copies(self, *arguments: object, **others: object) -> Deposited:
        return Deposited()


def _send(
    new_store: NewStore,
    job: Job,
    number: int,
    cleanup: ExitStack,
    backend: Callable[[Path], Relay] = Relay,
) -> Step:
    """Send to an account of that many devices."""
    device, budis = with_account(new_store, number, cleanup)
    relay = relay_in(cleanup, backend)
    _publish_account(relay, budis)
    ana, content = registered(device, relay), content_of(job)
    return lambda: _send_copies(ana, BUDI.user_id, content, number)


def _send_nowhere(new_store: NewStore, job: Job, number: int, cleanup: ExitStack) -> Step:
    """The same to a back end that does nothing."""
    return _send(new_store, job, number, cleanup, Nowhere)


def _encrypt_many(new_store: NewStore, job: Job, number: int, cleanup: ExitStack) -> Step:
    """Encrypt to the same devices, of whose account nothing is asked."""
    ana, budis = with_account(new_store, number, cleanup)
    addresses, content = [budi.address for budi in budis], content_of(job)
    return lambda: require_all(ana.encrypt_many(addresses, content), Envelope)


def _send_copies(client: Client, user: UserId, content: Bytes, number: int) -> None:
    """Send; refuse to have measured anything but that many copies, all of which were taken."""
    deliveries = client.send(user, content).deliveries
    if len(deliveries) != number or any(delivery.problem for delivery in deliveries):
        raise ValueError(f"not {number} copies, all of them taken: {deliveries}")


def _further(new_store: NewStore, prepare: _Prepare) -> Measure:
    """What one device more costs: the difference of two accounts, by the devices between them.

    They take turns, and what counts is the median of their differences: a commit takes now longer
    and now shorter, by more than what is looked for.
    """

    def measure(job: Job) -> float:
        numbers = job.parameters["fewer"], job.parameters["more"]
        with ExitStack() as cleanup:
            fewer, more = (prepare(new_store, job, number, cleanup) for number in numbers)
            for _ in repeat(None, job.warmup):
                fewer()
                more()
            gc.collect()
            gc.disable()
            try:
                pairs = [_difference(fewer, more) for _ in range(job.count * job.blocks)]
            finally:
                gc.enable()
        return median(pairs) / (numbers[1] - numbers[0])

    return measure


def _difference(fewer: Step, more: Step) -> float:
    start = perf_counter()
    fewer()
    between = perf_counter()
    more()
    return (perf_counter() - between) - (between - start)


def _strangers(relay: Relay, user: UserId, number: int) -> UserId:
    """An account of that many devices, whose keys are at the relay."""
    devices = account_of(user, number)
    _publish_account(relay, devices)
    for device in devices:
        relay.publish(_token(device), device.publish(1))
    return user


def _publish_account(relay: Relay, devices: Sequence[Device]) -> None:
    """Register the devices of an account, and publish their list."""
    primary, *companions = devices
    relay.register(primary.address, _token(primary))
    tokens = {one.address.device: sha256(_token(one)).digest() for one in companions}
    relay.publish_devices(_token(primary), sign_devices(*devices).encode(), tokens)


def _token(device: Device) -> bytes:
    return sha256(str(device.address).encode()).digest()


def relay_in(cleanup: ExitStack, backend: Callable[[Path], Relay] = Relay) -> Relay:
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
    relay = backend(folder / "relay.db")
    cleanup.callback(relay.close)
    return relay
