# SPDX-License-Identifier: Apache-2.0
import pickle
from dataclasses import replace
from typing import Any

import pytest

from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.group import GroupId, Role
from e2ecross.wire.inbox_records import (
    NOT_HELD,
    InboxFailure,
    InboxHold,
    InboxMessage,
    InboxNotice,
    InboxRecord,
    decode_arrival,
    decode_inbox_hold,
    decode_inbox_item,
    encode_arrival,
    encode_inbox_item,
    hold_inbox_item,
)
from e2ecross.wire.limits import MAX_PUBLISHED_KEYS_BYTES
from e2ecross.wire.queue_records import (
    BacklogRecord,
    OutboxRecord,
    TurnRecord,
    decode_row,
    encode_row,
)
from e2ecross.wire.record_encoding import encode_record
from e2ecross.wire.records import (
    DeviceRecord,
    KyberPrekeyRecord,
    RemoteIdentityRecord,
    SignedPrekeyRecord,
    UpkeepRecord,
    decode_one_time_prekey,
    decode_publication,
    encode_one_time_prekey,
    encode_publication,
)
from e2ecross.wire.shelf_records import (
    GenerationRecord,
    RetryBudgetRecord,
    SentIdRecord,
    SentRecord,
    decode_retry,
    decode_shelf,
    encode_retry,
    encode_shelf,
)
from e2ecross.wire.stripe_record import StripeRecord
from tests.support.formats import ADDRESS, MESSAGE_ID, PEER, RECORDS
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.protobuf import message

KEY = b"\xa5" * 32
KNOWN = PublicKey(GOOD_KEY)
SIGNATURE = b"\x6b" * 64
DEVICE = DeviceRecord(ADDRESS, KEY, 1, 2, 3, 4, KEY, True, 2**64 - 1)
SIGNED = SignedPrekeyRecord(KEY, SIGNATURE, 1, 2)
OUTBOX = OutboxRecord(b"envelope", MESSAGE_ID)
BACKLOG = BacklogRecord(2, 2**40, 3, "untrusted_identity", GOOD_KEY)
INBOX = InboxMessage(PEER, MESSAGE_ID, 1, 2, b"body", True, True)
FAILURE = InboxFailure(PEER, MESSAGE_ID, "identity_changed", "text", GOOD_KEY, True)
NOTICE = InboxNotice(4, PEER.user_id, (1, 127), GOOD_KEY, (MESSAGE_ID, bytes(16)), "expired")


GROUP = GroupId(KEY)


def _fields(record: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: getattr(record, name) for name in type(record).__annotations__}


@pytest.mark.parametrize(
    "record",
    [
        DEVICE,
        replace(DEVICE, backend_token=b"", registered=False),
        SIGNED,
        replace(SIGNED, created_at_ms=0, replaced_at_ms=0),
        RemoteIdentityRecord(KNOWN, KNOWN, True, 1),
        RemoteIdentityRecord(KNOWN, None, False, 0),
        RemoteIdentityRecord(KNOWN, None, False, 1, True, 2, True),
        replace(DEVICE, publication_epoch=2**64 - 1, adopts_epoch=True, replaces_prekeys=True),
        replace(DEVICE, last_resort_kyber_prekey_id=2**32 - 1),
        KyberPrekeyRecord(KEY * 2, SIGNATURE, 1, 2),
        KyberPrekeyRecord(KEY * 2, SIGNATURE, 0),
        KyberPrekeyRecord(KEY * 2, SIGNATURE, 1, 2, is_last_resort=True),
        replace(
            DEVICE,
            replaced_token=SIGNATURE[:32],
            restored_epoch=2**64 - 1,
            imported_at_ms=9,
            life=5,
        ),
        UpkeepRecord(1, 2, 3, 4, 5),
        UpkeepRecord(),
        OUTBOX,
        OutboxRecord(b"", MESSAGE_ID, True),
        OutboxRecord(b"", MESSAGE_ID, True, 1, b"body"),
        OutboxRecord(b"copies", MESSAGE_ID, group_id=bytes(32), copies=True),
        BACKLOG,
        BacklogRecord(1, 1, 1),
        TurnRecord(1, PEER),
        SentRecord(sent_at_ms=1, content_kind=2, content_body=b"body"),
        SentRecord(resends=3, identity_key=GOOD_KEY, account=ADDRESS.user_id),
        SentRecord(MESSAGE_ID, identity_key=GOOD_KEY, account=ADDRESS.user_id),
        SentRecord(MESSAGE_ID),
        SentRecord(content_kind=1, group_id=bytes(32), heads=(bytes(32), b"\1" * 32)),
        RetryBudgetRecord(1, 2, 3, 4),
    ],
)
def test_record_survives_its_encoding(record: Any) -> None:  # noqa: ANN401
    assert _fields(type(record).decode(record.encode())) == _fields(record)


