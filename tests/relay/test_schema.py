# SPDX-License-Identifier: Apache-2.0
"""The tables of a relay: one schema, and counters that triggers keep."""

import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendError, MailboxFull
from e2ecross.relay import Relay, RelayLimits
from e2ecross.relay.schema import SCHEMA_VERSION
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from tests.relay.support import ANA, BUDI, TOKO, deposit, envelope, register, shared_rows, token


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.fixture
def filled(path: Path) -> Path:
    """Five envelopes wait in two mailboxes, and something that is none in a third."""
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        for number in (1, 2, 3):
            deposit(relay, token(BUDI), envelope(BUDI, ANA, number).encode())
        deposit(relay, token(TOKO), envelope(TOKO, ANA, 9).encode())
        deposit(relay, token(ANA), envelope(ANA, BUDI, 5).encode())
    # What a hostile operator may have put there.
    change(path, f"INSERT INTO mailbox (recipient, envelope) VALUES ('{TOKO}', x'00')")  # noqa: S608
    return path


def test_a_new_file_has_the_one_schema(path: Path) -> None:
    Relay(path).close()
    assert rows(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)] == [(1,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (0, "is not the file of a relay"),
        (-1, "is not the file of a relay"),
        (2, "upgrade e2ecross"),
    ],
)
def test_a_file_of_another_schema_is_refused_and_not_changed(
    filled: Path, version: int, says: str
) -> None:
    change(filled, f"PRAGMA user_version = {version}")
    before = filled.read_bytes()
    with pytest.raises(BackendError, match=says):
        Relay(filled)
    assert filled.read_bytes() == before
    assert list(filled.parent.iterdir()) == [filled]


def test_a_file_that_many_make_at_once_is_made_once(path: Path) -> None:
    def count(_: int) -> int:
        with Relay(path) as relay:
            return len(relay.waiting(ANA))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(8))) == [0] * 8


def test_what_waits_counts_for_its_senders(filled: Path) -> None:
    limits = RelayLimits(mailbox_messages=10, mailbox_reserve_per_sender=3)
    with Relay(filled, limits=limits) as relay:
        for number in range(10, 16):
            deposit(relay, token(ANA), envelope(ANA, ANA, number).encode())
        with pytest.raises(MailboxFull, match="fewer than 3 of them, not for instagram:budi:"):
            deposit(relay, token(BUDI), envelope(BUDI, ANA, 10).encode())
        deposit(relay, token(TOKO), envelope(TOKO, ANA, 10).encode())
    assert rows(filled, "SELECT recipient, sender, waiting FROM waiting_from ORDER BY 1, 2") == [
        ("instagram:budi.1", "whatsapp:ana", 1),
        ("whatsapp:ana.1", "instagram:budi", 3),
        ("whatsapp:ana.1", "messenger:toko-kopi", 2),
        ("whatsapp:ana.1", "whatsapp:ana", 6),
    ]


def test_the_counts_of_senders_stay_true_whatever_the_operator_does(filled: Path) -> None:
    for statement in (
        "INSERT INTO mailbox (recipient, envelope) SELECT recipient, envelope FROM mailbox",
        "INSERT INTO mailbox (recipient, sender, envelope)"
        " SELECT 'x:b.1', sender, x'' FROM mailbox",
        "UPDATE mailbox SET recipient = 'x:c.1' WHERE number = 3",
        "UPDATE mailbox SET sender = NULL WHERE number = 4",
        "UPDATE mailbox SET sender = 'x:a' WHERE number = 7",
        "DELETE FROM mailbox WHERE number % 3 = 0",
        "UPDATE mailbox SET envelope = x'00'",
    ):
        change(filled, statement)
        counted = "SELECT recipient, sender, waiting FROM waiting_from ORDER BY 1, 2"
        true = (
            "SELECT recipient, sender, COUNT(*) FROM mailbox WHERE sender IS NOT NULL"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        assert rows(filled, counted) == rows(filled, true)


def test_who_wrote_to_whom_is_not_kept_after_delivery(filled: Path) -> None:
    with Relay(filled) as relay:
        for address in (ANA, BUDI, TOKO):
            items = relay.fetch(address, token(address), 100)
            relay.acknowledge(address, token(address), [number for number, _ in items])
    assert rows(filled, "SELECT COUNT(*) FROM waiting_from") == [(0,)]


def test_no_copy_of_an_acknowledged_envelope_stays_in_the_file(path: Path) -> None:
    """Also not in a page that others were removed from beside it."""
    draw = random.Random(3)
    boxes = [Address("instagram", f"budi{number}") for number in range(12)]
    gone: list[bytes] = []
    kept: list[bytes] = []
    with Relay(path) as relay:
        register(relay, ANA, *boxes)
        for turn in range(24):
            batch = [
                Envelope(
                    draw.randbytes(16),
                    ANA,
                    draw.choice(boxes),
                    MessageKind.SIGNAL,
                    draw.randbytes(draw.choice((48, 300, 700, 3_000))),
                ).encode()
                for _ in range(50)
            ]
            assert not relay.deposit_all(token(ANA), batch).refused
            for box in boxes if turn == 23 else draw.sample(boxes, 4):
                waiting = relay.fetch(box, token(box), 1_000)
                read = draw.randrange(len(waiting) + 1)
                relay.acknowledge(box, token(box), [number for number, _ in waiting[:read]])
                gone += [data for _, data in waiting[:read]]
                if turn == 23:
                    kept += [data for _, data in waiting[read:]]
    assert len(gone) > 500
    assert len(kept) > 50
    data = path.read_bytes()
    ends = [part for found in gone for part in (found[-16:], found[-40:-24])]
    assert not [part for part in ends if part in data]
    assert all(found[-16:] in data for found in kept)


def test_no_shared_ciphertext_stays_in_the_file_without_its_copies(path: Path) -> None:
    draw = random.Random(5)
    boxes = sorted((Address("instagram", f"budi{number}") for number in range(12)), key=str)
    gone: list[bytes] = []
    with Relay(path) as relay:
        register(relay, ANA, *boxes)
        for _ in range(120):
            crowd = tuple(sorted(draw.sample(boxes, draw.randint(1, 12)), key=str))
            data = draw.randbytes(draw.choice((48, 300, 3_000, 30_000)))
            message = EnvelopeCopies(draw.randbytes(16), ANA, crowd, data)
            assert not relay.deposit_copies(token(ANA), message.encode()).refused
            gone.append(data)
            for box in draw.sample(boxes, 6):
                waiting = relay.fetch(box, token(box), 1_000)
                read = [number for number, _ in waiting[: draw.randrange(len(waiting) + 1)]]
                relay.acknowledge(box, token(box), read)
        shared_rows(path)
        left = {data[-16:] for box in boxes for _, data in relay.fetch(box, token(box), 1_000)}
    data = path.read_bytes()
    ends = {found[-16:] for found in gone}
    assert len(ends - left) > 20
    assert {end for end in ends if end in data} == left
