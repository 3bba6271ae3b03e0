# SPDX-License-Identifier: Apache-2.0
"""The health of a store: each fact provoked on a real one, and damage that hides nothing else."""

import sqlite3
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address, ConsentGrant, Device, Policy, RetryRequest, Text
from e2ecross.device.group_changes import create_group
from e2ecross.device.group_reading import GroupStatus
from e2ecross.device.health import StoreHealth, TableHealth, UploadHealth, read_health
from e2ecross.device.health_queues import QueueHealth, read_queues
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import BackendError
from e2ecross.state.blob_ends import BLOB_ENDS, Carried, note_carried
from e2ecross.state.context import address_key
from e2ecross.state.delivered import note_delivered
from e2ecross.state.group_keys import put_grant
from e2ecross.state.group_outbox import GROUP_OUTBOX
from e2ecross.state.inbox import ARRIVED
from e2ecross.state.outbox import put_control, put_resend
from e2ecross.state.prekey_store import (
    FULL_ROW,
    LAST_RESORT,
    SEEN_MARK,
)
from e2ecross.state.publication import PUBLICATION_ROW
from e2ecross.state.queue import number_row
from e2ecross.state.receipts import DueReceipt, note_due, note_sent
from e2ecross.state.retry_budget import BUDGET, Request, spend_request
from e2ecross.state.sent import ENDS, find_kept, keep_other_id
from e2ecross.state.sent_ids import claim_own_copies
from e2ecross.state.trust import TrustState
from e2ecross.state.uploads import put_upload
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.stores.base import DEVICE_TABLES
from e2ecross.wire.group import GroupId, GroupSettings, Role
from e2ecross.wire.group_records import GroupCommitRecord, encode_grant
from e2ecross.wire.inbox_records import (
    InboxFailure,
    InboxMessage,
    encode_arrival,
    encode_inbox_item,
)
from e2ecross.wire.queue_records import BacklogRecord, OutboxRecord, encode_row
from e2ecross.wire.records import encode_publication
from e2ecross.wire.session_records import encode_skipped_keys
from e2ecross.wire.shelf_records import SentRecord
from e2ecross.wire.spqr_records import encode_chunks
from e2ecross.wire.stripe_record import StripeRecord
from e2ecross.wire.upload_records import BlobEndRecord, UploadRecord
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    NOW_MS,
    STORE_KEY,
    TOKO,
    BackendSimulator,
    FakeClock,
    Stores,
    dump,
    introduce,
    make_client,
    make_device,
    new_bundle,
    say,
    start,
)
from tests.support.formats import ATTACHMENT, SIGNED_COMMIT, STORED_SPQR_MATERIAL
from tests.support.kept import keep_sent
from tests.support.sender_keys import UUID
from tests.support.store_kinds import STRIPES

POLICY = Policy()
CARLA = Address("instagram", "carla")
IDENTITY_KEY = make_device(BUDI).identity_key
OF_GROUPS = frozenset(
    (
        Table.GROUPS,
        Table.GROUP_COMMITS,
        Table.GROUP_GRANTS,
        Table.OWN_SENDER_KEYS,
        Table.SENDER_KEYS,
        Table.SENDER_KEY_SEEDS,
    )
)
FILLED = [table for table in Table if not STRIPES or table not in OF_GROUPS]
"""Of a busy store in memory."""


def health_of(store: Store, now_ms: int = NOW_MS) -> StoreHealth:
    with store.transaction() as tx:
        return read_health(tx, POLICY, now_ms)


def table_of(health: StoreHealth, table: Table) -> TableHealth:
    (found,) = [entry for entry in health.tables if entry.table is table]
    return found


