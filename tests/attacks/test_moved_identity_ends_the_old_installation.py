# SPDX-License-Identifier: Apache-2.0
"""An identity that has moved to another installation leaves the old one without a mailbox.

The attacker: whoever has the old phone, with its store and its token, or an old backup of the
identity; and somebody who has neither, and claims to have moved.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2ecross import Client, Device, Message, Text
from e2ecross.errors import BackendRefused, NotRegistered
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore, Store
from tests.attacks.support import ANA, BUDI, FakeClock, dump
from tests.support.entropy import SeededEntropy

PASSPHRASE = "four words and more"


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "relay.db") as relay:
        yield relay


def install(relay: Relay, device: Device) -> Client:
    client = Client(device, relay)
    client.register()
    return client


def create(relay: Relay, address: object = ANA, store: Store | None = None) -> Client:
    assert address in (ANA, BUDI)
    made = Device.create(
        ANA if address == ANA else BUDI,
        MemoryStore() if store is None else store,
        clock=FakeClock(),
        entropy=SeededEntropy(f"old {address}"),
    )
    return install(relay, made)


def move(backup: bytes, name: str = "new") -> Device:
    store = MemoryStore()
    return Device.import_identity(
        backup, PASSPHRASE, store, clock=FakeClock(), entropy=SeededEntropy(name)
    )


def backup_of(client: Client) -> bytes:
    return client.device.export_identity(PASSPHRASE, cost="interactive")


def texts(client: Client) -> list[object]:
    return [item.content for item in client.receive() if isinstance(item, Message)]


def test_the_old_installation_is_none_any_more(relay: Relay) -> None:
    """It gets nothing, changes nothing at the relay, and nothing in its own store."""
    old, budi = create(relay), create(relay, BUDI)
    budi.send(ANA, Text("read by the old one"))
    assert texts(old) == [Text("read by the old one")]
    new = install(relay, move(backup_of(old)))
    budi.send(ANA, Text("for the new one"))
    waiting, before = relay.waiting(ANA), dump(old.device._context.store)
    calls: list[Callable[[], object]] = [old.receive, old.maintain, old.register]
    for call in calls:
        with pytest.raises((NotRegistered, BackendRefused)):
            call()
        assert dump(old.device._context.store) == before
    with pytest.raises(NotRegistered):
        old.send(BUDI, Text("from the old phone"))
    assert relay.waiting(ANA) == waiting
    assert relay.waiting(BUDI) == []
    assert texts(new) == []  # it was for a session of the old one: asked for again
    assert texts(budi) == []
    assert texts(new) == [Text("for the new one")]
    new.send(BUDI, Text("answer"))
    assert texts(budi) == [Text("answer")]


def test_what_waited_stays_for_the_new_installation(relay: Relay) -> None:
    """What it cannot read, because the session stayed behind, it asks for again."""
    old, budi = create(relay), create(relay, BUDI)
    budi.send(ANA, Text("hello"))
    old.confirm(old.receive())
    backup = backup_of(old)
    budi.send(ANA, Text("while she moves"))
    new = install(relay, move(backup))
    assert texts(new) == []
    assert texts(budi) == []  # answers what it is asked for
    assert texts(new) == [Text("while she moves")]


def test_a_backup_moves_once(relay: Relay) -> None:
    """Who finds the file later, and guesses its passphrase, does not get the address with it."""
    old = create(relay)
    backup = backup_of(old)
    new = install(relay, move(backup))
    thief = Client(move(backup, "thief"), relay)
    before = dump(new.device._context.store)
    with pytest.raises(BackendRefused):
        thief.register()
    assert texts(new) == []
    assert dump(new.device._context.store) == before
    # A backup that was made after the move does.
    again = install(relay, move(backup_of(new), "again"))
    assert texts(again) == []
    with pytest.raises(NotRegistered):
        new.receive()


def test_a_registration_that_was_interrupted_is_repeated(relay: Relay) -> None:
    """The token is drawn once and kept: the claim may have arrived before the crash."""
    old = create(relay)
    device = move(backup_of(old))
    genuine = relay.publish

    def fail(*arguments: object, **keywords: object) -> None:
        raise NotRegistered("cut off")

    relay.publish = fail  # type: ignore[method-assign]
    with pytest.raises(NotRegistered):
        Client(device, relay).register()
    relay.publish = genuine  # type: ignore[method-assign]
    with pytest.raises(NotRegistered):
        old.receive()  # the claim had arrived
    new = install(relay, Device.open(device._context.store, clock=FakeClock()))
    assert texts(new) == []


@pytest.mark.parametrize("guess", [b"", bytes(32), b"\xff" * 32])
def test_nobody_else_moves_an_address(relay: Relay, guess: bytes) -> None:
    old = create(relay)
    before = dump(old.device._context.store)
    with pytest.raises(BackendRefused):
        relay.register(ANA, b"\x11" * 32, replaces=guess)
    assert texts(old) == []
    assert dump(old.device._context.store) == before