@pytest.mark.parametrize(
    "item",
    [
        INBOX,
        InboxMessage(PEER, MESSAGE_ID, 0, 1, b""),
        InboxMessage(PEER, MESSAGE_ID, 0, 1, b"", peer=NOTICE.user),
        InboxMessage(PEER, MESSAGE_ID, 0, 1, b"", own_copy=True),
        InboxMessage(PEER, MESSAGE_ID, 0, 1, b"", historical=True),
        InboxFailure(None, b"", "decode_error", "what is wrong"),
        InboxFailure(PEER, MESSAGE_ID, "decode_error", ""),
        InboxFailure(PEER, MESSAGE_ID, "decode_error", "", retrying=True),
        FAILURE,
        NOTICE,
        InboxNotice(0, NOTICE.user),
        InboxNotice(32, None, group=GROUP),
        InboxNotice(36, NOTICE.user, group=GROUP, users=(PEER.user_id,), role=Role.ADMIN),
    ],
)
def test_an_item_of_the_inbox_survives_its_encoding(item: InboxRecord) -> None:
    again = decode_inbox_item(encode_inbox_item(item))
    assert type(again) is type(item)
    assert _fields(again) == _fields(item)


@pytest.mark.parametrize("item", [InboxMessage(PEER, MESSAGE_ID, 0, 1, b""), FAILURE, NOTICE])
def test_who_has_an_item_stands_beside_it(item: InboxRecord) -> None:
    free = encode_inbox_item(item)
    assert decode_inbox_hold(free) == NOT_HELD == (0, 0)
    held = hold_inbox_item(encode_inbox_item(item, InboxHold(0, 2**64 - 1)), 7)
    assert decode_inbox_hold(held) == (7, 2**64 - 1)
    assert held == encode_inbox_item(item, InboxHold(7, 2**64 - 1))
    assert _fields(decode_inbox_item(held)) == _fields(item)


def test_plain_records_survive_their_encoding() -> None:
    assert decode_one_time_prekey(encode_one_time_prekey(KEY)) == KEY
    assert decode_publication(encode_publication(b"published keys")) == b"published keys"
    assert decode_retry(encode_retry(3)) == 3
    assert decode_row(encode_row(2**64 - 1)) == 2**64 - 1
    assert decode_arrival(encode_arrival(KEY)) == (KEY, 0)
    assert decode_arrival(encode_arrival(KEY, 2**64 - 1)) == (KEY, 2**64 - 1)
    for devices in ((), (1,), (1, 2, 127)):
        sent_id = SentIdRecord(KEY[:2], devices, MESSAGE_ID)
        assert SentIdRecord.decode(sent_id.encode()) == sent_id
    for shelf in ((), (GenerationRecord(0, 1, 2), GenerationRecord(3, 0, 0))):
        assert decode_shelf(encode_shelf(shelf)) == shelf


@pytest.mark.parametrize("name", [*RECORDS])
@pytest.mark.parametrize("version", [2, 3, 255])
def test_record_of_a_later_release_is_refused_with_both_numbers(name: str, version: int) -> None:
    form = RECORDS[name]
    with pytest.raises(StoreTooNew, match="upgrade e2ecross") as caught:
        form.reencode(bytes((version,)) + form.example[1:])
    assert (caught.value.found, caught.value.supported) == (version, 1)
    assert form.example[0] == 1


