# SPDX-License-Identifier: Apache-2.0
"""What is kept of sent messages, and which messages were received."""

import hashlib

import pytest

from e2ecross import Address, Bytes, Device, Policy, Text, UnsupportedContent
from e2ecross.errors import InvalidArgument, RecordCorrupted
from e2ecross.state.context import address_key
from e2ecross.state.delivered import note_delivered, was_delivered
from e2ecross.state.sent import (
    ENDS,
    MAX_RESENDS,
    count_resend,
    find_kept,
    forget_content,
    forget_over,
    keep_other_id,
)
from e2ecross.state.sent_ids import SENT_IDS, is_known_id, was_sent
from e2ecross.stores import Table
from e2ecross.wire.content import Content, Expiry, Framed, Resent, RetryRequest, encode_content
from e2ecross.wire.shelf_records import SentIdRecord, SentRecord
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    Stores,
    dump,
    introduce,
    make_device,
)
from tests.support.kept import forget_sent, keep_sent

POLICY = Policy()
OTHER_ID = bytes(reversed(MESSAGE_ID))
Place = tuple[Table, bytes, bytes]
REQUEST = RetryRequest(OTHER_ID, None, 0, "decode_error")


@pytest.fixture
def ana(stores: Stores) -> Device:
    device = make_device(ANA, stores.open("ana"))
    introduce(device, make_device(BUDI))
    return device


@pytest.mark.parametrize(
    "content", [Text("halo"), Bytes(bytes(65_536)), UnsupportedContent(9, b"?")]
)
def test_a_message_is_found_by_recipient_and_id(
    content: Text | Bytes | UnsupportedContent, ana: Device
) -> None:
    with ana._context.store.transaction() as tx:
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, content, NOW_MS)
    with ana._context.store.transaction() as tx:
        kept = find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
        assert find_kept(tx, POLICY, TOKO, MESSAGE_ID, NOW_MS) is None
        assert find_kept(tx, POLICY, BUDI, OTHER_ID, NOW_MS) is None
    assert kept is not None
    assert (kept.recipient, kept.message_id, kept.sent_at_ms) == (BUDI, MESSAGE_ID, NOW_MS)
    assert (kept.content, kept.resends) == (content, 0)
    assert kept.identity_key == make_device(BUDI).identity_key


def test_a_message_is_found_by_the_id_of_a_copy_too(ana: Device) -> None:
    with ana._context.store.transaction() as tx:
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        kept = find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
        assert kept is not None
        keep_other_id(tx, POLICY, kept, OTHER_ID, NOW_MS)
        again = find_kept(tx, POLICY, BUDI, OTHER_ID, NOW_MS)
        assert again is not None
        assert (again.message_id, again.content) == (MESSAGE_ID, Text("halo"))
        assert find_kept(tx, POLICY, TOKO, OTHER_ID, NOW_MS) is None
        forget_sent(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
        assert find_kept(tx, POLICY, BUDI, OTHER_ID, NOW_MS) is None


def test_how_often_a_message_was_sent_again_is_counted(ana: Device) -> None:
    with ana._context.store.transaction() as tx:
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        for number in range(MAX_RESENDS + 1):
            kept = find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
            assert kept is not None
            assert kept.resends == number
            count_resend(tx, POLICY, kept, NOW_MS)
        forget_sent(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
        assert kept is not None
        count_resend(tx, POLICY, kept, NOW_MS)  # gone meanwhile: nothing comes back by it
        assert find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS) is None


def test_a_message_is_kept_for_no_longer_than_the_policy_says(ana: Device) -> None:
    with ana._context.store.transaction() as tx:
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        for days, is_there in ((0, True), (5, True), (7, False), (400, False)):
            now_ms = NOW_MS + days * DAY_MS
            assert (find_kept(tx, POLICY, BUDI, MESSAGE_ID, now_ms) is not None) is is_there


def test_a_message_is_kept_for_four_fifths_of_the_time_at_least(ana: Device) -> None:
    """However long before it another one was kept, with which it may be forgotten."""
    least = POLICY.resend_kept_ms * 4 // 5
    for before in range(0, least // 2, least // 40):
        with ana._context.store.transaction() as tx:
            for partition in tx.partitions(Table.SENT):
                tx.clear(Table.SENT, partition)
            keep_sent(tx, POLICY, BUDI, OTHER_ID, Text("before"), NOW_MS - before)
            keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
            assert find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS + least - 1) is not None


def test_no_more_messages_are_kept_than_the_policy_says(ana: Device) -> None:
    few = Policy(resend_kept_messages=10)
    with ana._context.store.transaction() as tx:
        for number in range(30):
            keep_sent(tx, few, BUDI, number.to_bytes(16), Text(str(number)), NOW_MS)
        kept = [
            number
            for number in range(30)
            if find_kept(tx, few, BUDI, number.to_bytes(16), NOW_MS) is not None
        ]
    assert kept in ([*range(25, 30)], [*range(26, 30)])  # each counts twice: itself and a copy
    none = Policy(resend_kept_messages=0)
    with ana._context.store.transaction() as tx:
        keep_sent(tx, none, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        assert find_kept(tx, none, BUDI, MESSAGE_ID, NOW_MS) is None


def rows_of_sent(device: Device) -> tuple[Place, Place]:
    """Where the content of the one message is, and the copy for Budi."""
    rows = [w for w in dump(device._context.store) if w[0] is Table.SENT and len(w[1]) == 4]
    content, copy = sorted(rows, key=lambda where: where[2].startswith(address_key(BUDI)))
    return content, copy


def test_a_record_that_holds_no_message_is_a_damaged_store(ana: Device) -> None:
    again = Resent(MESSAGE_ID, NOW_MS, Text("halo"))
    store = ana._context.store
    with store.transaction() as tx:
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
    content, copy = rows_of_sent(ana)
    for kind, body in ((1, b"\xff"), encode_content(again), encode_content(REQUEST)):
        with store.transaction() as tx:
            tx.put(*content, SentRecord(content_kind=kind, content_body=body).encode())
            with pytest.raises(RecordCorrupted, match="sent message holds no content"):
                find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
    with store.transaction() as tx:  # a content in the place of what is known of a copy
        kind, body = encode_content(Text("halo"))
        tx.put(*copy, SentRecord(content_kind=kind, content_body=body).encode())
        with pytest.raises(RecordCorrupted, match="sent message holds no content"):
            find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)


def test_a_copy_whose_content_is_not_kept_any_more_is_not_either(ana: Device) -> None:
    with ana._context.store.transaction() as tx:
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        forget_content(tx, POLICY, BUDI.user_id, MESSAGE_ID, NOW_MS)
        assert find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS) is None


