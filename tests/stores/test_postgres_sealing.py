# SPDX-License-Identifier: Apache-2.0
"""Records of a `PostgresStore` under keys that change."""

import secrets
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from e2ecross.errors import (
    InvalidArgument,
    RecordCorrupted,
    StoreCorrupted,
    StoreError,
    WrongStoreKey,
)
from e2ecross.stores import Table
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import ask, make_postgres_store, number_of

if TYPE_CHECKING:
    from e2ecross.stores import PostgresStore

ONE, TWO = bytes(range(32)), bytes(range(1, 33))
SESSIONS = Table.SESSIONS


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    require_postgres()


@pytest.fixture
def name() -> str:
    return secrets.token_hex(16)


def open_with(name: str, keys: Mapping[int, bytes] | None, **settings: int) -> "PostgresStore":
    return make_postgres_store(name, keys=keys, **settings)


def put(store: "PostgresStore", record: bytes, row: bytes = b"r") -> None:
    with store.transaction(5) as tx:
        tx.put(SESSIONS, b"p", row, record)


def get(store: "PostgresStore", row: bytes = b"r") -> bytes | None:
    with store.transaction(5) as tx:
        return tx.get(SESSIONS, b"p", row)


def stored(name: str) -> list[tuple[object, ...]]:
    return ask(
        "SELECT stripe, partition, row, record FROM e2ecross.sessions WHERE stripe >> 17 = %s",
        number_of(name),
    )


def test_nothing_is_in_the_clear(name: str) -> None:
    with open_with(name, {7: ONE}) as store, store.transaction(5) as tx:
        tx.put(SESSIONS, b"hidden partition", b"hidden row", b"hidden record")
    [(stripe, *blobs)] = stored(name)
    assert isinstance(stripe, int)
    assert stripe & 0x1FFFF == 5
    assert b"hidden" not in b"".join(blobs)  # type: ignore[arg-type]
    assert isinstance(blobs[2], bytes)
    assert blobs[2][:2] == b"\2\7"
    assert len(blobs[2]) == 2 + 12 + 4 + 16 + 4 + 10 + 13 + 16


def test_a_key_is_changed_in_two_steps(name: str) -> None:
    with open_with(name, {1: ONE}) as first:
        put(first, b"old")
        with open_with(name, {1: ONE, 2: TWO}, seal_with=1) as second:
            assert get(second) == b"old"
            put(second, b"still old")
            assert get(first) == b"still old"
            with open_with(name, {1: ONE, 2: TWO}) as third:  # the highest id seals
                put(third, b"new")
                assert get(second) == b"new"
            with pytest.raises(WrongStoreKey, match="key 2, which was not given"):
                get(first)
    with open_with(name, {2: TWO}) as store:
        assert get(store) == b"new"


@pytest.mark.parametrize("keys", [None, {1: TWO}, {2: ONE}, {1: TWO, 2: ONE}])
def test_another_key_opens_nothing(name: str, keys: Mapping[int, bytes] | None) -> None:
    open_with(name, {1: ONE}).close()
    with pytest.raises(WrongStoreKey):
        open_with(name, keys)


def test_a_store_in_the_clear_takes_no_key(name: str) -> None:
    open_with(name, None).close()
    with pytest.raises(WrongStoreKey, match="not encrypted"):
        open_with(name, {1: ONE})


def test_a_damaged_header_is_told(name: str) -> None:
    open_with(name, {1: ONE}).close()
    ask(
        "UPDATE e2ecross.store_keys SET header = substring(header FROM 1 FOR 50) WHERE store = %s",
        number_of(name),
    )
    with pytest.raises(StoreCorrupted, match="damaged"):
        open_with(name, {1: ONE})


def test_a_header_of_another_id_is_told(name: str) -> None:
    open_with(name, {1: ONE}).close()
    ask("UPDATE e2ecross.store_keys SET key_id = 2 WHERE store = %s", number_of(name))
    with pytest.raises(StoreCorrupted, match="damaged"):
        open_with(name, {2: ONE})


def test_headers_that_contradict_each_other_are_told(name: str) -> None:
    other = secrets.token_hex(16)
    open_with(name, {1: ONE}).close()
    open_with(other, {2: TWO}).close()
    ask(
        "UPDATE e2ecross.store_keys SET store = %s WHERE store = %s",
        number_of(name),
        number_of(other),
    )
    with pytest.raises(StoreCorrupted, match="contradict"):
        open_with(name, {1: ONE, 2: TWO})


@pytest.mark.parametrize(
    "damage",
    [
        "record = record || '\\x00'",
        "record = substring(record FROM 1 FOR 10)",
        "record = '\\x01'::bytea || substring(record FROM 2)",
        "stripe = stripe + 1",
        "row = '\\x00'::bytea || row",
    ],
)
def test_a_record_opens_in_its_own_place_alone(name: str, damage: str) -> None:
    with open_with(name, {1: ONE}) as store:
        put(store, b"x")
        ask(f"UPDATE e2ecross.sessions SET {damage} WHERE stripe >> 17 = %s", number_of(name))  # noqa: S608
        with store.transaction() as tx, pytest.raises(RecordCorrupted):
            list(tx.scan_all(SESSIONS))


def test_a_walk_over_all_stripes_opens_each_in_its_own(name: str) -> None:
    with open_with(name, {1: ONE}) as store:
        with store.transaction() as tx:
            for stripe in (0, 1, 64):
                tx.at(stripe).put(SESSIONS, b"p", b"r", b"%d" % stripe)
            tx.at(3).put(Table.DEVICE, b"", b"", b"device")
            assert list(tx.scan_all(SESSIONS)) == [
                (stripe, b"p", b"r", b"%d" % stripe) for stripe in (0, 1, 64)
            ]
            assert list(tx.scan_all(Table.DEVICE)) == [(0, b"", b"", b"device")]
        with store.transaction(64) as tx:
            assert list(tx.scan(Table.DEVICE)) == [(b"", b"", b"device")]
            assert list(tx.at(0).scan(SESSIONS)) == [(b"p", b"r", b"0")]