def busy_store(store: Store) -> Device:
    """A device with a record in every table; a store with stripes has none of groups."""
    backend = BackendSimulator()
    budi, toko = make_client(BUDI, backend, MemoryStore(0)), make_device(TOKO)
    ana = make_client(ANA, backend, store)
    budi.send(ANA, ConsentGrant(bytes(16), (1,), 1, 1, 1, bytes(32)))
    ana.receive()  # not confirmed: stays in the inbox
    device = ana.device
    say(device, budi.device, "an answer")
    budi.device.encrypt(ANA, Text("lost"))  # its key is kept
    device.decrypt(budi.device.encrypt(ANA, Text("after the lost one")))
    toko.start_session(new_bundle(device, one_time=False))
    device.decrypt(toko.encrypt(ANA, Text("without a one-time prekey")))
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("in the outbox"))
    remember(device)
    if not store.stripes:
        join_groups(device, budi.device)
    return device


def join_groups(device: Device, budi: Device) -> None:
    """Keep something of a group of its own, and of one of others."""
    device.new_sender_key_raw(UUID)
    device.process_distribution_raw(BUDI, UUID, budi.new_sender_key_raw(UUID))
    budi.encrypt_group_raw(UUID, b"lost")  # its seed is kept
    device.decrypt_group_raw(BUDI, UUID, budi.encrypt_group_raw(UUID, b"after it"))
    group = create_group(device._context, [], GroupSettings("Trip"), KeysAsked())
    assert isinstance(group, GroupId)
    with device._context.store.transaction() as tx:
        put_grant(tx, group, BUDI, budi._context.identity_key_pair.public)


def remember(device: Device) -> None:
    """Put a row beside the list of generations into each table of what is kept for a time."""
    context = device._context
    with context.store.transaction() as tx:
        tx.put(Table.SPQR, b"session", b"material", STORED_SPQR_MATERIAL.encode())
        keep_sent(tx, context.policy, TOKO, bytes(16), Text("kept"), NOW_MS)
        kept = find_kept(tx, context.policy, TOKO, bytes(16), NOW_MS)
        assert kept is not None
        keep_other_id(tx, context.policy, kept, bytes(range(16)), NOW_MS)
        note_delivered(tx, context.policy, TOKO, bytes(16), NOW_MS)
        receipt = DueReceipt(NOW_MS, TOKO.user_id, bytes(16), 1)
        note_due(tx, [receipt])
        note_sent(tx, [receipt], NOW_MS)
        put_upload(tx, UploadRecord(ATTACHMENT, "spool", NOW_MS))
        carried = Carried(TOKO.user_id, bytes(16), NOW_MS, None, view_once=True)
        note_carried(tx, ATTACHMENT.blob_id, carried, NOW_MS)
        assert spend_request(context, tx, TOKO, bytes(16), NOW_MS) is not Request.REFUSED


def test_for_which_message_an_id_stands_on_other_own_devices_is_checked() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    with store.transaction() as tx:
        assert claim_own_copies(tx, TOKO, bytes(16), NOW_MS)
    sent = table_of(health_of(store), Table.SENT)
    assert (sent.records, sent.damaged, sent.too_new) == (2, 0, 0)
    with store.transaction() as tx:
        ((place, row, _),) = (each for each in tx.scan(Table.SENT) if each[0])
        tx.put(Table.SENT, place, row, b"nobody")
    assert table_of(health_of(store), Table.SENT).damaged == 1


def test_a_new_device_has_a_signed_prekey_and_nothing_else(stores: Stores) -> None:
    make_device(ANA, stores.open("ana"))
    health = health_of(stores.open("ana"))
    assert health.device is not None
    assert (health.device.is_registered, health.device.is_publication_unconfirmed) == (False, False)
    assert health.device.epoch == 0
    prekeys = health.prekeys
    assert (prekeys.signed_age_ms, prekeys.is_rotation_due) == (0, False)
    assert (prekeys.replaced, prekeys.expired, prekeys.one_time) == (0, 0, 0)
    assert prekeys.last_resort_age_ms == 0
    assert prekeys.kyber_one_time == 0
    assert (
        health.sessions.current
        == health.sessions.archived
        == health.queues.outbox
        == health.queues.inbox
        == 0
    )
    assert health.sessions.oldest_unacknowledged_ms is None
    assert health.identities == dict.fromkeys(TrustState, 0)
    assert [entry.table for entry in health.tables] == list(Table)
    assert sum(entry.records for entry in health.tables) == 3