# --- Ids ------------------------------------------------------------------------------------


def was(device: Device, content: Content, *, days: int = 0, to: Address = BUDI) -> bool:
    with device._context.store.transaction() as tx:
        return was_sent(tx, to, MESSAGE_ID, content, NOW_MS + days * DAY_MS)


def keep(device: Device, content: Content, *, policy: Policy = POLICY) -> None:
    with device._context.store.transaction() as tx:
        keep_sent(tx, policy, BUDI, MESSAGE_ID, content, NOW_MS)


def test_an_id_belongs_to_its_recipient_and_content(ana: Device) -> None:
    assert not was(ana, Text("halo"))
    keep(ana, Text("halo"))
    assert was(ana, Text("halo"))
    assert not was(ana, Text("another"), to=TOKO)
    others: tuple[Content, ...] = (
        Text("halo "),
        Text(""),
        Bytes(b"halo"),
        UnsupportedContent(9, encode_content(Text("halo"))[1]),
    )
    for other in others:
        before = dump(ana._context.store)
        with pytest.raises(InvalidArgument, match="message_id was used for another message"):
            was(ana, other)
        assert dump(ana._context.store) == before


@pytest.mark.parametrize("policy", [POLICY, Policy(resend_kept_messages=0)])
def test_an_id_is_known_for_as_long_as_any_receiver_knows_it(ana: Device, policy: Policy) -> None:
    """Longer than the content: under an id that it knows a receiver drops another text."""
    keep(ana, Text("halo"), policy=policy)
    for days in (0, 7, 45, 56, 59):
        assert was(ana, Text("halo"), days=days)
        with pytest.raises(InvalidArgument):
            was(ana, Text("another"), days=days)
    for days in (75, 400):
        assert not was(ana, Text("another"), days=days)


