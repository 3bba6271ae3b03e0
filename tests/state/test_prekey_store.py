# SPDX-License-Identifier: Apache-2.0
"""Our own prekeys in the store: Kyber prekeys, and when prekeys of all kinds go."""

from collections.abc import Iterator

import pytest

from e2ecross.crypto.kem import decapsulate, encapsulate, generate_kem_key_pair
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.errors import RecordCorrupted, StoreBusy, StoreTooNew
from e2ecross.state.prekey_store import (
    LAST_RESORT,
    OwnKyberPrekey,
    OwnPrekey,
    OwnSignedPrekey,
    delete_expired_prekeys,
    delete_kyber_prekey,
    delete_oldest_prekeys,
    delete_one_time_prekey,
    find_kyber_prekey,
    find_one_time_prekey,
    find_signed_prekey,
    put_kyber_prekey,
    put_one_time_prekey,
    put_signed_prekey,
    remember_base_key,
    require_last_resort_prekey,
)
from e2ecross.stores import Table, Transaction
from e2ecross.wire.records import KyberPrekeyRecord, SignedPrekeyRecord
from tests.support.devices import DAY_MS, NOW_MS, Stores
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
    delete_kyber_prekey(tx, 1)
    for number in (1, 2, 3):
        with pytest.raises(StoreBusy, match="used the same prekey"):
            delete_kyber_prekey(tx, number)
    assert find_kyber_prekey(tx, 1) is None
    assert require_last_resort_prekey(tx, 2).record.is_last_resort


def test_what_another_stripe_has_used_at_this_moment_is_not_used_again(tx: Transaction) -> None:
    put_one_time_prekey(tx, 1, generate_key_pair(ENTROPY))
    delete_one_time_prekey(tx, 1)
    with pytest.raises(StoreBusy, match="used the same prekey"):
        delete_one_time_prekey(tx, 1)
    remember_base_key(tx, 2, bytes(33), 0)
    with pytest.raises(StoreBusy, match="used the same prekey"):
        remember_base_key(tx, 2, bytes(33), 0)


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
    delete_expired_prekeys(tx, NOW_MS + 1, 100)
    delete_expired_prekeys(tx, NOW_MS + 99, 100)
    assert all(find_kyber_prekey(tx, number) for number in (1, 2, 3, 4))
    delete_expired_prekeys(tx, NOW_MS + 100, 100)
    assert [number for number in range(1, 5) if find_kyber_prekey(tx, number)] == [1, 3, 4]


def signed(replaced_at_ms: int) -> OwnSignedPrekey:
    key_pair = generate_key_pair(ENTROPY)
    record = SignedPrekeyRecord(key_pair.private, bytes(64), NOW_MS, replaced_at_ms)
    return OwnPrekey(record, key_pair)


def replaced_at(tx: Transaction, number: int) -> tuple[int | None, int | None]:
    """When a signed and a last-resort prekey were replaced; None: it is gone."""
    found = find_signed_prekey(tx, number), find_kyber_prekey(tx, number)
    first, second = (None if own is None else own.record.replaced_at_ms for own in found)
    return first, second


@pytest.mark.parametrize("ahead", [1, 30 * DAY_MS, 5_000 * DAY_MS])
def test_what_was_replaced_after_now_was_replaced_now(tx: Transaction, ahead: int) -> None:
    """A clock that was years ahead must not keep a key for years."""
    for number, at_ms in ((1, NOW_MS + ahead), (2, NOW_MS), (3, 0)):
        put_signed_prekey(tx, number, signed(at_ms))
        put_kyber_prekey(tx, number, prekey(last_resort=True, replaced_at_ms=at_ms))
    delete_expired_prekeys(tx, NOW_MS, DAY_MS)
    assert replaced_at(tx, 1) == replaced_at(tx, 2) == (NOW_MS, NOW_MS)
    assert replaced_at(tx, 3) == (0, 0)
    delete_expired_prekeys(tx, NOW_MS + DAY_MS - 1, DAY_MS)
    assert replaced_at(tx, 1) == (NOW_MS, NOW_MS)
    delete_expired_prekeys(tx, NOW_MS + DAY_MS, DAY_MS)
    assert replaced_at(tx, 1) == replaced_at(tx, 2) == (None, None)
    assert replaced_at(tx, 3) == (0, 0)


def test_a_clock_at_its_beginning_makes_no_replaced_prekey_a_current_one(tx: Transaction) -> None:
    put_signed_prekey(tx, 1, signed(NOW_MS))
    put_kyber_prekey(tx, 1, prekey(last_resort=True, replaced_at_ms=NOW_MS))
    for _ in range(2):
        delete_expired_prekeys(tx, 0, 100)
        assert replaced_at(tx, 1) == (1, 1)
    delete_expired_prekeys(tx, 101, 100)
    assert replaced_at(tx, 1) == (None, None)


def test_only_the_oldest_of_too_many_one_time_prekeys_go(tx: Transaction) -> None:
    for number in range(1, 8):
        put_one_time_prekey(tx, number, generate_key_pair(ENTROPY))
        put_kyber_prekey(tx, 10 + number, prekey())
    put_kyber_prekey(tx, 9, prekey(last_resort=True))
    for left in (7, 5, 6, 0):
        delete_oldest_prekeys(tx, left)
        kept = min(left, 5 if left < 7 else 7)
        newest = [*range(8 - kept, 8)]
        assert [n for n in range(1, 8) if find_one_time_prekey(tx, n)] == newest
        assert [n for n in range(1, 8) if find_kyber_prekey(tx, 10 + n)] == newest
    assert find_kyber_prekey(tx, 9) is not None


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
