# SPDX-License-Identifier: Apache-2.0
"""The contract of a store: tables of opaque records, changed in transactions.

Rules:
- A record is bytes that only its writer understands. A store never looks inside.
- A record is found by table, partition and row. The partition is what is read together (an
  address, say); rows of one partition are listed in ascending byte order.
- A transaction sees and changes everything alone: from its first line to its last no other
  thread or process reads something that it half wrote, or writes something that it has read.
- A store may have stripes, which are locked one by one. Stripe 0 is the device's own.
  `transaction(0)`, the default, has the whole store for itself. `transaction(k)`, k from 1 to
  `stripes`, has stripe k for itself and shares the rest: two of different k never wait for each
  other, `transaction(0)` waits for all, and all wait for it.
- `DEVICE_TABLES` are always of stripe 0; every other row belongs to the stripe of its view.
  `transaction(k)` reads them, and all of stripe 0, as they are committed. Of them it may change
  three things alone: `delete` of `ONE_TIME_PREKEYS`, `delete` of `KYBER_PREKEYS` in the empty
  partition, and `add` to `SEEN_BASE_KEYS`. All else is refused before the database hears of it.
- Of two transactions that delete the same row, or add the same one, the second waits for the first
  to end, and then gets False.
- A transaction commits when its `with` block ends, durably: what was put is there after a crash.
  When the block raises, nothing of it is kept.
- A record may also be put as the value that it encodes, and got as one. Values are immutable, so
  that a store which nobody else can change may hand out the one that was put, not a copy.
- Driver errors come out as `StoreError`.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from e2ecross.arguments import require_bytes, require_whole_number

__all__ = [
    "DEVICE_TABLES",
    "IN_ORDER",
    "Codec",
    "OneGate",
    "Store",
    "Table",
    "Transaction",
    "ValuesAsBytes",
    "WholeStore",
]

T = TypeVar("T", bound="Transaction")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Codec(Generic[V]):
    """How values of one kind are put into records. Codecs are compared by identity.

    Attributes:
        encode: makes the record of a value.
        decode: makes the value of a record, or raises a `StoreError`.
    """

    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]


class Table(enum.StrEnum):
    """What a store holds; the value is the table's name at rest."""

    DEVICE = "device"
    """Row: empty: this device: identity, counters, back-end token; `epoch`: its epoch;
    `publication`: what was published and not confirmed yet; `account`: what device 1 knows of its
    own account; `changes`: how often what is known of an account has changed."""
    SIGNED_PREKEYS = "signed_prekeys"
    """Row: prekey id."""
    ONE_TIME_PREKEYS = "one_time_prekeys"
    """Row: prekey id."""
    KYBER_PREKEYS = "kyber_prekeys"
    """Partition: empty for one-time ones, `last-resort`. Row: prekey id."""
    SEEN_BASE_KEYS = "seen_base_keys"
    """Partition: signed prekey id. Row: hash of a base key that started a session with it."""
    REMOTE_IDENTITIES = "remote_identities"
    """Partition: address."""
    ACCOUNTS = "accounts"
    """Partition: user. Row: empty: the list of its devices, and what is to be done about it;
    `pushed` + address: when a device got that list."""
    CONVERSATIONS = "conversations"
    """Partition: user: whether the user has accepted or blocked the account, and how many messages
    of a stranger wait."""
    CONSENT = "consent"
    """Partition: user: what the account has consented to, and how much of it was used."""
    RECEIPTS = "receipts"
    """Partition: `due`: receipts that are to be sent, row: when, user, message id, what. Or
    generation: what was sent, row: user, message id, what."""
    UPLOADS = "uploads"
    """Row: blob id. Partition: empty: what is or was brought to where files are kept; `ends`: when
    a blob is to be deleted. Or generation: what may be viewed once, row: user and message id."""
    SESSION_RECORDS = "session_records"
    """Partition: address. Which sessions there are with it, and in which order."""
    SESSIONS = "sessions"
    """Partition: address. Row: base key of the session."""
    SKIPPED_KEYS = "skipped_keys"
    """Partition: address and session. Row: ratchet key and bucket of message numbers."""
    SPQR = "spqr"
    """The SPQR ratchet of a session. Partition: address and session. Row: `material`, `kyber`,
    `chunks` + number, `keys` + epoch + bucket."""
    GROUP_GRANTS = "group_grants"
    """Partition: group. Row: address of a device that has the present own key of the group."""
    OWN_SENDER_KEYS = "own_sender_keys"
    """Partition: place, which is the form of a group's sender keys and its id."""
    SENDER_KEYS = "sender_keys"
    """Partition: address of the sender. Row: place and chain id."""
    SENDER_KEY_SEEDS = "sender_key_seeds"
    """Partition: address of the sender, place and chain id. Row: bucket of iterations."""
    GROUPS = "groups"
    """Partition: group id. Row: empty: how it stands with the group; `state`: what its commits
    give."""
    GROUP_COMMITS = "group_commits"
    """Partition: group id. Row: hash of a commit."""
    OUTBOX = "outbox"
    """Row: order of sending."""
    INBOX = "inbox"
    """Row: order of arrival."""
    SENT = "sent"
    """What may have to be sent again. Partition: generation. Row: recipient and message id."""
    DELIVERED = "delivered"
    """Which messages were received. Partition: generation. Row: sender and message id."""
    RETRIES = "retries"
    """What was asked for again. Partition: generation. Row: sender and message id. Also how much
    was asked and answered: partition `budget`, row: address, or empty for the total."""
    STRIPE = "stripe"
    """Row: empty: what is counted of a stripe."""


