# SPDX-License-Identifier: Apache-2.0
"""The inbox: receiving through a back end that fails, and one that is hostile."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest

from e2ecross import (
    Address,
    Bytes,
    Client,
    Device,
    Envelope,
    FailedMessage,
    Message,
    Notice,
    NoticeKind,
    Policy,
    Text,
    UnsupportedContent,
    UserId,
)
from e2ecross.device.settling import MAX_NAMED
from e2ecross.errors import (
    AuthenticationFailed,
    BackendError,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    IdentityChangedError,
    InvalidArgument,
    RecordCorrupted,
    RemoteError,
    RestoredStore,
    StoreError,
    TooManySkipped,
)
from e2ecross.state.inbox import (
    InboxItem,
    confirm_in_inbox,
    forget_arrivals,
    has_arrived,
    list_arrivals,
    note_arrival,
    put_failure,
    put_message,
    put_notice,
    receipt_of,
    walk_inbox,
)
from e2ecross.state.queue import number_row
from e2ecross.state.receipt import Receipt
from e2ecross.stores import MemoryStore, Store, Table
from e2ecross.wire.content import RetryRequest, encode_content
from e2ecross.wire.exchange import Waiting
from e2ecross.wire.queue_records import (
    InboxMessage,
    InboxNotice,
    InboxRecord,
    encode_inbox_item,
)
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    BackendSimulator,
    SpyStore,
    Stores,
    count_rows,
    dump,
    garbage,
    make_client,
    make_device,
    new_bundle,
    reopen_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.restores import put_back, take_copy


@pytest.fixture
def pair(backend: BackendSimulator) -> tuple[Client, Client]:
    """Ana and Budi in conversation."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    budi.confirm(budi.receive())
    budi.send(ANA, Text("answer"))
    ana.confirm(ana.receive())
    return ana, budi


def send(client: Client, recipient: Address, *words: str) -> None:
    for text in words:
        client.send(recipient, Text(text))


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


def names(items: Sequence[InboxItem]) -> list[tuple[Address | None, bytes | None]]:
    """Sender and message id of each."""
    return [(item.sender, item.message_id) for item in items if not isinstance(item, Notice)]


def left(store: Store) -> int:
    """Rows of the inbox, without the one that says where it ends."""
    return count_rows(store, Table.INBOX) - 1


def restarted(client: Client, backend: BackendSimulator, store: object = None) -> Client:
    """The app was killed, and starts again."""
    context = client.device._context
    device = reopen_device(client.device, cast("MemoryStore", store or context.store), "restart")
    return Client(device, backend)


# --- Rows -----------------------------------------------------------------------------------

HALO = Message(BUDI, MESSAGE_ID, NOW_MS, Text("halo"), identity_changed=False)


def put(device: Device, *items: Message | Notice) -> None:
    context = device._context
    with context.store.transaction() as tx:
        for item in items:
            (put_notice if isinstance(item, Notice) else put_message)(context, tx, item)  # type: ignore[arg-type]


def listed(device: Device, after: int = 0) -> list[tuple[int, InboxItem]]:
    with device._context.store.transaction() as tx:
        found = [*walk_inbox(device._context, tx, after)]
    return [(number, item) for number, item in found if not isinstance(item, RecordCorrupted)]


def close(device: Device, *receipts: Receipt | None) -> None:
    with device._context.store.transaction() as tx:
        confirm_in_inbox(device._context, tx, cast("tuple[Receipt, ...]", receipts))


@pytest.mark.parametrize(
    "content", [Text(""), Text("halo"), Bytes(b"\0" * 65_536), UnsupportedContent(9, b"?")]
)
def test_a_message_is_kept_as_it_was_until_it_is_confirmed(
    content: Text | Bytes | UnsupportedContent, stores: Stores
) -> None:
    ana = make_device(ANA, stores.open("ana"))
    message = Message(BUDI, MESSAGE_ID, NOW_MS, content, True, version_downgraded=True)
    put(ana, message, HALO)
    ana = reopen_device(ana, stores.reopen("ana"), "again")
    (number, item), (other, _) = listed(ana)
    assert (number, other) == (1, 2)
    assert item == replace(message, redelivered=True)
    assert receipt_of(item) == item.receipt == Receipt(ana._context.inbox_id, 1)
    assert listed(ana, 1) == [(2, replace(HALO, redelivered=True))]
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
    assert items == [*NOTICES, HALO]
    assert shown(items) == ["* identity_changed", "* not_delivered", "* restored", "halo"]
    ana = reopen_device(ana, stores.reopen("ana"), "again")
    assert [item.redelivered for _, item in listed(ana)] == [True] * 4
    assert shown([item for _, item in listed(ana)]) == shown(items)
    close(ana, *(receipt_of(item) for item in items[:3]))
    assert [number for number, _ in listed(ana)] == [4]


