# SPDX-License-Identifier: Apache-2.0
"""Kyber prekeys in the store."""

from collections.abc import Iterator

import pytest

from e2ecross.crypto.kem import decapsulate, encapsulate, generate_kem_key_pair
from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.state.prekey_store import (
    LAST_RESORT,
    OwnKyberPrekey,
    OwnPrekey,
    delete_expired_prekeys,
    delete_kyber_prekey,
    find_kyber_prekey,
    put_kyber_prekey,
    require_last_resort_prekey,
)
from e2ecross.stores import Table, Transaction
from e2ecross.wire.records import KyberPrekeyRecord
from tests.support.devices import NOW_MS, Stores
from tests.support.entropy import SeededEntropy

ENTROPY = SeededEntropy("prekey store")


def prekey(*, last_resort: bool = False, replaced_at_ms: int = 0) -> OwnKyberPrekey:
    key_pair = generate_kem_key_pair(ENTROPY)
    signature = ENTROPY.bytes(64)
    record = KyberPrekeyRecord(key_pair.seed, signature, NOW_MS, replaced_at_ms, last_resort)
    return OwnPrekey(record, key_pair)


@pytest.fixture
def tx(stores: Stores) -> Iterator[Transaction]:
    with stores.open("budi").transaction() as transaction:
        yield transaction


@pytest.mark.parametrize("last_resort", [False, True])
def test_a_kyber_prekey_comes_back_as_it_was(tx: Transaction, last_resort: bool) -> None:
    put = prekey(last_resort=last_resort, replaced_at_ms=NOW_MS + 1)
    put_kyber_prekey(tx, 7, put)
    found = find_kyber_prekey(tx, 7)
    assert found is not None
    assert found.record.encode() == put.record.encode()
    assert (found.key_pair.seed, found.key_pair.public) == (put.key_pair.seed, put.key_pair.public)
    secret, ciphertext = encapsulate(put.key_pair.public, ENTROPY)
    assert decapsulate(found.key_pair, ciphertext) == secret
    assert find_kyber_prekey(tx, 8) is None


def test_deleting_takes_a_one_time_prekey_and_leaves_a_last_resort_one(tx: Transaction) -> None:
    put_kyber_prekey(tx, 1, prekey())
    put_kyber_prekey(tx, 2, prekey(last_resort=True))
    for number in (1, 2, 3):
        delete_kyber_prekey(tx, number)
    assert find_kyber_prekey(tx, 1) is None
    assert require_last_resort_prekey(tx, 2).record.is_last_resort


def test_only_a_last_resort_prekey_is_found_as_one(tx: Transaction) -> None:
    put_kyber_prekey(tx, 1, prekey())
    for number in (1, 2):
        with pytest.raises(RecordCorrupted, match="last-resort Kyber prekey is missing"):
            require_last_resort_prekey(tx, number)


def test_replaced_last_resort_prekeys_expire_and_no_other(tx: Transaction) -> None:
    put_kyber_prekey(tx, 1, prekey())
    put_kyber_prekey(tx, 2, prekey(last_resort=True, replaced_at_ms=NOW_MS))
    put_kyber_prekey(tx, 3, prekey(last_resort=True, replaced_at_ms=NOW_MS + 1))
    put_kyber_prekey(tx, 4, prekey(last_resort=True))
    delete_expired_prekeys(tx, NOW_MS + 99, 100)
    assert all(find_kyber_prekey(tx, number) for number in (1, 2, 3, 4))
    delete_expired_prekeys(tx, NOW_MS + 100, 100)
    assert [number for number in range(1, 5) if find_kyber_prekey(tx, number)] == [1, 3, 4]


@pytest.mark.parametrize(
    ("record", "error"), [(b"", RecordCorrupted), (b"\1\0", RecordCorrupted), (b"\2", StoreTooNew)]
)
def test_a_damaged_record_is_named(tx: Transaction, record: bytes, error: type[Exception]) -> None:
    tx.put(Table.KYBER_PREKEYS, b"", (7).to_bytes(4), record)
    with pytest.raises(error, match="a Kyber prekey record"):
        find_kyber_prekey(tx, 7)


@pytest.mark.parametrize("last_resort", [False, True])
def test_a_prekey_in_the_row_of_another_kind_is_not_used(
    tx: Transaction, last_resort: bool
) -> None:
    partition = b"" if last_resort else LAST_RESORT
    record = prekey(last_resort=last_resort).record.encode()
    tx.put(Table.KYBER_PREKEYS, partition, (7).to_bytes(4), record)
    with pytest.raises(RecordCorrupted, match="wrong row"):
        find_kyber_prekey(tx, 7)


def test_a_kyber_prekey_shows_no_secret() -> None:
    state = prekey()
    assert repr(state) == "<OwnPrekey: secret>"
