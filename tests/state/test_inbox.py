# SPDX-License-Identifier: Apache-2.0
"""The inbox: receiving through a back end that fails, and one that is hostile."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest

from e2ecross import (
    AnyContent,
    Bytes,
    Device,
    Envelope,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    Text,
    UnsupportedContent,
    UserId,
)
from e2ecross.device.settling import MAX_NAMED
from e2ecross.errors import (
    DecodeError,
    IdentityChangedError,
    InvalidArgument,
    RecordCorrupted,
    RemoteError,
    TooManySkipped,
)
from e2ecross.state.inbox import (
    InboxItem,
    confirm_in_inbox,
    forget_arrivals,
    has_arrived,
    holds_notice,
    list_arrivals,
    may_have_arrived,
    note_arrival,
    put_failure,
    put_message,
    put_notice,
    receipt_of,
)
from e2ecross.state.message_refs import ref_of
from e2ecross.state.queue import number_row
from e2ecross.state.receipt import Receipt
from e2ecross.stores import MemoryStore, Table, Transaction
from e2ecross.wire.content import RetryRequest, encode_content
from e2ecross.wire.inbox_records import InboxMessage, InboxNotice, InboxRecord, encode_inbox_item
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    Stores,
    dump,
    make_device,
    new_bundle,
    reopen_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.inboxes import walk_items


def shown(items: Sequence[InboxItem]) -> list[str]:
    """What an app would show: texts, the codes of failures in their places, and notices."""
    return [
        cast("Text", item.content).text
        if isinstance(item, Message)
        else f"! {item.error.code}"
        if isinstance(item, FailedMessage)
        else f"* {item.kind}"
        for item in items
    ]


# --- Rows -----------------------------------------------------------------------------------

HALO = Message(BUDI, MESSAGE_ID, NOW_MS, Text("halo"), False, peer=BUDI.user_id)
ARRIVED_HALO = replace(HALO, ref=ref_of(BUDI, ANA.user_id, MESSAGE_ID, NOW_MS, Text("halo")))
"""As an app is shown it."""


def put(device: Device, *items: Message[AnyContent] | Notice) -> None:
    context = device._context
    with context.store.transaction() as tx:
        for item in items:
            (put_notice if isinstance(item, Notice) else put_message)(context, tx, item)  # type: ignore[arg-type]


def listed(device: Device, after: int = 0) -> list[tuple[int, InboxItem]]:
    with device._context.store.transaction() as tx:
        found = [*walk_items(device._context, tx, after)]
    return [(number, item) for number, item in found if not isinstance(item, RecordCorrupted)]


def close(device: Device, *receipts: Receipt | None) -> None:
    with device._context.store.transaction() as tx:
        confirm_in_inbox(device._context, tx, cast("tuple[Receipt, ...]", receipts))


@pytest.mark.parametrize("historical", [False, True])
@pytest.mark.parametrize("own_copy", [False, True])
@pytest.mark.parametrize("peer", [BUDI.user_id, TOKO.user_id])
def test_it_is_kept_with_whom_the_conversation_is_and_whose_copy_it_is(
    peer: UserId, own_copy: bool, historical: bool, stores: Stores
) -> None:
    ana = make_device(ANA, stores.open("ana"))
    message = replace(HALO, peer=peer, own_copy=own_copy, historical=historical)
    put(ana, message)
    assert len(listed(ana)) == 1  # by a worker, if there are some, it is held now
    ana = reopen_device(ana, stores.reopen("ana"), "again")
    ((_, item),) = listed(ana)
    assert isinstance(item, Message)
    assert replace(item, ref=None) == replace(message, redelivered=True)


@pytest.mark.parametrize(
    "content", [Text(""), Text("halo"), Bytes(b"\0" * 65_536), UnsupportedContent(9, b"?")]
)
def test_a_message_is_kept_as_it_was_until_it_is_confirmed(
    content: Text | Bytes | UnsupportedContent, stores: Stores
) -> None:
    ana = make_device(ANA, stores.open("ana"))
    message = Message(
        *(BUDI, MESSAGE_ID, NOW_MS, content, True), version_downgraded=True, peer=BUDI.user_id
    )
    put(ana, message, HALO)
    assert len(listed(ana)) == 2
    ana = reopen_device(ana, stores.reopen("ana"), "again")
    (number, item), (other, _) = listed(ana)
    assert (number, other) == (1, 2)
    assert isinstance(item, Message)
    assert replace(item, ref=None) == replace(message, redelivered=True)
    assert receipt_of(item) == item.receipt == Receipt(ana._context.inbox_id, 1)
    assert listed(ana, 1) == [(2, replace(ARRIVED_HALO, redelivered=True))]
    close(ana, item.receipt)
    assert [number for number, _ in listed(ana)] == [2]
    close(ana, item.receipt)  # twice does no harm
    assert [number for number, _ in listed(ana)] == [2]


def test_what_this_device_has_put_there_comes_unflagged_once() -> None:
    ana = make_device(ANA)
    again = reopen_device(ana, ana._context.store, "another process")
    put(ana, HALO)
    assert [item.redelivered for _, item in listed(ana)] == [False]
    assert [item.redelivered for _, item in listed(ana)] == [True]
    put(ana, HALO)
    assert [item.redelivered for _, item in listed(again)] == [True] * 2
    assert [item.redelivered for _, item in listed(ana)] == [True, False]


def test_what_was_rolled_back_lets_nothing_of_another_process_come_unflagged() -> None:
    """The number goes to the next item, whoever puts it there."""
    ana = make_device(ANA)
    again = reopen_device(ana, ana._context.store, "another process")
    with suppress(KeyboardInterrupt), ana._context.store.transaction() as tx:
        put_message(ana._context, tx, HALO)
        raise KeyboardInterrupt
    put(again, replace(HALO, content=Text("of another")))
    ((_, item),) = listed(ana)
    assert item.redelivered


NOTICES = [
    Notice(NoticeKind.IDENTITY_CHANGED, BUDI.user_id, (1, 127), make_device(BUDI).identity_key),
    Notice(NoticeKind.NOT_DELIVERED, BUDI.user_id, messages=(MESSAGE_ID,), code="mailbox_full"),
    Notice(NoticeKind.RESTORED, ANA.user_id),
]


def test_a_notice_is_kept_until_it_is_confirmed_like_a_message(stores: Stores) -> None:
    ana = make_device(ANA, stores.open("ana"))
    put(ana, *NOTICES, HALO)
    items = [item for _, item in listed(ana)]
    assert items == [*NOTICES, ARRIVED_HALO]
    assert shown(items) == ["* identity_changed", "* not_delivered", "* restored", "halo"]
    ana = reopen_device(ana, stores.reopen("ana"), "again")
    assert [item.redelivered for _, item in listed(ana)] == [True] * 4
    assert shown([item for _, item in listed(ana)]) == shown(items)
    close(ana, *(receipt_of(item) for item in items[:3]))
    assert [number for number, _ in listed(ana)] == [4]


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind is not NoticeKind.TYPING])
def test_every_kind_of_notice_comes_back(kind: NoticeKind) -> None:
    ana, most = make_device(ANA), tuple(number.to_bytes(16) for number in range(MAX_NAMED))
    notice = Notice(kind, UserId("threads", "carla"), messages=most)
    put(ana, notice)
    assert [item for _, item in listed(ana)] == [notice]


def test_a_notice_of_an_unknown_kind_is_a_damaged_store() -> None:
    ana = make_device(ANA)
    with ana._context.store.transaction() as tx:
        record = encode_inbox_item(InboxNotice(99, ANA.user_id))
        tx.put(Table.INBOX, b"", number_row(1), record)
        ((_, error),) = walk_items(ana._context, tx)
    assert isinstance(error, RecordCorrupted)
    assert "a notice of no kind" in str(error)


def fail(device: Device, envelope: Envelope | None, error: RemoteError, *, retrying: bool) -> None:
    context = device._context
    with context.store.transaction() as tx:
        put_failure(context, tx, envelope, error, retrying=retrying)


def test_a_failure_is_kept_with_what_is_known_of_it() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    budi.start_session(new_bundle(ana))
    envelope = budi.encrypt(ANA, Text("halo"), message_id=MESSAGE_ID)
    fail(ana, envelope, TooManySkipped("far ahead", got=9, allowed=5), retrying=True)
    fail(ana, None, DecodeError("garbage"), retrying=False)
    fail(ana, envelope, IdentityChangedError("?", BUDI, budi.identity_key), retrying=False)
    one, two, three = (cast("FailedMessage", item) for _, item in listed(ana))
    assert (one.sender, one.message_id) == (BUDI, MESSAGE_ID)
    assert isinstance(one.error, TooManySkipped)
    assert (str(one.error), one.error.got) == ("far ahead", None)
    assert (two.sender, two.message_id) == (None, None)
    assert (one.retrying, two.retrying) == (True, False)
    assert isinstance(two.error, DecodeError)
    assert isinstance(three.error, IdentityChangedError)
    assert (three.error.address, three.error.identity_key) == (BUDI, budi.identity_key)


def test_an_error_of_a_later_release_is_a_plain_remote_error() -> None:
    class LaterError(RemoteError):
        code = "of_a_later_release"

    ana = make_device(ANA)
    fail(ana, None, LaterError("what?"), retrying=False)
    ((_, item),) = listed(ana)
    assert isinstance(item, FailedMessage)
    assert type(item.error) is RemoteError


@pytest.mark.parametrize(
    "record",
    [
        InboxMessage(BUDI, MESSAGE_ID, NOW_MS, 1, b"\xff"),
        InboxMessage(BUDI, MESSAGE_ID, NOW_MS, 0, b""),
        InboxMessage(
            BUDI,
            MESSAGE_ID,
            NOW_MS,
            *encode_content(RetryRequest(MESSAGE_ID, None, 0, "decode_error")),
        ),
        InboxMessage(BUDI, MESSAGE_ID, NOW_MS, 3, b"\xff", digest=bytes(range(32))),
        InboxMessage(BUDI, MESSAGE_ID, NOW_MS, 3, b"", digest=b"short"),
        InboxMessage(BUDI, MESSAGE_ID, NOW_MS, 1, b"", expired=True),
    ],
    ids=["no text", "no content", "what no app sees", "no frame", "no digest", "both"],
)
def test_a_record_that_holds_no_message_is_a_damaged_store(record: InboxRecord) -> None:
    ana = make_device(ANA)
    with ana._context.store.transaction() as tx:
        for _ in range(2):
            put_message(ana._context, tx, HALO)
        tx.put(Table.INBOX, b"", number_row(1), encode_inbox_item(record))
        (number, error), (_, item) = walk_items(ana._context, tx)
    assert number == 1
    assert isinstance(error, RecordCorrupted)
    assert "damaged" in str(error)
    assert error.__traceback__ is None
    assert error.__cause__ is None
    assert error.__context__ is None
    assert item == ARRIVED_HALO  # one damaged row hides no other


# --- Receipts -------------------------------------------------------------------------------


def test_only_items_of_its_own_device_are_closed() -> None:
    """Ana has two accounts, and the app mixes up their items."""
    ana, toko = make_device(ANA), make_device(TOKO)
    for device in (ana, toko):
        put(device, HALO, NOTICES[0])
    (_, mine), _ = listed(ana)
    (_, others), _ = listed(toko)
    before = dump(ana._context.store)
    own, other = receipt_of(mine), receipt_of(others)
    for receipts in (
        (other,),
        (own, other),  # all or none
        (own, own._replace(number=3)),
        (own._replace(number=0),),
        (own._replace(number=-1), own),
        (own._replace(inbox=b""),),
    ):
        with pytest.raises(InvalidArgument, match="received by another"):
            close(ana, *receipts)
        assert dump(ana._context.store) == before
    close(ana, own)
    assert [number for number, _ in listed(ana)] == [2]
    assert len(listed(toko)) == 2


@pytest.mark.parametrize("seed", ["another phone", ""])
def test_another_installation_of_the_address_has_another_inbox(seed: str) -> None:
    ana = make_device(ANA)
    backup = ana.export_identity("passphrase", cost="interactive")
    entropy = SeededEntropy(f"imported {seed}")
    moved = Device.import_identity(backup, "passphrase", MemoryStore(), entropy=entropy)
    anew = make_device(ANA, seed="registered anew")
    inboxes = {device._context.inbox_id for device in (ana, moved, anew)}
    assert len(inboxes) == 3
    assert reopen_device(ana, ana._context.store, seed)._context.inbox_id in inboxes


@pytest.mark.parametrize("item", [None, object(), HALO, NOTICES[0], Receipt(b"", 1), 7])
def test_what_receive_did_not_return_has_no_receipt(item: object) -> None:
    with pytest.raises(InvalidArgument, match=r"what Client\.receive returned"):
        receipt_of(item)


# --- Arrivals -------------------------------------------------------------------------------


def test_an_envelope_is_told_by_its_number_and_its_bytes(stores: Stores) -> None:
    store = stores.open("ana")
    with store.transaction() as tx:
        assert list_arrivals(tx) == []
        note_arrival(tx, 7, b"envelope")
        note_arrival(tx, 2**64 - 1, b"another")
    with stores.reopen("ana").transaction() as tx:
        assert has_arrived(tx, 7, b"envelope")
        assert not has_arrived(tx, 7, b"another")
        assert not has_arrived(tx, 8, b"envelope")
        assert list_arrivals(tx) == [7, 2**64 - 1]
        note_arrival(tx, 7, b"another")  # the number was given a second time
        assert (has_arrived(tx, 7, b"envelope"), has_arrived(tx, 7, b"another")) == (False, True)
        forget_arrivals(tx, [7, 9])
        assert list_arrivals(tx) == [2**64 - 1]
        assert not has_arrived(tx, 7, b"another")


def test_one_look_tells_that_envelopes_are_new(stores: Stores) -> None:
    with stores.open("ana").transaction() as tx:
        assert not may_have_arrived(tx, 0)
        note_arrival(tx, 7, b"envelope")
        assert [may_have_arrived(tx, number) for number in (0, 6, 7, 8)] == [True] * 3 + [False]


def test_where_a_row_of_arrivals_does_not_open_each_envelope_is_looked_up() -> None:
    class Damaged:
        def list(self, *_: object, **__: object) -> object:
            raise RecordCorrupted("a stored record was changed, cut, or moved")

    assert may_have_arrived(cast("Transaction", Damaged()), 7)


def test_a_notice_is_found_by_kind_and_user_whatever_is_damaged() -> None:
    ana = make_device(ANA)
    notices = [
        Notice(NoticeKind.HOSTING_CHANGED, BUDI.user_id),
        Notice(NoticeKind.LIST_FORK, TOKO.user_id),
    ]
    put(ana, HALO, *notices)
    with ana._context.store.transaction() as tx:
        tx.put(Table.INBOX, b"", number_row(1), b"")
        found = {
            (kind, user)
            for kind in NoticeKind
            for user in (ANA.user_id, BUDI.user_id, TOKO.user_id)
            if holds_notice(tx, kind, user)
        }
    assert found == {(notice.kind, notice.user) for notice in notices}
