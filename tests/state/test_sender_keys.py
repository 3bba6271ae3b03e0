# SPDX-License-Identifier: Apache-2.0
"""Rows of sender keys: what a message reads and writes, every bound, and damage."""

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Device, SenderKeyGroup
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import (
    DuplicateMessage,
    E2ECrossError,
    InvalidSignature,
    NoSession,
    RecordCorrupted,
    StoreTooNew,
    UnknownSenderKey,
)
from e2ecross.protocol.sender_key import (
    OwnSenderKey,
    distribute,
    generate_sender_key,
    group_decrypt,
    group_encrypt,
)
from e2ecross.state.context import address_key
from e2ecross.state.sender_keys import (
    add_sender_key,
    drop_damaged_sender_key,
    drop_sender_keys_of,
    find_group_of,
    find_sender_key,
    group_key_place,
    save_sender_key,
    sender_key_from_row,
)
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.limits import (
    MAX_SENDER_KEY_NAME_BYTES,
    MAX_SENDER_KEY_PLACES,
    MAX_SENDER_KEY_SEEDS,
    MAX_SENDER_KEY_STATES,
    MAX_SKIPPED_KEYS_PER_CHAIN,
)
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_sender_key_message
from e2ecross.wire.sender_key_records import KeyOrigin, SenderKeyRecord
from e2ecross.wire.session_records import decode_skipped_keys
from tests.support.devices import (
    ANA,
    BUDI,
    STORE_KEY,
    TOKO,
    SpyStore,
    count_rows,
    dump,
    make_device,
    reopen_device,
)
from tests.support.points import GOOD_KEY
from tests.support.sender_keys import KEY_ID, UUID
from tests.support.stored_parties import records_as_bytes, records_as_values

TABLES = (Table.OWN_SENDER_KEYS, Table.SENDER_KEYS, Table.SENDER_KEY_SEEDS)
KEY = b"\x5a" * 32


def _pair(store: Store | None = None) -> tuple[Device, Device]:
    """Ana, who sends, and Budi, who was given her key; his store may be another one."""
    ana, budi = make_device(ANA), make_device(BUDI, store)
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    return ana, budi


def _spied() -> tuple[Device, Device, SpyStore]:
    spy = SpyStore(MemoryStore())
    ana, budi = _pair(spy)
    spy.forget()
    return ana, budi, spy


def _send(ana: Device, count: int, group: SenderKeyGroup = UUID) -> list[bytes]:
    return [ana.encrypt_group_raw(group, str(number).encode()) for number in range(count)]


def _seeds(store: Store) -> int:
    rows = dump(store).items()
    return sum(len(decode_skipped_keys(row)) for at, row in rows if at[0] is TABLES[2])


def _records(store: Store) -> list[SenderKeyRecord]:
    return [SenderKeyRecord.decode(row) for at, row in dump(store).items() if at[0] is TABLES[1]]


# --- What a message costs ---------------------------------------------------------------------


def test_a_message_in_order_reads_and_writes_one_row_on_either_side() -> None:
    spy = SpyStore(MemoryStore())
    ana = make_device(ANA, spy)
    ana.new_sender_key_raw(UUID)
    spy.forget()
    ana.encrypt_group_raw(UUID, b"halo")
    assert spy.writes == {Table.OWN_SENDER_KEYS: 1, Table.STRIPE: 1}  # the epoch
    ana, budi, spy = _spied()
    budi.decrypt_group_raw(ANA, UUID, ana.encrypt_group_raw(UUID, b"halo"))
    assert spy.writes == {Table.SENDER_KEYS: 1}
    assert (spy.reads[Table.SENDER_KEYS], spy.reads[Table.SENDER_KEY_SEEDS]) == (1, 0)


def test_a_late_message_reads_and_writes_one_row_of_seeds_however_many_there_are() -> None:
    ana, budi, spy = _spied()
    sent = _send(ana, 1_500)
    budi.decrypt_group_raw(ANA, UUID, sent[-1])
    spy.forget()
    assert budi.decrypt_group_raw(ANA, UUID, sent[700]) == b"700"
    assert spy.writes == {Table.SENDER_KEYS: 1, Table.SENDER_KEY_SEEDS: 1}
    assert spy.reads[Table.SENDER_KEY_SEEDS] == 1
    assert spy.rows_listed == 0


