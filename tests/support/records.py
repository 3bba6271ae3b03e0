# SPDX-License-Identifier: Apache-2.0
"""All sessions with one address as what a store holds of them, of either version.

rows = save_record(party.record)
assert save_record(load_record(rows)) == rows
"""

from collections.abc import Mapping

from e2ecross.address import Address
from e2ecross.protocol.session_record import NO_SESSIONS, SessionRecord
from e2ecross.state.context import address_key
from e2ecross.state.session_store import load_sessions, save_sessions
from e2ecross.stores import MemoryStore, Table

__all__ = ["StoredRows", "load_record", "save_record"]

StoredRows = Mapping[tuple[Table, bytes, bytes], bytes]

_PEER = Address("whatsapp", "peer")


def save_record(record: SessionRecord) -> StoredRows:
    """Return what a store would hold of a record; equal rows mean equal records."""
    store = MemoryStore()
    with store.transaction() as tx:
        save_sessions(tx, address_key(_PEER), NO_SESSIONS, record)
        return {
            (table, partition, row): data
            for table in (
                Table.SESSION_RECORDS,
                Table.SESSIONS,
                Table.SKIPPED_KEYS,
                Table.SPQR,
            )
            for partition, row, data in tx.scan(table)
        }


def load_record(rows: StoredRows) -> SessionRecord:
    """Make the record anew from what a store holds, which is nothing but bytes."""
    store = MemoryStore()
    with store.transaction() as tx:
        for (table, partition, row), data in rows.items():
            tx.put(table, partition, row, data)
        return load_sessions(tx, _PEER)
