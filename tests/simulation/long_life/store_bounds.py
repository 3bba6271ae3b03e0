# SPDX-License-Identifier: Apache-2.0
"""What a device's store may hold at most, as the documents say; held against real stores.

Each bound names where it is promised. Counted is each kind of row apart; a kind that has none here
is an error, so nothing that is kept is forgotten by this list.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from e2ecross.device.health import read_health
from e2ecross.state.blob_ends import BLOB_ENDS, OPENABLE
from e2ecross.state.context import address_from_key
from e2ecross.state.inbox import ARRIVED
from e2ecross.state.inbox_erasure import EXPIRES, ONCE
from e2ecross.state.policy import Policy
from e2ecross.state.prekey_store import LAST_RESORT
from e2ecross.state.receipts import DUE
from e2ecross.state.retry_budget import BUDGET
from e2ecross.state.sent import ENDS
from e2ecross.state.sent_ids import SENT_IDS
from e2ecross.stores import Store, Table, Transaction
from e2ecross.wire.session_records import SessionListRecord, decode_skipped_keys
from e2ecross.wire.shelf_records import decode_shelf
from tests.support.devices import DAY_MS

__all__ = ["GROWING", "Census", "count_store"]

_NUMBER_BYTES: Final = 4
_TIME_BYTES: Final = 8


class Bound(NamedTuple):
    """How many rows of a kind there are at most, and which document says so."""

    rows: int
    said_in: str


BOUNDS: Final[dict[str, Bound]] = {
    "device": Bound(5, "wire-format.md, records at rest"),
    "stripe": Bound(1, "wire-format.md, records at rest"),
    "signed prekeys": Bound(7, "security-model.md: replaced after 7 days, kept for 30 more"),
    "last-resort prekeys": Bound(7, "the same"),
    "one-time prekeys": Bound(1_000, "security-model.md: 1,000 of each kind are kept"),
    "one-time Kyber prekeys": Bound(1_000, "the same"),
    "seen base keys": Bound(7 * 65_536, "wire/limits.py: 65,536 for each signed prekey"),
    "receipts due": Bound(10_000, "state/receipts.py"),
    "receipts sent": Bound(200_000, "state/receipts.py"),
    "uploads": Bound(1_000, "attachments.md: a week"),
    "ends of blobs": Bound(10_000, "state/blob_ends.py"),
    "to be viewed once": Bound(10_000, "state/blob_ends.py"),
    "ids of sent messages": Bound(1_000_000, "storage.md: a million at most"),
    "ids of received messages": Bound(1_000_000, "state/delivered.py"),
    "read before they came": Bound(10_000, "state/delivered.py"),
    "asked for again": Bound(10_000, "state/retry_budget.py"),
    "sent again into groups": Bound(10_000, "state/retry_budget.py"),
    "asked for commits": Bound(10_000, "state/retry_budget.py"),
    "told of being out": Bound(10_000, "state/retry_budget.py"),
    "commits of groups": Bound(8_192, "wire/limits.py"),
    "groups": Bound(2, "one group: how it stands with it, and its state"),
    "own sender keys": Bound(1, "one group"),
    "unconfirmed items": Bound(0, "all was confirmed"),
    "unconfirmed items that end": Bound(0, "all was confirmed"),
    "unconfirmed items to be viewed once": Bound(0, "all was confirmed"),
    "numbers of envelopes": Bound(1_000, "architecture.md: they go when they were acknowledged"),
}
"""Of kinds that do not depend on how many others there are."""

PER_ACCOUNT: Final = frozenset({"accounts", "conversations", "consent"})
PER_DEVICE: Final = {"identities": 1, "lists told": 2, "session lists": 1, "group grants": 1}
"""Of lists the own one and that of the device's account."""
WITHIN: Final = frozenset(
    {
        "sessions",
        "skipped keys",
        "SPQR",
        "sender keys",
        "seeds of sender keys",
        "sent messages",
        "ends of sent messages",
        "outbox",
        "budget",
        "lists of generations",
    }
)
"""Kinds that are held against bounds of their own."""

GROWING: Final = frozenset(
    {"commits of groups", "sessions", "SPQR", "skipped keys", "stored message keys", "outbox"}
    | {
        "sender keys",
        "seeds of sender keys",
        "session lists",
        "budget",
        "numbers of envelopes",
        "unconfirmed",
    }
)
"""What documents let grow up to their bounds: each change of a group is kept, an address has 40
archived sessions, keys of missing messages and sender keys have no time limit. Or it is there for a
moment."""

