# SPDX-License-Identifier: Apache-2.0
"""An outbox with damaged rows: what is still known of it, and how it goes on."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from e2ecross import Address
from e2ecross.errors import RecordCorrupted
from e2ecross.state.backlog_times import put_leaving
from e2ecross.state.outbox import (
    BACKLOG_ROW,
    TURNS,
    Backlog,
    BacklogName,
    TurnKind,
    block_backlog,
    list_backlog,
    put_envelope,
    put_resend,
    read_backlog,
    save_backlog,
)
from e2ecross.state.outbox_repair import list_backlogs, read_rows, rebuild_backlog, repair_backlog
from e2ecross.state.queue import number_row
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table, Transaction
from e2ecross.wire.envelope import Envelope, MessageKind
from tests.support.devices import ANA, BUDI, MESSAGE_ID, STORE_KEY, TOKO, dump

MESSAGES = Backlog(BacklogName.MESSAGES, BUDI)
BAD = b"\x01\xff"


def message_id(number: int) -> bytes:
    return number.to_bytes(16)


def fill(store: Store, count: int, recipient: Address = BUDI) -> None:
    with store.transaction() as tx:
        for number in range(1, count + 1):
            put_envelope(
                tx, Envelope(message_id(number), ANA, recipient, MessageKind.SIGNAL, b"%d" % number)
            )


def damage(store: Store, *rows: bytes, partition: bytes = MESSAGES.partition) -> None:
    with store.transaction() as tx:
        for row in rows:
            assert tx.get(Table.OUTBOX, partition, row) is not None
            tx.put(Table.OUTBOX, partition, row, BAD)


def test_a_backlog_that_is_whole_stays_as_it_is() -> None:
    store = MemoryStore()
    fill(store, 3)
    before = dump(store)
    with store.transaction() as tx:
        assert not rebuild_backlog(tx, MESSAGES)
        assert repair_backlog(tx, MESSAGES) == []
    assert dump(store) == before


@pytest.mark.parametrize("is_lost", [True, False])
@pytest.mark.parametrize("leaves", [True, False])
def test_nothing_is_put_in_the_place_of_what_waits(is_lost: bool, leaves: bool) -> None:
    """Where a backlog's own row is lost, or is one of before."""
    store = MemoryStore(64)

    def put(tx: Transaction, number: int) -> None:
        envelope = Envelope(message_id(number), ANA, BUDI, MessageKind.SIGNAL, b"%d" % number)
        if leaves:
            put_leaving(tx, envelope, envelope.encode(), 0)
        else:
            put_envelope(tx, envelope)

    with store.transaction(1) as tx:
        put(tx, 1)
        before = read_backlog(tx, MESSAGES)
        assert before is not None
        put(tx, 2)
        if is_lost:
            tx.delete(Table.OUTBOX, MESSAGES.partition, BACKLOG_ROW)
        else:
            save_backlog(tx, MESSAGES, before)
        for _ in range(2):
            with pytest.raises(RecordCorrupted, match="more than is counted"):
                put(tx, 3)
        assert rebuild_backlog(tx, MESSAGES)
        put(tx, 3)
        found = [item.message_id for item in list_backlog(tx, MESSAGES)]
        assert found == [message_id(number) for number in (1, 2, 3)]


def test_an_empty_backlog_needs_no_repair() -> None:
    with MemoryStore().transaction() as tx:
        assert not rebuild_backlog(tx, MESSAGES)
        assert list_backlog(tx, MESSAGES) == repair_backlog(tx, MESSAGES) == []
        assert list_backlogs(tx) == []


def test_rows_say_what_they_can() -> None:
    store = MemoryStore()
    fill(store, 4)
    damage(store, number_row(2), number_row(3), message_id(3), message_id(4))
    with store.transaction() as tx:
        rows = read_rows(tx, MESSAGES)
        assert rows.numbers == [1, 2, 3, 4]
        assert rows.damaged == {2, 3}
        assert rows.message_ids == {1: message_id(1), 2: message_id(2)}
        # What has a name is encrypted anew, what has none is forgotten.
        found = [(item.number, item.message_id) for item in repair_backlog(tx, MESSAGES)]
        assert found == [(2, message_id(2)), (3, b"")]
        assert [item.number for item in list_backlog(tx, MESSAGES)] == [1, 2, 4]


@pytest.mark.parametrize("is_blocked", [False, True])
def test_a_damaged_backlog_is_ready_again_with_one_turn(is_blocked: bool) -> None:
    store = MemoryStore()
    fill(store, 3)
    fill(store, 1, TOKO)
    with store.transaction() as tx:
        if is_blocked:
            block_backlog(tx, MESSAGES, "untrusted_identity", bytes(33))
        tx.delete(Table.OUTBOX, MESSAGES.partition, number_row(1))
    damage(store, b"")
    with store.transaction() as tx:
        assert rebuild_backlog(tx, MESSAGES)
        record = read_backlog(tx, MESSAGES)
        assert record is not None
        assert (record.first, record.next, record.code, record.untrusted_key) == (2, 4, "", b"")
        others = Backlog(BacklogName.MESSAGES, TOKO)
        # Where backlogs have no turns they stand in the store's order.
        expected = [MESSAGES, others] if store.stripes else [others, MESSAGES]
        assert list_backlogs(tx) == expected
        assert [item.number for item in list_backlog(tx, MESSAGES)] == [2, 3]


def test_backlogs_without_their_turns_come_behind_the_others() -> None:
    store = MemoryStore()
    fill(store, 1)
    fill(store, 1, TOKO)
    with store.transaction() as tx:
        put_resend(tx, BUDI, MESSAGE_ID)
    turns = TURNS + bytes((BacklogName.MESSAGES, TurnKind.READY))
    damage(store, number_row(1), partition=turns)
    with store.transaction() as tx:
        backlogs = [
            Backlog(BacklogName.MESSAGES, TOKO),
            Backlog(BacklogName.REQUESTS, BUDI),
            MESSAGES,
        ]
        assert list_backlogs(tx) == backlogs


@contextmanager
def changed(path: Path, *changes: tuple[int, bytes]) -> Iterator[Transaction]:
    """A transaction of a sealed file in which rows were changed: how many, and which."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for count, row in changes:
            damaged = connection.execute(
                "UPDATE outbox SET record = zeroblob(60) WHERE row = ?", (row,)
            )
            assert damaged.rowcount == count
    with SQLiteStore(path, key=STORE_KEY) as store, store.transaction() as tx:
        yield tx


def test_of_a_sealed_file_what_opens_is_found(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    with SQLiteStore(path, key=STORE_KEY) as store:
        fill(store, 3)
    # Row 1 of the backlog and of the turns, and the message id under which 3 stands.
    with changed(path, (2, number_row(1)), (1, message_id(3))) as tx:
        assert list_backlogs(tx) == [MESSAGES]
        rows = read_rows(tx, MESSAGES)
        assert (rows.numbers, rows.damaged) == ([1, 2, 3], {1})
        assert rows.message_ids == {1: message_id(1), 2: message_id(2)}


def test_a_store_that_does_not_say_which_row_is_damaged_ends_the_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    fill(store, 1)
    with store.transaction() as tx:

        def refuse(*_: object, **__: object) -> list[tuple[bytes, bytes]]:
            raise RecordCorrupted("does not open")

        monkeypatch.setattr(type(tx), "list", refuse)
        with pytest.raises(RecordCorrupted, match="does not open"):
            read_rows(tx, MESSAGES)
