# SPDX-License-Identifier: Apache-2.0
"""Records encrypted at rest, over any store.

Rules:
- Every record is sealed with AES-256-GCM-SIV under a fresh random nonce; format version, table
  and look-up keys are its associated data, so a record opens only in its own place.
- Look-up keys are keyed hashes. What they stand for travels inside the sealed record. Only the rows
  of `IN_ORDER` stay as they are, so that a part of a long queue can be read: numbers in order.
- The subkeys come from the store key and a salt of the store's own: a row of another store does
  not open here, even under the same store key.
- Which key is the right one is told by the sealing header (sealing_header.py).

What a sealed file still shows: how many rows each table and each (nameless) partition has, how
long the records are, and the numbers of what waits in a queue. A row or file put back to an older
genuine value opens; that is for the operation counter of the device to notice, not for this module.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from e2ecross.arguments import require_bytes
from e2ecross.crypto.aead import NONCE_BYTES, SealingKey
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.kdf import HmacKey
from e2ecross.crypto.secret import Secret
from e2ecross.errors import AuthenticationFailed, RecordCorrupted
from e2ecross.stores.base import IN_ORDER, Table, Transaction, ValuesAsBytes, WholeStore
from e2ecross.stores.checks import check_place, check_range, check_table

# The entropy names are handed on for the stores, which may not import from crypto themselves.
__all__ = [
    "SYSTEM_ENTROPY",
    "EntropySource",
    "Place",
    "SealedTransaction",
    "Sealer",
    "Where",
    "reseal",
    "sized",
    "split_keys",
]

_Listing = list[tuple[bytes, bytes]]
Where = tuple[Table, bytes, bytes]  # a table, and look-up keys as the store has them

_VERSION_BYTE: Final = b"\x01"
_MAX_PLACES: Final = 4_096  # remembered at most, some hundred bytes each
_TELL_EVERY: Final = 256  # records that are sealed anew; some milliseconds
_LENGTH_BYTES: Final = 4


def sized(part: bytes) -> bytes:
    """A part behind its length, so that no two lists of parts give the same bytes."""
    return len(part).to_bytes(_LENGTH_BYTES) + part


# What the bytes that are hashed or authenticated begin with: what they are, and the table.
_PARTITION: Final = {table: b"\x01" + sized(table.value.encode()) for table in Table}
_ROW: Final = {table: b"\x02" + sized(table.value.encode()) for table in Table}
_PLACE: Final = {table: _VERSION_BYTE + sized(table.value.encode()) for table in Table}


class Place(NamedTuple):
    """A place, and what is sealed with whatever is put there.

    Attributes:
        where: it is looked up.
        data: associated with its records.
        true_keys: what the look-up keys stand for.
    """

    where: Where
    data: bytes
    true_keys: bytes


class Sealer(Secret):
    """The subkeys of one store. Immutable; may be used by many threads.

    Args:
        sealing_key: 32 bytes, secret.
        blinding_key: 32 bytes, secret.
        entropy: source of nonces.
    """

    __slots__ = ("_blinding_key", "_entropy", "_partitions", "_places", "_sealing_key")

    def __init__(self, sealing_key: bytes, blinding_key: bytes, entropy: EntropySource) -> None:
        self._sealing_key = SealingKey(sealing_key)
        self._blinding_key = HmacKey(blinding_key)
        self._entropy = entropy
        self._partitions: dict[tuple[Table, bytes], bytes] = {}
        self._places: dict[Where, Place] = {}

    def wrap(self, transaction: Transaction) -> "SealedTransaction":
        """Look at a store's transaction through this seal."""
        return SealedTransaction(transaction, self)

    def blind_partition(self, table: Table, partition: bytes) -> bytes:
        """The 32 bytes under which a partition is looked up."""
        found = self._partitions.get((table, partition))
        if found is None:
            found = self._blinding_key.digest(_PARTITION[table] + sized(partition))
            if len(self._partitions) >= _MAX_PLACES:
                self._partitions = {}
            self._partitions[table, partition] = found
        return found

    def blind_row(self, table: Table, partition: bytes, row: bytes) -> bytes:
        """The 32 bytes under which a row is looked up; of a queue, the row itself."""
        if table in IN_ORDER:
            return row
        return self._blinding_key.digest(_ROW[table] + sized(partition) + sized(row))

    def place(self, table: Table, partition: bytes, row: bytes) -> Place:
        """Return where a row is; of the last ones without hashing again (4 us)."""
        true = (table, partition, row)
        found = self._places.get(true)
        if found is None:
            blinded = self.blind_partition(table, partition)
            where = (table, blinded, self.blind_row(table, partition, row))
            found = Place(where, _place_data(where), sized(partition) + sized(row))
            if len(self._places) >= _MAX_PLACES:
                self._places = {}
            self._places[true] = found
        return found

    def seal(self, place: Place, record: bytes) -> bytes:
        """Seal a record for a place.

        Returns:
            version || nonce || ciphertext, 29 bytes longer than true keys and record.
        """
        nonce = self._entropy.bytes(NONCE_BYTES)
        ciphertext = self._sealing_key.seal(nonce, place.true_keys + record, place.data)
        return _VERSION_BYTE + nonce + ciphertext

    def open(self, where: Where, sealed: bytes) -> tuple[bytes, bytes, bytes]:
        """Return (partition, row, record), all true, of what was sealed for the place there.

        Raises:
            RecordCorrupted: damaged, cut, or sealed for another place or store.
        """
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != _VERSION_BYTE or len(nonce) != NONCE_BYTES:
            raise RecordCorrupted("a stored record is not of the sealed form")
        try:
            plaintext = self._sealing_key.open(nonce, ciphertext, _place_data(where))
        except AuthenticationFailed as exc:
            raise RecordCorrupted("a stored record was changed, cut, or moved") from exc
        # Authenticated, so it is as `SealedTransaction.put` wrote it.
        partition, rest = split_keys(plaintext)
        row, record = split_keys(rest)
        return partition, row, record


