# SPDX-License-Identifier: Apache-2.0
"""Our own prekeys in the store, and the base keys seen with them."""

from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from e2ecross.crypto.kdf import hash_base_key
from e2ecross.crypto.kem import KemKeyPair, kem_key_pair_from_seed
from e2ecross.crypto.keys import (
    AgreementKey,
    KeyPair,
    agreement_key_from_private,
    key_pair_from_private,
)
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted, StoreBusy
from e2ecross.protocol.prekeys import is_expired
from e2ecross.state.stripe import count_seen
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.records import (
    KyberPrekeyRecord,
    SignedPrekeyRecord,
    decode_one_time_prekey,
    encode_one_time_prekey,
)

__all__ = [
    "FULL_ROW",
    "LAST_RESORT",
    "SEEN_MARK",
    "OwnKyberPrekey",
    "OwnPrekey",
    "OwnSignedPrekey",
    "delete_expired_prekeys",
    "delete_kyber_prekey",
    "delete_oldest_prekeys",
    "delete_one_time_prekey",
    "find_kyber_prekey",
    "find_one_time_prekey",
    "find_signed_prekey",
    "has_full_stripe",
    "has_seen_base_key",
    "put_kyber_prekey",
    "put_one_time_prekey",
    "put_signed_prekey",
    "remember_base_key",
    "require_last_resort_prekey",
    "require_signed_prekey",
]

_Record = TypeVar("_Record", SignedPrekeyRecord, KyberPrekeyRecord)
_KeyPair = TypeVar("_KeyPair", KeyPair, KemKeyPair)