@pytest.mark.parametrize("name", [*RECORDS])
def test_damaged_record_is_the_stores_fault(name: str) -> None:
    form = RECORDS[name]
    for data in (b"", b"\x00" + form.example[1:], b"\x01\xff", form.example + b"\x00"):
        with pytest.raises(RecordCorrupted, match="the store is damaged"):
            form.reencode(data)


def test_record_of_more_than_the_largest_copies_and_an_envelope_is_refused() -> None:
    limit = 384 * 1024
    largest = replace(OUTBOX, envelope=b"x" * (limit - 4 - 18))
    assert OutboxRecord.decode(largest.encode()).envelope == largest.envelope
    with pytest.raises(RecordCorrupted, match=f"has {limit + 2} bytes"):
        OutboxRecord.decode(replace(largest, envelope=largest.envelope + b"x").encode())


@pytest.mark.parametrize("length", [0, 31, 33])
def test_private_key_of_another_length_is_refused(length: int) -> None:
    for data, decode in (
        (replace(DEVICE, identity_private_key=bytes(length)).encode(), DeviceRecord.decode),
        (replace(SIGNED, private_key=bytes(length)).encode(), SignedPrekeyRecord.decode),
        (encode_one_time_prekey(bytes(length)), decode_one_time_prekey),
    ):
        with pytest.raises(RecordCorrupted, match="wrong length"):
            decode(data)


def test_other_values_of_another_length_are_refused() -> None:
    for record in (
        replace(DEVICE, backend_token=bytes(31)),
        replace(DEVICE, backend_token=bytes(33)),
        replace(SIGNED, signature=bytes(63)),
        replace(DEVICE, replaced_token=bytes(31)),
        replace(OUTBOX, message_id=bytes(15)),
        replace(OUTBOX, message_id=b""),
        replace(BACKLOG, untrusted_key=GOOD_KEY[1:]),
        SentRecord(bytes(17)),
        SentRecord(account=ADDRESS.user_id, identity_key=GOOD_KEY[1:]),
        SentRecord(account=ADDRESS.user_id),
        SentRecord(content_kind=1, identity_key=GOOD_KEY),
        SentRecord(MESSAGE_ID, identity_key=GOOD_KEY),
    ):
        with pytest.raises(RecordCorrupted, match="wrong length"):
            type(record).decode(record.encode())
    items: tuple[InboxRecord, ...] = (
        replace(INBOX, message_id=bytes(15)),
        replace(FAILURE, message_id=bytes(17)),
        replace(FAILURE, identity_key=GOOD_KEY[1:]),
        replace(NOTICE, identity_key=GOOD_KEY[1:]),
        replace(NOTICE, message_ids=(MESSAGE_ID, bytes(17))),
    )
    for item in items:
        with pytest.raises(RecordCorrupted, match="wrong length"):
            decode_inbox_item(encode_inbox_item(item))
    for length in (0, 31, 33):
        with pytest.raises(RecordCorrupted, match="wrong length"):
            decode_arrival(encode_arrival(bytes(length)))
    for length in (0, 1, 3):
        with pytest.raises(RecordCorrupted, match="wrong length"):
            SentIdRecord.decode(SentIdRecord(bytes(length)).encode())
    for length in (1, 15, 17):
        with pytest.raises(RecordCorrupted, match="wrong length"):
            SentIdRecord.decode(SentIdRecord(KEY[:2], (), bytes(length)).encode())


def test_what_is_kept_of_a_sent_message_is_one_of_three() -> None:
    copy = SentRecord(account=ADDRESS.user_id, identity_key=GOOD_KEY, resends=3)
    for record in (
        SentRecord(),
        SentRecord(identity_key=GOOD_KEY),
        SentRecord(sent_at_ms=1, content_body=b"?"),
        SentRecord(MESSAGE_ID, content_kind=1),
        SentRecord(MESSAGE_ID, sent_at_ms=1),
        SentRecord(MESSAGE_ID, content_body=b"?"),
        SentRecord(MESSAGE_ID, resends=1),
        SentRecord(content_kind=1, resends=1),
        replace(copy, original_id=MESSAGE_ID, content_kind=1),
        replace(copy, content_kind=1),
        replace(copy, sent_at_ms=1),
        replace(copy, content_body=b"?"),
    ):
        with pytest.raises(RecordCorrupted, match=r"holds nothing|contradicts itself"):
            SentRecord.decode(record.encode())