def test_an_empty_store_has_no_device(stores: Stores) -> None:
    health = health_of(stores.open("empty"))
    assert (health.device, health.prekeys.signed_age_ms) == (None, None)
    assert not any(entry.records for entry in health.tables)


def test_every_record_of_a_busy_store_decodes_and_is_counted(stores: Stores) -> None:
    store = stores.open("ana")
    busy_store(store)
    before = dump(store)
    health = health_of(store)
    assert dump(store) == before
    for entry in health.tables:
        assert (entry.damaged, entry.too_new) == (0, 0)
        assert entry.records == sum(where[0] is entry.table for where in before)
        assert entry.records > 0 or (store.stripes and entry.table in OF_GROUPS)
    assert health.device is not None
    assert health.device.is_registered
    assert (health.queues.outbox, health.queues.inbox) == (1, 1)
    assert (health.sessions.current, health.sessions.skipped_keys) == (2, 1)
    assert health.prekeys.one_time == table_of(health, Table.ONE_TIME_PREKEYS).records
    assert health.prekeys.kyber_one_time == table_of(health, Table.KYBER_PREKEYS).records - 1
    assert health.identities[TrustState.UNVERIFIED] == 2


def test_an_unconfirmed_publication(stores: Stores) -> None:
    ana = make_device(ANA, stores.open("ana"))
    published = ana.publish(one_time=3)
    health = health_of(stores.open("ana"))
    assert health.device is not None
    assert health.device.is_publication_unconfirmed
    assert (health.prekeys.one_time, health.prekeys.kyber_one_time) == (3, 3)
    ana.confirm_published(published)
    health = health_of(stores.open("ana"))
    assert health.device is not None
    assert not health.device.is_publication_unconfirmed


def test_signed_prekeys_grow_old_and_are_to_be_deleted(stores: Stores, clock: FakeClock) -> None:
    store = stores.open("ana")
    ana = make_device(ANA, store, clock=clock)
    limit = POLICY.signed_prekey_max_age_ms
    assert not health_of(store, NOW_MS + limit - 1).prekeys.is_rotation_due
    due = health_of(store, NOW_MS + limit).prekeys
    assert (due.signed_age_ms, due.is_rotation_due) == (limit, True)
    assert health_of(store, NOW_MS - 1).prekeys.signed_age_ms == -1
    clock.advance(limit)
    ana.confirm_published(ana.publish(one_time=0))
    rotated = health_of(store, clock.now_ms).prekeys
    assert (rotated.signed_age_ms, rotated.replaced, rotated.expired) == (0, 1, 0)
    kept = POLICY.signed_prekey_kept_ms
    assert health_of(store, clock.now_ms + kept - 1).prekeys.expired == 0
    assert health_of(store, clock.now_ms + kept).prekeys.expired == 1


def test_a_full_signed_prekey_is_to_be_replaced() -> None:
    store = MemoryStore()
    prekey_id = make_device(ANA, store).publish(one_time=0).signed_prekey.id
    for full, is_due in ((prekey_id + 1, False), (prekey_id, True)):
        with store.transaction() as tx:
            tx.put(Table.SEEN_BASE_KEYS, full.to_bytes(4), FULL_ROW, SEEN_MARK)
        assert health_of(store).prekeys.is_rotation_due is is_due


def test_the_last_resort_prekey_has_an_age_or_is_lost(stores: Stores) -> None:
    store = stores.open("ana")
    make_device(ANA, store)
    prekeys = health_of(store, NOW_MS + 5).prekeys
    assert prekeys.last_resort_age_ms == 5
    assert health_of(store, NOW_MS - 1).prekeys.last_resort_age_ms == -1
    with store.transaction() as tx:
        tx.clear(Table.KYBER_PREKEYS, LAST_RESORT)
    prekeys = health_of(store).prekeys
    assert prekeys.last_resort_age_ms is None