_ID_BYTES: Final = 4
LAST_RESORT: Final = b"last-resort"
"""The partition of last-resort Kyber prekeys: apart from the many one-time ones, because all of
them are gone through to see which have expired."""
FULL_ROW: Final = b"full"
"""Beside the base keys of a signed prekey, when a stripe takes no more of them."""
SEEN_MARK: Final = b"\x01"
"""The record of a base key that was seen; such rows are looked up, not read."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class OwnPrekey(Secret, Generic[_Record, _KeyPair]):
    """A prekey of ours, ready to be used; its id is its row.

    Attributes:
        record: what is stored of it.
        key_pair: the key, made of what is stored.
    """

    record: _Record
    key_pair: _KeyPair


OwnSignedPrekey = OwnPrekey[SignedPrekeyRecord, KeyPair]
OwnKyberPrekey = OwnPrekey[KyberPrekeyRecord, KemKeyPair]


def find_signed_prekey(tx: Transaction, prekey_id: int) -> OwnSignedPrekey | None:
    """Return a signed prekey of ours, or None."""
    return tx.get_value(Table.SIGNED_PREKEYS, b"", _row(prekey_id), _SIGNED)


def require_signed_prekey(tx: Transaction, prekey_id: int) -> OwnSignedPrekey:
    """Return the signed prekey that the device record names.

    Raises:
        RecordCorrupted: there is none.
    """
    prekey = find_signed_prekey(tx, prekey_id)
    if prekey is None:
        raise RecordCorrupted("the current signed prekey is missing: the store is damaged")
    return prekey


def put_signed_prekey(tx: Transaction, prekey_id: int, prekey: OwnSignedPrekey) -> None:
    """Write a signed prekey of ours."""
    tx.put_value(Table.SIGNED_PREKEYS, b"", _row(prekey_id), prekey, _SIGNED)


def delete_expired_prekeys(tx: Transaction, now_ms: int, kept_for_ms: int) -> None:
    """Delete signed and last-resort prekeys replaced long ago, with what was seen of them.

    One that was replaced after now, by a clock that was wrong, counts as replaced now.
    """
    for row, data in tx.list(Table.SIGNED_PREKEYS):
        signed = SignedPrekeyRecord.decode(data)
        if is_expired(signed.replaced_at_ms, now_ms, kept_for_ms):
            tx.delete(Table.SIGNED_PREKEYS, b"", row)
            for seen, _ in tx.list(Table.SEEN_BASE_KEYS, row):
                tx.delete(Table.SEEN_BASE_KEYS, row, seen)
        elif signed.replaced_at_ms > max(now_ms, 1):
            signed = replace(signed, replaced_at_ms=max(now_ms, 1))  # 0 stands for not replaced
            tx.put(Table.SIGNED_PREKEYS, b"", row, signed.encode())
    for row, data in tx.list(Table.KYBER_PREKEYS, LAST_RESORT):
        kyber = KyberPrekeyRecord.decode(data)
        if is_expired(kyber.replaced_at_ms, now_ms, kept_for_ms):
            tx.delete(Table.KYBER_PREKEYS, LAST_RESORT, row)
        elif kyber.replaced_at_ms > max(now_ms, 1):
            kyber = replace(kyber, replaced_at_ms=max(now_ms, 1))
            tx.put(Table.KYBER_PREKEYS, LAST_RESORT, row, kyber.encode())


def delete_oldest_prekeys(tx: Transaction, left: int) -> None:
    """Delete one-time prekeys of either kind until that many are left, the oldest first.

    Whoever hands them out can have us keep those that nobody uses.
    """
    for table in (Table.ONE_TIME_PREKEYS, Table.KYBER_PREKEYS):
        rows = [row for row, _ in tx.list(table)] if tx.count(table) > left else []
        for row in rows[: len(rows) - left]:
            tx.delete(table, b"", row)


def find_one_time_prekey(tx: Transaction, prekey_id: int) -> AgreementKey | None:
    """Return a one-time prekey of ours, or None.

    It is read to be used once, so its public key is not computed.
    """
    data = tx.get(Table.ONE_TIME_PREKEYS, b"", _row(prekey_id))
    return None if data is None else agreement_key_from_private(decode_one_time_prekey(data))


def put_one_time_prekey(tx: Transaction, prekey_id: int, key_pair: KeyPair) -> None:
    """Write a one-time prekey of ours."""
    record = encode_one_time_prekey(key_pair.private)
    tx.put(Table.ONE_TIME_PREKEYS, b"", _row(prekey_id), record)


def delete_one_time_prekey(tx: Transaction, prekey_id: int) -> None:
    """Delete a one-time prekey of ours, because it was used.

    Raises:
        StoreBusy: another transaction has used it at this moment.
    """
    if not tx.delete(Table.ONE_TIME_PREKEYS, b"", _row(prekey_id)):
        raise _used_at_once()


def find_kyber_prekey(tx: Transaction, prekey_id: int) -> OwnKyberPrekey | None:
    """Return a Kyber prekey of ours, one-time or last-resort, or None.

    Raises:
        RecordCorrupted: it is of the other kind than its row is for.
    """
    for is_last_resort in (False, True):
        partition = _kyber_partition(is_last_resort)
        found = tx.get_value(Table.KYBER_PREKEYS, partition, _row(prekey_id), _KYBER)
        if found is not None:
            if found.record.is_last_resort is not is_last_resort:
                raise RecordCorrupted("a Kyber prekey is in the wrong row: the store is damaged")
            return found
    return None


def require_last_resort_prekey(tx: Transaction, prekey_id: int) -> OwnKyberPrekey:
    """Return the last-resort Kyber prekey that the device record names.

    Raises:
        RecordCorrupted: there is none.
    """
    prekey = find_kyber_prekey(tx, prekey_id)
    if prekey is None or not prekey.record.is_last_resort:
        raise RecordCorrupted("the last-resort Kyber prekey is missing: the store is damaged")
    return prekey


def put_kyber_prekey(tx: Transaction, prekey_id: int, prekey: OwnKyberPrekey) -> None:
    """Write a Kyber prekey of ours."""
    partition = _kyber_partition(prekey.record.is_last_resort)
    tx.put_value(Table.KYBER_PREKEYS, partition, _row(prekey_id), prekey, _KYBER)


def delete_kyber_prekey(tx: Transaction, prekey_id: int) -> None:
    """Delete a one-time Kyber prekey of ours, because it was used.

    Raises:
        StoreBusy: another transaction has used it at this moment.
    """
    if not tx.delete(Table.KYBER_PREKEYS, b"", _row(prekey_id)):
        raise _used_at_once()


def has_seen_base_key(tx: Transaction, signed_prekey_id: int, base_key: bytes) -> bool:
    """Tell whether a first message with this base key (33 bytes) has been accepted."""
    return tx.get(Table.SEEN_BASE_KEYS, _row(signed_prekey_id), hash_base_key(base_key)) is not None


def remember_base_key(tx: Transaction, prekey_id: int, base_key: bytes, stripes: int) -> None:
    """Note the base key (33 bytes) of an accepted first message without one-time prekey.

    Args:
        tx: in the stripe of the sender.
        prekey_id: of the signed prekey that it has used.
        base_key: of the message.
        stripes: of the store.

    Raises:
        StoreBusy: another transaction has noted it at this moment.
    """
    partition = _row(prekey_id)
    if not tx.add(Table.SEEN_BASE_KEYS, partition, hash_base_key(base_key), SEEN_MARK):
        raise _used_at_once()
    kept = {int.from_bytes(row) for row, _ in tx.list(Table.SIGNED_PREKEYS)}
    if count_seen(tx, prekey_id, kept, stripes):
        tx.add(Table.SEEN_BASE_KEYS, partition, FULL_ROW, SEEN_MARK)


def has_full_stripe(tx: Transaction, prekey_id: int) -> bool:
    """Tell whether a signed prekey takes no more first messages that have to be remembered.

    It may be so in one stripe alone.
    """
    return tx.get(Table.SEEN_BASE_KEYS, _row(prekey_id), FULL_ROW) is not None


def _used_at_once() -> StoreBusy:
    # The next try finds no prekey, or the base key.
    return StoreBusy("another message used the same prekey at this moment: try again")


def _row(prekey_id: int) -> bytes:
    return prekey_id.to_bytes(_ID_BYTES)


def _kyber_partition(is_last_resort: bool) -> bytes:
    return LAST_RESORT if is_last_resort else b""


def _encode(prekey: OwnPrekey[_Record, _KeyPair]) -> bytes:
    return prekey.record.encode()


def _decode_signed(data: bytes) -> OwnSignedPrekey:
    record = SignedPrekeyRecord.decode(data)
    return OwnPrekey(record, key_pair_from_private(record.private_key))


def _decode_kyber(data: bytes) -> OwnKyberPrekey:
    record = KyberPrekeyRecord.decode(data)
    return OwnPrekey(record, kem_key_pair_from_seed(record.seed))


# Making the keys of a record anew costs more than all else that is read with them.
_SIGNED: Final[Codec[OwnSignedPrekey]] = Codec(_encode, _decode_signed)
_KYBER: Final[Codec[OwnKyberPrekey]] = Codec(_encode, _decode_kyber)