DEVICE_TABLES: Final = frozenset(
    (
        Table.DEVICE,
        Table.SIGNED_PREKEYS,
        Table.ONE_TIME_PREKEYS,
        Table.KYBER_PREKEYS,
        Table.SEEN_BASE_KEYS,
    )
)
"""Tables of which a store has one, whatever stripes it has: those of stripe 0."""


IN_ORDER: Final = frozenset((Table.OUTBOX, Table.INBOX))
"""Tables whose rows are numbers of a queue, and nothing that has to be hidden: a sealed store keeps
these rows as they are, so that it can read a part of a long queue."""


class Transaction(Protocol):
    """The view of a store inside one `with store.transaction()` block; useless after it."""

    def get(self, table: Table, partition: bytes, row: bytes = b"") -> bytes | None:
        """Return the record at that place, or None."""
        ...

    def put(self, table: Table, partition: bytes, row: bytes, record: bytes) -> None:
        """Write the record at that place, over what was there."""
        ...

    def get_value(self, table: Table, partition: bytes, row: bytes, codec: Codec[V]) -> V | None:
        """Return the value at that place, or None; raises what the codec does."""
        ...

    def put_value(
        self, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        """Write the record of a value at that place, over what was there."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """A block within the transaction: when it raises, what it changed is undone, no more.

        Blocks may follow one another; one inside another is refused with `StoreError`. A block
        whose own end is interrupted (a signal, Ctrl-C) takes the transaction with it: that cannot
        be committed any more.
        """
        ...

    def delete(self, table: Table, partition: bytes, row: bytes = b"") -> bool:
        """Remove the record at that place; returns whether there was one."""
        ...

    def add(self, table: Table, partition: bytes, row: bytes, record: bytes) -> bool:
        """Write the record at that place unless there is one; returns whether it was written."""
        ...

    def stripe_count(self) -> int:
        """Return how many stripes the store has; see `Store.stripes`."""
        ...

    def at(self, stripe: int) -> "Transaction":
        """Return the view of a stripe within this transaction: its tables but `DEVICE_TABLES`.

        In `transaction(0)` that may be any stripe. In `transaction(k)` it is k, or 0, where
        nothing can be changed.

        Raises:
            InvalidArgument: the store has no such stripe.
            StoreError: it is a stripe that this transaction has not locked.
        """
        ...

    def list(
        self,
        table: Table,
        partition: bytes = b"",
        *,
        limit: int | None = None,
        after: bytes | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """Return (row, record) of the rows of the partition, rows in ascending byte order.

        What a part of a listing costs depends on the part, not on the partition, in every table
        of a store that is not sealed, and in `IN_ORDER` of one that is. A sealed store opens the
        whole partition of the others: keep those small.

        Args:
            table: where.
            partition: which.
            limit: how many rows at most. None: all of them.
            after: only rows that come after this one, which need not be there. None: from the
                first.
        """
        ...

    def partitions(
        self, table: Table, *, limit: int | None = None, after: bytes | None = None
    ) -> Sequence[bytes]:
        """Return partitions that have rows, in an order of the store's own that stays the same.

        What it costs depends on how many are returned, not on their rows. A sealed store opens one
        record of each; a new key of the store is a new order.

        Args:
            table: where.
            limit: how many at most. None: all of them.
            after: only those that come after this one, which need not have rows any more. None:
                from the first.
        """
        ...

    def count(self, table: Table, partition: bytes = b"") -> int:
        """Return the number of rows of the partition."""
        ...

    def clear(self, table: Table, partition: bytes, limit: int | None = None) -> int:
        """Remove the rows of the partition, without reading them.

        Args:
            table: where.
            partition: which.
            limit: how many rows at most; which ones is not promised. None: all of them.

        Returns:
            How many were removed.
        """
        ...

    def scan(self, table: Table) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Walk over (partition, row, record) of the table in this stripe, in no promised order.

        The table must not be changed during the walk.
        """
        ...

    def scan_all(self, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """Walk over (stripe, partition, row, record) of the table in all stripes; see `scan`.

        Raises:
            StoreError: the transaction is not one of the whole store.
        """
        ...


class ValuesAsBytes:
    """Values in a store that keeps nothing but records; for the class of its transactions."""

    __slots__ = ()

    def get_value(
        self: Transaction, table: Table, partition: bytes, row: bytes, codec: Codec[V]
    ) -> V | None:
        """See `Transaction.get_value`."""
        record = self.get(table, partition, row)
        return None if record is None else codec.decode(record)

    def put_value(
        self: Transaction, table: Table, partition: bytes, row: bytes, value: V, codec: Codec[V]
    ) -> None:
        """See `Transaction.put_value`."""
        self.put(table, partition, row, codec.encode(value))


class WholeStore:
    """Of stores without stripes: for the class of transactions that nobody else is beside."""

    __slots__ = ()

    def add(self: Transaction, table: Table, partition: bytes, row: bytes, record: bytes) -> bool:
        """See `Transaction.add`."""
        require_bytes("record", record)
        if self.get(table, partition, row) is not None:
            return False
        self.put(table, partition, row, record)
        return True

    def stripe_count(self: Transaction) -> int:
        """See `Transaction.stripe_count`."""
        return 0

    def at(self: T, stripe: int) -> T:
        """See `Transaction.at`."""
        require_whole_number("stripe", stripe, 0, 0)
        return self

    def scan_all(self: Transaction, table: Table) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """See `Transaction.scan_all`."""
        return map(_of_stripe_0, self.scan(table))  # goes on behind what it cannot read


def _of_stripe_0(found: tuple[bytes, bytes, bytes]) -> tuple[int, bytes, bytes, bytes]:
    return (0, *found)


class Store(Protocol):
    """Where a device keeps its state; see the rules of this module."""

    @property
    def stripes(self) -> int:
        """How many stripes there are beside stripe 0: 0, or a power of two from 64 to 65,536.

        Fixed for the life of the store. A store with 0 has one gate: every transaction is of all.
        """
        ...

    def transaction(
        self, stripe: int = 0, *, moved: bool = False
    ) -> AbstractContextManager[Transaction]:
        """Begin a transaction; not nestable within a thread.

        Args:
            stripe: what it has for itself; 0: the whole store.
            moved: whether it may be at a server that is not the one of before, which is refused
                otherwise. Stores without a server ignore it.

        Raises:
            InvalidArgument: the store has no such stripe.
            StoreBusy: another thread or process held the store for too long.
            StoreClosed: the store has been closed.
            StoreError: the store cannot be read or written.
        """
        ...

    def stripes_with(self, table: Table) -> Sequence[int]:
        """Return the stripes that have rows of the table, ascending; stripe 0 among them.

        A hint, read without locks: it may be over when it arrives. Not inside a transaction.
        """
        ...

    def accept_move(self) -> None:
        """Take the server for the one of before: nothing that was committed there is lost.

        Stores without a server do nothing.
        """
        ...

    def close(self) -> None:
        """Release the store, leaving no superseded record readable; may be called twice."""
        ...


class OneGate:
    """What a store without stripes and without a server answers; for its class."""

    __slots__ = ()

    @property
    def stripes(self) -> int:
        """See `Store.stripes`."""
        return 0

    def stripes_with(self: Store, table: Table) -> Sequence[int]:
        """See `Store.stripes_with`."""
        with self.transaction() as tx:
            return [0] if tx.partitions(table, limit=1) else []

    def accept_move(self) -> None:
        """See `Store.accept_move`."""