def test_a_distribution_that_changes_nothing_writes_nothing() -> None:
    ana, budi, spy = _spied()
    budi.process_distribution_raw(ANA, UUID, ana.distribution_raw(UUID))
    assert not spy.writes


# --- The same as never reloading ----------------------------------------------------------------


@pytest.mark.parametrize("make_store", [records_as_values, records_as_bytes])
@given(data=st.data())
def test_any_delivery_reads_each_message_once_and_leaves_only_what_is_missing(
    make_store: Callable[[], Store], data: st.DataObject
) -> None:
    store = make_store()
    ana, budi = _pair(store)
    skipped = data.draw(st.sampled_from((0, 3, 64, 130)))
    sent = [*_send(ana, skipped), *_send(ana, 8)]
    numbers = st.integers(0, len(sent) - 1)
    read: set[int] = set()
    for step in data.draw(st.lists(numbers | st.just("reopen") | st.just("again"), max_size=25)):
        if step == "reopen":
            budi = reopen_device(budi, store, f"reopened {len(read)}")
        elif step == "again":
            budi.process_distribution_raw(ANA, UUID, ana.distribution_raw(UUID))
        elif isinstance(step, int) and step in read:
            before = dump(store)
            with pytest.raises(DuplicateMessage):
                budi.decrypt_group_raw(ANA, UUID, sent[step])
            assert dump(store) == before
        elif isinstance(step, int):
            budi.decrypt_group_raw(ANA, UUID, sent[step])
            read.add(step)
    missing = max(read, default=-1) + 1 - len(read)
    assert _seeds(store) == missing
    assert [record.seeds for record in _records(store)] == [missing]


# --- Bounds -----------------------------------------------------------------------------------


def test_the_newest_2_000_seeds_of_a_key_stay_however_they_came() -> None:
    store = SpyStore(MemoryStore())
    ana, budi = _pair(store)
    sent: list[bytes] = []
    for _ in range(3):  # each time 901 at once
        sent += _send(ana, 901)
        budi.decrypt_group_raw(ANA, UUID, sent[-1])
    assert _seeds(store) == MAX_SKIPPED_KEYS_PER_CHAIN == _records(store)[0].seeds
    with pytest.raises(DuplicateMessage):
        budi.decrypt_group_raw(ANA, UUID, sent[699])
    assert budi.decrypt_group_raw(ANA, UUID, sent[700]) == b"700"


def test_five_keys_of_a_group_stay_and_the_sixth_takes_the_seeds_of_the_first_with_it() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    sent = []
    for _ in range(MAX_SENDER_KEY_STATES + 1):
        budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
        late, data = _send(ana, 2)
        budi.decrypt_group_raw(ANA, UUID, data)
        sent.append(late)
    assert count_rows(store, Table.SENDER_KEYS) == MAX_SENDER_KEY_STATES
    assert _seeds(store) == MAX_SENDER_KEY_STATES
    with pytest.raises(UnknownSenderKey):
        budi.decrypt_group_raw(ANA, UUID, sent[0])
    for late in sent[1:]:
        assert budi.decrypt_group_raw(ANA, UUID, late) == b"0"
    assert _seeds(store) == 0


