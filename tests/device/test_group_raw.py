# SPDX-License-Identifier: Apache-2.0
"""The raw layer of sender keys: what its five methods promise, on every kind of store."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from e2ecross import Address, Device, SenderKeyGroup
from e2ecross.errors import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    InvalidArgument,
    InvalidKey,
    InvalidSignature,
    NoSession,
    RemoteError,
    RestoredStore,
    SessionExhausted,
    StoreError,
    TooManySkipped,
    UnknownSenderKey,
    UnsupportedVersion,
)
from e2ecross.state.epoch import read_epoch
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.wire.limits import MAX_PLAINTEXT_BYTES, MAX_SIGNAL_MESSAGE_BYTES, MAX_UINT32
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_sender_key_message
from e2ecross.wire.sender_key_records import OwnSenderKeyRecord
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    SpyStore,
    Stores,
    dump,
    introduce,
    make_device,
    reopen_device,
)
from tests.support.restores import put_back, take_copy
from tests.support.sender_keys import FORMS, KEY_ID, UUID, group_of, vectors_of
from tests.support.vectors import unhex

both_groups = pytest.mark.parametrize("group", [UUID, KEY_ID], ids=["uuid", "key id"])


def _epoch(store: Store) -> int:
    with store.transaction() as tx:
        return read_epoch(tx)


# --- Conversations ----------------------------------------------------------------------------


@both_groups
def test_three_devices_talk_in_a_group(stores: Stores, group: SenderKeyGroup) -> None:
    devices = {who: make_device(who, stores.open(who.user)) for who in (ANA, BUDI, TOKO)}
    for who, sender in devices.items():
        data = sender.new_sender_key_raw(group)
        for other, reader in devices.items():
            if other != who:
                reader.process_distribution_raw(who, group, data)
    for number in range(3):
        for who, sender in devices.items():
            plaintext = f"{number} of {who}".encode()
            data = sender.encrypt_group_raw(group, plaintext)
            for other, reader in devices.items():
                if other != who:
                    assert reader.decrypt_group_raw(who, group, data) == plaintext
        for who, device in devices.items():
            devices[who] = reopen_device(device, stores.reopen(who.user), f"{who} {number}")


@both_groups
def test_who_comes_later_reads_on_and_nothing_from_before(group: SenderKeyGroup) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    first = ana.new_sender_key_raw(group)
    assert ana.distribution_raw(group) == first
    before = ana.encrypt_group_raw(group, b"before")
    given_later = ana.distribution_raw(group)
    assert given_later != first
    after = ana.encrypt_group_raw(group, b"after")
    budi.process_distribution_raw(ANA, group, given_later)
    assert budi.decrypt_group_raw(ANA, group, after) == b"after"
    with pytest.raises(DuplicateMessage):
        budi.decrypt_group_raw(ANA, group, before)


@both_groups
def test_after_a_rotation_late_messages_of_the_old_key_are_read(group: SenderKeyGroup) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    budi.process_distribution_raw(ANA, group, ana.new_sender_key_raw(group))
    late = ana.encrypt_group_raw(group, b"late")
    second = ana.new_sender_key_raw(group)
    unreadable = ana.encrypt_group_raw(group, b"new")
    with pytest.raises(UnknownSenderKey) as caught:
        budi.decrypt_group_raw(ANA, group, unreadable)
    assert str(ANA) in str(caught.value)
    budi.process_distribution_raw(ANA, group, second)
    assert budi.decrypt_group_raw(ANA, group, unreadable) == b"new"
    assert budi.decrypt_group_raw(ANA, group, late) == b"late"


def test_distribution_messages_go_through_pairwise_sessions() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    kind, data = ana.encrypt_raw(BUDI, ana.new_sender_key_raw(UUID))
    budi.process_distribution_raw(ANA, UUID, budi.decrypt_raw(ANA, kind, data))
    assert budi.decrypt_group_raw(ANA, UUID, ana.encrypt_group_raw(UUID, b"halo")) == b"halo"


def test_the_largest_plaintext_fits_and_one_byte_more_does_not() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    data = ana.encrypt_group_raw(UUID, bytes(MAX_PLAINTEXT_BYTES))
    assert len(data) <= MAX_SIGNAL_MESSAGE_BYTES
    assert budi.decrypt_group_raw(ANA, UUID, data) == bytes(MAX_PLAINTEXT_BYTES)
    with pytest.raises(InvalidArgument, match="plaintext"):
        ana.encrypt_group_raw(UUID, bytes(MAX_PLAINTEXT_BYTES + 1))


# --- Vectors ----------------------------------------------------------------------------------


def _expected(code: str) -> type[RemoteError]:
    classes = (
        AuthenticationFailed,
        DecodeError,
        InvalidSignature,
        TooManySkipped,
        UnknownSenderKey,
        UnsupportedVersion,
    )
    return next(cls for cls in classes if cls.code == code)


@pytest.mark.parametrize("name", FORMS)
def test_each_refusal_of_the_vectors_changes_nothing_in_the_store(name: str) -> None:
    section = vectors_of(name)
    group = group_of(section)
    other = KEY_ID if name == "uuid" else UUID
    for item in section["refusals"]:
        if item["expect"] == "read" or "own group" in item["name"]:
            continue
        store = MemoryStore()
        budi = make_device(BUDI, store)
        budi.process_distribution_raw(ANA, group, unhex(section["distribution"]))
        before = dump(store)
        given = other if "other form" in item["name"] else group
        with pytest.raises(_expected(item["expect"])):
            budi.decrypt_group_raw(ANA, given, unhex(item["message"]))
        assert dump(store) == before
        for message in section["messages"]:
            read = budi.decrypt_group_raw(ANA, group, unhex(message["message"]))
            assert read.hex() == message["plaintext"]


@pytest.mark.parametrize("name", FORMS)
def test_the_longest_jump_of_the_vectors_is_read(name: str) -> None:
    section = vectors_of(name)
    store = MemoryStore()
    budi = make_device(BUDI, store)
    budi.process_distribution_raw(ANA, group_of(section), unhex(section["distribution"]))
    jump = section["accepted_jump"]
    read = budi.decrypt_group_raw(ANA, group_of(section), unhex(jump["message"]))
    assert read.hex() == jump["plaintext"]


# --- What is refused --------------------------------------------------------------------------


@both_groups
def test_a_sender_who_has_given_no_key_is_unknown(group: SenderKeyGroup) -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    budi.process_distribution_raw(ANA, group, ana.new_sender_key_raw(group))
    data = ana.encrypt_group_raw(group, b"halo")
    for sender in (TOKO, Address("whatsapp", "ana", 2)):
        with pytest.raises(UnknownSenderKey):
            budi.decrypt_group_raw(sender, group, data)
    assert budi.decrypt_group_raw(ANA, group, data) == b"halo"


def test_an_id_that_is_not_the_groups_is_a_mismatch_and_changes_nothing() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    other = SenderKeyGroup.uuid(bytes(16))
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    before = dump(store)
    with pytest.raises(EnvelopeMismatch):
        budi.process_distribution_raw(ANA, other, ana.distribution_raw(UUID))
    with pytest.raises(EnvelopeMismatch):
        budi.decrypt_group_raw(ANA, other, ana.encrypt_group_raw(UUID, b"halo"))
    assert dump(store) == before


def test_a_distribution_that_is_no_good_changes_nothing() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA), make_device(BUDI, store)
    good = ana.new_sender_key_raw(UUID)
    budi.process_distribution_raw(ANA, UUID, good)
    before = dump(store)
    low_order = good[:-32] + bytes(32)
    for bad, error in (
        (b"", DecodeError),
        (good[:-1], DecodeError),
        (b"\x43" + good[1:], UnsupportedVersion),
        (low_order, InvalidKey),
        (good + b"\0", DecodeError),
    ):
        with pytest.raises(error):
            budi.process_distribution_raw(ANA, UUID, bad)
        with pytest.raises(RemoteError):
            budi.process_distribution_raw(ANA, KEY_ID, bad)
    assert dump(store) == before


@pytest.mark.parametrize("wrong", [None, b"group", "group", uuid.UUID(int=1), SenderKeyForm.UUID])
def test_what_is_no_group_is_an_argument_error(wrong: Any) -> None:  # noqa: ANN401
    ana = make_device(ANA)
    for call in _calls(ana, BUDI, wrong):
        with pytest.raises(InvalidArgument, match=r"^group "):
            call()


@pytest.mark.parametrize("wrong", [None, "instagram:budi", BUDI.user_id])
def test_what_is_no_sender_is_an_argument_error(wrong: Any) -> None:  # noqa: ANN401
    for call in _calls(make_device(ANA), wrong, UUID)[3:]:
        with pytest.raises(InvalidArgument, match="sender"):
            call()


def test_a_device_is_not_given_its_own_messages() -> None:
    ana = make_device(ANA)
    for call in _calls(ana, ANA, UUID)[3:]:
        with pytest.raises(InvalidArgument, match="sender"):
            call()


@pytest.mark.parametrize("wrong", [None, "text", bytearray(80)])
def test_what_is_not_bytes_is_an_argument_error(wrong: Any) -> None:  # noqa: ANN401
    ana = make_device(ANA)
    with pytest.raises(InvalidArgument, match="plaintext"):
        ana.encrypt_group_raw(UUID, wrong)
    with pytest.raises(InvalidArgument, match="data"):
        ana.process_distribution_raw(BUDI, UUID, wrong)
    with pytest.raises(InvalidArgument, match="data"):
        ana.decrypt_group_raw(BUDI, UUID, wrong)


def _calls(device: Device, sender: Address, group: SenderKeyGroup) -> list[Callable[[], object]]:
    return [
        lambda: device.new_sender_key_raw(group),
        lambda: device.distribution_raw(group),
        lambda: device.encrypt_group_raw(group, b""),
        lambda: device.process_distribution_raw(sender, group, bytes(80)),
        lambda: device.decrypt_group_raw(sender, group, bytes(80)),
    ]


# --- Groups -----------------------------------------------------------------------------------


def test_a_group_is_named_by_bytes_or_a_uuid() -> None:
    value = uuid.uuid4()
    group = SenderKeyGroup.uuid(value)
    assert group == SenderKeyGroup.uuid(value.bytes)
    assert (group.form, group.id, group.distribution_id) == (
        SenderKeyForm.UUID,
        value.bytes,
        value.bytes,
    )
    named = SenderKeyGroup.key_id(b"x" * 64)
    assert (named.form, named.distribution_id) == (SenderKeyForm.KEY_ID, None)
    assert len({group, SenderKeyGroup.key_id(value.bytes), named}) == 3


@pytest.mark.parametrize("wrong", [None, "", bytes(15), bytes(17), bytearray(16), 7])
def test_what_is_no_distribution_id_is_an_argument_error(wrong: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="distribution_id"):
        SenderKeyGroup.uuid(wrong)


@pytest.mark.parametrize("wrong", [None, "name", b"", bytes(65), bytearray(16)])
def test_what_is_no_name_is_an_argument_error(wrong: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="name"):
        SenderKeyGroup.key_id(wrong)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("uuid", bytes(16)),
        (SenderKeyForm.UUID, bytes(15)),
        (SenderKeyForm.UUID, None),
        (SenderKeyForm.KEY_ID, b""),
        (SenderKeyForm.KEY_ID, bytes(65)),
        (SenderKeyForm.KEY_ID, "name"),
    ],
)
def test_a_group_checks_what_it_is_made_of(form: Any, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        SenderKeyGroup(form, value)


# --- Own keys ---------------------------------------------------------------------------------


@both_groups
def test_without_a_key_of_ours_nothing_is_sent(group: SenderKeyGroup) -> None:
    ana = make_device(ANA)
    for call in _calls(ana, BUDI, group)[1:3]:
        with pytest.raises(NoSession, match="new_sender_key_raw"):
            call()


def test_a_key_of_ours_ends_and_a_new_one_goes_on() -> None:
    store = SpyStore(MemoryStore())
    ana = make_device(ANA, store)
    ana.new_sender_key_raw(UUID)
    (where,) = [where for where in dump(store) if where[0] is Table.OWN_SENDER_KEYS]
    key = OwnSenderKeyRecord.decode(dump(store)[where])
    late = OwnSenderKeyRecord(key.chain_id, MAX_UINT32 - 1, key.chain_key, key.signing_private_key)
    with store.transaction() as tx:
        tx.put(*where, late.encode())
    data = ana.encrypt_group_raw(UUID, b"last")
    assert decode_sender_key_message(UUID.form, data).iteration == MAX_UINT32 - 1
    before = dump(store)
    with pytest.raises(SessionExhausted):
        ana.encrypt_group_raw(UUID, b"one more")
    assert dump(store) == before
    ana.new_sender_key_raw(UUID)
    data = ana.encrypt_group_raw(UUID, b"first")
    assert decode_sender_key_message(UUID.form, data).iteration == 0


def test_what_makes_or_uses_a_key_is_counted_and_what_reads_is_not() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    for counted, call in (
        (1, lambda: ana.new_sender_key_raw(UUID)),
        (0, lambda: ana.distribution_raw(UUID)),
        (1, lambda: ana.encrypt_group_raw(UUID, b"")),
        (0, lambda: ana.process_distribution_raw(BUDI, UUID, budi.new_sender_key_raw(UUID))),
        (0, lambda: ana.decrypt_group_raw(BUDI, UUID, budi.encrypt_group_raw(UUID, b""))),
    ):
        before = _epoch(store)
        call()
        assert _epoch(store) == before + counted


@pytest.mark.parametrize("call", [0, 2])
def test_nothing_leaves_when_the_commit_fails(call: int) -> None:
    store = SpyStore(MemoryStore())
    ana = make_device(ANA, store)
    ana.new_sender_key_raw(UUID)
    before = dump(store)
    store.fail_commit = True
    with pytest.raises(StoreError):
        _calls(ana, BUDI, UUID)[call]()
    store.fail_commit = False
    assert dump(store) == before


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_message_is_unread_when_its_state_cannot_be_written(writes: int) -> None:
    store = SpyStore(MemoryStore())
    ana, budi = make_device(ANA), make_device(BUDI, store)
    budi.process_distribution_raw(ANA, UUID, ana.new_sender_key_raw(UUID))
    sent = [ana.encrypt_group_raw(UUID, str(number).encode()) for number in range(100)]
    before = dump(store)
    store.writes_until_failure = writes
    with pytest.raises(StoreError):
        budi.decrypt_group_raw(ANA, UUID, sent[99])
    store.writes_until_failure = None
    assert dump(store) == before
    for number in (99, 0, 98):
        assert budi.decrypt_group_raw(ANA, UUID, sent[number]) == str(number).encode()


def test_threads_on_one_store_never_send_under_one_number(stores: Stores) -> None:
    store = stores.open("ana")
    ana = make_device(ANA, store)
    twin = reopen_device(ana, store, "twin")
    ana.new_sender_key_raw(UUID)
    sent: list[bytes] = []

    def send(device: Device) -> None:
        sent.extend(device.encrypt_group_raw(UUID, b"") for _ in range(20))

    threads = [threading.Thread(target=send, args=(device,)) for device in (ana, twin)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [decode_sender_key_message(UUID.form, data).iteration for data in sent]
    assert sorted(numbers) == list(range(40))


# --- Restored stores --------------------------------------------------------------------------


def test_a_restored_store_sends_with_no_key_that_it_had_and_reads_with_those_of_others() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    for group in (UUID, KEY_ID):
        ana.new_sender_key_raw(group)
        ana.process_distribution_raw(BUDI, group, budi.new_sender_key_raw(group))
    late = budi.encrypt_group_raw(UUID, b"late")
    ana.decrypt_group_raw(BUDI, UUID, budi.encrypt_group_raw(UUID, b"early"))
    restored = Device.open(store, restored=True)
    for group in (UUID, KEY_ID):
        for call in _calls(restored, BUDI, group)[1:3]:
            with pytest.raises(NoSession):
                call()
    assert restored.decrypt_group_raw(BUDI, UUID, late) == b"late"
    data = budi.encrypt_group_raw(KEY_ID, b"halo")
    assert restored.decrypt_group_raw(BUDI, KEY_ID, data) == b"halo"
    restored.new_sender_key_raw(UUID)
    assert restored.encrypt_group_raw(UUID, b"halo")


def test_a_store_that_was_put_back_under_an_open_device_is_noticed() -> None:
    store = SpyStore(MemoryStore())
    ana, budi = make_device(ANA, store), make_device(BUDI)
    ana.new_sender_key_raw(UUID)
    ana.process_distribution_raw(BUDI, UUID, budi.new_sender_key_raw(UUID))
    copy = take_copy(store)
    ana.encrypt_group_raw(UUID, b"in the timeline that is lost")
    put_back(store, copy)
    calls = _calls(ana, BUDI, UUID)
    calls[3] = lambda: ana.process_distribution_raw(BUDI, UUID, budi.distribution_raw(UUID))
    calls[4] = lambda: ana.decrypt_group_raw(BUDI, UUID, budi.encrypt_group_raw(UUID, b""))
    for call in calls:
        with pytest.raises(RestoredStore):
            call()
    assert take_copy(store) == copy