def test_records_are_sealed_anew_and_the_old_key_forgotten(name: str) -> None:
    with open_with(name, {1: ONE}) as store:
        with store.transaction() as tx:
            for stripe in (0, 3, 4):
                for number in range(300 if stripe == 3 else 20):
                    tx.at(stripe).put(SESSIONS, b"p", b"%d" % number, b"record %d" % number)
            tx.put(Table.DEVICE, b"", b"", b"device")
        assert store.reseal() == 0
    with open_with(name, {1: ONE, 2: TWO}) as store:
        with pytest.raises(InvalidArgument, match="the key that seals"):
            store.forget_key(2)
        with pytest.raises(StoreError, match="call reseal"):
            store.forget_key(1)
        assert store.reseal(100) == 241
        assert store.reseal(0) == 241
        assert store.reseal() == 0
        assert {record[:2] for *_, record in stored(name) if isinstance(record, bytes)} == {b"\2\2"}
        store.forget_key(1)
        store.forget_key(1)
    with pytest.raises(WrongStoreKey):
        open_with(name, {1: ONE})
    with open_with(name, {2: TWO}) as store, store.transaction() as tx:
        assert len(list(tx.scan_all(SESSIONS))) == 340
        assert tx.at(3).get(SESSIONS, b"p", b"299") == b"record 299"
        assert tx.get(Table.DEVICE, b"") == b"device"


class Writer(threading.Thread):
    """A worker with a store of its own, that writes and reads until it is stopped."""

    def __init__(self, name: str, number: int, keys: Mapping[int, bytes], seal_with: int) -> None:
        super().__init__(daemon=True)
        self._store = open_with(name, keys, seal_with=seal_with)
        self._mine = b"%d" % number
        self._over = threading.Event()
        self.written: dict[tuple[int, bytes], bytes] = {}
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            count = 0
            while not self._over.is_set():
                stripe, row = 1 + count % 8, b"%d" % (count % 24)
                with self._store.transaction(stripe) as tx:
                    assert tx.get(SESSIONS, self._mine, row) == self.written.get((stripe, row))
                    tx.put(SESSIONS, self._mine, row, b"record %d" % count)
                    for _, record in tx.list(SESSIONS, b"shared"):  # of whatever key
                        assert record.startswith(b"shared ")
                    tx.put(SESSIONS, b"shared", self._mine, b"shared %d" % count)
                self.written[stripe, row] = b"record %d" % count
                count += 1
        except BaseException as error:
            self.error = error
        finally:
            self._store.close()

    def end(self) -> None:
        self._over.set()
        self.join(30)
        assert self.error is None


def test_keys_change_while_workers_write(name: str) -> None:
    """First all get the new key, then all seal with it; one of them seals the rest anew."""
    both = {1: ONE, 2: TWO}
    written: dict[tuple[int, int, bytes], bytes] = {}

    def all_end(writers: list[Writer], numbers: range) -> None:
        for number, writer in zip(numbers, writers, strict=True):
            writer.end()
            assert len(writer.written) > 5
            for (stripe, row), record in writer.written.items():
                written[number, stripe, row] = record

    def begin(numbers: range, keys: Mapping[int, bytes], seal_with: int) -> list[Writer]:
        writers = [Writer(name, number, keys, seal_with) for number in numbers]
        for writer in writers:
            writer.start()
        return writers

    first = begin(range(3), {1: ONE}, 1)
    time.sleep(0.5)
    second = begin(range(3, 6), both, 1)  # workers are replaced one after the other
    time.sleep(0.3)
    all_end(first, range(3))
    third = begin(range(6, 9), both, 2)
    time.sleep(0.3)
    with open_with(name, both) as store:
        left = store.reseal(limit=100)
        with pytest.raises(StoreError, match="call reseal"):
            store.forget_key(1)  # others still seal with it
        all_end(second, range(3, 6))
        while left:
            left = store.reseal(limit=100)
        store.forget_key(1)
    time.sleep(0.3)
    all_end(third, range(6, 9))
    with open_with(name, {2: TWO}) as store:
        assert store.reseal() == 0
        for (number, stripe, row), record in written.items():
            with store.transaction(stripe) as tx:
                assert tx.get(SESSIONS, b"%d" % number, row) == record


def test_a_key_of_the_last_stripe_is_not_forgotten(name: str) -> None:
    with open_with(name, {1: ONE}) as store, store.transaction(64) as tx:
        tx.put(SESSIONS, b"p", b"r", b"x")
    with open_with(name, {1: ONE, 2: TWO}) as store:
        with pytest.raises(StoreError, match="call reseal"):
            store.forget_key(1)
        assert store.reseal(0) == 1
        assert store.reseal() == 0
        store.forget_key(1)
    with open_with(name, {2: TWO}) as store, store.transaction(64) as tx:
        assert tx.get(SESSIONS, b"p", b"r") == b"x"


def test_a_store_in_the_clear_has_nothing_to_seal(name: str) -> None:
    with open_with(name, None) as store:
        put(store, b"x")
        assert store.reseal() == 0


def test_keys_are_not_shown(name: str) -> None:
    with open_with(name, {1: ONE}) as store:
        assert "secret" in repr(store._opened.ring)
        assert ONE.hex() not in repr(store)