def test_64_groups_of_a_sender_stay_and_the_next_one_takes_the_place_of_the_oldest() -> None:
    store = MemoryStore()
    ana, budi, toko = make_device(ANA), make_device(BUDI, store), make_device(TOKO)
    budi.process_distribution_raw(TOKO, UUID, toko.new_sender_key_raw(UUID))
    groups = [SenderKeyGroup.key_id(f"{number}".encode()) for number in range(64)]
    assert len(groups) == MAX_SENDER_KEY_PLACES
    for group in groups:
        budi.process_distribution_raw(ANA, group, ana.new_sender_key_raw(group))
    late, data = _send(ana, 2, groups[0])
    budi.decrypt_group_raw(ANA, groups[0], data)
    # Given again it is the newest; now the second is the oldest, with two keys.
    budi.process_distribution_raw(ANA, groups[0], ana.distribution_raw(groups[0]))
    assert count_rows(store, Table.SENDER_KEYS) == 65
    one_more = SenderKeyGroup.uuid(bytes(16))
    budi.process_distribution_raw(ANA, one_more, ana.new_sender_key_raw(one_more))
    assert count_rows(store, Table.SENDER_KEYS) == 65
    with pytest.raises(UnknownSenderKey):
        budi.decrypt_group_raw(ANA, groups[1], ana.encrypt_group_raw(groups[1], b""))
    for group in (one_more, *groups[2:]):
        assert budi.decrypt_group_raw(ANA, group, ana.encrypt_group_raw(group, b"x")) == b"x"
    assert budi.decrypt_group_raw(ANA, groups[0], late) == b"0"
    assert budi.decrypt_group_raw(TOKO, UUID, toko.encrypt_group_raw(UUID, b"y")) == b"y"
    # Another key for a group that is there takes no place.
    budi.process_distribution_raw(ANA, groups[9], ana.new_sender_key_raw(groups[9]))
    assert count_rows(store, Table.SENDER_KEYS) == 66


def test_what_goes_with_a_place_are_all_its_keys_and_seeds() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    for _ in range(2):
        budi.process_distribution_raw(ANA, KEY_ID, ana.new_sender_key_raw(KEY_ID))
        budi.decrypt_group_raw(ANA, KEY_ID, _send(ana, 3, KEY_ID)[-1])
    assert _seeds(store) == 4
    for number in range(MAX_SENDER_KEY_PLACES):
        group = SenderKeyGroup.uuid(number.to_bytes(16))
        budi.process_distribution_raw(ANA, group, ana.new_sender_key_raw(group))
    assert count_rows(store, Table.SENDER_KEYS) == MAX_SENDER_KEY_PLACES
    assert _seeds(store) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (UUID, SenderKeyGroup.key_id(UUID.id)),
        (SenderKeyGroup.key_id(b"a"), SenderKeyGroup.key_id(b"aaaaa")),
        (SenderKeyGroup.key_id(b"\0" * 64), SenderKeyGroup.key_id(b"\0" * 60)),
    ],
)
def test_groups_stay_apart_whatever_their_names(one: SenderKeyGroup, other: SenderKeyGroup) -> None:
    assert one.place != other.place
    ana, budi = make_device(ANA), make_device(BUDI)
    budi.process_distribution_raw(ANA, one, ana.new_sender_key_raw(one))
    with pytest.raises(NoSession):
        ana.encrypt_group_raw(other, b"")
    data = ana.encrypt_group_raw(one, b"halo")
    with pytest.raises(E2ECrossError):
        budi.decrypt_group_raw(ANA, other, data)
    ana.new_sender_key_raw(other)
    assert budi.decrypt_group_raw(ANA, one, data) == b"halo"
    assert len(one.place) <= 1 + MAX_SENDER_KEY_NAME_BYTES


# --- Damage -----------------------------------------------------------------------------------


def _damage(store: Store, table: Table, record: bytes) -> None:
    (where,) = [where for where in dump(store) if where[0] is table]
    with store.transaction() as tx:
        tx.put(*where, record)


@pytest.mark.parametrize("record", [b"", b"\0", b"\1garbage", b"\1"])
def test_a_damaged_key_is_as_good_as_none_and_the_next_one_takes_its_place(record: bytes) -> None:
    ana_store, store = SpyStore(MemoryStore()), SpyStore(MemoryStore())
    ana, budi = make_device(ANA, ana_store), make_device(BUDI, store)
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    budi.decrypt_group_raw(ANA, UUID, _send(ana, 2)[1])
    _damage(store, Table.SENDER_KEYS, record)
    before = dump(store)
    data = ana.encrypt_group_raw(UUID, b"halo")
    with pytest.raises(UnknownSenderKey):
        budi.decrypt_group_raw(ANA, UUID, data)
    assert dump(store) == before
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    assert (count_rows(store, Table.SENDER_KEYS), _seeds(store)) == (1, 0)
    assert budi.decrypt_group_raw(ANA, UUID, ana.encrypt_group_raw(UUID, b"x")) == b"x"
    _damage(ana_store, Table.OWN_SENDER_KEYS, record)
    for call in (ana.distribution_raw, lambda group: ana.encrypt_group_raw(group, b"")):
        with pytest.raises(NoSession):
            call(UUID)
    ana.new_sender_key_raw(UUID)
    assert ana.distribution_raw(UUID)