def test_an_id_of_a_message_that_was_not_sent_after_all_is_free_again(ana: Device) -> None:
    keep(ana, Text("halo"))
    with ana._context.store.transaction() as tx:
        assert is_known_id(tx, BUDI, MESSAGE_ID, NOW_MS)
        assert not is_known_id(tx, TOKO, MESSAGE_ID, NOW_MS)
        forget_sent(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
        assert not is_known_id(tx, BUDI, MESSAGE_ID, NOW_MS)
    assert not was(ana, Text("another"))


def test_the_id_of_a_copy_is_none_of_the_users(ana: Device) -> None:
    keep(ana, Text("halo"))
    with ana._context.store.transaction() as tx:
        kept = find_kept(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
        assert kept is not None
        keep_other_id(tx, POLICY, kept, OTHER_ID, NOW_MS)
        assert not is_known_id(tx, BUDI, OTHER_ID, NOW_MS)


def test_of_a_content_two_bytes_of_a_hash_are_kept_longer(ana: Device) -> None:
    keep(ana, Text("a secret text"))
    with ana._context.store.transaction() as tx:
        records = [r for place, _, r in tx.scan(Table.SENT) if place.startswith(SENT_IDS)]
    kind, body = encode_content(Text("a secret text"))
    digest = hashlib.sha256(kind.to_bytes(4) + body).digest()  # docs/wire-format.md
    assert [SentIdRecord.decode(record).digest for record in records] == [digest[:2]]


def test_a_clock_that_was_ahead_forgets_ids_in_time_and_no_earlier(ana: Device) -> None:
    with ana._context.store.transaction() as tx:
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS + 1000 * DAY_MS)
        keep_sent(tx, POLICY, BUDI, OTHER_ID, Text("halo"), NOW_MS)
        assert is_known_id(tx, BUDI, MESSAGE_ID, NOW_MS + 59 * DAY_MS)
        assert not is_known_id(tx, BUDI, MESSAGE_ID, NOW_MS + 75 * DAY_MS)


# --- What was received ----------------------------------------------------------------------


def test_a_received_message_is_remembered_for_longer_than_any_sender_sends_again(
    stores: Stores,
) -> None:
    store = stores.open("ana")
    with store.transaction() as tx:
        assert not was_delivered(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
        note_delivered(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS)
    with store.transaction() as tx:
        longest = Policy(resend_kept_ms=30 * DAY_MS).resend_kept_ms
        assert was_delivered(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS + longest)
        assert was_delivered(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS + 45 * DAY_MS - 1)
        assert not was_delivered(tx, POLICY, BUDI, MESSAGE_ID, NOW_MS + 60 * DAY_MS)
        assert not was_delivered(tx, POLICY, TOKO, MESSAGE_ID, NOW_MS)
        assert not was_delivered(tx, POLICY, BUDI, OTHER_ID, NOW_MS)


# --- What is to be gone ---------------------------------------------------------------------------


def keep_until_over(device: Device, number: int, seconds: int, policy: Policy = POLICY) -> bytes:
    """Keep a message that is over after so many seconds; returns its id."""
    message_id = number.to_bytes(16)
    content = Framed(Text("halo"), bytes(32), Expiry(seconds))
    with device._context.store.transaction() as tx:
        keep_sent(tx, policy, BUDI, message_id, content, NOW_MS)
    return message_id


def ends(device: Device) -> int:
    return sum(where[:2] == (Table.SENT, ENDS) for where in dump(device._context.store))


def is_kept(device: Device, message_id: bytes, now_ms: int) -> bool:
    with device._context.store.transaction() as tx:
        return find_kept(tx, POLICY, BUDI, message_id, now_ms) is not None


def test_what_is_over_is_not_found(ana: Device) -> None:
    message_id = keep_until_over(ana, 1, 60)
    assert is_kept(ana, message_id, NOW_MS - DAY_MS)
    assert is_kept(ana, message_id, NOW_MS + 59_999)
    assert not is_kept(ana, message_id, NOW_MS + 60_000)


def test_what_is_over_is_forgotten_a_part_at_a_time(ana: Device) -> None:
    ids = [keep_until_over(ana, number, 10 + number) for number in range(5)]
    for now_ms, limit, left in (
        (NOW_MS + 9_999, 9, 5),
        (NOW_MS + 12_000, 2, 3),
        (NOW_MS + 12_000, 2, 2),
        (NOW_MS + 12_000, 2, 2),
        (NOW_MS + 60_000, 9, 0),
    ):
        with ana._context.store.transaction() as tx:
            forget_over(tx, POLICY, now_ms, limit)
        assert ends(ana) == left
        kept = [message_id for message_id in ids if is_kept(ana, message_id, NOW_MS)]
        assert kept == ids[5 - left :]
    with ana._context.store.transaction() as tx:
        assert is_known_id(tx, BUDI, ids[0], NOW_MS)  # it is used up all the same


def test_what_is_forgotten_before_its_end_has_no_row_for_that(ana: Device) -> None:
    kept_s = POLICY.resend_kept_ms // 1000
    keep_until_over(ana, 1, kept_s)
    keep_until_over(ana, 2, 60, Policy(resend_kept_messages=0))
    assert ends(ana) == 0
    keep_until_over(ana, 3, kept_s - 1)
    assert ends(ana) == 1