@pytest.mark.parametrize("kind", NoticeKind)
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
        ((_, error),) = walk_inbox(ana._context, tx)
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
    ],
    ids=["no text", "no content", "what no app sees"],
)
def test_a_record_that_holds_no_message_is_a_damaged_store(record: InboxRecord) -> None:
    ana = make_device(ANA)
    with ana._context.store.transaction() as tx:
        for _ in range(2):
            put_message(ana._context, tx, HALO)
        tx.put(Table.INBOX, b"", number_row(1), encode_inbox_item(record))
        (number, error), (_, item) = walk_inbox(ana._context, tx)
    assert number == 1
    assert isinstance(error, RecordCorrupted)
    assert "damaged" in str(error)
    assert error.__traceback__ is None
    assert error.__cause__ is None
    assert error.__context__ is None
    assert item == HALO  # one damaged row hides no other


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


def test_items_of_before_a_restart_are_closed_by_any_client_of_the_store(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1")
    items = budi.receive()
    again = restarted(budi, backend)
    again.confirm(items[:1])
    assert shown(again.receive()) == ["1"]
    budi.confirm(again.receive() + items)
    assert left(budi.device._context.store) == 0
    before = dump(ana.device._context.store)
    send(budi, ANA, "2")
    theirs = ana.receive()
    with pytest.raises(InvalidArgument):
        budi.confirm(theirs)
    ana.confirm(theirs)
    assert before.keys() <= dump(ana.device._context.store).keys()


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


def put_back_numbers(backend: BackendSimulator, address: Address, number: int) -> None:
    """Give what waits the numbers from this one on, as of a back end that was put back."""
    box = backend._accounts[address].mailbox
    box[:] = [(number + place, data) for place, (_, data) in enumerate(box)]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_number_that_is_given_a_second_time_hides_no_message(
    restarts: bool, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1")
    backend.fail("acknowledge")
    assert shown(budi.receive()) == ["0", "1"]
    first = backend._accounts[BUDI].mailbox[0][0]
    backend._accounts[BUDI].mailbox.clear()  # the backup is from before
    send(ana, BUDI, "2", "3", "4")
    put_back_numbers(backend, BUDI, first)
    if restarts:
        budi.confirm([])
        budi = restarted(budi, backend)
        assert shown(budi.receive()) == ["0", "1", "2", "3", "4"]
    else:
        assert shown(budi.receive()) == ["2", "3", "4"]
    assert backend.mailbox(BUDI) == []


def test_what_a_back_end_that_was_put_back_still_has_is_read_and_not_shown_twice(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1")
    copy = list(backend._accounts[BUDI].mailbox)
    budi.confirm(budi.receive())
    backend._accounts[BUDI].mailbox[:] = copy  # it was acknowledged after the backup
    send(ana, BUDI, "2")
    put_back_numbers(backend, BUDI, copy[0][0])
    assert [text for text in shown(budi.receive()) if not text.startswith("!")] == ["2"]
    assert backend.mailbox(BUDI) == []


# --- What it costs --------------------------------------------------------------------------


def costs(waits: int, call: Callable[[Client, BackendSimulator, Client], object]) -> int:
    """Calls of the store that something takes when so many items are not confirmed."""
    backend, spy = BackendSimulator(), SpyStore(MemoryStore())
    budi = make_client(BUDI, backend)
    ana = make_client(ANA, backend, spy)
    send(budi, ANA, "first")
    put(ana.device, *[replace(HALO, message_id=n.to_bytes(16)) for n in range(waits)])
    while ana.receive(limit=1000):
        pass
    spy.forget()
    call(ana, backend, budi)
    return len(spy.operations)


def _receive_garbage(ana: Client, backend: BackendSimulator, _: Client) -> None:
    backend.inject(ANA, b"garbage")
    assert shown(ana.receive()) == ["! decode_error"]


def _receive_message(ana: Client, backend: BackendSimulator, budi: Client) -> None:
    send(budi, ANA, "halo")
    ana.confirm(ana.receive())


_CALLS: dict[str, Callable[[Client, BackendSimulator, Client], object]] = {
    "receive nothing": lambda ana, backend, budi: ana.receive(),
    "receive garbage": _receive_garbage,
    "receive and confirm": _receive_message,
    "begin to hand over": lambda ana, backend, budi: Client(ana.device, backend).receive(limit=5),
    "put": lambda ana, backend, budi: put(ana.device, HALO, NOTICES[0]),
}


@pytest.mark.parametrize("name", _CALLS)
def test_what_a_call_costs_does_not_depend_on_what_is_not_confirmed(name: str) -> None:
    assert costs(10, _CALLS[name]) == costs(2_000, _CALLS[name])


# --- Failures in their places ---------------------------------------------------------------


def test_a_message_that_cannot_be_read_stands_in_its_place_and_stops_nothing(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "one", "two", "three")
    broken = backend.waiting(BUDI)[1]
    backend.rewrite(BUDI, 1, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    items = budi.receive()
    assert shown(items) == ["one", "! authentication_failed", "three"]
    failed = items[1]
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, AuthenticationFailed)
    assert (failed.sender, failed.message_id) == (ANA, broken.message_id)
    assert not failed.redelivered
    assert backend.mailbox(BUDI) == []  # final: acknowledged
    budi.confirm(items)
    assert budi.receive() == []
    # The genuine copy still opens.
    backend.inject(BUDI, broken.encode())
    assert shown(budi.receive()) == ["two"]


@pytest.mark.parametrize("data", garbage())
def test_garbage_from_the_back_end_is_a_failure_of_nobody(
    data: bytes, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    backend.inject(BUDI, data)
    send(ana, BUDI, "halo")
    items = budi.receive()
    assert shown(items) == ["! decode_error", "halo"]
    assert names(items)[0] == (None, None)
    budi.confirm(items)
    assert restarted(budi, backend).receive() == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda e: replace(e, recipient=TOKO), EnvelopeMismatch),
        (lambda e: replace(e, sender=BUDI), EnvelopeMismatch),
        (lambda e: replace(e, message_id=MESSAGE_ID), EnvelopeMismatch),
        (lambda e: replace(e, ciphertext=b"\x33"), DecodeError),
    ],
)
def test_a_rewritten_envelope_is_a_failure(
    change: Callable[[Envelope], Envelope],
    error: type[RemoteError],
    pair: tuple[Client, Client],
    backend: BackendSimulator,
) -> None:
    ana, budi = pair
    send(ana, BUDI, "halo")
    genuine = backend.mailbox(BUDI)[0]
    backend.rewrite(BUDI, 0, lambda data: change(Envelope.decode(data)).encode())
    (item,) = budi.receive()
    assert isinstance(item, FailedMessage)
    assert type(item.error) is error
    backend.inject(BUDI, genuine)
    assert shown(budi.receive()) == ["halo"]


def test_a_replayed_message_is_a_failure_and_is_not_shown_again(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "halo")
    backend.replay(BUDI, 0)
    items = budi.receive()
    assert shown(items) == ["halo", "! duplicate_message"]
    assert isinstance(cast("FailedMessage", items[1]).error, DuplicateMessage)


def test_messages_come_in_the_order_of_the_mailbox_whatever_it_is(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1", "2", "3", "4")
    backend.reorder(BUDI, (3, 0, 4, 2, 1))
    backend.drop(BUDI, 1)
    assert shown(budi.receive()) == ["3", "4", "2", "1"]


def test_content_of_a_newer_sender_is_a_message(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    ana.send(BUDI, UnsupportedContent(4711, b"a later format"))
    (item,) = budi.receive()
    assert isinstance(item, Message)
    assert item.content == UnsupportedContent(4711, b"a later format")


def test_a_message_under_a_new_identity_is_flagged_or_refused_by_policy(
    backend: BackendSimulator,
) -> None:
    for address, policy in ((ANA, None), (TOKO, Policy(refuse_changed_identity=True))):
        client = make_client(address, backend, policy=policy)
        for seed in ("old", "new"):
            budi = make_device(BUDI, seed=seed)
            budi.start_session(new_bundle(client.device, kyber=True))
            backend.inject(address, budi.encrypt(address, Text(seed)).encode())
        old, new = client.receive()
        assert isinstance(old, Message)
        assert not old.identity_changed
        if policy is None:
            assert isinstance(new, Message)
            assert new.identity_changed
        else:
            assert isinstance(new, FailedMessage)
            assert isinstance(new.error, IdentityChangedError)
            assert (new.error.address, new.error.identity_key) == (BUDI, budi.identity_key)
            client.device.accept_identity(BUDI, new.error.identity_key)
        # From the inbox they come as they came the first time.
        again = restarted(client, backend).receive()
        assert again[0] == replace(old, redelivered=True)
        assert shown(again) == shown([old, new])


# --- Limits ---------------------------------------------------------------------------------


def test_a_limit_bounds_what_is_taken_from_the_back_end(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1", "2", "3", "4")
    assert shown(budi.receive(limit=2)) == ["0", "1"]
    assert len(backend.mailbox(BUDI)) == 3
    assert shown(budi.receive(limit=2)) == ["2", "3"]
    assert shown(budi.receive(limit=2)) == ["4"]


def test_items_that_wait_in_the_inbox_come_before_the_back_end_is_asked(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0", "1", "2")
    budi.receive()
    send(ana, BUDI, "3")
    again = restarted(budi, backend)
    calls = len(backend.calls)
    assert shown(again.receive(limit=2)) == ["0", "1"]
    assert len(backend.calls) == calls
    items = again.receive(limit=2)
    assert shown(items) == ["2", "3"]
    assert [item.redelivered for item in items] == [True, False]


class Overflowing(BackendSimulator):
    """Hands out more than was asked for, and everything again and again."""

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        return super().fetch(address, token, 1000, 0)


def test_a_back_end_that_hands_out_too_much_or_repeats_itself_is_not_followed() -> None:
    backend = Overflowing()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1", "2", "3")
    assert shown(budi.receive(limit=3)) == ["0", "1", "2"]
    assert left(budi.device._context.store) == 3
    assert shown(budi.receive()) == ["3"]


class Backwards(BackendSimulator):
    """Hands out numbers in descending order."""

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        return super().fetch(address, token, limit, after)[::-1]


def test_numbers_in_the_wrong_order_lose_nothing() -> None:
    backend = Backwards()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1", "2")
    assert [shown(budi.receive()) for _ in range(3)] == [["2"], ["1"], ["0"]]
    assert backend.mailbox(BUDI) == []


class Overtaken(BackendSimulator):
    """While messages are on their way to one process, another one on the same store has them."""

    other: Client | None = None
    items: Sequence[InboxItem] = ()

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        batch = super().fetch(address, token, limit, after)
        other, self.other = self.other, None
        if other is not None:
            self.items = other.receive()
        return batch


def test_two_processes_that_receive_at_once_make_no_failure_of_it() -> None:
    backend = Overtaken()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1")
    backend.other = restarted(budi, backend)
    items = budi.receive()
    assert len(backend.items) == 2
    assert shown(items) == ["0", "1"]
    assert all(item.redelivered for item in items)  # the other process may have shown them
    assert backend.mailbox(BUDI) == []


class OvertakenAndConfirmed(Overtaken):
    """The other process also confirms: nothing of the message is left in the inbox."""

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        other = self.other
        batch = super().fetch(address, token, limit, after)
        if other is not None:
            other.confirm(self.items)
        return batch


def test_what_another_process_has_taken_in_and_confirmed_meanwhile_is_no_failure() -> None:
    backend = OvertakenAndConfirmed()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1")
    backend.other = restarted(budi, backend)
    assert budi.receive() == []
    assert shown(backend.items) == ["0", "1"]
    assert left(budi.device._context.store) == 0
    backend.inject(BUDI, b"garbage")  # what nobody can read still is one
    (failure,) = budi.receive()
    assert isinstance(failure, FailedMessage)


# --- Stores that fail -----------------------------------------------------------------------


def test_a_message_whose_store_fails_is_not_acknowledged_and_stops_no_other(
    backend: BackendSimulator,
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "0", "1", "2", "3")
    # token, inbox, inbox numbers; then the messages: the second one fails
    spy.fail_transactions = [False] * 3 + [False, True]
    assert shown(budi.receive()) == ["0", "2", "3"]
    (waiting,) = backend.waiting(BUDI)
    items = budi.receive()
    assert shown(items) == ["1"]
    assert names(items) == [(ANA, waiting.message_id)]
    assert backend.mailbox(BUDI) == []


def test_when_the_store_fails_for_every_message_its_error_is_raised(
    backend: BackendSimulator,
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "0", "1")
    spy.fail_transactions = [False] * 3 + [True] * 2
    with pytest.raises(StoreError, match="out of order"):
        budi.receive()
    assert len(backend.mailbox(BUDI)) == 2
    assert shown(budi.receive()) == ["0", "1"]


def test_as_many_store_errors_as_the_limit_end_a_call(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, *map(str, range(6)))
    spy.fail_transactions = [False] * 3 + [True] * 2
    with pytest.raises(StoreError):
        budi.receive(limit=2)
    assert len(backend.mailbox(BUDI)) == 6
    assert shown(budi.receive()) == [str(n) for n in range(6)]


@pytest.mark.parametrize("writes", range(6))
def test_message_session_and_inbox_are_committed_together(
    writes: int, backend: BackendSimulator
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "first")
    budi.confirm(budi.receive())
    send(ana, BUDI, "halo")
    before = dump(spy.inner)
    spy.writes_until_failure = writes  # session, arrival, delivered, inbox
    with pytest.raises(StoreError):
        budi.receive()
    assert dump(spy.inner) == before
    assert len(backend.mailbox(BUDI)) == 1
    spy.writes_until_failure = None
    assert shown(budi.receive()) == ["halo"]


def test_a_message_is_acknowledged_only_after_its_commit() -> None:
    class Watching(BackendSimulator):
        def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
            with store.transaction() as tx:
                assert list_arrivals(tx) == list(numbers)
                assert tx.count(Table.INBOX) == 1 + len(numbers)
            super().acknowledge(address, token, numbers)

    store, backend = MemoryStore(), Watching()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, store)
    send(ana, BUDI, "0", "1")
    assert shown(budi.receive()) == ["0", "1"]
    assert backend.acknowledged == [1, 2]


def test_items_are_not_lost_whenever_the_store_fails_before_they_are_handed_over() -> None:
    for number in range(30):
        backend = BackendSimulator()
        ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
        send(ana, BUDI, "0")
        budi.receive()
        send(ana, BUDI, "1")
        spy = SpyStore(budi.device._context.store)
        again = restarted(budi, backend, spy)
        spy.fail_transactions = [False] * number + [True]
        items: list[InboxItem] = []
        with suppress(StoreError):
            items += again.receive()
        was_reached = not spy.fail_transactions
        spy.fail_transactions = []
        items += again.receive()
        assert shown(items) == ["0", "1"]
        assert [item.redelivered for item in items] == [True, False]
        if not was_reached:
            break
    assert 8 < number < 29


class Interrupted(BackendSimulator):
    """The user presses Ctrl-C while the back end is asked."""

    presses = False

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        if self.presses:
            self.presses = False
            raise KeyboardInterrupt
        return super().one_time_prekey_count(address, token)


def test_an_interrupt_after_items_were_collected_loses_none_of_them() -> None:
    backend = Interrupted()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0")
    budi.receive()
    send(ana, BUDI, "1")
    again = restarted(budi, backend)
    backend.presses = True
    with pytest.raises(KeyboardInterrupt):
        again.receive()
    items = again.receive()
    assert shown(items) == ["0", "1"]
    assert again.receive() == []


def test_nothing_is_returned_of_a_store_that_the_back_end_knows_to_be_older(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "in the older state")
    budi.receive()
    store = budi.device._context.store
    copy = take_copy(store)
    send(budi, ANA, "since")
    put_back(store, copy)
    again = restarted(budi, backend)
    for _ in range(2):
        with pytest.raises(RestoredStore):
            again.receive()


def test_confirming_that_fails_leaves_the_items(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "0", "1")
    items = budi.receive()
    spy.fail_commit = True
    with pytest.raises(StoreError):
        budi.confirm(items)
    spy.fail_commit = False
    assert budi.receive() == []
    assert shown(restarted(budi, backend).receive()) == ["0", "1"]
    budi.confirm(items)
    assert left(spy.inner) == 0


# --- Back ends that fail --------------------------------------------------------------------


def test_what_has_arrived_is_returned_although_the_back_end_went_away(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    backend.fail("acknowledge")
    assert shown(budi.receive()) == ["0"]
    assert len(backend.mailbox(BUDI)) == 1
    # Acknowledged with the next call, and not shown again.
    assert budi.receive() == []
    assert backend.mailbox(BUDI) == []


def test_an_unreachable_back_end_is_told_when_there_is_nothing_to_return(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    _, budi = pair
    backend.unreachable = True
    with pytest.raises(BackendError):
        budi.receive()


def test_an_unreachable_back_end_does_not_hold_back_the_inbox(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    budi.receive()
    backend.unreachable = True
    again = restarted(budi, backend)
    items = again.receive()
    assert shown(items) == ["0"]
    assert items[0].redelivered
    with pytest.raises(BackendError):
        again.receive()


def test_confirmed_before_the_acknowledgement_arrived_is_not_shown_again_by_the_same_client(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    backend.fail("acknowledge", times=2)
    budi.confirm(budi.receive())
    with pytest.raises(BackendError):
        budi.receive()
    assert budi.receive() == []
    assert backend.mailbox(BUDI) == []


def test_confirmed_before_the_acknowledgement_arrived_is_no_failure_after_a_restart(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    backend.fail("acknowledge")
    budi.confirm(budi.receive())
    assert shown(restarted(budi, backend).receive()) == []


@pytest.mark.parametrize("acknowledged", [False, True])
def test_an_unconfirmed_item_comes_once_and_flagged_after_a_crash(
    acknowledged: bool, backend: BackendSimulator, stores: Stores
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, stores.open("budi"))
    send(ana, BUDI, "0")
    backend.inject(BUDI, b"garbage")
    if not acknowledged:
        backend.fail("acknowledge")
    first = budi.receive()
    assert not any(item.redelivered for item in first)
    assert bool(backend.mailbox(BUDI)) is not acknowledged
    again = restarted(budi, backend, stores.reopen("budi"))
    send(ana, BUDI, "1")
    items = again.receive()
    assert shown(items) == ["0", "! decode_error", "1"]
    assert [item.redelivered for item in items] == [True, True, False]
    assert names(items)[:2] == names(first)
    assert again.receive() == []
    assert backend.mailbox(BUDI) == []
    again.confirm(items)
    assert left(stores.open("budi")) == 0


class Killed(BaseException):
    """The process ends here."""


class Deadly(BackendSimulator):
    """Kills the process that acknowledges, once it is told to."""

    kills = False

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        if self.kills:
            self.kills = False
            raise Killed
        super().acknowledge(address, token, numbers)


def test_a_crash_between_commit_and_acknowledgement_loses_nothing() -> None:
    backend = Deadly()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0")
    backend.kills = True
    with pytest.raises(Killed):
        budi.receive()
    again = restarted(budi, backend)
    items = again.receive()
    assert shown(items) == ["0"]
    assert items[0].redelivered
    assert again.receive() == []
    assert backend.mailbox(BUDI) == []


class OnePage(BackendSimulator):
    """Hands out one message, and loses the call for the next."""

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        if after:
            raise BackendError("the second page is lost")
        return super().fetch(address, token, limit, after)[:1]


def test_a_fetch_that_fails_on_its_second_page_keeps_the_first() -> None:
    backend = OnePage()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1")
    assert shown(budi.receive()) == ["0"]
    assert len(backend.mailbox(BUDI)) == 1
    assert shown(budi.receive()) == ["1"]


def test_no_more_is_taken_in_than_can_be_handed_over(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    """What the app has not confirmed counts, so that the inbox does not grow."""
    ana, budi = pair
    for number in range(6):
        send(ana, BUDI, str(number))
    assert len(budi.receive(limit=2)) == 2
    again = restarted(budi, backend)
    assert len(again.receive(limit=3)) == 3  # two of before, and one more
    assert len(backend.mailbox(BUDI)) == 3