def test_a_broken_seal_of_one_key_costs_those_of_its_sender_and_no_more(tmp_path: Path) -> None:
    """A sealed store can list nothing of a partition then; the next distribution begins anew."""
    ana, toko = make_device(ANA), make_device(TOKO)
    with SQLiteStore(tmp_path / "budi.db", key=STORE_KEY) as store:
        budi = make_device(BUDI, store)
        for sender in (ana, toko):
            for group in (UUID, KEY_ID):
                data = sender.new_sender_key_raw(group)
                budi.process_distribution_raw(sender.address, group, data)
        with sqlite3.connect(tmp_path / "budi.db") as file:
            rows = file.execute("SELECT partition, row FROM sender_keys").fetchall()
        assert len(rows) == 4
        broken = "UPDATE sender_keys SET record = zeroblob(99) WHERE row = ?"
        with sqlite3.connect(tmp_path / "budi.db") as file:
            file.execute(broken, (rows[0][1],))
        failed = []
        for sender in (ana, toko):
            for group in (UUID, KEY_ID):
                data = sender.encrypt_group_raw(group, b"halo")
                try:
                    assert budi.decrypt_group_raw(sender.address, group, data) == b"halo"
                except UnknownSenderKey:
                    failed.append((sender, group))
        ((hurt, group),) = failed
        budi.process_distribution_raw(hurt.address, group, hurt.distribution_raw(group))
        data = hurt.encrypt_group_raw(group, b"again")
        assert budi.decrypt_group_raw(hurt.address, group, data) == b"again"
        assert count_rows(store, Table.SENDER_KEYS) == 3


def test_a_key_with_an_impossible_signing_key_is_damaged() -> None:
    record = SenderKeyRecord(0, KEY, bytes([5]) + bytes(32), 0, 1).encode()
    with pytest.raises(RecordCorrupted):
        sender_key_from_row(UUID.place + bytes(4), record)


def test_a_row_without_a_group_is_damaged_and_goes_with_the_next_distribution() -> None:
    store = MemoryStore()
    ana, budi = _pair(store)
    record = SenderKeyRecord(0, KEY, GOOD_KEY, 0, 1).encode()
    with pytest.raises(RecordCorrupted):
        sender_key_from_row(bytes(4), record)
    with store.transaction() as tx:
        tx.put(Table.SENDER_KEYS, address_key(ANA), bytes(4), record)
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    assert count_rows(store, Table.SENDER_KEYS) == 2


def test_damaged_seeds_are_told_and_newer_messages_are_read() -> None:
    store = SpyStore(MemoryStore())
    ana, budi = _pair(store)
    sent = _send(ana, 65)
    budi.decrypt_group_raw(ANA, UUID, sent[64])
    _damage(store, Table.SENDER_KEY_SEEDS, b"\1garbage")
    with pytest.raises(RecordCorrupted):
        budi.decrypt_group_raw(ANA, UUID, sent[0])
    assert budi.decrypt_group_raw(ANA, UUID, ana.encrypt_group_raw(UUID, b"x")) == b"x"


def test_seeds_that_are_gone_are_duplicates() -> None:
    store = SpyStore(MemoryStore())
    ana, budi = _pair(store)
    sent = _send(ana, 3)
    budi.decrypt_group_raw(ANA, UUID, sent[2])
    (where,) = [where for where in dump(store) if where[0] is Table.SENDER_KEY_SEEDS]
    with store.transaction() as tx:
        tx.delete(*where)
    with pytest.raises(DuplicateMessage):
        budi.decrypt_group_raw(ANA, UUID, sent[0])


