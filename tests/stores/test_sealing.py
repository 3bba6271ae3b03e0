# SPDX-License-Identifier: Apache-2.0
"""Sealed records: what the store below sees, and what it cannot get away with."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from e2ecross.errors import (
    InvalidArgument,
    RecordCorrupted,
    StoreCorrupted,
    StoreTooNew,
    WrongStoreKey,
)
from e2ecross.stores import MemoryStore, SQLiteStore, Table
from e2ecross.stores.sealing import Sealer
from e2ecross.stores.sealing_header import check_store_key, create_sealing, open_sealing
from tests.stores.support import KEY, SealedMemoryStore, content, files, get, put
from tests.support.entropy import NO_ENTROPY, SeededEntropy

PARTITION, ROW, RECORD = b"whatsapp:planted.1", b"a planted row of the store", b"a planted record"


def raw(store: MemoryStore) -> dict[tuple[Table, bytes, bytes], bytes]:
    with store.transaction() as transaction:
        return content(transaction)


@pytest.mark.parametrize("key", [None, bytes(32), KEY], ids=["none", "zeros", "key"])
def test_a_key_is_none_or_32_bytes(key: bytes | None) -> None:
    check_store_key(key)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), "k" * 32, bytearray(32), 0, False])
def test_any_other_key_is_refused(key: object, path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^key must be None or exactly 32 bytes"):
        SQLiteStore(path, key=key)  # type: ignore[arg-type]
    assert not path.exists()


def test_a_sealed_file_shows_nothing_of_its_content_even_while_open(path: Path) -> None:
    store = SQLiteStore(path, key=KEY)
    put(store, Table.SESSIONS, PARTITION, ROW, RECORD)
    put(store, Table.SENT, b"", ROW, RECORD * 1_000)
    put(store, Table.INBOX, PARTITION, b"a number", RECORD * 1_000)
    seen = b"".join(files(path).values())
    assert b"a number" in seen  # the rows of a queue stay as they are
    store.close()
    seen += b"".join(files(path).values())
    for hidden in (PARTITION, ROW, RECORD, b"planted", KEY):
        assert hidden not in seen
    with SQLiteStore(path, key=KEY) as store:
        assert get(store, Table.SESSIONS, PARTITION, ROW) == RECORD


def test_the_store_below_sees_keyed_hashes_and_fresh_ciphertexts() -> None:
    store = SealedMemoryStore()
    seen = []
    for _ in range(2):
        put(store, Table.SESSIONS, PARTITION, ROW, RECORD)
        [((table, partition, row), sealed)] = raw(store.memory).items()
        assert (table, len(partition), len(row)) == (Table.SESSIONS, 32, 32)
        assert len(sealed) == len(RECORD) + len(PARTITION) + len(ROW) + 8 + 29
        seen.append((partition, row, sealed))
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][2] != seen[1][2]
    assert seen[0][2][1:13] != seen[1][2][1:13]  # the nonce


def test_the_same_keys_hash_differently_in_every_table_and_store() -> None:
    one, other = SealedMemoryStore(), SealedMemoryStore()  # the same store key
    for store in (one, other):
        put(store, Table.SESSIONS, PARTITION, ROW, RECORD)
        put(store, Table.SKIPPED_KEYS, PARTITION, ROW, RECORD)
        put(store, Table.SESSIONS, ROW, PARTITION, RECORD)
    places = [place for store in (one, other) for place in raw(store.memory)]
    assert len({partition for _, partition, _ in places}) == 6
    assert len({row for _, _, row in places}) == 6


def test_a_moved_row_is_noticed() -> None:
    store = SealedMemoryStore()
    places = [
        (Table.SESSIONS, PARTITION, ROW),
        (Table.SESSIONS, PARTITION, b"another row"),
        (Table.SESSIONS, b"another partition", ROW),
        (Table.SKIPPED_KEYS, PARTITION, ROW),
    ]
    for place in places:
        put(store, *place, RECORD)
    genuine = raw(store.memory)
    for source in genuine:
        for target in genuine:
            if source == target:
                continue
            put(store.inner, *target, genuine[source])
            broken = 0
            for place in places:
                try:
                    assert get(store, *place) == RECORD
                except RecordCorrupted:
                    broken += 1
            assert broken == 1
            put(store.inner, *target, genuine[target])


def test_a_row_under_a_new_name_is_noticed_by_list_and_scan() -> None:
    store = SealedMemoryStore()
    put(store, Table.SESSIONS, PARTITION, ROW, RECORD)
    [((table, partition, row), sealed)] = raw(store.memory).items()
    put(store.inner, table, partition, row[::-1], sealed)
    with pytest.raises(RecordCorrupted), store.transaction() as transaction:
        transaction.list(Table.SESSIONS, PARTITION)
    with pytest.raises(RecordCorrupted), store.transaction() as transaction:
        list(transaction.scan(Table.SESSIONS))


def test_a_row_of_another_store_under_the_same_key_is_noticed() -> None:
    one, other = SealedMemoryStore(), SealedMemoryStore()
    for store in (one, other):
        put(store, Table.SESSIONS, PARTITION, ROW, RECORD)
    [place] = raw(one.memory)
    [foreign] = raw(other.memory).values()
    put(one.inner, *place, foreign)
    with pytest.raises(RecordCorrupted):
        get(one, Table.SESSIONS, PARTITION, ROW)


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda sealed: b"",
    "version only": lambda sealed: sealed[:1],
    "in the nonce": lambda sealed: sealed[:8],
    "nonce only": lambda sealed: sealed[:13],
    "in the tag": lambda sealed: sealed[:20],
    "last byte": lambda sealed: sealed[:-1],
    "longer": lambda sealed: sealed + b"\0",
    "another version": lambda sealed: b"\x02" + sealed[1:],
    "flipped nonce": lambda sealed: sealed[:1] + bytes([sealed[1] ^ 1]) + sealed[2:],
    "flipped text": lambda sealed: sealed[:13] + bytes([sealed[13] ^ 1]) + sealed[14:],
    "flipped tag": lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
    "unsealed": lambda sealed: RECORD,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_record_is_noticed(change: str) -> None:
    store = SealedMemoryStore()
    put(store, Table.SESSIONS, PARTITION, ROW, RECORD)
    [(place, sealed)] = raw(store.memory).items()
    put(store.inner, *place, CHANGES[change](sealed))
    with pytest.raises(RecordCorrupted) as caught:
        get(store, Table.SESSIONS, PARTITION, ROW)
    assert "planted" not in str(caught.value)


def test_what_a_store_keeps_tells_keys_apart() -> None:
    sealed, unsealed = create_sealing(KEY, SeededEntropy(1)), create_sealing(None, NO_ENTROPY)
    assert KEY not in sealed
    assert isinstance(open_sealing(KEY, sealed, NO_ENTROPY), Sealer)
    assert open_sealing(None, unsealed, NO_ENTROPY) is None
    for key, header in ((None, sealed), (KEY, unsealed), (bytes(32), sealed)):
        with pytest.raises(WrongStoreKey):
            open_sealing(key, header, NO_ENTROPY)
    with pytest.raises(StoreTooNew, match="version 3"):
        open_sealing(KEY, b"\x03" + sealed[1:], NO_ENTROPY)
    for damaged in (b"", b"\x00\x00", sealed[:-1], sealed + b"\0", b"\x01"):
        with pytest.raises(StoreCorrupted):
            open_sealing(KEY, damaged, NO_ENTROPY)
    for offset in range(1, len(sealed)):
        flipped = sealed[:offset] + bytes([sealed[offset] ^ 1]) + sealed[offset + 1 :]
        with pytest.raises(WrongStoreKey):
            open_sealing(KEY, flipped, NO_ENTROPY)


def test_a_sealer_shows_nothing() -> None:
    sealer = SealedMemoryStore().sealer
    assert repr(sealer) == "<Sealer: secret>"
    with pytest.raises(TypeError):
        pickle.dumps(sealer)