class SealedTransaction(WholeStore, ValuesAsBytes):
    """A transaction whose caller sees records in the clear and whose store never does."""

    __slots__ = ("_inner", "_sealer")

    def __init__(self, inner: Transaction, sealer: Sealer) -> None:
        self._inner = inner
        self._sealer = sealer

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """See `Transaction.get`; raises `RecordCorrupted`."""
        where = self._place(table, partition, row).where
        sealed = self._inner.get(*where)
        return None if sealed is None else self._sealer.open(where, sealed)[2]

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """See `Transaction.put`."""
        place = self._place(table, partition, row)
        require_bytes("record", record)
        self._inner.put(*place.where, self._sealer.seal(place, record))

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """See `Transaction.delete`."""
        return self._inner.delete(*self._place(table, partition, row).where)

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `Transaction.list`; raises `RecordCorrupted`."""
        blinded = self._partition(table, partition)
        check_range(limit, after)
        if table in IN_ORDER:
            return self._open(table, blinded, limit, after)
        # Keyed hashes have another order than what they stand for: nothing can be left out before
        # everything is open.
        rows = sorted(self._open(table, blinded, None, None))
        return [found for found in rows if after is None or found[0] > after][:limit]

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """See `Transaction.partitions`; raises `RecordCorrupted`. The order is that of the hashes.

        Which partition it is stands in its records, so the first one of each is opened.
        """
        check_table(table)
        check_range(limit, after)
        from_here = None if after is None else self._partition(table, after)
        found = []
        for blinded in self._inner.partitions(table, limit=limit, after=from_here):
            [(row, sealed)] = self._inner.list(table, blinded, limit=1)
            found.append(self._sealer.open((table, blinded, row), sealed)[0])
        return found

    def count(self, table: Table, partition: bytes = b"") -> int:
        """See `Transaction.count`; nothing is opened for it."""
        return self._inner.count(table, self._partition(table, partition))

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """See `Transaction.clear`; nothing is opened for it, so damaged records go too."""
        return self._inner.clear(table, self._partition(table, partition), limit)

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """See `Transaction.scan`; the walk raises `RecordCorrupted`, and can go on after it."""

        def open_row(found: tuple[bytes, bytes, bytes]) -> tuple[bytes, bytes, bytes]:
            place, row, sealed = found
            return self._sealer.open((table, place, row), sealed)

        # Not a generator: that would be over with the first damaged record.
        return map(open_row, self._inner.scan(table))

    def savepoint(self) -> AbstractContextManager[None]:
        """See `Transaction.savepoint`."""
        return self._inner.savepoint()

    def _open(
        self, table: Table, blinded: bytes, limit: int | None, after: bytes | None
    ) -> _Listing:
        rows = self._inner.list(table, blinded, limit=limit, after=after)
        found: _Listing = []
        for row, sealed in rows:
            try:
                found.append(self._sealer.open((table, blinded, row), sealed)[1:])
            except RecordCorrupted as error:
                if table in IN_ORDER:
                    error.row = row  # whoever walks over a queue goes on behind it
                raise
        return found

    def _partition(self, table: Table, partition: bytes) -> bytes:
        check_table(table)
        require_bytes("partition", partition)
        return self._sealer.blind_partition(table, partition)

    def _place(self, table: Table, partition: bytes, row: bytes) -> Place:
        check_place(table, partition, row)
        return self._sealer.place(table, partition, row)


def reseal(
    transaction: Transaction, old: Sealer | None, new: Sealer, tell: Callable[[int], object]
) -> None:
    """Seal every record anew, under the look-up keys of the new sealer, within one transaction.

    Args:
        transaction: of the store itself, not seen through a seal.
        old: what the records are sealed with now; None when they are in the clear.
        new: of other subkeys than `old`.
        tell: called every 256 records with how many are done. What it raises passes.

    Raises:
        RecordCorrupted: a record does not open; roll the transaction back.
    """
    sealed = new.wrap(transaction)
    done = 0
    for table in Table:
        # The look-up keys first, because a table must not change during a walk. New partitions are
        # keyed hashes, so they never meet an old one.
        places = [(partition, row) for partition, row, _ in transaction.scan(table)]
        for partition, row in places:
            record = transaction.get(table, partition, row)
            if record is None:
                raise RecordCorrupted("a stored record cannot be found again")
            transaction.delete(table, partition, row)
            place = (partition, row, record)
            if old is not None:
                place = old.open((table, partition, row), record)
            sealed.put(table, *place)
            done += 1
            if not done % _TELL_EVERY:
                tell(done)


def _place_data(where: Where) -> bytes:
    table, blinded_partition, blinded_row = where
    return _PLACE[table] + sized(blinded_partition) + sized(blinded_row)


def split_keys(joined: bytes) -> tuple[bytes, bytes]:
    """The first part of what `sized` has joined, and what comes after it."""
    end = _LENGTH_BYTES + int.from_bytes(joined[:_LENGTH_BYTES])
    return joined[_LENGTH_BYTES:end], joined[end:]
