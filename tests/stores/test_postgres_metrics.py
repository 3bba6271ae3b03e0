# SPDX-License-Identifier: Apache-2.0
"""What a `PostgresStore` tells whoever watches it: never inside a transaction."""

import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from e2ecross.errors import CommitUnknown, InvalidArgument, StoreBusy, StoreError, StoreMoved
from e2ecross.stores import Table
from tests.support.postgres import require_postgres
from tests.support.postgres_stores import ask, make_postgres_store, number_of
from tests.support.watching import Heard

if TYPE_CHECKING:
    from e2ecross.stores.postgres import PostgresStore

SESSIONS = Table.SESSIONS


@pytest.fixture(autouse=True)
def _needs_a_server() -> None:
    require_postgres()


@pytest.fixture
def name() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def store(name: str, heard: Heard) -> Iterator["PostgresStore"]:
    with make_postgres_store(name, metrics=heard, busy_timeout_ms=200) as made:
        yield made


def test_each_transaction_tells_how_long_it_waited_and_took(
    store: "PostgresStore", heard: Heard
) -> None:
    with store.transaction(3) as tx:
        tx.put(SESSIONS, b"p", b"r", b"1")
        assert heard.observed == {}
    [waited], [took] = heard.observed["tx_wait_seconds"], heard.observed["tx_seconds"]
    assert 0 < waited < took < 10
    with store.transaction() as tx:
        tx.get(SESSIONS, b"p", b"r")
    assert [len(values) for values in heard.observed.values()] == [2, 2]
    assert set(heard.counts) <= {"cache_hit", "cache_miss"}


def test_the_cache_of_a_stripe_is_there_or_not(name: str, heard: Heard) -> None:
    with make_postgres_store(name, metrics=heard) as store, make_postgres_store(name) as other:

        def use(writer: "PostgresStore") -> None:
            with writer.transaction(3) as tx:
                tx.get(SESSIONS, b"p", b"r")
                tx.put(SESSIONS, b"p", b"r", b"1")

        use(store)
        assert heard.counts == {"cache_miss": 1}
        use(store)
        assert heard.counts == {"cache_miss": 1, "cache_hit": 1}
        use(other)
        use(store)
        assert heard.counts == {"cache_miss": 2, "cache_hit": 1}


def test_a_block_that_raises_tells_its_time_all_the_same(
    store: "PostgresStore", heard: Heard
) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction(3):
        1 / 0  # noqa: B018
    assert [len(values) for values in heard.observed.values()] == [1, 1]
    assert set(heard.counts) == {"cache_miss"}


def test_a_stripe_that_another_worker_has_is_busy(
    store: "PostgresStore", name: str, heard: Heard
) -> None:
    with (
        make_postgres_store(name) as other,
        other.transaction(3),
        pytest.raises(StoreBusy),
        store.transaction(3),
    ):
        pass
    assert heard.counts == {"tx_busy": 1}
    [waited] = heard.observed["tx_wait_seconds"]
    assert waited >= 0.2
    assert "tx_seconds" not in heard.observed


def test_busy_within_a_block_counts_too(store: "PostgresStore", heard: Heard) -> None:
    with pytest.raises(StoreBusy), store.transaction(3):
        raise StoreBusy("another message used the same prekey at this moment: try again")
    assert heard.counts["tx_busy"] == 1


def test_a_server_that_is_another_one_is_not_busy(
    store: "PostgresStore", name: str, heard: Heard
) -> None:
    ask("UPDATE e2ecross.stripes SET server = 'x' WHERE stripe >> 17 = %s", number_of(name))
    with pytest.raises(StoreMoved), store.transaction(3):
        pass
    assert heard.counts == {}


def _raise(error: Exception) -> Callable[..., Any]:
    def work(*_: object, **__: object) -> None:
        raise error

    return work


def test_a_commit_of_which_nobody_knows_is_counted(
    store: "PostgresStore", heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    from e2ecross.stores.postgres_commit import Block

    monkeypatch.setattr(Block, "_commit", _raise(CommitUnknown("it may have been saved or not")))
    with pytest.raises(CommitUnknown), store.transaction(3) as tx:
        tx.put(SESSIONS, b"p", b"r", b"1")
    assert (heard.counts["tx_commit_unknown"], heard.counts["tx_busy"]) == (1, 0)
    monkeypatch.setattr(Block, "_commit", _raise(StoreError("refused")))
    with pytest.raises(StoreError), store.transaction(3):
        pass
    assert heard.counts["tx_commit_unknown"] == 1


def test_a_hook_may_use_the_store(name: str) -> None:
    """It is told when the transaction has let its connection and its thread go."""
    seen: list[bytes | None] = []

    class Curious(Heard):
        def observe(self, name: str, seconds: float) -> None:
            if name == "tx_seconds" and len(seen) < 2:
                seen.append(None)
                with watched.transaction(3) as tx:
                    seen[-1] = tx.get(SESSIONS, b"p", b"r")

    watched = make_postgres_store(name, metrics=Curious(), connections=1)
    with watched:
        with watched.transaction(3) as tx:
            tx.put(SESSIONS, b"p", b"r", b"1")
        assert seen == [b"1", b"1"]


def test_what_is_left_to_be_sealed_anew_is_told(name: str, heard: Heard) -> None:
    old = {1: bytes(32)}
    with make_postgres_store(name, keys=old) as store, store.transaction(3) as tx:
        for row in range(5):
            tx.put(SESSIONS, b"p", bytes([row]), b"1")
    with make_postgres_store(name, keys=old | {2: bytes([2]) * 32}, metrics=heard) as store:
        assert (store.reseal(2), store.reseal(10)) == (3, 0)
    assert heard.observed["reseal_left"] == [3, 0]


def test_a_store_without_keys_has_nothing_left_to_seal(
    store: "PostgresStore", heard: Heard
) -> None:
    assert store.reseal() == 0
    assert heard.observed == {"reseal_left": [0]}


def test_who_lacks_a_method_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^metrics"):
        make_postgres_store(name, metrics=object())
