# SPDX-License-Identifier: Apache-2.0
"""Whether a store is whole: every record decodes, and none refers to one that is missing."""

from dataclasses import dataclass
from typing import NamedTuple

from e2ecross import Address
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.session_record import SessionRecord
from e2ecross.state.context import require_device
from e2ecross.state.epoch import read_epoch
from e2ecross.state.group_outbox import GROUP_OUTBOX, group_waiting_from_record
from e2ecross.state.in_flight import IN_FLIGHT
from e2ecross.state.inbox import ARRIVED
from e2ecross.state.inbox_erasure import EXPIRES, ONCE
from e2ecross.state.outbox import (
    TURNS,
    BacklogName,
    TurnKind,
    find_message,
    list_backlog,
    read_backlog,
    walk_turns_of,
)
from e2ecross.state.prekey_store import LAST_RESORT
from e2ecross.state.queue import NUMBER_BYTES, number_row
from e2ecross.state.session_store import load_sessions
from e2ecross.state.trust import find_identity
from e2ecross.stores import Store, Table, Transaction
from e2ecross.wire.inbox_records import (
    InboxMessage,
    InboxNotice,
    decode_arrival,
    decode_inbox_item,
)
from e2ecross.wire.queue_records import (
    OutboxRecord,
    decode_row,
)
from e2ecross.wire.records import (
    DeviceRecord,
    KyberPrekeyRecord,
    SignedPrekeyRecord,
    decode_one_time_prekey,
)
from e2ecross.wire.session_records import SessionListRecord, StoredSession, decode_skipped_keys
from e2ecross.wire.stripe_record import StripeRecord

_BASE_KEY_BYTES = 33


class Place(NamedTuple):
    partition: bytes
    row: bytes


@dataclass(frozen=True)
class Facts:
    """What a whole store says of itself.

    Attributes:
        signed_prekeys: ids.
        one_time_prekeys: ids.
        kyber_prekeys: ids of one-time ones.
        last_resort_prekeys: ids.
        next_prekey_id: the first that has not been given.
        inbox: what the app has not confirmed: message ids, and the accounts they are from or for.
        outbox: ids of envelopes that the back end may not have.
        sessions: how many, current and archived.
    """

    signed_prekeys: set[int]
    one_time_prekeys: set[int]
    kyber_prekeys: set[int]
    last_resort_prekeys: set[int]
    next_prekey_id: int
    inbox: set[tuple[str, str]]
    outbox: set[str]
    sessions: int

    @property
    def gone_prekeys(self) -> set[int]:
        """One-time prekeys of either kind that were made and are not there any more.

        For a store whose signed and last-resort prekeys are all kept, so that every other id is a
        one-time one.
        """
        made = set(range(min(self.signed_prekeys), self.next_prekey_id))
        kept = self.signed_prekeys | self.last_resort_prekeys
        return made - kept - self.one_time_prekeys - self.kyber_prekeys


def check_store(store: Store) -> Facts | None:
    """Decode everything and compare; None when the store holds nothing at all."""
    with store.transaction() as tx:
        tables = {table: _rows(tx, table) for table in Table}
        if not any(tables.values()):
            return None
        device = require_device(tx)
        _check_sessions(tx, tables)
        _check_prekeys(device, tables)
        return _facts(device, tables, _check_inbox(tables), _check_outbox(tx, tables))


def _rows(tx: Transaction, table: Table) -> dict[Place, bytes]:
    return {Place(partition, row): record for partition, row, record in tx.scan(table)}


def _check_sessions(tx: Transaction, tables: dict[Table, dict[Place, bytes]]) -> None:
    listed: set[Place] = set()
    for place, record in tables[Table.SESSION_RECORDS].items():
        sessions = SessionListRecord.decode(record)
        keys = (*sessions.archived, *([sessions.current] if sessions.current else []))
        assert len(set(keys)) == len(keys)
        listed |= {Place(place.partition, key) for key in keys}
        address = _address(place.partition)
        loaded: SessionRecord = load_sessions(tx, address)  # also joins sessions and skipped keys
        assert len(loaded.archived) == len(sessions.archived)
        assert find_identity(tx, address) is not None
    assert listed == tables[Table.SESSIONS].keys()
    for place, record in tables[Table.SESSIONS].items():
        assert StoredSession.decode(record).base_key == place.row
    for place, record in tables[Table.SKIPPED_KEYS].items():
        decode_skipped_keys(record)
        owner = Place(place.partition[:-_BASE_KEY_BYTES], place.partition[-_BASE_KEY_BYTES:])
        assert owner in listed
    for place in tables[Table.REMOTE_IDENTITIES]:
        assert find_identity(tx, _address(place.partition)) is not None