@pytest.mark.parametrize("devices", [(0,), (0, 1), (2, 1), (1, 1), (128,), (1, 255)])
def test_an_id_that_was_used_names_devices_in_their_order(devices: tuple[int, ...]) -> None:
    with pytest.raises(RecordCorrupted, match="names no devices"):
        SentIdRecord.decode(SentIdRecord(KEY[:2], devices).encode())


@pytest.mark.parametrize("key", [key for key in BAD_KEYS.values() if key])
def test_a_remote_identity_holds_keys_alone(key: bytes) -> None:
    good = RemoteIdentityRecord(KNOWN, KNOWN, True, 1)
    for record in (
        replace(good, identity_key=PublicKey(key)),
        replace(good, pending_key=PublicKey(key)),
        replace(good, identity_key=PublicKey(b"")),
    ):
        with pytest.raises(RecordCorrupted, match="a remote identity record holds no key"):
            RemoteIdentityRecord.decode(record.encode())


def test_record_without_a_good_address_is_refused() -> None:
    for data, name in ((DEVICE.encode(), "device"), (encode_inbox_item(INBOX), "inbox message")):
        bad = message([(1, message([(1, b"whatsapp"), (2, b"ana"), (3, 200)]))])
        form = RECORDS[name]
        rest = data[1:][len(message([(1, _address_bytes(data))])) :]
        with pytest.raises(RecordCorrupted, match="no address"):
            form.reencode(b"\x01" + bad + rest)
    with pytest.raises(RecordCorrupted, match="a turn record holds no address"):
        TurnRecord.decode(b"\x01" + message([(1, 1), (2, bad[2:])]))


def _address_bytes(data: bytes) -> bytes:
    return data[3 : 3 + data[2]]


def test_an_inbox_record_holds_a_message_a_failure_or_a_notice() -> None:
    for item in (
        b"",
        message([(1, _address())]),
        message([(1, _address()), (4, b"")]),  # no content
        message([(4, message([(2, 1)]))]),  # nobody's
        message([(9, KEY)]),
    ):
        with pytest.raises(RecordCorrupted, match="holds nothing"):
            decode_inbox_item(b"\x01" + item)


def test_an_item_and_an_arrival_have_nothing_of_each_other() -> None:
    text: tuple[int, int | bytes] = (4, message([(2, 1), (3, b"?")]))
    about = message([(1, b"whatsapp"), (2, b"ana")])
    notice: tuple[int, int | bytes] = (7, message([(1, 1), (2, about)]))
    of_item: list[tuple[int, int | bytes]] = [(1, _address()), (2, MESSAGE_ID), (3, 1), (8, 1)]
    for fields in ([(1, _address()), text, (10, 1)], [notice, (10, 1)]):
        decode_inbox_item(b"\x01" + message(fields[:-1]))
        with pytest.raises(RecordCorrupted, match="holds what is of another"):
            decode_inbox_item(b"\x01" + message(fields))
    for field in of_item[:2]:  # a notice comes in no envelope
        with pytest.raises(RecordCorrupted, match="holds what is of another"):
            decode_inbox_item(b"\x01" + message([field, notice]))
    for field in of_item:
        with pytest.raises(RecordCorrupted, match="holds what is of an item"):
            decode_arrival(b"\x01" + message(sorted([field, (9, KEY)])))


def _address() -> bytes:
    return message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])


def test_a_notice_is_about_somebody() -> None:
    for user in ([], [(2, b"")], [(2, message([(1, b"whatsapp"), (2, b"NO")]))]):
        with pytest.raises(RecordCorrupted, match="holds no user"):
            decode_inbox_item(b"\x01" + message([(7, message([(1, 1), *user]))]))