def test_a_damaged_publication_is_counted() -> None:
    store = MemoryStore()
    make_device(ANA, store).publish(one_time=1)
    health = health_of(store)
    assert health.device is not None
    assert health.device.is_publication_unconfirmed
    assert table_of(health, Table.DEVICE).damaged == 0
    with store.transaction() as tx:
        tx.put(Table.DEVICE, b"", PUBLICATION_ROW, encode_publication(b"\xff"))
    assert table_of(health_of(store), Table.DEVICE).damaged == 1


@pytest.mark.parametrize(
    ("row", "record", "damaged"),
    [
        (b"material", STORED_SPQR_MATERIAL.encode(), 0),
        (b"chunks\0\1", encode_chunks({1: bytes(32)}), 0),
        (b"keys\0\1", encode_skipped_keys({1: bytes(32)}), 0),
        (b"chunks\0\1", STORED_SPQR_MATERIAL.encode(), 1),
        (b"keys\0\1", encode_chunks({1: bytes(31)}), 1),
        (b"kyber", b"\x08" + bytes(1568), 0),
        (b"kyber", b"\x08" + bytes(1567), 1),
        (b"kyber", b"\x05" + bytes(1568), 1),
        (b"other", STORED_SPQR_MATERIAL.encode(), 1),
    ],
)
def test_parts_of_an_spqr_ratchet_are_read_by_their_rows(
    row: bytes, record: bytes, damaged: int
) -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(Table.SPQR, b"session", row, record)
    found = table_of(health_of(store), Table.SPQR)
    assert (found.records, found.damaged) == (1, damaged)


def test_sessions_without_an_answer(stores: Stores, clock: FakeClock) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store, clock=clock), make_device(BUDI, clock=clock)
    start(ana, budi)
    clock.advance(DAY_MS)
    start(ana, make_device(TOKO, clock=clock))
    sessions = health_of(store, clock.now_ms).sessions
    assert (sessions.current, sessions.unacknowledged, sessions.stale) == (2, 2, 0)
    assert sessions.oldest_unacknowledged_ms == DAY_MS
    kept = POLICY.signed_prekey_kept_ms
    assert health_of(store, NOW_MS + kept - 1).sessions.stale == 0
    assert health_of(store, NOW_MS + kept).sessions.stale == 1
    say(ana, budi, "hello")
    say(budi, ana, "an answer")
    sessions = health_of(store, clock.now_ms).sessions
    assert (sessions.unacknowledged, sessions.oldest_unacknowledged_ms) == (1, 0)


