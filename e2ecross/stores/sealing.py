# SPDX-License-Identifier: Apache-2.0
"""Records encrypted at rest, over any store.

Rules:
- Every record is sealed with AES-256-GCM-SIV under a fresh random nonce; format version, table
  and look-up keys are its associated data, so a record opens only in its own place.
- Look-up keys are keyed hashes. What they stand for travels inside the sealed record.
- The subkeys come from the store key and a salt of the store's own: a row of another store does
  not open here, even under the same store key.
- A check record, kept by the store beside its tables, tells a wrong key from a damaged record.

What a sealed file still shows: how many rows each table and each (nameless) partition has, and
how long the records are. A row or file put back to an older genuine value opens; that is for the
operation counter of the device to notice, not for this module.
"""

import struct
from collections.abc import Iterator
from typing import Final

from e2ecross.crypto.aead import KEY_BYTES, NONCE_BYTES, TAG_BYTES, open_sealed, seal
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.kdf import hkdf, hmac_sha256
from e2ecross.crypto.secret import Secret
from e2ecross.errors import (
    AuthenticationFailed,
    InvalidArgument,
    RecordCorrupted,
    StoreCorrupted,
    StoreTooNew,
    WrongStoreKey,
)
from e2ecross.stores.base import Table, Transaction
from e2ecross.stores.checks import check_bytes, check_table

# The entropy names are handed on for the stores, which may not import from crypto themselves.
__all__ = [
    "SYSTEM_ENTROPY",
    "EntropySource",
    "SealedTransaction",
    "Sealer",
    "check_store_key",
    "create_sealing",
    "open_sealing",
]

_UNSEALED: Final = b"\x00"
_VERSION: Final = 1
_VERSION_BYTE: Final = bytes((_VERSION,))
_SALT_BYTES: Final = 32
_CHECK_VALUE: Final = bytes(32)
_HEADER_BYTES: Final = 1 + _SALT_BYTES + NONCE_BYTES + len(_CHECK_VALUE) + TAG_BYTES

_SEALING_INFO: Final = b"e2ecross store 1 sealing"
_BLINDING_INFO: Final = b"e2ecross store 1 blinding"
_CHECK_DATA: Final = b"e2ecross store 1 check"
_PARTITION: Final = b"\x01"
_ROW: Final = b"\x02"
_LENGTH: Final = struct.Struct(">I")


def check_store_key(key: object) -> None:
    """Refuse what is neither None nor exactly 32 bytes (`InvalidArgument`)."""
    if key is not None and (type(key) is not bytes or len(key) != KEY_BYTES):
        raise InvalidArgument(f"key must be None or exactly {KEY_BYTES} bytes")


def create_sealing(key: bytes | None, entropy: EntropySource) -> bytes:
    """Make what a new store keeps to recognise its key.

    Args:
        key: store key, 32 bytes, secret; None for a store that is not sealed.
        entropy: source of the salt and the nonce.

    Returns:
        For `open_sealing`; 1 byte, or 93 bytes (version, salt, nonce, sealed check value).
    """
    if key is None:
        return _UNSEALED
    salt = entropy.bytes(_SALT_BYTES)
    nonce = entropy.bytes(NONCE_BYTES)
    sealing_key = hkdf(salt, key, _SEALING_INFO, KEY_BYTES)
    return _VERSION_BYTE + salt + nonce + seal(sealing_key, nonce, _CHECK_VALUE, _CHECK_DATA)


def open_sealing(key: bytes | None, header: bytes, entropy: EntropySource) -> "Sealer | None":
    """Check the key against what `create_sealing` made.

    Args:
        key: store key, 32 bytes, secret; None when the store should not be sealed.
        header: what the store kept.
        entropy: source of the nonces to come.

    Returns:
        The sealer of this store, or None when it is not sealed.

    Raises:
        WrongStoreKey: another key, or one too many, or none where one is needed.
        StoreTooNew: a newer release sealed the store.
        StoreCorrupted: these are no such bytes.
    """
    if header == _UNSEALED:
        if key is not None:
            raise WrongStoreKey("the store is not encrypted: open it without a key")
        return None
    if header[:1] > _VERSION_BYTE:
        raise StoreTooNew("the encryption of the store", header[0], _VERSION)
    if header[:1] != _VERSION_BYTE or len(header) != _HEADER_BYTES:
        raise StoreCorrupted("what the store keeps about its encryption is damaged")
    if key is None:
        raise WrongStoreKey("the store is encrypted: open it with its key")
    salt, rest = header[1 : 1 + _SALT_BYTES], header[1 + _SALT_BYTES :]
    sealing_key = hkdf(salt, key, _SEALING_INFO, KEY_BYTES)
    try:
        open_sealed(sealing_key, rest[:NONCE_BYTES], rest[NONCE_BYTES:], _CHECK_DATA)
    except AuthenticationFailed as exc:
        raise WrongStoreKey("the key does not open this store") from exc
    return Sealer(sealing_key, hkdf(salt, key, _BLINDING_INFO, KEY_BYTES), entropy)


