# SPDX-License-Identifier: Apache-2.0
"""`Device.open(restored=True)`: what goes, what stays, and that it is all or nothing."""

import pytest

from e2ecross import Device, Message, Text
from e2ecross.errors import (
    AuthenticationFailed,
    InvalidArgument,
    NoDevice,
    NoSession,
    PrekeysExhausted,
    RecordCorrupted,
    StoreError,
    UnknownPrekey,
    WitnessFailed,
)
from e2ecross.protocol.session import can_send
from e2ecross.state.context import address_key, require_device, save_device
from e2ecross.state.epoch import check_backend_epoch, read_epoch
from e2ecross.state.inbox import InboxItem, put_message
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    list_backlog,
    put_control,
    put_envelope,
    put_resend,
    replace_waiting,
)
from e2ecross.state.prekey_store import LAST_RESORT, find_signed_prekey
from e2ecross.state.publication import read_publication
from e2ecross.state.queue import number_row
from e2ecross.state.sent import find_kept, keep_other_id
from e2ecross.state.session_store import load_sessions
from e2ecross.state.transactions import peer_transaction
from e2ecross.state.trust import find_identity
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.wire.content import RetryRequest
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS, MAX_PREKEY_ID
from e2ecross.wire.queue_records import OutboxRecord
from e2ecross.wire.records import DeviceRecord
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    Dump,
    FakeClock,
    SpyStore,
    Stores,
    bundle_from,
    dump,
    introduce,
    make_device,
    new_bundle,
    say,
    start,
)
from tests.support.entropy import SeededEntropy
from tests.support.inboxes import walk_items
from tests.support.kept import keep_sent
from tests.support.readers import sessions_of
from tests.support.restores import put_back, take_copy
from tests.support.witness import Keychain


def restore(
    store: Store,
    seed: str = "restored",
    keychain: Keychain | None = None,
    clock: FakeClock | None = None,
) -> Device:
    """The device, all of whose store is restored."""
    device = Device.open(
        store,
        clock=clock or FakeClock(),
        entropy=SeededEntropy(seed),
        witness=keychain,
        restored=True,
    )
    device.restore_stripes()
    return device


def record_of(store: Store) -> DeviceRecord:
    with store.transaction() as tx:
        return require_device(tx)


def in_stripe(store: Store, stripe: int) -> Dump:
    """What a stripe holds; 0 of a store without stripes is all of it."""
    return {
        place: record
        for place, record in dump(store).items()
        if getattr(place, "stripe", 0) == stripe
    }


def rows_of(store: Store, table: Table) -> dict[tuple[bytes, bytes], bytes]:
    return {where[1:]: record for where, record in dump(store).items() if where[0] is table}


# --- Sessions and identities --------------------------------------------------------------------


