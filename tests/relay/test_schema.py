# SPDX-License-Identifier: Apache-2.0
"""Files of older releases, and counters that triggers keep."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2ecross.errors import BackendError, MailboxFull
from e2ecross.relay import Relay, RelayLimits, schema
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    envelope,
    published,
    take,
    take_both,
    token,
)

OLD = Path(__file__).parents[1] / "data" / "relay-schema-1.sqlite"


@pytest.fixture
def old(path: Path) -> Path:
    """The frozen file of schema 1: tests/data/build_relay_schema_1.py says what is in it."""
    shutil.copyfile(OLD, path)
    return path


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_the_old_file_is_of_schema_1(old: Path) -> None:
    assert rows(old, "PRAGMA user_version") == [(1,)]


def test_an_old_file_opens_and_nothing_is_lost(old: Path, clock: FakeClock) -> None:
    with Relay(old, clock=clock) as relay:
        assert [relay.epoch(a, token(a)) for a in (ANA, BUDI, TOKO)] == [0, 0, 0]
        waiting = [envelope(BUDI, ANA, n) for n in (1, 2, 3)] + [envelope(TOKO, ANA, 9)]
        assert relay.waiting(ANA) == waiting
        assert relay.waiting(BUDI) == [envelope(ANA, BUDI, 5)]
        relay.deposit(token(BUDI), envelope(BUDI, ANA, 0).encode())  # acknowledged before
        relay.deposit(token(BUDI), envelope(BUDI, ANA, 1).encode())  # waits
        assert relay.waiting(ANA) == waiting
        assert relay.fetch(TOKO, token(TOKO), 10) == [(7, b"not an envelope")]
        assert relay.one_time_prekey_count(ANA, token(ANA)) == 3
        relay.publish(token(ANA), published(ANA, range(1, 5)), epoch=5)
        assert [take(relay, BUDI, ANA) for _ in range(4)] == [2, 3, 4, None]
        relay.acknowledge(TOKO, token(TOKO), [7])
        relay.deposit(token(ANA), envelope(ANA, TOKO).encode(), epoch=6)
        assert relay.epoch(ANA, token(ANA)) == 6
        assert relay.fetch(TOKO, token(TOKO), 10) == [(8, envelope(ANA, TOKO).encode())]


def test_a_file_of_schema_2_opens_and_nothing_is_lost(path: Path, clock: FakeClock) -> None:
    shutil.copyfile(OLD.with_name("relay-schema-2.sqlite"), path)  # as build_relay_schema_2.py says
    assert rows(path, "PRAGMA user_version") == [(2,)]
    query = "SELECT number, address, id, public_key, epoch FROM one_time_prekeys ORDER BY number"
    before = rows(path, query)
    with Relay(path, clock=clock) as relay:
        assert rows(path, query) == before
        assert [relay.epoch(a, token(a)) for a in (ANA, BUDI)] == [4, 10]
        assert [relay.one_time_prekey_count(a, token(a)) for a in (ANA, BUDI)] == [5, 2]
        assert relay.waiting(ANA) == [envelope(BUDI, ANA, 1)]
        # Handed-out and withdrawn ones do not come back, and 9 of the allowance are left.
        relay.publish(token(ANA), published(ANA, range(1, 5)), epoch=3)
        relay.publish(token(BUDI), published(BUDI, range(1, 4)), epoch=1)
        relay.publish(token(BUDI), published(BUDI, range(1, 4)), epoch=10)
        assert [take_both(relay, ANA, BUDI) for _ in range(3)] == [
            (3, None),
            (4, None),
            (None,) * 2,
        ]
        # Its new release publishes both kinds; the ids of one kind say nothing of the other.
        relay.publish(token(ANA), published(ANA, range(10, 30), kyber=range(1, 21)), epoch=11)
        taken = [take_both(relay, BUDI, ANA) for _ in range(10)]
        assert taken[:7] == [(2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (10, 6), (11, 7)]
        assert taken[8:] == [(13, 9), (None, 1_000_007)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_of_schema_2_and_a_new_one_have_the_same_tables(path: Path, tmp_path: Path) -> None:
    shutil.copyfile(OLD.with_name("relay-schema-2.sqlite"), path)
    Relay(path).close()
    Relay(tmp_path / "new.db").close()
    query = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert rows(path, query) == rows(tmp_path / "new.db", query)


def test_what_waits_in_an_old_file_counts_for_its_senders(old: Path) -> None:
    limits = RelayLimits(mailbox_messages=10, mailbox_reserve_per_sender=3)
    with Relay(old, limits=limits) as relay:
        for number in range(10, 16):
            relay.deposit(token(ANA), envelope(ANA, ANA, number).encode())
        with pytest.raises(MailboxFull, match="fewer than 3 of them, not for instagram:budi:"):
            relay.deposit(token(BUDI), envelope(BUDI, ANA, 10).encode())
        relay.deposit(token(TOKO), envelope(TOKO, ANA, 10).encode())
    assert rows(old, "SELECT recipient, sender, waiting FROM waiting_from ORDER BY 1, 2") == [
        ("instagram:budi.1", "whatsapp:ana", 1),
        ("whatsapp:ana.1", "instagram:budi", 3),
        ("whatsapp:ana.1", "messenger:toko-kopi", 2),
        ("whatsapp:ana.1", "whatsapp:ana", 6),
    ]


def test_an_old_file_and_a_new_one_have_the_same_tables(old: Path, tmp_path: Path) -> None:
    Relay(old).close()
    Relay(tmp_path / "new.db").close()
    query = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert rows(old, query) == rows(tmp_path / "new.db", query)
    assert rows(old, "PRAGMA user_version") == [(3,)]
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]


def test_an_interrupted_migration_leaves_the_old_file(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "SELECT name, sql FROM sqlite_master ORDER BY name"
    before = rows(old, query)
    with monkeypatch.context() as patch:
        *earlier, last = schema.SCHEMAS
        patch.setattr(schema, "SCHEMAS", (*earlier, (*last, "no SQL")))
        with pytest.raises(BackendError, match="SQLite reports: near"):
            Relay(old)
    assert rows(old, query) == before
    assert rows(old, "PRAGMA user_version") == [(1,)]
    Relay(old).close()


def test_an_old_file_that_many_open_at_once_is_migrated_once(old: Path) -> None:
    def count(_: int) -> int:
        with Relay(old) as relay:
            return len(relay.waiting(ANA))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(8))) == [4] * 8


def test_the_counts_of_senders_stay_true_whatever_the_operator_does(old: Path) -> None:
    Relay(old).close()
    for change in (
        "INSERT INTO mailbox (recipient, envelope) SELECT recipient, envelope FROM mailbox",
        "INSERT INTO mailbox (recipient, sender, envelope)"
        " SELECT 'x:b.1', sender, x'' FROM mailbox",
        "UPDATE mailbox SET recipient = 'x:c.1' WHERE number = 3",
        "UPDATE mailbox SET sender = NULL WHERE number = 4",
        "UPDATE mailbox SET sender = 'x:a' WHERE number = 7",
        "DELETE FROM mailbox WHERE number % 3 = 0",
        "UPDATE mailbox SET envelope = x'00'",
    ):
        connection = sqlite3.connect(old)
        with connection:
            connection.execute(change)
        connection.close()
        counted = "SELECT recipient, sender, waiting FROM waiting_from ORDER BY 1, 2"
        true = (
            "SELECT recipient, sender, COUNT(*) FROM mailbox WHERE sender IS NOT NULL"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        assert rows(old, counted) == rows(old, true)


def test_who_wrote_to_whom_is_not_kept_after_delivery(old: Path) -> None:
    with Relay(old) as relay:
        for address in (ANA, BUDI, TOKO):
            items = relay.fetch(address, token(address), 100)
            relay.acknowledge(address, token(address), [number for number, _ in items])
    assert rows(old, "SELECT COUNT(*) FROM waiting_from") == [(0,)]