@pytest.mark.parametrize("table", [Table.OWN_SENDER_KEYS, Table.SENDER_KEYS])
def test_a_key_that_a_later_release_wrote_is_told_and_stays(table: Table) -> None:
    store = SpyStore(MemoryStore())
    ana = make_device(ANA)
    budi = make_device(BUDI, store)
    budi.new_sender_key_raw(UUID)
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    _damage(store, table, b"\2later")
    before = dump(store)
    call: Callable[[], object]
    for call in (
        (lambda: budi.encrypt_group_raw(UUID, b""),)
        if table is Table.OWN_SENDER_KEYS
        else (
            lambda: budi.decrypt_group_raw(ANA, UUID, ana.encrypt_group_raw(UUID, b"")),
            lambda: budi.process_distribution_raw(ANA, UUID, ana.distribution_raw(UUID)),
        )
    ):
        with pytest.raises(StoreTooNew):
            call()
        assert dump(store) == before


# --- Groups of ours ---------------------------------------------------------------------------

GROUP = GroupId(b"\x61" * 32)


def _give(
    store: Store,
    key: OwnSenderKey,
    *,
    group: GroupId = GROUP,
    heads: tuple[bytes, ...] = (bytes(32),),
    at: int = 0,
) -> bytes:
    """Let Ana have given a key; returns its distribution id."""
    key_id = hashlib.sha256(group.value + b"".join(heads)).digest()[:16]
    origin = KeyOrigin(GroupDestination(group, heads), PublicKey(GOOD_KEY))
    given = key
    for _ in range(at):
        given, _ = group_encrypt(given, key_id, b"", SYSTEM_ENTROPY)
    with store.transaction() as tx:
        add_sender_key(tx, ANA, group_key_place(key_id), distribute(given, key_id), origin)
    return key_id


def _read(store: Store, key_id: bytes, data: bytes, judged: bytes = b"") -> None:
    message, place = decode_sender_key_message(SenderKeyForm.UUID, data), group_key_place(key_id)
    with store.transaction() as tx:
        held = find_sender_key(tx, ANA, place, message)
        if held is None:
            raise UnknownSenderKey("not given")
        after, _ = group_decrypt(held.state, message)
        save_sender_key(tx, ANA, place, held, after, judged)


def _sent(key: OwnSenderKey, key_id: bytes, count: int) -> list[bytes]:
    sent = []
    for _ in range(count):
        key, data = group_encrypt(key, key_id, b"x", SYSTEM_ENTROPY)
        sent.append(data)
    return sent


def _key() -> OwnSenderKey:
    return generate_sender_key(SYSTEM_ENTROPY)


def test_five_keys_of_one_of_our_groups_stay_over_all_its_ids() -> None:
    store, given = MemoryStore(), []
    for number in range(MAX_SENDER_KEY_STATES + 2):
        key = _key()
        given.append((key, _give(store, key, heads=(bytes([number]) * 32,))))
    assert count_rows(store, Table.SENDER_KEYS) == MAX_SENDER_KEY_STATES
    for key, key_id in given[:2]:
        with pytest.raises(UnknownSenderKey):
            _read(store, key_id, _sent(key, key_id, 1)[0])
    for key, key_id in given[2:]:
        _read(store, key_id, _sent(key, key_id, 1)[0])
    # Two of one id are two; of one chain id the later one stays.
    first, second = _key(), _key()
    _give(store, first)
    _give(store, second)
    _give(store, OwnSenderKey(second.chain_id, first.chain))
    assert count_rows(store, Table.SENDER_KEYS) == MAX_SENDER_KEY_STATES
    key_id = _give(store, first)
    with pytest.raises(UnknownSenderKey):
        _read(store, key_id, _sent(_key(), key_id, 1)[0])
    forged = _sent(OwnSenderKey(second.chain_id, second.chain), key_id, 1)[0]
    with pytest.raises(InvalidSignature):
        _read(store, key_id, forged)


def test_a_key_that_is_given_again_is_the_newest_and_stays_as_it_is() -> None:
    store, first = MemoryStore(), _key()
    key_id = _give(store, first)
    data = _sent(first, key_id, 1)[0]
    _read(store, key_id, data, b"j" * 98)
    for number in range(MAX_SENDER_KEY_STATES - 1):
        _give(store, _key(), heads=(bytes([9 + number]) * 32,))
    _give(store, first)
    _give(store, _key(), heads=(b"\xff" * 32,))
    with pytest.raises(DuplicateMessage):
        _read(store, key_id, data)


