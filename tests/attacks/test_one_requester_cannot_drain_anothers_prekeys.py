# SPDX-License-Identifier: Apache-2.0
"""One user cannot use up the one-time prekeys that others publish.

The attacker: a registered user with many devices and all the time in the world, who asks for
bundles as fast as they can, so that first messages to the victim have to do without one-time
prekeys.
"""

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from e2ecross import Address, Client, Device, Message, Policy, Text
from e2ecross.relay import Relay, RelayLimits
from e2ecross.stores import MemoryStore
from tests.attacks.support import ANA, BUDI, TOKO, FakeClock, dump
from tests.relay.support import fetch_bundle

LIMITS = RelayLimits()
PER_WINDOW = LIMITS.one_time_prekeys_per_requester
WINDOW_MS = LIMITS.requester_window_ms
HOUR_MS = 60 * 60 * 1000
MALLORY = [Address("messenger", "mallory", device) for device in (1, 2, 3, 127)]
VICTIM = Policy(one_time_prekeys_low=5, one_time_prekeys_target=25)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def relay(tmp_path: Path, clock: FakeClock) -> Iterator[Relay]:
    with Relay(tmp_path / "relay.db", clock=clock) as relay:
        for device in MALLORY:
            relay.register(device, token(device))
        yield relay


def token(device: Address) -> bytes:
    return bytes([device.device]) * 32


def client(address: Address, relay: Relay, clock: FakeClock) -> Client:
    made = Client(Device.create(address, MemoryStore(), policy=VICTIM, clock=clock), relay)
    made.register()
    return made


def drain(relay: Relay, victim: Address, attempts: int) -> list[int]:
    """Ask from all devices in turn; what each bundle had of one-time prekeys."""
    taken = []
    for number in range(attempts):
        device = MALLORY[number % len(MALLORY)]
        bundle = fetch_bundle(relay, device, token(device), victim)
        if bundle.one_time_prekey_id is not None:
            taken.append(bundle.one_time_prekey_id)
    return taken


def waiting_kinds(relay: Relay, address: Address) -> list[bool]:
    """Whether each first message that waits rests on a one-time prekey (field 1 of its wrapper)."""
    return [envelope.ciphertext[1] == 0x08 for envelope in relay.waiting(address)]


def test_one_user_gets_a_few_and_everybody_else_the_rest(relay: Relay, clock: FakeClock) -> None:
    budi = client(BUDI, relay, clock)
    others = [client(a, relay, clock) for a in (ANA, TOKO)]
    before = dump(budi.device._context.store)
    taken = drain(relay, BUDI, 300)
    assert len(taken) == len(set(taken)) == PER_WINDOW
    assert dump(budi.device._context.store) == before, "what is handed out can still be opened"
    for other in others:
        other.send(BUDI, Text("halo"))
    assert waiting_kinds(relay, BUDI) == [True, True]
    items = budi.receive()
    assert [item.content for item in items if isinstance(item, Message)] == [Text("halo")] * 2


def test_who_took_too_many_can_still_begin_a_conversation(relay: Relay, clock: FakeClock) -> None:
    """An honest user with many devices, or after many resets, is not cut off."""
    budi = client(BUDI, relay, clock)
    assert len(drain(relay, BUDI, 100)) == PER_WINDOW
    late = client(Address("messenger", "mallory", 5), relay, clock)
    late.send(BUDI, Text("the eleventh"))
    assert waiting_kinds(relay, BUDI) == [False]
    (message,) = budi.receive()
    assert isinstance(message, Message)
    assert message.content == Text("the eleventh")


def test_days_of_asking_get_no_further(relay: Relay, clock: FakeClock) -> None:
    """The victim is offline and makes no new ones."""
    client(BUDI, relay, clock)
    begin, times = clock.now_ms, []
    while clock.now_ms < begin + 2 * WINDOW_MS:
        times += [clock.now_ms] * len(drain(relay, BUDI, 20))
        clock.now_ms += HOUR_MS
    assert len(times) == 2 * PER_WINDOW
    windows = sorted(set(times))
    assert all(later - earlier >= WINDOW_MS for earlier, later in pairwise(windows))


def test_a_restarted_relay_remembers_and_asking_makes_it_remember_no_more(
    relay: Relay, clock: FakeClock
) -> None:
    victims = [Address("instagram", f"victim-{n}") for n in range(3)]
    for victim in victims:
        client(victim, relay, clock)
        drain(relay, victim, 50)
    relay.close()
    with Relay(relay.path, clock=clock) as again:
        for victim in victims:
            assert drain(again, victim, 50) == []
    connection = sqlite3.connect(relay.path)
    (rows,) = connection.execute("SELECT COUNT(*) FROM prekey_requests").fetchone()
    connection.close()
    assert rows == len(victims)
