# SPDX-License-Identifier: Apache-2.0
"""Databases that fail over, and copied ones: what a client, and a relay, do then.

Two servers in folders; a store is reached by the names of both, as behind a name that follows the
primary. That a minute is over is written into the database, whose clock counts it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2ecross import Address, Client, Device, Text
from e2ecross.errors import BackendError, RestoredStore, StoreBusy, StoreError, StoreMoved
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore
from tests.client.conversation import read
from tests.relay.support import deposit, envelope, register, token
from tests.support.devices import ANA, BUDI
from tests.support.postgres import Server, require_postgres

if TYPE_CHECKING:
    from e2ecross.stores import PostgresStore

_TEXTS = 12
CITRA = Address("messenger", "citra")


class Pair:
    """A primary, and what shall take its place."""

    def __init__(self) -> None:
        self.primary, self.standby = Server(), Server()

    def address(self) -> str:
        """How whoever is the primary is reached."""
        folders = f"{self.primary.folder},{self.standby.folder}"
        return f"postgresql://relay@/postgres?host={folders}&target_session_attrs=read-write"

    def begin(self) -> None:
        """Start the primary, without a standby."""
        from e2ecross.stores.postgres_tables import migrate

        self.primary.make()
        self.primary.start()
        migrate(self.primary.address())

    def follow(self, *, synchronous: bool) -> None:
        """Start a standby, for which commits wait or do not wait."""
        self.standby.copy(self.primary)
        self.standby.start()
        if synchronous:
            self.primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.primary.ask("SELECT pg_reload_conf()")

    def fail_over(self) -> None:
        """The primary is gone for good, at once; the standby takes its place."""
        self.primary.stop(3)
        self.standby.promote()

    def open(self) -> "PostgresStore":
        from e2ecross.stores import PostgresStore

        return PostgresStore(self.address(), stripes=64, busy_timeout_ms=2_000)

    def remove(self) -> None:
        self.standby.remove()
        self.primary.remove()


@pytest.fixture
def pair() -> Iterator[Pair]:
    require_postgres()
    made = Pair()
    try:
        made.begin()
        yield made
    finally:
        made.remove()


@pytest.fixture
def budi(relay: Relay) -> Client:
    client = Client(Device.create(BUDI, MemoryStore()), relay)
    client.register()
    return client


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "relay.db") as made:
        yield made


def register_ana(store: "PostgresStore", relay: Relay) -> Client:
    client = Client(Device.create(ANA, store), relay)
    client.register()
    return client


def let_a_minute_pass(server: Server) -> None:
    server.ask("UPDATE e2ecross.stores SET moved_at = moved_at - interval '61 seconds'")


def expect_moved(client: Client) -> None:
    """Once that the connections of before are gone, it is told until a minute is over."""
    for _ in range(3):
        with pytest.raises(StoreBusy) as caught:
            client.send(BUDI, Text("too early"))
    assert isinstance(caught.value, StoreMoved)
    assert "try again in " in str(caught.value)


def test_a_synchronous_standby_goes_on_after_a_minute_and_has_lost_nothing(
    pair: Pair, relay: Relay, budi: Client
) -> None:
    pair.follow(synchronous=True)
    with pair.open() as store:
        ana = register_ana(store, relay)
        sent = [f"message {number}" for number in range(_TEXTS)]
        for text in sent:
            ana.send(BUDI, Text(text))
        pair.fail_over()
        expect_moved(ana)
        late = Client(Device.open(store), relay)  # a worker that starts now
        expect_moved(late)
        assert read(budi) == sent
        let_a_minute_pass(pair.standby)
        ana.send(BUDI, Text("after"))
        late.send(BUDI, Text("from another worker"))
        assert read(budi) == ["after", "from another worker"]
        assert pair.standby.ask("SELECT moved_at FROM e2ecross.stores") == [(None,)]
        budi.send(ANA, Text("answer"))
        assert read(ana) == ["answer"]


def test_an_asynchronous_standby_that_has_lost_a_commit_is_refused(
    pair: Pair, relay: Relay, budi: Client
) -> None:
    pair.follow(synchronous=False)
    with pair.open() as store:
        ana = register_ana(store, relay)
        ana.send(BUDI, Text("before"))
        pair.standby.stop()  # it lags behind for good
        ana.send(BUDI, Text("lost"))
        pair.primary.stop(3)
        pair.standby.start()
        pair.standby.promote()
        expect_moved(ana)
        let_a_minute_pass(pair.standby)
        for _ in range(2):
            with pytest.raises(RestoredStore):
                ana.send(BUDI, Text("of a lost state"))
            with pytest.raises(RestoredStore):
                ana.receive()
        assert read(budi) == ["before", "lost"]
        with pytest.raises(RestoredStore):
            Client(Device.open(store), relay).receive()
        restored = Client(Device.open(store, restored=True), relay)
        restored.send(BUDI, Text("of a new session"))
        assert read(budi) == ["of a new session"]
        budi.send(ANA, Text("answer"))
        assert read(restored) == ["*restored", "answer"]


def test_a_device_alone_is_told_until_somebody_accepts_the_move(
    pair: Pair, relay: Relay, budi: Client
) -> None:
    pair.follow(synchronous=True)
    with pair.open() as store:
        ana = register_ana(store, relay)
        ana.send(BUDI, Text("before"))
        pair.fail_over()
        device = ana.device
        for _ in range(2):
            with pytest.raises(StoreBusy):
                device.encrypt(BUDI, Text("halo"))
        let_a_minute_pass(pair.standby)
        with pytest.raises(StoreMoved):
            device.encrypt(BUDI, Text("halo"))
        store.accept_move()
        device.encrypt(BUDI, Text("halo"))


def test_of_a_copied_data_directory_whoever_is_behind_in_a_stripe_stops(
    pair: Pair, relay: Relay, budi: Client
) -> None:
    """Both have one system identifier and one timeline: nothing but the epochs tells."""
    from e2ecross.stores import PostgresStore

    citra = Client(Device.create(CITRA, MemoryStore()), relay)
    citra.register()
    with pair.open() as store:
        ana = register_ana(store, relay)
        for who in (BUDI, CITRA):
            ana.send(who, Text("before"))
        stripes = {ana._context.stripe_of(who.user_id) for who in (BUDI, CITRA)}
        assert len(stripes) == 2
        pair.primary.stop()
        pair.standby.copy_stopped(pair.primary)
        pair.primary.start()
        pair.standby.start()
        with PostgresStore(pair.standby.address()) as copy:
            other = Client(Device.open(copy), relay)
            for _ in range(2):  # one alone is noticed a message late
                other.send(CITRA, Text("of the copy"))  # it is ahead in this stripe
                ana.send(BUDI, Text("of the original"))  # and the original in this one
            with pytest.raises(RestoredStore):
                other.send(BUDI, Text("of the copy, behind"))
            with pytest.raises(RestoredStore):
                ana.send(CITRA, Text("of the original, behind"))
            for client in (ana, other):  # nothing leaves either of them any more
                for who in (BUDI, CITRA):
                    with pytest.raises(RestoredStore):
                        client.send(who, Text("later"))
            for each in (store, copy):  # nor one that begins now
                with pytest.raises(RestoredStore):
                    Client(Device.open(each), relay).send(BUDI, Text("later"))


def test_what_a_relay_has_answered_is_on_the_synchronous_standby(pair: Pair) -> None:
    pair.follow(synchronous=True)
    with Relay(pair.address()) as relay:
        register(relay, ANA, BUDI)
        for number in range(_TEXTS):
            deposit(relay, token(ANA), envelope(ANA, BUDI, number).encode())
        pair.primary.stop(3)
        with pytest.raises(BackendError):
            relay.fetch(BUDI, token(BUDI), 100)
        pair.standby.promote()
        try:
            waiting = relay.fetch(BUDI, token(BUDI), 100)
        except BackendError:  # of a connection that was on its way
            waiting = relay.fetch(BUDI, token(BUDI), 100)
        assert len(waiting) == _TEXTS
        deposit(relay, token(ANA), envelope(ANA, BUDI, _TEXTS).encode())
        assert len(relay.fetch(BUDI, token(BUDI), 100)) == _TEXTS + 1


def test_nobody_opens_a_standby(pair: Pair) -> None:
    from e2ecross.stores import PostgresStore

    pair.follow(synchronous=False)
    with pytest.raises(StoreError, match="standby"):
        PostgresStore(pair.standby.address())
    with pytest.raises(BackendError, match="standby"):
        Relay(pair.standby.address())