def _check_prekeys(device: DeviceRecord, tables: dict[Table, dict[Place, bytes]]) -> None:
    table = tables[Table.SIGNED_PREKEYS]
    signed = {place.row: SignedPrekeyRecord.decode(data) for place, data in table.items()}
    assert device.signed_prekey_id.to_bytes(4) in signed
    current = [row for row, record in signed.items() if not record.replaced_at_ms]
    assert current == [device.signed_prekey_id.to_bytes(4)]
    stripes = [StripeRecord.decode(data) for data in tables[Table.STRIPE].values()]
    counts = {each: count for stripe in stripes for each, count in stripe.seen}
    for row in signed:
        seen = [place for place in tables[Table.SEEN_BASE_KEYS] if place.partition == row]
        assert len(seen) == counts.get(int.from_bytes(row), 0)
    assert {place.partition for place in tables[Table.SEEN_BASE_KEYS]} <= signed.keys()
    kyber = {place: KyberPrekeyRecord.decode(d) for place, d in tables[Table.KYBER_PREKEYS].items()}
    current_last_resort = [
        place.row
        for place, record in kyber.items()
        if place.partition == LAST_RESORT and not record.replaced_at_ms
    ]
    assert current_last_resort == [device.last_resort_kyber_prekey_id.to_bytes(4)]
    for data in tables[Table.ONE_TIME_PREKEYS].values():
        decode_one_time_prekey(data)


def _queue(rows: dict[Place, bytes], partition: bytes = b"") -> dict[int, bytes]:
    """The rows of a queue by their numbers."""
    queue = {place.row: record for place, record in rows.items() if place.partition == partition}
    assert all(len(row) == NUMBER_BYTES for row in queue)
    return {int.from_bytes(row): record for row, record in queue.items()}


def _check_inbox(tables: dict[Table, dict[Place, bytes]]) -> set[tuple[str, str]]:
    """What the app has not confirmed; see `Facts`."""
    for place, record in tables[Table.INBOX].items():
        assert place.partition in (b"", ARRIVED, EXPIRES, ONCE)
        assert place.partition != ARRIVED or len(decode_arrival(record).envelope_hash) == 32
    queue = _queue(tables[Table.INBOX])
    marks = {
        p: decode_row(data) for p, data in tables[Table.INBOX].items() if p[0] in (EXPIRES, ONCE)
    }
    # That of an end stays until then if the item is erased before and confirmed.
    assert {number for place, number in marks.items() if place.partition == ONCE} <= queue.keys()
    items = [decode_inbox_item(record) for record in queue.values()]
    found: set[tuple[str, str]] = set()
    for item in items:
        if not isinstance(item, InboxNotice):
            peer = item.peer if isinstance(item, InboxMessage) else None
            user = peer or (item.sender and item.sender.user_id)
            found.add((item.message_id.hex(), str(user)))
    return found


def _check_outbox(tx: Transaction, tables: dict[Table, dict[Place, bytes]]) -> set[str]:
    """Ids of envelopes that wait; every row is that of a backlog which has a turn."""
    waiting: set[str] = set()
    rows: set[Place] = set()
    for partition in {place.partition for place in tables[Table.OUTBOX]}:
        if partition == IN_FLIGHT:
            flying = {p: data for p, data in tables[Table.OUTBOX].items() if p[0] == partition}
            waiting |= {OutboxRecord.decode(data).message_id.hex() for data in flying.values()}
            rows |= flying.keys()
            assert {int.from_bytes(row) for _, row in flying} <= set(range(1, read_epoch(tx) + 1))
        elif partition == GROUP_OUTBOX:
            in_groups = _queue(tables[Table.OUTBOX], partition)
            rows |= {Place(partition, number_row(number)) for number in in_groups}
            waiting |= {
                group_waiting_from_record(number, data).message_id.hex()
                for number, data in in_groups.items()
            }
        elif partition.startswith(TURNS):
            queue = _queue(tables[Table.OUTBOX], partition)
            rows |= {Place(partition, number_row(turn)) for turn in queue}
    kinds = [(name, kind) for name in BacklogName for kind in TurnKind]
    for turn, backlog in (found for each in kinds for found in walk_turns_of(tx, *each)):
        assert not isinstance(backlog, RecordCorrupted)
        record = read_backlog(tx, backlog)
        assert record is not None
        assert record.turn == turn
        rows.add(Place(backlog.partition, b""))
        there = list_backlog(tx, backlog)
        assert there
        assert {item.number for item in there} <= set(range(record.first, record.next))
        for item in there:
            rows.add(Place(backlog.partition, number_row(item.number)))
            if backlog.name is BacklogName.MESSAGES:
                assert find_message(tx, backlog.recipient, item.message_id) == item.number
                rows.add(Place(backlog.partition, item.message_id))
            waiting.add(item.message_id.hex())
    assert {*tables[Table.OUTBOX]} == rows
    return waiting


def _facts(
    device: DeviceRecord,
    tables: dict[Table, dict[Place, bytes]],
    inbox: set[tuple[str, str]],
    outbox: set[str],
) -> Facts:
    def ids(table: Table, partition: bytes = b"") -> set[int]:
        found = {
            int.from_bytes(place.row) for place in tables[table] if place.partition == partition
        }
        assert all(number < device.next_prekey_id for number in found)
        return found

    return Facts(
        signed_prekeys=ids(Table.SIGNED_PREKEYS),
        one_time_prekeys=ids(Table.ONE_TIME_PREKEYS),
        kyber_prekeys=ids(Table.KYBER_PREKEYS),
        last_resort_prekeys=ids(Table.KYBER_PREKEYS, LAST_RESORT),
        next_prekey_id=device.next_prekey_id,
        inbox=inbox,
        outbox=outbox,
        sessions=len(tables[Table.SESSIONS]),
    )


def _address(partition: bytes) -> Address:
    app, user, device = partition.decode().split("\0")
    return Address(app, user, ord(device))
