# SPDX-License-Identifier: Apache-2.0
"""Our own prekeys in the store, and the base keys seen with them."""

from dataclasses import dataclass, replace
from typing import Final

from e2ecross.crypto.kdf import hash_base_key
from e2ecross.crypto.kem import KemKeyPair, kem_key_pair_from_seed
from e2ecross.crypto.keys import (
    AgreementKey,
    KeyPair,
    agreement_key_from_private,
    key_pair_from_private,
)
from e2ecross.crypto.secret import Secret
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.prekeys import is_expired
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.records import (
    KyberPrekeyRecord,
    SignedPrekeyRecord,
    decode_one_time_prekey,
    encode_one_time_prekey,
)

__all__ = [
    "LAST_RESORT",
    "SEEN_MARK",
    "KyberPrekeyState",
    "SignedPrekeyState",
    "delete_expired_prekeys",
    "delete_kyber_prekey",
    "delete_oldest_prekeys",
    "delete_one_time_prekey",
    "find_kyber_prekey",
    "find_one_time_prekey",
    "find_signed_prekey",
    "has_seen_base_key",
    "put_kyber_prekey",
    "put_one_time_prekey",
    "put_signed_prekey",
    "remember_base_key",
    "require_last_resort_prekey",
    "require_signed_prekey",
]

