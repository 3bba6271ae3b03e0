# SPDX-License-Identifier: Apache-2.0
"""Rules 1 to 6 of stripes in `stores/base.py`, held for every store that has them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2ecross.errors import InvalidArgument, StoreError
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table, Transaction
from e2ecross.stores.base import DEVICE_TABLES, Codec
from tests.stores.support import KINDS, STRIPES, WITH_STRIPES, get, make_store, put

SESSIONS = Table.SESSIONS
TEXT = Codec(str.encode, bytes.decode)
OWN, OTHER = 5, 6


@pytest.fixture(params=WITH_STRIPES)
def striped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """One empty store of each kind that has stripes."""
    store = make_store(request.param, tmp_path)
    yield store
    store.close()


@pytest.mark.parametrize("stripes", [-1, 1, 32, 63, 65, 96, 2**17, True, 64.0, "64", None])
def test_the_number_of_stripes_is_checked(stripes: int) -> None:
    with pytest.raises(InvalidArgument, match="stripes must be"):
        MemoryStore(stripes)


@pytest.mark.parametrize("stripes", [0, 64, 4_096, 65_536])
def test_a_store_says_how_many_stripes_it_has(stripes: int) -> None:
    store = MemoryStore(stripes)
    assert store.stripes == stripes
    with store.transaction(stripes) as tx:
        assert tx.get(SESSIONS, b"p") is None


@pytest.mark.parametrize("stripe", [-1, STRIPES + 1, True, "1", None])
def test_a_stripe_that_is_none_is_refused(striped: Store, stripe: int) -> None:
    with pytest.raises(InvalidArgument, match="stripe must be"), striped.transaction(stripe):
        pass
    with striped.transaction() as tx, pytest.raises(InvalidArgument, match="stripe must be"):
        tx.at(stripe)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(WITH_STRIPES)))
def test_a_store_without_stripes_has_one_view(kind: str, tmp_path: Path) -> None:
    store = make_store(kind, tmp_path)
    assert store.stripes == 0
    assert list(store.stripes_with(SESSIONS)) == []
    put(store, SESSIONS, b"p", b"r", b"x")
    assert list(store.stripes_with(SESSIONS)) == [0]
    store.accept_move()
    with store.transaction(0, moved=True) as tx:
        assert tx.at(0).get(SESSIONS, b"p", b"r") == b"x"
        assert list(tx.scan_all(SESSIONS)) == [(0, b"p", b"r", b"x")]
        with pytest.raises(InvalidArgument, match="stripe must be"):
            tx.at(1)
    with pytest.raises(InvalidArgument, match="stripe must be"), store.transaction(1):
        pass
    store.close()


def test_each_stripe_has_its_own_rows(striped: Store) -> None:
    for stripe in (0, OWN, OTHER, STRIPES):
        with striped.transaction(stripe) as tx:
            tx.put(SESSIONS, b"p", b"r", b"%d" % stripe)
            tx.put_value(SESSIONS, b"q" * (stripe + 1), b"", "text", TEXT)
    for stripe in (0, OWN, OTHER, STRIPES):
        own = b"%d" % stripe
        with striped.transaction(stripe) as tx:
            assert tx.get(SESSIONS, b"p", b"r") == own
            assert tx.get_value(SESSIONS, b"q" * (stripe + 1), b"", TEXT) == "text"
            assert tx.list(SESSIONS, b"p") == [(b"r", own)]
            found = list(tx.partitions(SESSIONS))
            assert sorted(found) == sorted([b"p", b"q" * (stripe + 1)])
            first = tx.partitions(SESSIONS, limit=1)
            assert [*first, *tx.partitions(SESSIONS, limit=5, after=first[0])] == found
            assert tx.partitions(SESSIONS, after=found[-1]) == []
            assert (tx.count(SESSIONS, b"p"), tx.count(SESSIONS, b"other")) == (1, 0)
            assert {row[2] for row in tx.scan(SESSIONS)} == {own, b"text"}
    assert list(striped.stripes_with(SESSIONS)) == [0, OWN, OTHER, STRIPES]
    assert list(striped.stripes_with(Table.INBOX)) == []


def test_the_whole_store_sees_every_stripe(striped: Store) -> None:
    with striped.transaction() as tx:
        for stripe in range(STRIPES + 1):
            assert not tx.at(stripe).delete(SESSIONS, b"p", b"r")
            tx.at(stripe).put(SESSIONS, b"p", b"r", b"%d" % stripe)
        tx.put(Table.DEVICE, b"", b"", b"device")
        assert sorted(tx.scan_all(SESSIONS)) == [
            (stripe, b"p", b"r", b"%d" % stripe) for stripe in range(STRIPES + 1)
        ]
        assert list(tx.at(OWN).scan_all(Table.DEVICE)) == [(0, b"", b"", b"device")]
        assert list(tx.at(OWN).scan(Table.DEVICE)) == [(b"", b"", b"device")]
        assert list(tx.at(OWN).partitions(Table.DEVICE)) == [b""]
        assert tx.at(OWN).at(OTHER).clear(SESSIONS, b"p") == 1
        assert tx.at(OTHER).get(SESSIONS, b"p", b"r") is None
    assert list(striped.stripes_with(Table.DEVICE)) == [0]


def test_a_transaction_of_a_stripe_looks_into_its_own_and_the_devices(striped: Store) -> None:
    put(striped, SESSIONS, b"p", b"r", b"of stripe 0")
    with striped.transaction(OWN) as tx:
        assert tx.at(OWN).get(SESSIONS, b"p", b"r") is None
        assert tx.at(0).get(SESSIONS, b"p", b"r") == b"of stripe 0"
        tx.at(0).at(OWN).put(SESSIONS, b"p", b"r", b"own")
        with pytest.raises(StoreError, match="look into another"):
            tx.at(OTHER)
        with pytest.raises(StoreError, match="over all stripes"):
            tx.scan_all(SESSIONS)
    assert get(striped, SESSIONS, b"p", b"r") == b"of stripe 0"


Change = Callable[[Transaction], object]
CHANGES: dict[str, Callable[[Table], Change]] = {
    "put": lambda table: lambda tx: tx.put(table, b"", b"r", b"new"),
    "put_value": lambda table: lambda tx: tx.put_value(table, b"", b"r", "new", TEXT),
    "delete": lambda table: lambda tx: tx.delete(table, b"", b"r"),
    "add": lambda table: lambda tx: tx.add(table, b"", b"r", b"new"),
    "clear": lambda table: lambda tx: tx.clear(table, b""),
}
ALLOWED = {
    ("delete", Table.ONE_TIME_PREKEYS),
    ("delete", Table.KYBER_PREKEYS),
    ("add", Table.SEEN_BASE_KEYS),
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("table", sorted(DEVICE_TABLES))
def test_what_belongs_to_the_device_is_changed_by_the_whole_store_alone(
    striped: Store, table: Table, how: str
) -> None:
    put(striped, table, b"", b"r", b"old")
    change = CHANGES[how](table)
    with striped.transaction(OWN) as tx:
        assert tx.get(table, b"", b"r") == b"old"
        if (how, table) in ALLOWED:
            assert change(tx) is (how == "delete")
        else:
            with pytest.raises(StoreError, match="whole store"):
                change(tx)
            assert tx.list(table) == [(b"r", b"old")]
        with pytest.raises(StoreError, match="whole store"):
            change(tx.at(0))
    with striped.transaction() as tx:
        change(tx.at(OWN))  # whatever stripe it looks at


def test_a_last_resort_prekey_is_not_deleted_by_a_stripe(striped: Store) -> None:
    with striped.transaction(OWN) as tx, pytest.raises(StoreError, match="whole store"):
        tx.delete(Table.KYBER_PREKEYS, b"last-resort", b"r")


@pytest.mark.parametrize("how", CHANGES)
def test_another_stripe_is_read_only(striped: Store, how: str) -> None:
    change = CHANGES[how](SESSIONS)
    with striped.transaction(OWN) as tx, pytest.raises(StoreError, match="whole store"):
        change(tx.at(0))


def test_deleting_tells_whether_there_was_one(store: Store) -> None:
    put(store, SESSIONS, b"p", b"r", b"x")
    with store.transaction() as tx:
        assert tx.delete(SESSIONS, b"p", b"r")
        assert not tx.delete(SESSIONS, b"p", b"r")
        assert not tx.delete(SESSIONS, b"q")


def test_deleting_in_savepoints_tells_whether_there_was_one(store: Store) -> None:
    put(store, SESSIONS, b"p", b"old", b"x")
    with store.transaction() as tx:
        assert tx.get_value(SESSIONS, b"p", b"old", TEXT) == "x"
        with tx.savepoint():
            assert tx.delete(SESSIONS, b"p", b"old")
            assert not tx.delete(SESSIONS, b"p", b"old")
            tx.put(SESSIONS, b"p", b"new", b"x")
            assert tx.delete(SESSIONS, b"p", b"new")
            tx.put_value(SESSIONS, b"p", b"kept", "x", TEXT)
        with tx.savepoint():
            assert not tx.delete(SESSIONS, b"p", b"new")
            assert not tx.delete(SESSIONS, b"p", b"never")
            assert tx.delete(SESSIONS, b"p", b"kept")
        with pytest.raises(ZeroDivisionError), tx.savepoint():  # noqa: PT012
            tx.put(SESSIONS, b"p", b"undone", b"x")
            raise ZeroDivisionError
        assert not tx.delete(SESSIONS, b"p", b"undone")
    with store.transaction() as tx:
        assert tx.list(SESSIONS, b"p") == []
    put(store, SESSIONS, b"p", b"again", b"x")
    with store.transaction() as tx, tx.savepoint():
        assert tx.delete(SESSIONS, b"p", b"again")


def test_adding_puts_what_is_not_there(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.add(SESSIONS, b"p", b"r", b"first")
        assert not tx.add(SESSIONS, b"p", b"r", b"second")
        with tx.savepoint():
            assert not tx.add(SESSIONS, b"p", b"r", b"third")
            assert tx.add(SESSIONS, b"p", b"s", b"first")
            assert not tx.add(SESSIONS, b"p", b"s", b"second")
        with pytest.raises(InvalidArgument, match="record must be"):
            tx.add(SESSIONS, b"p", b"r", bytearray(b"x"))  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="row must be"):
            tx.add(SESSIONS, b"p", "r", b"x")  # type: ignore[arg-type]
    with store.transaction() as tx:
        assert tx.list(SESSIONS, b"p") == [(b"r", b"first"), (b"s", b"first")]


def test_what_was_deleted_or_added_is_undone_with_its_block(striped: Store) -> None:
    put(striped, Table.ONE_TIME_PREKEYS, b"", b"r", b"x")
    with pytest.raises(ZeroDivisionError), striped.transaction(OWN) as tx:  # noqa: PT012
        assert tx.delete(Table.ONE_TIME_PREKEYS, b"", b"r")
        assert tx.add(Table.SEEN_BASE_KEYS, b"", b"r", b"x")
        with tx.savepoint():
            tx.put(SESSIONS, b"p", b"r", b"x")
        raise ZeroDivisionError
    with striped.transaction(OWN) as tx:
        assert tx.get(Table.ONE_TIME_PREKEYS, b"", b"r") == b"x"
        assert tx.get(Table.SEEN_BASE_KEYS, b"", b"r") is None
        assert tx.get(SESSIONS, b"p", b"r") is None


def test_a_stripe_is_not_entered_twice_by_a_thread(striped: Store) -> None:
    with (
        striped.transaction(OWN),
        pytest.raises(StoreError, match="open in this thread"),
        striped.transaction(OTHER),
    ):
        pass


def test_views_refuse_what_every_store_refuses(striped: Store) -> None:
    with striped.transaction(OWN) as tx:
        for call in (tx.get, tx.list, tx.count):
            with pytest.raises(InvalidArgument, match="partition must be"):
                call(SESSIONS, "p")  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="table must be"):
            tx.partitions("sessions")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="has ended"):
        tx.get(SESSIONS, b"p")


def test_a_durable_store_keeps_what_it_is_told_in_its_stripe(path: Path) -> None:
    with SQLiteStore(path) as store:
        put(store, Table.STRIPE, b"", b"", b"x")
    with SQLiteStore(path) as store:
        assert get(store, Table.STRIPE, b"") == b"x"