def test_archived_and_held_sessions(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    start(ana, budi)
    assert health_of(store).sessions.archived == 1
    toko = make_device(TOKO)
    start(ana, toko)
    start(toko, ana)
    ana.decrypt(toko.encrypt(ANA, Text("at once")))
    sessions = health_of(store).sessions
    assert (sessions.current, sessions.archived, sessions.held) == (2, 2, 1)
    carla = make_device(CARLA)
    start(ana, carla)
    start(carla, ana)
    ana.decrypt(carla.encrypt(ANA, Text("at once")))
    sessions = health_of(store).sessions
    assert (sessions.current, sessions.archived, sessions.held) == (3, 3, 2)


def test_a_restored_store(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi, toko = make_device(ANA, store), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    start(ana, toko)
    health = health_of(store)
    assert health.device is not None
    assert (health.device.is_epoch_adopted, health.device.are_prekeys_replaced) == (True, True)
    assert (health.sessions.put_away, health.stale_identities) == (0, 0)
    epoch = health.device.epoch
    assert epoch > 0
    ana = Device.open(store, clock=FakeClock(), restored=True)
    ana.restore_stripes()
    health = health_of(store)
    assert health.device is not None
    assert (health.device.is_epoch_adopted, health.device.are_prekeys_replaced) == (False, False)
    assert health.device.epoch == epoch + 1
    sessions = health.sessions
    assert (sessions.current, sessions.archived, sessions.put_away) == (0, 2, 2)
    assert (health.stale_identities, health.prekeys.one_time) == (2, 0)
    introduce(ana, budi)
    health = health_of(store)
    assert (health.stale_identities, health.sessions.put_away) == (1, 2)
    ana.confirm_published(ana.publish(1))
    health = health_of(store)
    assert health.device is not None
    assert health.device.are_prekeys_replaced


def test_unanswered_sessions_without_a_one_time_prekey(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store), make_device(BUDI)
    start(ana, budi, one_time=False)
    start(ana, make_device(TOKO))
    sessions = health_of(store).sessions
    assert (sessions.unacknowledged, sessions.without_one_time_prekey) == (2, 1)
    say(ana, budi, "hello")
    say(budi, ana, "an answer")
    sessions = health_of(store).sessions
    assert (sessions.unacknowledged, sessions.without_one_time_prekey) == (1, 0)


def test_identities_are_counted_by_trust(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    introduce(ana, make_device(TOKO))
    ana.mark_verified(BUDI, budi.identity_key)
    assert health_of(store).identities == {"unverified": 1, "verified": 1, "changed": 0}
    new_budi = make_device(BUDI, seed="new")
    start(new_budi, ana)
    ana.decrypt(new_budi.encrypt(ANA, Text("new phone")))
    assert health_of(store).identities == {"unverified": 1, "verified": 0, "changed": 1}


# --- Damage -------------------------------------------------------------------------------------


def first_place(store: Store, table: Table) -> tuple[bytes, bytes]:
    return next(where[1:] for where in sorted(dump(store)) if where[0] is table)


@pytest.mark.parametrize("table", FILLED)
@pytest.mark.parametrize(
    "record",
    [b"", b"\0", b"\x01garbage", b"\x01\xff"],
    ids=["empty", "no version", "garbage", "no record"],
)
def test_a_damaged_record_is_counted_and_hides_no_other(table: Table, record: bytes) -> None:
    store = MemoryStore()
    busy_store(store)
    before = health_of(store)
    place, row = first_place(store, table)
    with store.transaction() as tx:
        tx.put(table, place, row, record)
    health = health_of(store)
    for entry in health.tables:
        assert entry.damaged == (1 if entry.table is table else 0)
        assert entry.records == table_of(before, entry.table).records


def test_every_record_that_does_not_decode_is_counted() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        for number in range(5):
            tx.put(Table.OUTBOX, b"", bytes((number,)), b"\x01garbage")
        for number in range(5, 8):
            tx.put(Table.OUTBOX, b"", bytes((number,)), b"\x02" + encode_row(1)[1:])
    assert table_of(health_of(store), Table.OUTBOX) == TableHealth(Table.OUTBOX, 8, 5, 3)


@pytest.mark.parametrize("table", [t for t in FILLED if t is not Table.SEEN_BASE_KEYS])
def test_a_record_of_a_later_release_is_no_damage(table: Table) -> None:
    store = MemoryStore()
    busy_store(store)
    place, row = first_place(store, table)
    with store.transaction() as tx:
        tx.put(table, place, row, b"\x02" + (tx.get(table, place, row) or b"")[1:])
    health = health_of(store)
    for entry in health.tables:
        assert (entry.damaged, entry.too_new) == (0, 1 if entry.table is table else 0)


@pytest.mark.parametrize("table", Table)
def test_a_broken_seal_is_counted_and_hides_no_other(table: Table, tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    with SQLiteStore(path, key=STORE_KEY) as store:
        busy_store(store)
        before = health_of(store)
    with sqlite3.connect(path) as connection:
        first = f"SELECT partition, row FROM {table.value} ORDER BY partition, row LIMIT 1"  # noqa: S608
        (place,) = connection.execute(first)
        damage = f"UPDATE {table.value} SET record = zeroblob(64) WHERE (partition, row) = (?, ?)"  # noqa: S608
        connection.execute(damage, place)
    connection.close()
    with SQLiteStore(path, key=STORE_KEY) as store:
        health = health_of(store)
    for entry in health.tables:
        assert entry.damaged == (1 if entry.table is table else 0)
        assert entry.records == table_of(before, entry.table).records


@pytest.mark.parametrize(
    ("table", "place", "record"),
    [
        (Table.OUTBOX, b"backlog", OutboxRecord(b"no envelope", bytes(16)).encode()),
        (Table.OUTBOX, b"backlog", encode_row(1)),
        (Table.OUTBOX, b"", BacklogRecord(1, 2, 3).encode()),
        (Table.INBOX, b"", encode_arrival(bytes(32))),
        (Table.INBOX, b"", encode_inbox_item(InboxMessage(ANA, b"", 1, 1, b"?"))),
        (
            Table.INBOX,
            b"",
            encode_inbox_item(InboxMessage(ANA, bytes(16), 1, 3, b"?", digest=bytes(32))),
        ),
        (Table.INBOX, ARRIVED, encode_row(2)),
        (Table.REMOTE_IDENTITIES, address_key(BUDI), bytes(3)),
        (Table.SENT, b"1", SentRecord(content_kind=1, content_body=b"?").encode()),
        (
            Table.SENT,
            b"1",
            SentRecord(content_kind=1, content_body=b"\xff", identity_key=IDENTITY_KEY).encode(),
        ),
        (Table.SENT, b"", SentRecord(original_id=bytes(16)).encode()),
        (Table.SENT, ENDS, SentRecord(original_id=bytes(16)).encode()),
        (Table.DELIVERED, b"1", b"\x01\x01"),
        (Table.UPLOADS, b"", UploadRecord(ATTACHMENT, "spool", 1).encode()),
        (Table.UPLOADS, BLOB_ENDS, BlobEndRecord(1).encode()),
        (Table.UPLOADS, b"1", BlobEndRecord(1).encode()),
        (Table.RETRIES, BUDGET, b"\x01\x2a\x01"),
        (Table.GROUP_COMMITS, bytes(32), GroupCommitRecord(SIGNED_COMMIT, 0).encode()),
        (Table.GROUP_COMMITS, b"1", GroupCommitRecord(SIGNED_COMMIT, 0).encode()),
        (Table.GROUP_GRANTS, bytes(32), encode_grant(IDENTITY_KEY)),
    ],
    ids=[
        "no-envelope",
        "no-copy",
        "no-turn",
        "no-item",
        "no-content",
        "no-frame",
        "no-arrival",
        "another-row",
        "no-kept-content",
        "no-kept-text",
        "no-list",
        "no-end",
        "no-mark",
        "no-upload-of-it",
        "no-blob",
        "nothing-openable",
        "no-budget",
        "another-commit",
        "no-group",
        "no-device",
    ],
)
def test_a_record_that_holds_the_wrong_thing_is_damaged(
    table: Table, place: bytes, record: bytes
) -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(table, place, b"of 8 bit", record)
    assert table_of(health_of(store), table).damaged == 1


def test_what_waits_for_groups_has_a_number() -> None:
    store = MemoryStore()
    record = OutboxRecord(b"", bytes(16), group_id=bytes(32), copies=True).encode()
    for row, damaged in ((number_row(1), 0), (b"1", 1)):
        with store.transaction() as tx:
            tx.put(Table.OUTBOX, GROUP_OUTBOX, row, record)
        health = health_of(store)
        assert (health.queues.outbox, table_of(health, Table.OUTBOX).damaged) == (1, damaged)


def test_what_waits_to_be_encrypted_waits_like_what_is() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        put_control(
            tx,
            BUDI,
            bytes(16),
            RetryRequest(bytes(16), None, 0, "decode_error"),
            fresh_session=True,
        )
        put_resend(tx, BUDI, bytes(range(16)))
    health = health_of(store)
    assert (health.queues.outbox, table_of(health, Table.OUTBOX).damaged) == (2, 0)


def test_failures_wait_and_arrivals_do_not() -> None:
    store = MemoryStore()
    failure = InboxFailure(None, b"", "decode_error", "why")
    with store.transaction() as tx:
        tx.put(Table.INBOX, b"", bytes(8), encode_inbox_item(failure))
        tx.put(Table.INBOX, ARRIVED, bytes(8), encode_arrival(bytes(32)))
    health = health_of(store)
    assert (health.queues.inbox, table_of(health, Table.INBOX).records) == (1, 2)


def test_a_message_whose_end_has_come_waits_without_its_content() -> None:
    store = MemoryStore()
    ended = InboxMessage(BUDI, bytes(16), NOW_MS - 7, 0, b"", expired=True)
    with store.transaction() as tx:
        tx.put(Table.INBOX, b"", bytes(8), encode_inbox_item(ended))
    health = health_of(store)
    assert (health.queues.inbox, health.queues.inbox_oldest_ms) == (1, 7)
    assert table_of(health, Table.INBOX).damaged == 0


def test_uploads_wait_until_they_are_complete() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        for number, at_ms, complete in ((1, 300, False), (2, 100, True), (3, 200, False)):
            named = replace(ATTACHMENT, blob_id=bytes([number]) * 32)
            put_upload(tx, UploadRecord(named, "spool", NOW_MS - at_ms, complete))
    health = health_of(store)
    assert health.uploads == UploadHealth(waiting=2, oldest_ms=300)
    assert table_of(health, Table.UPLOADS) == TableHealth(Table.UPLOADS, 3, 0, 0)


def _drop_session(store: Store) -> None:
    place, row = first_place(store, Table.SESSIONS)
    with store.transaction() as tx:
        tx.delete(Table.SESSIONS, place, row)


def _drop_skipped_keys(store: Store) -> None:
    place, row = first_place(store, Table.SKIPPED_KEYS)
    with store.transaction() as tx:
        tx.delete(Table.SKIPPED_KEYS, place, row)


def _move_list(store: Store) -> None:
    place, row = first_place(store, Table.SESSION_RECORDS)
    with store.transaction() as tx:
        record = tx.get(Table.SESSION_RECORDS, place, row) or b""
        tx.delete(Table.SESSION_RECORDS, place, row)
        tx.put(Table.SESSION_RECORDS, b"nobody", row, record)


@pytest.mark.parametrize("damage", [_drop_session, _drop_skipped_keys, _move_list])
def test_records_that_contradict_each_other_are_broken_sessions(
    damage: Callable[[Store], None],
) -> None:
    store = MemoryStore()
    busy_store(store)
    assert health_of(store).sessions.broken == 0
    damage(store)
    health = health_of(store)
    assert (health.sessions.broken, health.sessions.current) == (1, 1)
    assert not any(entry.damaged for entry in health.tables)


def test_sessions_that_cannot_be_loaded_hide_no_others() -> None:
    store = MemoryStore()
    ana = make_device(ANA, store)
    for address in (CARLA, BUDI, TOKO, Address("whatsapp", "dewi")):
        start(ana, make_device(address))
    places = sorted(where[1:] for where in dump(store) if where[0] is Table.SESSIONS)
    with store.transaction() as tx:
        for (place, row), record in zip(places, (b"\x01garbage", b"\x02", b""), strict=False):
            tx.put(Table.SESSIONS, place, row, record)
    sessions = health_of(store).sessions
    assert (sessions.broken, sessions.current, sessions.unacknowledged) == (2, 1, 1)


def test_a_missing_signed_prekey_has_no_age() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    place, row = first_place(store, Table.SIGNED_PREKEYS)
    with store.transaction() as tx:
        tx.delete(Table.SIGNED_PREKEYS, place, row)
    health = health_of(store)
    assert health.device is not None
    assert (health.prekeys.signed_age_ms, health.prekeys.is_rotation_due) == (None, False)


@given(st.sampled_from(Table), st.binary(max_size=80), st.binary(max_size=80), st.binary())
def test_any_record_anywhere_is_only_counted(
    table: Table, place: bytes, row: bytes, record: bytes
) -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(table, place, row, record)
    found = table_of(health_of(store), table)
    assert found.records == 1
    assert found.damaged + found.too_new <= 1


def test_the_facts_are_numbers_and_names_of_tables() -> None:
    store = MemoryStore()
    busy_store(store)

    def leaves(value: object) -> list[object]:
        if is_dataclass(value):
            return [leaf for f in fields(value) for leaf in leaves(getattr(value, f.name))]
        if isinstance(value, tuple):
            return [leaf for item in value for leaf in leaves(item)]
        if isinstance(value, dict):
            return leaves((*value, *value.values()))
        return [value]

    assert {type(leaf) for leaf in leaves(health_of(store))} <= {
        *(bool, int, type(None)),
        *(Table, TrustState, GroupStatus, Role),
    }


# --- Queues, and stores with stripes ------------------------------------------------------------


def test_what_waits_is_as_old_as_the_oldest_message_in_it() -> None:
    backend, store = BackendSimulator(), MemoryStore()
    now = [NOW_MS - 3 * DAY_MS]
    ana = make_client(ANA, backend, store, clock=lambda: now[0])
    budi = make_client(BUDI, backend, clock=lambda: now[0] - DAY_MS)
    budi.send(str(ANA.user_id), Text("one"))
    ana.receive()
    for now[0] in (NOW_MS - DAY_MS, NOW_MS):
        backend.fail("deposit")
        with pytest.raises(BackendError):
            ana.send(str(BUDI.user_id), Text("two"))
    assert health_of(store).queues == QueueHealth(2, DAY_MS, 1, 4 * DAY_MS)
    with store.transaction() as tx:
        assert read_queues([tx], NOW_MS) == QueueHealth(2, DAY_MS, 1, 4 * DAY_MS)
    with MemoryStore().transaction() as tx:
        assert read_queues([tx], NOW_MS) == QueueHealth(0, None, 0, None)


def test_stripes_are_read_where_they_are_named_and_epochs_of_all() -> None:
    store = MemoryStore(stripes=64)
    make_device(ANA, store)
    for stripe in (5, 6):
        with store.transaction(stripe) as tx:
            tx.put(Table.STRIPE, b"", b"", StripeRecord(epoch=stripe).encode())
            tx.put(Table.SESSION_RECORDS, address_key(BUDI), b"", b"\x01\xff")
            tx.put(Table.REMOTE_IDENTITIES, address_key(BUDI), b"", b"\x01\xff")
    with store.transaction() as tx:
        found = {names: read_health(tx, POLICY, NOW_MS, stripes=names) for names in ((), (5, 7))}
    damaged = {
        names: sum(each.damaged for each in health.tables) for names, health in found.items()
    }
    assert damaged == {(): 0, (5, 7): 2}
    for health in found.values():
        assert health.device is not None
        assert health.device.epoch == 11
        assert table_of(health, Table.STRIPE).records == 2
        assert health.prekeys.signed_age_ms is not None


def test_sessions_and_trust_are_found_in_their_stripes() -> None:
    one, other = MemoryStore(0), MemoryStore(stripes=64)
    introduce(make_device(ANA, one), make_device(BUDI))
    make_device(ANA, other)
    with one.transaction() as source, other.transaction() as target:
        for table in set(Table) - DEVICE_TABLES:
            for partition, row, record in source.scan(table):
                target.at(9).put(table, partition, row, record)
    with other.transaction() as tx:
        health = read_health(tx, POLICY, NOW_MS, stripes=[9])
    alone = health_of(one)
    assert (health.sessions, health.identities) == (alone.sessions, alone.identities)
    assert health.sessions.current == 1