_ID_BYTES = 4
_IN_THE_ROW: Final = 0
"""In the place of an id that a record does not hold; no prekey has it."""
LAST_RESORT: Final = b"last-resort"
"""The partition of last-resort Kyber prekeys: apart from the many one-time ones, because all of
them are gone through to see which have expired."""
SEEN_MARK: Final = b"\x01"
"""The record of a base key that was seen; such rows are looked up, not read."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SignedPrekeyState(Secret):
    """One generation of our signed prekey.

    Attributes:
        id: its id.
        key_pair: the key.
        signature: XEdDSA over the public key, 64 bytes.
        created_at_ms: milliseconds since 1970.
        replaced_at_ms: milliseconds since 1970, 0 as long as it is the current one.
        seen_base_keys: first messages without one-time prekey that it has taken.
    """

    id: int
    key_pair: KeyPair
    signature: bytes
    created_at_ms: int
    replaced_at_ms: int = 0
    seen_base_keys: int = 0


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class KyberPrekeyState(Secret):
    """A Kyber prekey of ours.

    Attributes:
        id: its id.
        key_pair: the key.
        signature: XEdDSA over the public key (1569 bytes), 64 bytes.
        is_last_resort: whether it is used more than once.
        created_at_ms: milliseconds since 1970.
        replaced_at_ms: milliseconds since 1970; 0 for a one-time one, and as long as it is the
            current last-resort one.
    """

    id: int
    key_pair: KemKeyPair
    signature: bytes
    is_last_resort: bool
    created_at_ms: int
    replaced_at_ms: int = 0


def find_signed_prekey(tx: Transaction, prekey_id: int) -> SignedPrekeyState | None:
    """Return a signed prekey of ours, or None."""
    found = tx.get_value(Table.SIGNED_PREKEYS, b"", _row(prekey_id), _SIGNED)
    return found if found is None or found.id == prekey_id else replace(found, id=prekey_id)


def require_signed_prekey(tx: Transaction, prekey_id: int) -> SignedPrekeyState:
    """Return the signed prekey that the device record names.

    Raises:
        RecordCorrupted: there is none.
    """
    prekey = find_signed_prekey(tx, prekey_id)
    if prekey is None:
        raise RecordCorrupted("the current signed prekey is missing: the store is damaged")
    return prekey


def put_signed_prekey(tx: Transaction, prekey: SignedPrekeyState) -> None:
    """Write a signed prekey of ours."""
    tx.put_value(Table.SIGNED_PREKEYS, b"", _row(prekey.id), prekey, _SIGNED)


def delete_expired_prekeys(tx: Transaction, now_ms: int, kept_for_ms: int) -> None:
    """Delete signed and last-resort prekeys replaced long ago, with what was seen of them."""
    for row, data in tx.list(Table.SIGNED_PREKEYS):
        if is_expired(SignedPrekeyRecord.decode(data).replaced_at_ms, now_ms, kept_for_ms):
            tx.delete(Table.SIGNED_PREKEYS, b"", row)
            for seen, _ in tx.list(Table.SEEN_BASE_KEYS, row):
                tx.delete(Table.SEEN_BASE_KEYS, row, seen)
    for row, data in tx.list(Table.KYBER_PREKEYS, LAST_RESORT):
        if is_expired(KyberPrekeyRecord.decode(data).replaced_at_ms, now_ms, kept_for_ms):
            tx.delete(Table.KYBER_PREKEYS, LAST_RESORT, row)


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
    """Delete a one-time prekey of ours, because it was used."""
    tx.delete(Table.ONE_TIME_PREKEYS, b"", _row(prekey_id))


def find_kyber_prekey(tx: Transaction, prekey_id: int) -> KyberPrekeyState | None:
    """Return a Kyber prekey of ours, one-time or last-resort, or None."""
    for partition in (b"", LAST_RESORT):
        found = tx.get_value(Table.KYBER_PREKEYS, partition, _row(prekey_id), _KYBER)
        if found is not None and found.id == prekey_id:
            return found
        if found is not None:
            return replace(found, id=prekey_id, is_last_resort=partition == LAST_RESORT)
    return None


def require_last_resort_prekey(tx: Transaction, prekey_id: int) -> KyberPrekeyState:
    """Return the last-resort Kyber prekey that the device record names.

    Raises:
        RecordCorrupted: there is none.
    """
    prekey = find_kyber_prekey(tx, prekey_id)
    if prekey is None or not prekey.is_last_resort:
        raise RecordCorrupted("the last-resort Kyber prekey is missing: the store is damaged")
    return prekey


def put_kyber_prekey(tx: Transaction, prekey: KyberPrekeyState) -> None:
    """Write a Kyber prekey of ours."""
    partition = LAST_RESORT if prekey.is_last_resort else b""
    tx.put_value(Table.KYBER_PREKEYS, partition, _row(prekey.id), prekey, _KYBER)


def delete_kyber_prekey(tx: Transaction, prekey_id: int) -> None:
    """Delete a one-time Kyber prekey of ours, because it was used; a last-resort one stays."""
    tx.delete(Table.KYBER_PREKEYS, b"", _row(prekey_id))


def has_seen_base_key(tx: Transaction, signed_prekey_id: int, base_key: bytes) -> bool:
    """Tell whether a first message with this base key (33 bytes) has been accepted."""
    return tx.get(Table.SEEN_BASE_KEYS, _row(signed_prekey_id), hash_base_key(base_key)) is not None


def remember_base_key(tx: Transaction, prekey: SignedPrekeyState, base_key: bytes) -> None:
    """Note the base key (33 bytes) of an accepted first message without one-time prekey."""
    tx.put(Table.SEEN_BASE_KEYS, _row(prekey.id), hash_base_key(base_key), SEEN_MARK)
    put_signed_prekey(tx, replace(prekey, seen_base_keys=prekey.seen_base_keys + 1))


def _row(prekey_id: int) -> bytes:
    return prekey_id.to_bytes(_ID_BYTES)


def _encode_signed(prekey: SignedPrekeyState) -> bytes:
    return SignedPrekeyRecord(
        prekey.key_pair.private,
        prekey.signature,
        prekey.created_at_ms,
        prekey.replaced_at_ms,
        prekey.seen_base_keys,
    ).encode()


def _decode_signed(data: bytes) -> SignedPrekeyState:
    record = SignedPrekeyRecord.decode(data)
    return SignedPrekeyState(
        _IN_THE_ROW,
        key_pair_from_private(record.private_key),
        record.signature,
        record.created_at_ms,
        record.replaced_at_ms,
        record.seen_base_keys,
    )


def _encode_kyber(prekey: KyberPrekeyState) -> bytes:
    return KyberPrekeyRecord(
        prekey.key_pair.seed, prekey.signature, prekey.created_at_ms, prekey.replaced_at_ms
    ).encode()


def _decode_kyber(data: bytes) -> KyberPrekeyState:
    record = KyberPrekeyRecord.decode(data)
    return KyberPrekeyState(
        _IN_THE_ROW,
        kem_key_pair_from_seed(record.seed),
        record.signature,
        False,
        record.created_at_ms,
        record.replaced_at_ms,
    )


# Making the keys of a record anew costs more than all else that is read with them.
_SIGNED: Final = Codec(_encode_signed, _decode_signed)
_KYBER: Final = Codec(_encode_kyber, _decode_kyber)