class Sealer(Secret):
    """The subkeys of one store. Immutable; may be used by many threads.

    Args:
        sealing_key: 32 bytes, secret.
        blinding_key: 32 bytes, secret.
        entropy: source of nonces.
    """

    __slots__ = ("_blinding_key", "_entropy", "_sealing_key")

    def __init__(self, sealing_key: bytes, blinding_key: bytes, entropy: EntropySource) -> None:
        self._sealing_key = sealing_key
        self._blinding_key = blinding_key
        self._entropy = entropy

    def wrap(self, transaction: Transaction) -> "SealedTransaction":
        """Look at a store's transaction through this seal."""
        return SealedTransaction(transaction, self)

    def blind_partition(self, table: Table, partition: bytes) -> bytes:
        """The 32 bytes under which a partition is looked up."""
        return hmac_sha256(self._blinding_key, _PARTITION + _join(_name(table), partition))

    def blind_row(self, table: Table, partition: bytes, row: bytes) -> bytes:
        """The 32 bytes under which a row is looked up."""
        return hmac_sha256(self._blinding_key, _ROW + _join(_name(table), partition, row))

    def seal(self, place: tuple[Table, bytes, bytes], true_keys: bytes, record: bytes) -> bytes:
        """Seal a record for a place (table, blinded partition, blinded row).

        Returns:
            version || nonce || ciphertext, 29 bytes longer than true keys and record.
        """
        nonce = self._entropy.bytes(NONCE_BYTES)
        ciphertext = seal(self._sealing_key, nonce, true_keys + record, _place_data(place))
        return _VERSION_BYTE + nonce + ciphertext

    def open(self, place: tuple[Table, bytes, bytes], sealed: bytes) -> tuple[bytes, bytes, bytes]:
        """Return (partition, row, record), all true, of what was sealed for this place.

        Raises:
            RecordCorrupted: damaged, cut, or sealed for another place or store.
        """
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != _VERSION_BYTE or len(nonce) != NONCE_BYTES:
            raise RecordCorrupted("a stored record is not of the sealed form")
        try:
            plaintext = open_sealed(self._sealing_key, nonce, ciphertext, _place_data(place))
        except AuthenticationFailed as exc:
            raise RecordCorrupted("a stored record was changed, cut, or moved") from exc
        # Authenticated, so it is as `SealedTransaction.put` wrote it.
        partition, rest = _split(plaintext)
        row, record = _split(rest)
        return partition, row, record


class SealedTransaction:
    """A transaction whose caller sees records in the clear and whose store never does."""

    __slots__ = ("_inner", "_sealer")

    def __init__(self, inner: Transaction, sealer: Sealer) -> None:
        self._inner = inner
        self._sealer = sealer

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`; raises `RecordCorrupted`."""
        place = self._place(table, partition, row)
        sealed = self._inner.get(*place)
        return None if sealed is None else self._sealer.open(place, sealed)[2]

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        place = self._place(table, partition, row)
        check_bytes("record", record)
        self._inner.put(*place, self._sealer.seal(place, _join(partition, row), record))

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> None:
        """See `Transaction.delete`."""
        self._inner.delete(*self._place(table, partition, row))

    def list(self, table: Table, partition: bytes = b"") -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`; raises `RecordCorrupted`."""
        blinded = self._partition(table, partition)
        opened = (
            self._sealer.open((table, blinded, row), sealed)
            for row, sealed in self._inner.list(table, blinded)
        )
        return sorted((row, record) for _, row, record in opened)

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`; nothing is opened for it."""
        return self._inner.count(table, self._partition(table, partition))

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`; the walk raises `RecordCorrupted`, and can go on after it."""

        def open_row(found: tuple[bytes, bytes, bytes]) -> tuple[bytes, bytes, bytes]:
            place, row, sealed = found
            return self._sealer.open((table, place, row), sealed)

        # Not a generator: that would be over with the first damaged record.
        return map(open_row, self._inner.scan(table))

    def _partition(self, table: Table, partition: bytes) -> bytes:
        check_table(table)
        check_bytes("partition", partition)
        return self._sealer.blind_partition(table, partition)

    def _place(self, table: Table, partition: bytes, row: bytes) -> tuple[Table, bytes, bytes]:
        blinded = self._partition(table, partition)
        check_bytes("row", row)
        return table, blinded, self._sealer.blind_row(table, partition, row)


def _name(table: Table) -> bytes:
    return table.value.encode()


def _place_data(place: tuple[Table, bytes, bytes]) -> bytes:
    table, blinded_partition, blinded_row = place
    return _VERSION_BYTE + _join(_name(table), blinded_partition, blinded_row)


def _join(*parts: bytes) -> bytes:
    """Every part behind its length, so that no two lists of parts give the same bytes."""
    return b"".join([_LENGTH.pack(len(part)) + part for part in parts])


def _split(joined: bytes) -> tuple[bytes, bytes]:
    (length,) = _LENGTH.unpack_from(joined)
    end = _LENGTH.size + length
    return joined[_LENGTH.size : end], joined[end:]