def test_all_sessions_are_put_away_and_still_read(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi, toko = make_device(ANA, store), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    introduce(ana, toko)
    start(ana, budi)  # two sessions with one, the newer without an answer
    late = budi.encrypt(ANA, Text("late"))
    skipped = [toko.encrypt(ANA, Text(str(n))) for n in range(3)]
    ana.decrypt(skipped[2])
    ana = restore(store)
    for address in (BUDI, TOKO):
        with store.transaction() as tx:
            sessions = load_sessions(tx, address)
        assert sessions.current is None
        assert not any(can_send(session) for session in sessions.archived)
        assert not ana.has_session(address)
        with pytest.raises(NoSession):
            ana.encrypt(address, Text("under an old key"))
    assert ana.decrypt(late).content == Text("late")
    assert [ana.decrypt(envelope).content for envelope in skipped[:2]] == [Text("0"), Text("1")]
    assert not ana.has_session(BUDI)


def test_a_session_reads_on_and_never_sends_again() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    ana.encrypt(BUDI, Text("lost"))
    say(ana, budi, "turns the ratchet of the other end")
    ana = restore(store)
    assert not ana.has_session(BUDI)
    for text in ("under a new ratchet key", "on the same chain"):
        say(budi, ana, text)
        assert not ana.has_session(BUDI)
        with pytest.raises(NoSession):
            ana.encrypt(BUDI, Text("in which session?"))
    introduce(ana, budi)


def test_a_new_session_takes_over() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    ana = restore(store)
    introduce(ana, budi)
    introduce(budi, ana)


def test_a_full_archive_stays_within_its_bound() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    for _ in range(MAX_ARCHIVED_SESSIONS + 1):
        introduce(ana, budi)
    info = restore(store).session_info(BUDI)
    assert info is not None
    assert (info.can_send, info.archived) == (False, MAX_ARCHIVED_SESSIONS)


def test_of_a_full_archive_a_session_of_another_identity_goes_first() -> None:
    """Although the oldest is of the accepted one."""
    store = MemoryStore()
    ana, budi, other = make_device(ANA, store), make_device(BUDI), make_device(BUDI, seed="other")
    introduce(ana, budi)
    late = budi.encrypt(ANA, Text("late"))
    start(other, ana)
    ana.decrypt(other.encrypt(ANA, Text("another phone")))
    ana.accept_identity(BUDI, other.identity_key)
    for _ in range(MAX_ARCHIVED_SESSIONS - 2):
        introduce(ana, other)
    start(budi, ana)
    ana.decrypt(budi.encrypt(ANA, Text("the first one is back")))
    ana.accept_identity(BUDI, budi.identity_key)
    before = sessions_of(ana, BUDI)
    assert len(before) == 1 + MAX_ARCHIVED_SESSIONS
    assert before[0] == before[-1] == budi.identity_key
    ana = restore(store)
    kept = [*before]
    del kept[-2]  # the oldest of the other one
    assert sessions_of(ana, BUDI) == kept
    assert ana.decrypt(late).content == Text("late")


def test_a_session_to_send_with_is_dropped_if_its_identity_is_not_the_accepted_one() -> None:
    """No sound store has one: it is not put away as a session of an identity before would be."""
    store = MemoryStore()
    ana, old, new = make_device(ANA, store), make_device(BUDI), make_device(BUDI, seed="new phone")
    introduce(ana, old)
    late = old.encrypt(ANA, Text("late"))
    start(new, ana)
    ana.decrypt(new.encrypt(ANA, Text("new phone")))
    ana.accept_identity(BUDI, new.identity_key)
    say(ana, new, "to the new phone")
    unread = new.encrypt(ANA, Text("in a session that is dropped"))
    assert sessions_of(ana, BUDI) == [new.identity_key, old.identity_key]
    accepted = [place for place in dump(store) if place[0] is Table.REMOTE_IDENTITIES]
    (place,) = [each for each in accepted if each[1] == address_key(BUDI)]
    record = dump(store)[place].replace(new.identity_key, make_device(TOKO).identity_key)
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        tx.put(*place, record)
    ana = restore(store)
    assert sessions_of(ana, BUDI) == [old.identity_key]
    assert {row for _, row in rows_of(store, Table.SESSIONS)} == archived_of(store)
    assert ana.decrypt(late).content == Text("late")
    with pytest.raises(AuthenticationFailed):
        ana.decrypt(unread)


def archived_of(store: Store) -> set[bytes]:
    """Base keys of the sessions with Budi that only read."""
    with store.transaction() as tx:
        return {session.base_key for session in load_sessions(tx, BUDI).archived}


def test_what_is_known_of_contacts_is_stale_until_something_confirms_it(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi, toko = make_device(ANA, store), make_device(BUDI), make_device(TOKO)
    introduce(ana, budi)
    introduce(ana, toko)
    ana.mark_verified(BUDI, budi.identity_key)
    ana = restore(store)
    for device, verified in ((budi, True), (toko, False)):
        identity = ana.remote_identity(device.address)
        assert identity is not None
        assert (identity.identity_key, identity.verified) == (device.identity_key, verified)
        assert identity.stale
    ana.start_session(new_bundle(budi))
    identity = ana.remote_identity(BUDI)
    assert identity is not None
    assert not identity.stale
    assert ana.remote_identity(TOKO) != identity


# --- Prekeys ------------------------------------------------------------------------------------


def test_all_prekeys_go_and_their_ids_never_come_back(stores: Stores) -> None:
    clock = FakeClock()
    store = stores.open("ana")
    ana = make_device(ANA, store, clock=clock)
    old = ana.publish(5)
    ana.confirm_published(old)
    start(make_device(BUDI), ana)
    stranger = make_device(TOKO)
    stranger.start_session(bundle_from(old, None))
    ana.decrypt(stranger.encrypt(ANA, Text("remembered by its base key")))
    clock.advance(10 * 24 * 60 * 60 * 1000)
    rotated = ana.publish(2)  # not confirmed, with a second signed prekey
    assert rotated.signed_prekey.id != old.signed_prekey.id
    assert len(rows_of(store, Table.SIGNED_PREKEYS)) == 2
    assert rows_of(store, Table.SEEN_BASE_KEYS)
    before = record_of(store)

    ana = restore(store)
    record = record_of(store)
    assert not rows_of(store, Table.ONE_TIME_PREKEYS)
    [(place, row)] = rows_of(store, Table.KYBER_PREKEYS)
    assert (place, int.from_bytes(row)) == (LAST_RESORT, record.last_resort_kyber_prekey_id)
    assert not rows_of(store, Table.SEEN_BASE_KEYS)
    assert len(rows_of(store, Table.SIGNED_PREKEYS)) == 1
    with store.transaction() as tx:
        assert read_publication(tx) == b""
    assert record.publication_epoch == 0
    assert (record.adopts_epoch, record.replaces_prekeys) == (True, True)
    assert record.signed_prekey_id >= before.next_prekey_id + 2**16
    assert record.last_resort_kyber_prekey_id == record.signed_prekey_id + 1
    assert record.next_prekey_id == record.signed_prekey_id + 2
    assert (record.registered, record.backend_token) == (before.registered, before.backend_token)
    assert (record.registration_id, record.identity_private_key) == (
        before.registration_id,
        before.identity_private_key,
    )
    fresh = ana.publish(3)
    assert fresh.identity_key == old.identity_key
    assert fresh.signed_prekey.id == record.signed_prekey_id
    with store.transaction() as tx:
        assert find_signed_prekey(tx, fresh.signed_prekey.id) is not None
    ids = {prekey.id for prekey in fresh.one_time_prekeys}
    assert min(ids) > record.signed_prekey_id
    assert record_of(store).replaces_prekeys
    ana.confirm_published(fresh)
    assert not record_of(store).replaces_prekeys
    introduce(make_device(BUDI, seed="new"), ana)


@pytest.mark.parametrize("one_time", [True, False])
def test_first_messages_to_old_prekeys_are_refused(one_time: bool) -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    start(budi, ana, one_time=one_time)
    first = budi.encrypt(ANA, Text("first"))
    ana = restore(store)
    before = dump(store)
    with pytest.raises(UnknownPrekey):
        ana.decrypt(first)
    assert dump(store) == before


def test_a_device_without_ids_left_is_not_restored() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    with store.transaction() as tx:
        record = require_device(tx)
        object.__setattr__(record, "next_prekey_id", MAX_PREKEY_ID - 2**16 - 1)
        save_device(tx, record)
    before = dump(store)
    with pytest.raises(PrekeysExhausted):
        restore(store)
    assert dump(store) == before


# --- The epoch ----------------------------------------------------------------------------------


def test_the_epoch_goes_on_above_store_and_witness() -> None:
    store, keychain = MemoryStore(), Keychain(100)
    ana = make_device(ANA, store)
    introduce(ana, make_device(BUDI))
    restore(store, keychain=keychain)
    with store.transaction() as tx:
        assert read_epoch(tx) == 101
    assert keychain.number == 101
    keychain.number = 500
    restore(store, "again", keychain=keychain)
    assert keychain.number == 501
    Device.open(store, clock=FakeClock(), witness=keychain)


def test_the_back_ends_epoch_is_taken_over_once() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    check_backend_epoch(restore(store)._context, {0: 50})
    with store.transaction() as tx:
        assert read_epoch(tx) == 50
    assert not record_of(store).adopts_epoch


def test_a_witness_that_cannot_be_told_leaves_a_restored_store() -> None:
    class ReadOnly(Keychain):
        def advance(self, n: int) -> None:
            raise OSError("no access")

    store = MemoryStore()
    make_device(ANA, store)
    with pytest.raises(WitnessFailed):
        restore(store, keychain=ReadOnly(9))
    assert record_of(store).replaces_prekeys
    Device.open(store, clock=FakeClock(), witness=Keychain(9))


# --- Queues -------------------------------------------------------------------------------------


def items(device: Device) -> list[InboxItem | RecordCorrupted]:
    with device._context.store.transaction() as tx:
        return [item for _, item in walk_items(device._context, tx)]


def waiting(device: Device, name: BacklogName) -> list[tuple[bytes, bool, bool, bool]]:
    """What waits for Budi: id; whether it is encrypted, a request, and for a fresh session."""
    with device._context.store.transaction() as tx:
        return [
            (
                item.message_id,
                item.envelope is not None,
                item.control is not None,
                item.fresh_session,
            )
            for item in list_backlog(tx, Backlog(name, BUDI))
        ]


REQUEST = RetryRequest(MESSAGE_ID, None, 0, "decode_error")


def restored_first(store: Store) -> list[Notice]:
    """What is told before anything is known of stripes, if there are some."""
    return [Notice(NoticeKind.RESTORED, ANA.user_id)] * bool(store.stripes)


def test_what_waits_is_encrypted_anew_or_told(stores: Stores) -> None:
    store = stores.open("ana")
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    policy = ana._context.policy
    ids = [bytes([n]) * 16 for n in range(6)]
    envelopes = [ana.encrypt(BUDI, Text(str(n)), message_id=ids[n]) for n in range(6)]
    requests = Backlog(BacklogName.REQUESTS, BUDI)
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        for n in (0, 1, 3, 4):
            keep_sent(tx, policy, BUDI, ids[n], Text(str(n)), NOW_MS)
        # Messages of the user: with content, not kept.
        for n in (0, 2, 1):
            put_envelope(tx, envelopes[n])
        # What was asked for: a copy, one that is not encrypted yet; and requests likewise.
        put_resend(tx, BUDI, ids[3])
        put_resend(tx, BUDI, ids[4])
        for number in (5, 6):
            put_control(tx, BUDI, bytes([number]) * 16, REQUEST, fresh_session=True)
        copy, _, request, _ = list_backlog(tx, requests)
        kept = find_kept(tx, policy, BUDI, ids[3], NOW_MS)
        assert kept is not None
        keep_other_id(tx, policy, kept, bytes(16), NOW_MS)
        replace_waiting(tx, copy, envelopes[3])
        replace_waiting(tx, request, envelopes[5])
    ana = restore(store)
    assert waiting(ana, BacklogName.MESSAGES) == [
        (ids[0], False, False, True),
        (ids[1], False, False, True),
    ]
    again = waiting(ana, BacklogName.REQUESTS)
    assert (ids[3], False, False, True) in again
    assert (ids[4], False, False, False) in again
    assert (bytes([6]) * 16, False, True, True) in again
    assert not any(is_encrypted for _, is_encrypted, _, _ in again)
    *begun, not_delivered, restored = items(ana)
    assert begun == restored_first(store)
    assert not_delivered == Notice(
        NoticeKind.NOT_DELIVERED, BUDI.user_id, messages=(ids[2],), code="restored_store"
    )
    assert restored == Notice(NoticeKind.RESTORED, ANA.user_id, messages=(ids[2],))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_copy_that_is_not_kept_any_more_is_no_message_that_has_not_arrived(
    is_known: bool,
) -> None:
    """It has arrived once, or was told before; only what never left is lost with the store."""
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    envelope = ana.encrypt(BUDI, Text("again"), message_id=MESSAGE_ID)
    policy = ana._context.policy
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        if is_known:
            keep_sent(tx, policy, BUDI, MESSAGE_ID, Text("again"), NOW_MS)
        put_resend(tx, BUDI, MESSAGE_ID)
        (copy,) = list_backlog(tx, Backlog(BacklogName.REQUESTS, BUDI))
        replace_waiting(tx, copy, envelope)
    clock = FakeClock()
    clock.advance(policy.resend_kept_ms + 1)
    ana = restore(store, clock=clock)
    assert waiting(ana, BacklogName.REQUESTS) == []
    not_delivered = Notice(
        NoticeKind.NOT_DELIVERED, BUDI.user_id, messages=(MESSAGE_ID,), code="restored_store"
    )
    restored = Notice(NoticeKind.RESTORED, ANA.user_id)
    told = [not_delivered] * is_known
    assert items(ana) == ([restored, *told] if store.stripes else [*told, restored])


def test_a_restore_is_told_also_when_nothing_waited() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    assert items(restore(store)) == [Notice(NoticeKind.RESTORED, ANA.user_id)]


def test_what_has_arrived_and_what_is_remembered_stays(stores: Stores) -> None:
    store = stores.open("ana")
    ana = make_device(ANA, store)
    message = Message(BUDI, MESSAGE_ID, NOW_MS, Text("halo"), False, peer=BUDI.user_id)
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        put_message(ana._context, tx, message)
        for table in (Table.DELIVERED, Table.RETRIES):
            tx.put(table, b"partition", b"row", b"\x01")
        keep_id = b"id" + bytes(4)
        tx.put(Table.SENT, keep_id, b"row", b"\x01")
    assert len(items(ana)) == 1  # a worker, if there are some, has it
    kept = (Table.SENT, Table.DELIVERED, Table.RETRIES)
    before = {table: rows_of(store, table) for table in kept}
    ana = restore(store)
    assert {table: rows_of(store, table) for table in kept} == before
    item, notice = sorted(items(ana), key=lambda each: isinstance(each, Notice))
    assert isinstance(item, Message)
    assert item.redelivered
    assert item.content == Text("halo")
    assert isinstance(notice, Notice)


# --- All or nothing -----------------------------------------------------------------------------


def test_a_second_time_with_nothing_in_between_does_nothing(stores: Stores) -> None:
    """An app that opens its store so at each start must not use up ids, or tell it each time."""
    keychain = Keychain()
    ana, budi = make_device(ANA, stores.open("ana")), make_device(BUDI)
    introduce(ana, budi)
    restore(stores.open("ana"), keychain=keychain)
    before = dump(stores.open("ana"))
    for number in range(3):
        ana = restore(stores.reopen("ana"), f"again {number}", keychain=keychain)
        assert dump(stores.open("ana")) == before
    assert ana.session_info(BUDI) is not None


def test_a_second_time_after_the_back_end_was_asked_does_nothing_either() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    check_backend_epoch(restore(store)._context, {0: 50})
    before = dump(store)
    restore(store, "again")
    assert dump(store) == before


def test_a_copy_from_before_the_first_operation_is_restored_like_any_other() -> None:
    """Nothing was counted in it, and nothing was restored before: that is not the same."""
    store = MemoryStore()
    ana = make_device(ANA, store)
    signed = record_of(store).signed_prekey_id
    copy = take_copy(store)
    ana.publish(1)
    put_back(store, copy)
    restore(store)
    record = record_of(store)
    assert record.signed_prekey_id > signed
    assert (record.adopts_epoch, record.restored_epoch) == (True, 1)


def test_a_second_restore_is_done_when_something_newer_was_seen() -> None:
    store, keychain = MemoryStore(), Keychain()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    late = budi.encrypt(ANA, Text("late"))
    first = record_of(restore(store, keychain=keychain)._context.store)
    copy = take_copy(store)
    for newer in (False, True):  # it has sent since; or it has, and was put back once more
        ana = Device.open(store, clock=FakeClock(), witness=keychain)
        ana.publish(1)
        if newer:
            put_back(store, copy)
        ana = restore(store, f"again {newer}", keychain=keychain)
        second = record_of(store)
        assert second.signed_prekey_id > first.signed_prekey_id
        assert second.restored_epoch > first.restored_epoch
        first = second
        copy = take_copy(store)
    assert ana.session_info(BUDI) is not None
    assert ana.decrypt(late).content == Text("late")
    introduce(ana, budi)


def test_a_store_that_fails_is_not_changed() -> None:
    inner = MemoryStore()
    spy = SpyStore(inner)
    ana, budi = make_device(ANA, inner), make_device(BUDI)
    introduce(ana, budi)
    start(make_device(TOKO), ana, one_time=False)
    ana.publish(3)
    envelope = ana.encrypt(BUDI, Text("x"))
    with inner.transaction() as tx:
        put_envelope(tx, envelope)
    before = dump(inner)
    failures = 0
    while True:
        spy.writes_until_failure = failures
        try:
            Device.open(spy, clock=FakeClock(), restored=True)
        except StoreError:
            assert dump(inner) == before
            failures += 1
        else:
            break
    assert failures >= 8
    spy.writes_until_failure = None
    assert record_of(inner).replaces_prekeys


def test_an_empty_store_has_nothing_to_restore() -> None:
    with pytest.raises(NoDevice):
        restore(MemoryStore())


def test_a_store_without_an_identity_is_not_restored() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    with store.transaction() as tx:
        assert find_identity(tx, BUDI) is not None
        tx.clear(Table.REMOTE_IDENTITIES, address_key(BUDI))
    stripe = ana._context.stripe_of(BUDI.user_id)
    before = in_stripe(store, stripe)
    with pytest.raises(RecordCorrupted):
        restore(store)
    assert in_stripe(store, stripe) == before


@pytest.mark.parametrize("record", [b"\x01\xff", OutboxRecord(b"no envelope", MESSAGE_ID).encode()])
def test_a_damaged_row_of_the_outbox_stops_no_restore_and_leaves_it_with_its_id(
    record: bytes,
) -> None:
    """The content is kept: it can be encrypted anew."""
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    envelope = ana.encrypt(BUDI, Text("x"), message_id=MESSAGE_ID)
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        keep_sent(tx, ana._context.policy, BUDI, MESSAGE_ID, Text("x"), NOW_MS)
        number = put_envelope(tx, envelope)
        partition = Backlog(BacklogName.MESSAGES, BUDI).partition
        tx.put(Table.OUTBOX, partition, number_row(number), record)
    ana = restore(store)
    assert waiting(ana, BacklogName.MESSAGES) == [(MESSAGE_ID, False, False, True)]


def test_a_damaged_request_is_forgotten_with_its_backlog() -> None:
    """Nothing says any more what it was about."""
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    with store.transaction() as tx:
        put_control(tx, BUDI, MESSAGE_ID, REQUEST, fresh_session=True)
        partition = Backlog(BacklogName.REQUESTS, BUDI).partition
        tx.put(Table.OUTBOX, partition, number_row(1), b"\x01\xff")
    ana = restore(store)
    assert waiting(ana, BacklogName.REQUESTS) == []
    assert items(ana) == [Notice(NoticeKind.RESTORED, ANA.user_id)]
    assert not [where for where in rows_of(store, Table.OUTBOX) if where[0] == partition]


def test_without_it_nothing_is_restored() -> None:
    store = MemoryStore()
    introduce(make_device(ANA, store), make_device(BUDI))
    before = dump(store)
    Device.open(store, clock=FakeClock())
    assert dump(store) == before


class TestProgress:
    """What waits for a restore sees how far it has come, and may end it."""

    @pytest.fixture
    def store(self) -> Store:
        ana = make_device(ANA)
        for address in (BUDI, TOKO):
            introduce(ana, make_device(address))
        return ana._context.store

    def test_each_contact_is_told_with_how_many_there_are(self, store: Store) -> None:
        told: list[tuple[int, int]] = []
        Device.open(store, restored=True, progress=lambda *each: told.append(each))
        assert told == [(1, 2), (2, 2)]
        Device.open(store, restored=True, progress=lambda *each: told.append(each))
        assert told == [(1, 2), (2, 2)]  # there is nothing to be done

    def test_what_it_raises_ends_the_call_and_nothing_has_changed(self, store: Store) -> None:
        def stop(done: int, total: int) -> None:
            if done == total:
                raise KeyboardInterrupt

        before = dump(store)
        with pytest.raises(KeyboardInterrupt):
            Device.open(store, restored=True, progress=stop)
        assert dump(store) == before

    def test_anything_else_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidArgument, match="progress"):
            Device.open(store, restored=True, progress=1)  # type: ignore[arg-type]