_SHELVES: Final[dict[Table, dict[bytes, str]]] = {
    Table.RECEIPTS: {b"": "receipts sent"},
    Table.UPLOADS: {OPENABLE: "to be viewed once"},
    Table.SENT: {b"": "sent messages", SENT_IDS: "ids of sent messages"},
    Table.DELIVERED: {b"": "ids of received messages", b"read": "read before they came"},
    Table.RETRIES: {
        b"": "asked for again",
        b"resent": "sent again into groups",
        b"questions": "asked for commits",
        b"words": "told of being out",
    },
}
"""What is forgotten a generation at once, by the name of its shelf."""

_KINDS: Final[dict[Table, dict[bytes, str]]] = {
    Table.RECEIPTS: {DUE: "receipts due"},
    Table.UPLOADS: {BLOB_ENDS: "ends of blobs"},
    Table.SENT: {ENDS: "ends of sent messages"},
    Table.RETRIES: {BUDGET: "budget"},
    Table.KYBER_PREKEYS: {b"": "one-time Kyber prekeys", LAST_RESORT: "last-resort prekeys"},
    Table.INBOX: {
        b"": "unconfirmed items",
        ARRIVED: "numbers of envelopes",
        EXPIRES: "unconfirmed items that end",
        ONCE: "unconfirmed items to be viewed once",
    },
}
_WHOLE: Final[dict[Table, str]] = {
    Table.DEVICE: "device",
    Table.STRIPE: "stripe",
    Table.SIGNED_PREKEYS: "signed prekeys",
    Table.ONE_TIME_PREKEYS: "one-time prekeys",
    Table.SEEN_BASE_KEYS: "seen base keys",
    Table.REMOTE_IDENTITIES: "identities",
    Table.CONVERSATIONS: "conversations",
    Table.CONSENT: "consent",
    Table.SESSION_RECORDS: "session lists",
    Table.SESSIONS: "sessions",
    Table.SKIPPED_KEYS: "skipped keys",
    Table.SPQR: "SPQR",
    Table.GROUP_GRANTS: "group grants",
    Table.OWN_SENDER_KEYS: "own sender keys",
    Table.SENDER_KEYS: "sender keys",
    Table.SENDER_KEY_SEEDS: "seeds of sender keys",
    Table.GROUPS: "groups",
    Table.GROUP_COMMITS: "commits of groups",
    Table.OUTBOX: "outbox",
}

Census = Counter[str]
"""How many rows of each kind there are, and some sums."""


class _Rows:
    """All rows of a store, and what is known of where they belong."""

    def __init__(self, tx: Transaction) -> None:
        self.rows = {
            table: [(partition, row, record) for _, partition, row, record in tx.scan_all(table)]
            for table in Table
        }
        self.shelves: dict[Table, dict[bytes, set[bytes]]] = defaultdict(dict)
        for table, names in _SHELVES.items():
            for name in names:
                record = tx.get(table, b"", name)
                generations = () if record is None else decode_shelf(record)
                self.shelves[table][name] = {
                    name + each.number.to_bytes(_NUMBER_BYTES) for each in generations
                }

    def kinds(self) -> Iterator[tuple[str, bytes, bytes, bytes]]:
        """Walk over all rows, each with its kind."""
        for table, rows in self.rows.items():
            for partition, row, record in rows:
                yield self._kind(table, partition, row), partition, row, record

    def _kind(self, table: Table, partition: bytes, row: bytes) -> str:
        if table in _WHOLE:
            return _WHOLE[table]
        if table is Table.ACCOUNTS:
            return "lists told" if row else "accounts"
        if table in _SHELVES:
            if not partition and row in _SHELVES[table]:
                return "lists of generations"
            for name, partitions in self.shelves[table].items():
                if partition in partitions:
                    return _SHELVES[table][name]
        if table is Table.UPLOADS and not partition:
            return "uploads"
        kind = _KINDS[table].get(partition)
        assert kind is not None, f"a row of {table.value} belongs to nothing: {partition!r}"
        return kind


