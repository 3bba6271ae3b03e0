# SPDX-License-Identifier: Apache-2.0
"""Forgetting damaged sessions: those and no others, and what the list says of them."""

import pytest

from e2ecross import Device, Text
from e2ecross.crypto.keys import decode_public_key
from e2ecross.state.context import address_key
from e2ecross.state.session_store import drop_damaged_sessions, load_sessions
from e2ecross.stores import Table
from e2ecross.wire.session_records import SessionListRecord
from tests.support.devices import ANA, BUDI, TOKO, dump, introduce, make_device, say, start

PLACE = address_key(BUDI)


def scene() -> tuple[Device, Device]:
    """Ana with three sessions with Budi: ours unanswered, his held, and an archived one."""
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    start(ana, budi)
    ana.encrypt(BUDI, Text("lost"))
    start(budi, ana)
    say(budi, ana, "crossing")
    say(budi, ana, "once more")
    late = [budi.encrypt(ANA, Text(str(number))) for number in range(3)]
    assert ana.decrypt(late[2]).content == Text("2")
    return ana, budi


def listed(device: Device) -> SessionListRecord:
    with device._context.store.transaction() as tx:
        record = tx.get(Table.SESSION_RECORDS, PLACE, b"")
    assert record is not None
    return SessionListRecord.decode(record)


@pytest.mark.parametrize("wanted", ["", "c", "h", "a", "ch", "ca", "ha", "cha"])
def test_exactly_the_damaged_sessions_are_forgotten(wanted: str) -> None:
    ana, budi = scene()
    accepted = decode_public_key(budi.identity_key)
    store, before = ana._context.store, listed(ana)
    assert before.current is not None
    assert before.held is not None
    assert before.held_count > 1
    (other,) = [key for key in before.archived if key != before.held]
    keys = {"c": before.current, "h": before.held, "a": other}
    damaged = {keys[letter] for letter in wanted}
    rows = dump(store)
    with store.transaction() as tx:
        for key in damaged:
            tx.put(Table.SESSIONS, PLACE, key, b"\x01\xff")
        assert drop_damaged_sessions(tx, BUDI, accepted) is bool(damaged)
    held_is_left = before.held not in damaged
    assert listed(ana) == SessionListRecord(
        current=None if before.current in damaged else before.current,
        archived=tuple(key for key in before.archived if key not in damaged),
        held=before.held if held_is_left else None,
        held_count=before.held_count if held_is_left else 0,
    )
    left = {
        where: record
        for where, record in rows.items()
        if not (where[0] is Table.SESSIONS and where[2] in damaged)
        and not (where[0] is Table.SKIPPED_KEYS and where[1][len(PLACE) :] in damaged)
        and where[0] is not Table.SESSION_RECORDS
    }
    after = dump(store)
    assert {w: r for w, r in after.items() if w[0] is not Table.SESSION_RECORDS} == left
    with store.transaction() as tx:
        load_sessions(tx, BUDI)


def test_where_there_are_no_sessions_none_are_forgotten() -> None:
    ana, _ = scene()
    before = dump(ana._context.store)
    with ana._context.store.transaction() as tx:
        assert not drop_damaged_sessions(tx, TOKO, None)
    assert dump(ana._context.store) == before
