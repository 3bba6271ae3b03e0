# SPDX-License-Identifier: Apache-2.0
"""Stores that earlier releases wrote, opened by this one: nothing is lost, and all goes on."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import Client, Device, Envelope, PublishedKeys, Text
from e2ecross.errors import DuplicateMessage
from e2ecross.state.context import require_device, save_device
from e2ecross.state.outbox import list_outbox
from e2ecross.stores import SQLiteStore, Table
from tests.support.devices import (
    BUDI,
    STORE_KEY,
    TOKO,
    BackendSimulator,
    FakeClock,
    count_rows,
    dump,
    say,
)
from tests.support.entropy import SeededEntropy

DATA = Path(__file__).parents[1] / "data"
LATE = Envelope.decode((DATA / "store-schema-2-late.bin").read_bytes())


class Old:
    """The two devices of tests/data/build_store_schema_2.py."""

    def __init__(self, folder: Path) -> None:
        for name in ("plain", "sealed"):
            shutil.copy(DATA / f"store-schema-2-{name}.sqlite", folder / f"{name}.db")
        self.clock = FakeClock()
        self.anas = SQLiteStore(folder / "plain.db")
        self.budis = SQLiteStore(folder / "sealed.db", key=STORE_KEY)
        self.ana = self.open(self.anas, "ana")
        self.budi = self.open(self.budis, "budi")

    def open(self, store: SQLiteStore, seed: str) -> Device:
        return Device.open(store, clock=self.clock, entropy=SeededEntropy(f"{seed} again"))


@pytest.fixture
def old(tmp_path: Path) -> Old:
    return Old(tmp_path)


def test_every_row_is_still_there(tmp_path: Path) -> None:
    file = shutil.copy(DATA / "store-schema-2-plain.sqlite", tmp_path / "plain.db")
    connection = sqlite3.connect(file)
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    written = {
        (name, *row)
        for name in names
        if name != "store_meta"
        for row in connection.execute(f"SELECT partition, row, record FROM {name}")  # noqa: S608
    }
    connection.close()
    with SQLiteStore(file) as store:
        found = dump(store)
    assert {(table.value, *place, record) for (table, *place), record in found.items()} == written
    assert len(written) == 14


def test_conversations_go_on(old: Old) -> None:
    assert old.ana.decrypt(LATE).content == Text("late")  # by a message key that was kept
    with pytest.raises(DuplicateMessage):
        old.ana.decrypt(LATE)
    with old.anas.transaction() as tx:
        [waiting] = list_outbox(tx)
    assert waiting.envelope is not None
    assert old.budi.decrypt(waiting.envelope).content == Text("waits")
    say(old.ana, old.budi, "halo")
    say(old.budi, old.ana, "halo juga")
    assert old.ana.has_session(TOKO)


def test_the_publication_of_the_old_release_comes_first_byte_for_byte(old: Old) -> None:
    before = dump(old.anas)
    first = old.ana.publish(7)
    assert dump(old.anas) == before
    assert (len(first.one_time_prekeys), first.last_resort_kyber_prekey) == (3, None)
    assert first.encode() in before[Table.DEVICE, b"", b""]
    old.ana.confirm_published(PublishedKeys.decode(first.encode()))
    second = old.ana.publish(7)
    assert (len(second.one_time_prekeys), len(second.kyber_prekeys)) == (7, 7)
    assert second.last_resort_kyber_prekey is not None
    ids = [prekey.id for prekey in first.one_time_prekeys] + [first.signed_prekey.id]
    assert min(prekey.id for prekey in second.one_time_prekeys) > max(ids)


def test_kyber_prekeys_are_made_with_the_next_publication(old: Old) -> None:
    assert count_rows(old.budis, Table.KYBER_PREKEYS) == 0
    published = old.budi.publish(2)
    assert len(published.kyber_prekeys) == 2
    assert count_rows(old.budis, Table.KYBER_PREKEYS) == 3
    old.budi.confirm_published(published)
    assert old.budi.publish(0).last_resort_kyber_prekey == published.last_resort_kyber_prekey


def test_maintaining_publishes_kyber_prekeys_although_nothing_else_is_due(old: Old) -> None:
    backend = BackendSimulator()
    client = Client(old.budi, backend)
    client.register()
    with old.budis.transaction() as tx:  # as if the old release had registered it
        device = replace(require_device(tx), last_resort_kyber_prekey_id=0)
        save_device(tx, device)
        for partition, row, _ in list(tx.scan(Table.KYBER_PREKEYS)):
            tx.delete(Table.KYBER_PREKEYS, partition, row)
    client.maintain()
    published = backend.published(BUDI)
    assert published.last_resort_kyber_prekey is not None
    assert published.last_resort_kyber_prekey.id > device.next_prekey_id