def count_store(
    store: Store, policy: Policy, now_ms: int, accounts: int, devices: int, upkeep_ms: int
) -> Census:
    """Count the rows of a device's store, and hold them against every bound.

    Args:
        store: of the device.
        policy: of the device.
        now_ms: the time.
        accounts: how many it may know, its own with them.
        devices: how many of those there are by the lists that it may hold.
        upkeep_ms: when its app has last done its upkeep.

    Raises:
        AssertionError: a bound does not hold.
    """
    census: Census = Counter()
    with store.transaction() as tx:
        found = _Rows(tx)
        keys: Counter[bytes] = Counter()
        seeds: Counter[bytes] = Counter()
        senders: Counter[bytes] = Counter()
        lists: dict[bytes, SessionListRecord] = {}
        for kind, partition, _row, record in found.kinds():
            census[kind] += 1
            if kind == "skipped keys":
                keys[partition] += len(decode_skipped_keys(record))
            elif kind == "seeds of sender keys":
                seeds[_sender(partition)] += len(decode_skipped_keys(record))
            elif kind == "sender keys":
                senders[partition] += 1
            elif kind == "session lists":
                lists[partition] = SessionListRecord.decode(record)
        _check_counts(census, accounts, devices)
        _check_sessions(census, lists, keys, found)
        _check_sender_keys(senders, seeds)
        _check_ages(found, tx, policy, now_ms, upkeep_ms)
        health = read_health(tx, policy, now_ms)
    damaged = [str(table.table) for table in health.tables if table.damaged or table.too_new]
    assert not damaged, f"damaged records in {damaged}"
    assert not health.sessions.broken, "sessions are broken"
    census["stored message keys"] = sum(keys.values())
    return census


def _check_counts(census: Census, accounts: int, devices: int) -> None:
    for kind, count in census.items():
        if kind in BOUNDS:
            most, why = BOUNDS[kind]
        elif kind in PER_ACCOUNT:
            most, why = accounts, "a row for each account"
        elif kind in PER_DEVICE:
            most, why = devices * PER_DEVICE[kind], "rows for each device that is listed"
        else:
            assert kind in WITHIN, f"{kind}: no bound is known"
            continue
        assert count <= most, f"{count} {kind}, at most {most}: {why}"


def _check_sessions(
    census: Census, lists: dict[bytes, SessionListRecord], keys: Counter[bytes], found: _Rows
) -> None:
    """security-model.md: 40 archived sessions, 8,000 keys, of each address."""
    total: Counter[bytes] = Counter()
    known: dict[bytes, bytes] = {}
    for place, listed in lists.items():
        assert len(listed.archived) <= 40, "more than 40 archived sessions with an address"
        sessions = [listed.current, listed.held, *listed.archived]
        known.update({place + base_key: place for base_key in sessions if base_key})
    for partition, row, _ in found.rows[Table.SESSIONS]:
        assert partition + row in known, "a session is in no list"
    for table in (Table.SKIPPED_KEYS, Table.SPQR):
        for partition, _, _ in found.rows[table]:
            assert partition in known, f"rows of {table.value} belong to no session"
    for partition, count in keys.items():
        assert count <= 8_000, "more than 8,000 stored keys of a session"
        total[known[partition]] += count
    assert all(count <= 16_000 for count in total.values()), "too many stored keys of an address"


def _sender(partition: bytes) -> bytes:
    """The sender's address key that a partition of seeds begins with: app, 0, user, 0, device."""
    end = partition.index(b"\0", partition.index(b"\0") + 1) + 2
    return partition[:end]


def _check_sender_keys(senders: Counter[bytes], seeds: Counter[bytes]) -> None:
    """security-model.md: five keys of a device in a group, 2,000 seeds for all of them."""
    for sender, count in senders.items():
        assert count <= 5, f"{count} sender keys of {address_from_key(sender)} in one group"
    for sender, count in seeds.items():
        assert count <= 2_000, "more than 2,000 seeds of a device in a group"
        assert sender in senders, "seeds belong to no sender key"


def _check_ages(found: _Rows, tx: Transaction, policy: Policy, now_ms: int, upkeep_ms: int) -> None:
    """What is kept for a time goes: found no longer, and erased with the upkeep of the app."""
    record = tx.get(Table.SENT, b"", b"")
    for generation in () if record is None else decode_shelf(record):
        over_ms = generation.opened_at_ms + policy.resend_kept_ms
        partition = generation.number.to_bytes(_NUMBER_BYTES)
        count = tx.count(Table.SENT, partition)
        assert over_ms > upkeep_ms or not count, (
            f"{count} sent messages are kept for {(now_ms - generation.opened_at_ms) // DAY_MS}"
            f" days: 7 at most (how-to.md, settings)"
        )
    kept = sum(tx.count(Table.SENT, each) for each in found.shelves[Table.SENT][b""])
    most = policy.resend_kept_messages * 6 // 5 + 64
    assert kept <= most, f"{kept} sent messages and copies are kept, at most {most}"
    for row, _ in tx.list(Table.SENT, ENDS):
        end_ms = int.from_bytes(row[:_TIME_BYTES])
        assert end_ms > upkeep_ms, "what was to be gone is kept, and the app has done its upkeep"