def test_64_of_our_groups_stay_beside_64_foreign_ones_and_the_least_lately_given_goes() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    for number in range(MAX_SENDER_KEY_PLACES):
        foreign = SenderKeyGroup.key_id(f"{number}".encode())
        budi.process_distribution_raw(ANA, foreign, ana.new_sender_key_raw(foreign))
    keys = [(_key(), GroupId(bytes([number]) * 32)) for number in range(MAX_SENDER_KEY_PLACES)]
    ids = [_give(store, key, group=group) for key, group in keys]
    _give(store, _key(), group=keys[0][1], heads=(b"\1" * 32,))
    assert count_rows(store, Table.SENDER_KEYS) == 2 * MAX_SENDER_KEY_PLACES + 1
    _give(store, _key(), group=GROUP)
    assert count_rows(store, Table.SENDER_KEYS) == 2 * MAX_SENDER_KEY_PLACES + 1
    with pytest.raises(UnknownSenderKey):
        _read(store, ids[1], _sent(keys[1][0], ids[1], 1)[0])
    for at in (0, 2, 63):
        _read(store, ids[at], _sent(keys[at][0], ids[at], 1)[0])


def test_2_000_seeds_of_a_group_stay_over_all_its_keys_those_of_the_oldest_go() -> None:
    store = SpyStore(MemoryStore())
    given = []
    for number in range(4):
        key = _key()
        key_id = _give(store, key, heads=(bytes([number]) * 32,))
        sent = _sent(key, key_id, 900)
        _read(store, key_id, sent[-1])
        given.append((key_id, sent))
        assert _seeds(store) == min(number + 1, 2) * 899
    other = _key()
    other_id = _give(store, other, group=GroupId(bytes(32)))
    _read(store, other_id, _sent(other, other_id, 900)[-1])
    assert _seeds(store) == 3 * 899 <= MAX_SENDER_KEY_SEEDS + 899
    for key_id, sent in given[:2]:
        with pytest.raises(DuplicateMessage):
            _read(store, key_id, sent[0])
    for key_id, sent in given[2:]:
        _read(store, key_id, sent[0])
    assert _seeds(store) == sum(record.seeds for record in _records(store))


def test_the_group_of_an_id_is_told_and_all_keys_of_it_are_dropped_together() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    key_id = _give(store, _key())
    _give(store, _key(), heads=(b"\2" * 32,))
    other_id = _give(store, _key(), group=GroupId(bytes(32)))
    with store.transaction() as tx:
        assert find_group_of(tx, ANA, key_id) == GROUP
        assert find_group_of(tx, ANA, other_id) == GroupId(bytes(32))
        assert find_group_of(tx, ANA, UUID.id) is None
        assert find_group_of(tx, BUDI, key_id) is None
        assert find_group_of(tx, ANA, b"\xff" * 16) is None
        drop_sender_keys_of(tx, GROUP)
        assert find_group_of(tx, ANA, key_id) is None
    assert count_rows(store, Table.SENDER_KEYS) == 2


@pytest.mark.parametrize("record", [b"\1garbage", SenderKeyRecord(0, KEY, GOOD_KEY, 0, 1).encode()])
def test_a_key_of_a_group_that_is_damaged_or_of_none_goes_with_the_next(record: bytes) -> None:
    store = MemoryStore()
    key_id = _give(store, _key())
    _damage(store, Table.SENDER_KEYS, record)
    with store.transaction() as tx:
        assert find_group_of(tx, ANA, key_id) is None
    (where,) = [where for where in dump(store) if where[0] is Table.SENDER_KEYS]
    with pytest.raises(RecordCorrupted):
        sender_key_from_row(where[2], record)
    _give(store, _key())
    assert count_rows(store, Table.SENDER_KEYS) == 1


def test_a_key_that_can_be_read_is_not_dropped_as_damaged() -> None:
    store, key = MemoryStore(), _key()
    key_id = _give(store, key)
    message = decode_sender_key_message(SenderKeyForm.UUID, _sent(key, key_id, 1)[0])
    with store.transaction() as tx:
        drop_damaged_sender_key(tx, ANA, group_key_place(key_id), message)
    assert count_rows(store, Table.SENDER_KEYS) == 1
