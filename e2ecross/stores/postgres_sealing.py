# SPDX-License-Identifier: Apache-2.0
"""Records of a `PostgresStore` encrypted at rest, with keys that change.

Rules:
- A record says which key sealed it: 02 || key id (1) || nonce (12) || ciphertext. Its associated
  data are 02 || key id || table || stripe (4) || blinded partition || blinded row, each of unknown
  length behind its length: it opens only in its own store, table, stripe and place.
- Look-up keys come from one blinding key of the store, which stays when sealing keys change. It
  stands, sealed under each key, in the headers: 03 || key id (1) || salt (32) || nonce (12) ||
  sealed blinding key (48).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from e2ecross.arguments import require_bytes, require_type, require_whole_number
from e2ecross.crypto.aead import KEY_BYTES, NONCE_BYTES, TAG_BYTES, SealingKey
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import hkdf, is_equal
from e2ecross.crypto.secret import Secret
from e2ecross.errors import (
    AuthenticationFailed,
    InvalidArgument,
    RecordCorrupted,
    StoreCorrupted,
    WrongStoreKey,
)
from e2ecross.stores.base import DEVICE_TABLES, Table, Transaction
from e2ecross.stores.sealing import Place, SealedTransaction, Sealer, Where, sized, split_keys

__all__ = ["MAX_KEY_ID", "KeyRing", "StoreKeys", "StripeSealer", "sealed_with"]

_RECORD: Final = b"\x02"
_HEADER: Final = b"\x03"
_SALT_BYTES: Final = 32
_HEADER_BYTES: Final = 2 + _SALT_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES
_SEALING_INFO: Final = b"e2ecross store 1 sealing"
_CHECK_DATA: Final = b"e2ecross store 1 check"
MAX_KEY_ID: Final = 255
"""One byte of a record, which is not 0."""
_STRIPE_BYTES: Final = 4
_WRONG_KEY: Final = "a key does not open this store"


class StoreKeys(Secret):
    """The keys that a worker was given, where no traceback shows them.

    Args:
        keys: 32 bytes, secret, by id, 1 to 255. None: the store is not sealed.
        seal_with: which of them seals; None: that of the highest id.

    Raises:
        InvalidArgument: something has the wrong type, length or range.
    """

    __slots__ = ("_keys", "seal_with")

    def __init__(self, keys: Mapping[int, bytes] | None, seal_with: int | None) -> None:
        if keys is not None:
            require_type("keys", keys, Mapping)
            if not keys:
                raise InvalidArgument("keys must have a key, or be None")
            for key_id, key in keys.items():
                require_whole_number("the id of a key", key_id, 1, MAX_KEY_ID)
                require_bytes("a key", key, KEY_BYTES)
        self._keys = dict(keys or {})
        self.seal_with = max(self._keys, default=0) if seal_with is None else seal_with
        if seal_with is not None and seal_with not in self._keys:
            raise InvalidArgument("seal_with must be the id of one of the keys")

    def create(self, entropy: EntropySource) -> dict[int, bytes]:
        """Make the headers of a new store, by key id; none if it is not sealed."""
        blinding_key = entropy.bytes(KEY_BYTES)
        return {key_id: self._header(key_id, blinding_key, entropy) for key_id in self._keys}

    def open(self, headers: Mapping[int, bytes], entropy: EntropySource) -> "KeyRing | None":
        """Open a store.

        Args:
            headers: what the store has, by key id.
            entropy: source of the nonces to come.

        Returns:
            What seals and opens; None when the store is not sealed.

        Raises:
            WrongStoreKey: another key; or none, or one, where that is wrong.
            StoreCorrupted: a header is damaged.
        """
        if not headers:
            if self._keys:
                raise WrongStoreKey("the store is not encrypted: open it without keys")
            return None
        if not self._keys:
            raise WrongStoreKey("the store is encrypted: open it with its keys")
        sealing_keys: dict[int, SealingKey] = {}
        blinding_keys: list[bytes] = []
        for key_id, key in self._keys.items():
            header = headers.get(key_id)
            if header is not None:
                sealing_keys[key_id] = _sealing_key(key_id, key, header)
                blinding_keys.append(_open_header(key_id, sealing_keys[key_id], header))
        if not blinding_keys:
            raise WrongStoreKey("the store has none of these keys: give one that it has, too")
        first = blinding_keys[0]
        if not all(is_equal(first, other) for other in blinding_keys):
            raise StoreCorrupted("the headers of the store's keys contradict each other")
        missing = {
            key_id: self._header(key_id, first, entropy)
            for key_id in self._keys
            if key_id not in headers
        }
        for key_id, header in missing.items():
            sealing_keys[key_id] = _sealing_key(key_id, self._keys[key_id], header)
        return KeyRing(sealing_keys, self.seal_with, first, missing, entropy)

    def _header(self, key_id: int, blinding_key: bytes, entropy: EntropySource) -> bytes:
        prefix = _HEADER + bytes([key_id])
        salt, nonce = entropy.bytes(_SALT_BYTES), entropy.bytes(NONCE_BYTES)
        key = SealingKey(hkdf(salt, self._keys[key_id], _SEALING_INFO, KEY_BYTES))
        return prefix + salt + nonce + key.seal(nonce, blinding_key, _CHECK_DATA + prefix)


class KeyRing(Secret):
    """The keys of an open store. Immutable; may be used by many threads.

    Args:
        sealing_keys: by id.
        seal_with: the id of the one that seals.
        blinding_key: 32 bytes, secret.
        missing: headers of keys that the store does not have yet.
        entropy: source of nonces.
    """

    __slots__ = ("_blinder", "_entropy", "_sealing_keys", "missing", "seal_with")

    def __init__(
        self,
        sealing_keys: dict[int, SealingKey],
        seal_with: int,
        blinding_key: bytes,
        missing: dict[int, bytes],
        entropy: EntropySource,
    ) -> None:
        self._sealing_keys = sealing_keys
        self._entropy = entropy
        self._blinder = Sealer(bytes(KEY_BYTES), blinding_key, entropy)
        self.seal_with = seal_with
        self.missing = missing

    def wrap(self, rows: Transaction, stripe: int) -> Transaction:
        """Look at the rows of a stripe through this seal."""
        return SealedTransaction(rows, StripeSealer(self, stripe))

    def scan_all(
        self, rows: Transaction, table: Table
    ) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """See `Transaction.scan_all`; the walk raises `RecordCorrupted`, and can go on after it."""

        def open_row(found: tuple[int, bytes, bytes, bytes]) -> tuple[int, bytes, bytes, bytes]:
            stripe, partition, row, sealed = found
            return (stripe, *StripeSealer(self, stripe).open((table, partition, row), sealed))

        return map(open_row, rows.scan_all(table))

    def seal(self, data: bytes, plaintext: bytes) -> bytes:
        """Seal a record under associated data that lack version and key id."""
        nonce, prefix = self._entropy.bytes(NONCE_BYTES), sealed_with(self.seal_with)
        key = self._sealing_keys[self.seal_with]
        return prefix + nonce + key.seal(nonce, plaintext, prefix + data)

    def open(self, data: bytes, sealed: bytes) -> bytes:
        """Undo `seal`.

        Raises:
            RecordCorrupted: damaged, cut, or sealed for another place or store.
            WrongStoreKey: sealed with a key that was not given.
        """
        prefix, nonce, ciphertext = sealed[:2], sealed[2:][:NONCE_BYTES], sealed[2 + NONCE_BYTES :]
        if prefix[:1] != _RECORD or len(nonce) != NONCE_BYTES:
            raise RecordCorrupted("a stored record is not of the sealed form")
        key = self._sealing_keys.get(prefix[1])
        if key is None:
            raise WrongStoreKey(
                f"a record is sealed with key {prefix[1]}, which was not given: all workers get a "
                "new key before one seals with it"
            )
        try:
            return key.open(nonce, ciphertext, prefix + data)
        except AuthenticationFailed as exc:
            raise RecordCorrupted("a stored record was changed, cut, or moved") from exc

    def blind_partition(self, table: Table, partition: bytes) -> bytes:
        """See `Sealer.blind_partition`."""
        return self._blinder.blind_partition(table, partition)

    def place(self, table: Table, partition: bytes, row: bytes) -> Place:
        """See `Sealer.place`."""
        return self._blinder.place(table, partition, row)


class StripeSealer(Sealer):
    """Seals and opens what stands in one stripe; see `Sealer`.

    Args:
        ring: the keys.
        stripe: which.
    """

    __slots__ = ("_ring", "_stripe")

    def __init__(self, ring: KeyRing, stripe: int) -> None:
        self._ring = ring
        self._stripe = stripe

    def blind_partition(self, table: Table, partition: bytes) -> bytes:
        """See `Sealer.blind_partition`."""
        return self._ring.blind_partition(table, partition)

    def place(self, table: Table, partition: bytes, row: bytes) -> Place:
        """See `Sealer.place`."""
        return self._ring.place(table, partition, row)

    def seal(self, place: Place, record: bytes) -> bytes:
        """See `Sealer.seal`."""
        return self._ring.seal(self._data(place.where), place.true_keys + record)

    def open(self, where: Where, sealed: bytes) -> tuple[bytes, bytes, bytes]:
        """See `Sealer.open`; also raises `WrongStoreKey`."""
        partition, rest = split_keys(self._ring.open(self._data(where), sealed))
        return (partition, *split_keys(rest))

    def seal_anew(self, where: Where, sealed: bytes) -> bytes:
        """Seal a record of any key with the one that seals; it stays in its place."""
        data = self._data(where)
        return self._ring.seal(data, self._ring.open(data, sealed))

    def _data(self, where: Where) -> bytes:
        table, partition, row = where
        stripe = 0 if table in DEVICE_TABLES else self._stripe
        name = sized(table.value.encode())
        return name + stripe.to_bytes(_STRIPE_BYTES) + sized(partition) + sized(row)


def sealed_with(key_id: int) -> bytes:
    """What a record of that key begins with."""
    return _RECORD + bytes([key_id])


def _sealing_key(key_id: int, key: bytes, header: bytes) -> SealingKey:
    if len(header) != _HEADER_BYTES or header[:2] != _HEADER + bytes([key_id]):
        raise StoreCorrupted("what the store keeps about its encryption is damaged")
    return SealingKey(hkdf(header[2 : 2 + _SALT_BYTES], key, _SEALING_INFO, KEY_BYTES))


def _open_header(key_id: int, key: SealingKey, header: bytes) -> bytes:
    """The blinding key."""
    nonce, sealed = header[2 + _SALT_BYTES :][:NONCE_BYTES], header[-KEY_BYTES - TAG_BYTES :]
    try:
        return key.open(nonce, sealed, _CHECK_DATA + header[:2])
    except AuthenticationFailed as exc:
        raise WrongStoreKey(f"{_WRONG_KEY} (id {key_id})") from exc