def test_a_notice_of_a_group_may_be_of_nobody_but_holds_no_nonsense() -> None:
    user = message([(1, b"whatsapp"), (2, b"NO")])
    for fields, what in (
        ([(7, KEY[:31])], "wrong length"),
        ([(7, KEY), (8, user)], "holds no user"),
        ([(7, KEY), (9, 4)], "holds no role"),
    ):
        with pytest.raises(RecordCorrupted, match=what):
            decode_inbox_item(b"\x01" + message([(7, message([(1, 1), *fields]))]))


def test_a_conversation_is_with_somebody() -> None:
    for user in (b"", message([(1, b"whatsapp"), (2, b"NO")])):
        with pytest.raises(RecordCorrupted, match="holds no user"):
            decode_inbox_item(
                b"\x01" + message([(1, _address()), (4, message([(2, 1), (6, user)]))])
            )


@pytest.mark.parametrize("ends", [(0, 0), (0, 1), (2, 1), (1, 0)])
def test_numbers_begin_at_1_and_end_behind_it(ends: tuple[int, int]) -> None:
    with pytest.raises(RecordCorrupted, match="a stripe record contradicts itself"):
        StripeRecord.decode(StripeRecord(1, 0).encode())
    with pytest.raises(RecordCorrupted, match="a backlog record contradicts itself"):
        BacklogRecord.decode(BacklogRecord(*ends, turn=1).encode())


def test_generations_of_a_shelf_ascend() -> None:
    for numbers in ((1, 1), (2, 1)):
        shelf = encode_shelf(tuple(GenerationRecord(number, 0, 0) for number in numbers))
        with pytest.raises(RecordCorrupted, match="contradicts itself"):
            decode_shelf(shelf)


@pytest.mark.parametrize(
    "record", [DEVICE, SIGNED, OUTBOX, INBOX, SentRecord(b"", 1, 2, b"body", 0, GOOD_KEY)]
)
def test_record_with_secrets_does_not_show_them(record: object) -> None:
    assert repr(record) == f"<{type(record).__name__}: secret>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(record)


def test_the_largest_publication_fits_into_its_record_and_no_other() -> None:
    largest = bytes(MAX_PUBLISHED_KEYS_BYTES)
    assert decode_publication(encode_publication(largest)) == largest
    with pytest.raises(RecordCorrupted, match="a publication record has 2097159 bytes"):
        decode_publication(encode_publication(largest + b"\0"))
    with pytest.raises(RecordCorrupted, match="a stripe record has"):
        StripeRecord.decode(encode_publication(largest))


@pytest.mark.parametrize("ids", [(2, 1), (1, 1), tuple(range(65))])
def test_a_stripe_counts_of_few_prekeys_in_their_order(ids: tuple[int, ...]) -> None:
    record = StripeRecord(1, 1, tuple((each, 1) for each in ids))
    with pytest.raises(RecordCorrupted, match="a stripe record contradicts itself"):
        StripeRecord.decode(record.encode())
    good = StripeRecord(2**64 - 1, 2**64 - 1, tuple((each, 2**32 - 1) for each in range(64)))
    assert StripeRecord.decode(good.encode()) == good


@pytest.mark.parametrize("lengths", [(63, 64), (65, 64), (64, 63), (64, 65), (0, 64), (64, 0)])
def test_a_kyber_prekey_has_a_seed_and_a_signature_of_64_bytes(lengths: tuple[int, int]) -> None:
    seed, signature = map(bytes, lengths)
    with pytest.raises(RecordCorrupted, match="a Kyber prekey record holds a value of wrong"):
        KyberPrekeyRecord.decode(KyberPrekeyRecord(seed, signature, 1, 0).encode())


@pytest.mark.parametrize("item", [INBOX, FAILURE])
def test_an_item_is_of_a_group_with_a_whole_id_or_damaged(
    item: InboxMessage | InboxFailure,
) -> None:
    record = encode_inbox_item(replace(item, group=GroupId(bytes(range(32)))))
    found = decode_inbox_item(record)
    assert isinstance(found, type(item))
    assert found.group == GroupId(bytes(range(32)))
    fields = storage_pb2.InboxRecord.FromString(record[1:])
    part = fields.message if isinstance(item, InboxMessage) else fields.failure
    part.group_id = bytes(31)
    with pytest.raises(RecordCorrupted, match="wrong length"):
        decode_inbox_item(encode_record(fields))
