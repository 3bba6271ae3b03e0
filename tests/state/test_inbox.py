# SPDX-License-Identifier: Apache-2.0
"""The inbox: receiving through a back end that fails, and one that is hostile."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import pytest

from e2ecross import (
    Address,
    Bytes,
    Client,
    Envelope,
    FailedMessage,
    Message,
    Policy,
    Text,
    UnsupportedContent,
)
from e2ecross.errors import (
    AuthenticationFailed,
    BackendError,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    IdentityChangedError,
    RecordCorrupted,
    RemoteError,
    StoreError,
    TooManySkipped,
)
from e2ecross.state.inbox import (
    confirm_in_inbox,
    list_inbox,
    list_known_numbers,
    put_failure,
    put_message,
    remove_confirmed_numbers,
)
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.queue_records import InboxRecord
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


def shown(items: Sequence[Message | FailedMessage]) -> list[str]:
    """What an app would show: texts, and the codes of failures in their places."""
    return [
        cast("Text", item.content).text if isinstance(item, Message) else f"! {item.error.code}"
        for item in items
    ]


def restarted(client: Client, backend: BackendSimulator, store: object = None) -> Client:
    """The app was killed, and starts again."""
    context = client.device._context
    device = reopen_device(client.device, cast("MemoryStore", store or context.store), "restart")
    return Client(device, backend)


# --- Rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [Text(""), Text("halo"), Bytes(b"\0" * 65_536), UnsupportedContent(9, b"?")]
)
def test_a_message_is_kept_as_it_was_until_it_is_removed(
    content: Text | Bytes | UnsupportedContent, stores: Stores
) -> None:
    store = stores.open("ana")
    make_device(ANA, store)
    message = Message(BUDI, MESSAGE_ID, NOW_MS, content, True)
    with store.transaction() as tx:
        receipt = put_message(tx, 77, message)
    with stores.reopen("ana").transaction() as tx:
        ((number, item),) = list_inbox(tx)
        assert number == 77
        assert item == message
        assert item.receipt == receipt
        confirm_in_inbox(tx, receipt, acknowledged=())
        assert list_inbox(tx) == []
        assert list_known_numbers(tx) == {77}
        remove_confirmed_numbers(tx, acknowledged={78})
        assert list_known_numbers(tx) == {77}
        remove_confirmed_numbers(tx, acknowledged={77})
        assert list_known_numbers(tx) == set()


def test_an_acknowledged_item_leaves_nothing_when_it_is_confirmed() -> None:
    store = MemoryStore()
    make_device(ANA, store)
    message = Message(BUDI, MESSAGE_ID, NOW_MS, Text("halo"), False)
    with store.transaction() as tx:
        first = put_message(tx, 77, message)
        put_message(tx, 78, message)
        confirm_in_inbox(tx, first, acknowledged={77})
        confirm_in_inbox(tx, first, acknowledged={77})
        assert tx.count(Table.INBOX) == 1
        remove_confirmed_numbers(tx, acknowledged={77, 78})
        assert list_known_numbers(tx) == {78}


def test_a_failure_is_kept_with_what_is_known_of_it() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    budi.start_session(new_bundle(ana))
    envelope = budi.encrypt(ANA, Text("halo"), message_id=MESSAGE_ID)
    with store.transaction() as tx:
        error = TooManySkipped("far ahead", got=9, allowed=5)
        put_failure(tx, 1, envelope, error, retrying=True)
        put_failure(tx, 2, None, DecodeError("garbage"), retrying=False)
        (_, one), (_, two) = list_inbox(tx)
    assert isinstance(one, FailedMessage)
    assert isinstance(two, FailedMessage)
    assert (one.sender, one.message_id) == (BUDI, MESSAGE_ID)
    assert isinstance(one.error, TooManySkipped)
    assert (str(one.error), one.error.got) == ("far ahead", None)
    assert (two.sender, two.message_id) == (None, None)
    assert (one.retrying, two.retrying) == (True, False)
    assert isinstance(two.error, DecodeError)


def test_an_error_of_a_later_release_is_a_plain_remote_error() -> None:
    class LaterError(RemoteError):
        code = "of_a_later_release"

    store = MemoryStore()
    make_device(ANA, store)
    with store.transaction() as tx:
        put_failure(tx, 1, None, LaterError("what?"), retrying=False)
        ((_, item),) = list_inbox(tx)
    assert isinstance(item, FailedMessage)
    assert type(item.error) is RemoteError


@pytest.mark.parametrize(
    "record",
    [
        InboxRecord(None, MESSAGE_ID, 1, NOW_MS, 1, b""),
        InboxRecord(BUDI, MESSAGE_ID, 1, NOW_MS, 1, b"\xff"),
        InboxRecord(BUDI, MESSAGE_ID, 1, NOW_MS, 0, b""),
    ],
)
def test_a_record_that_holds_no_message_is_a_damaged_store(record: InboxRecord) -> None:
    store = MemoryStore()
    make_device(ANA, store)
    with store.transaction() as tx:
        tx.put(Table.INBOX, b"", bytes(8), record.encode())
        with pytest.raises(RecordCorrupted, match="damaged"):
            list_inbox(tx)


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
    assert (items[0].sender, items[0].message_id) == (None, None)
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
        self, address: Address, token: bytes, limit: int, after: int = 0
    ) -> list[tuple[int, bytes]]:
        return super().fetch(address, token, 1000, 0)


def test_a_back_end_that_hands_out_too_much_or_repeats_itself_is_not_followed() -> None:
    backend = Overflowing()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1", "2", "3")
    assert shown(budi.receive(limit=3)) == ["0", "1", "2"]
    assert count_rows(budi.device._context.store, Table.INBOX) == 3
    assert shown(budi.receive()) == ["3"]


class Backwards(BackendSimulator):
    """Hands out numbers in descending order."""

    def fetch(
        self, address: Address, token: bytes, limit: int, after: int = 0
    ) -> list[tuple[int, bytes]]:
        return super().fetch(address, token, limit, after)[::-1]


def test_numbers_in_the_wrong_order_lose_nothing() -> None:
    backend = Backwards()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1", "2")
    assert shown(budi.receive()) == ["2", "1", "0"]
    assert backend.mailbox(BUDI) == []


class Overtaken(BackendSimulator):
    """While messages are on their way to one process, another one on the same store has them."""

    other: Client | None = None
    items: Sequence[Message | FailedMessage] = ()

    def fetch(
        self, address: Address, token: bytes, limit: int, after: int = 0
    ) -> list[tuple[int, bytes]]:
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
        self, address: Address, token: bytes, limit: int, after: int = 0
    ) -> list[tuple[int, bytes]]:
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
    assert count_rows(budi.device._context.store, Table.INBOX) == 0
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
    (left,) = backend.waiting(BUDI)
    items = budi.receive()
    assert shown(items) == ["1"]
    assert items[0].message_id == left.message_id
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


@pytest.mark.parametrize("writes", range(3))
def test_message_session_and_inbox_are_committed_together(
    writes: int, backend: BackendSimulator
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, spy)
    send(ana, BUDI, "first")
    budi.confirm(budi.receive())
    send(ana, BUDI, "halo")
    before = dump(spy.inner)
    spy.writes_until_failure = writes  # session, number, inbox
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
                assert {number for number, _ in list_inbox(tx)} == set(numbers)
            super().acknowledge(address, token, numbers)

    store, backend = MemoryStore(), Watching()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend, store)
    send(ana, BUDI, "0", "1")
    assert shown(budi.receive()) == ["0", "1"]
    assert backend.acknowledged == [1, 2]


def test_items_are_not_lost_when_the_store_fails_before_they_are_handed_over(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    send(ana, BUDI, "0")
    budi.receive()
    send(ana, BUDI, "1")
    spy = SpyStore(budi.device._context.store)
    again = restarted(budi, backend, spy)
    # token, inbox, epoch, acknowledge (2), message, acknowledge (2), upkeep: token, device, outbox;
    # then the inbox again
    spy.fail_transactions = [False] * 11 + [True]
    with pytest.raises(StoreError):
        again.receive()
    items = again.receive()
    assert shown(items) == ["0", "1"]
    assert [item.redelivered for item in items] == [True, False]


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
    assert count_rows(spy.inner, Table.INBOX) == 0


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
    assert [item.message_id for item in items[:2]] == [item.message_id for item in first]
    assert again.receive() == []
    assert backend.mailbox(BUDI) == []
    again.confirm(items)
    assert count_rows(stores.open("budi"), Table.INBOX) == 0


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
        self, address: Address, token: bytes, limit: int, after: int = 0
    ) -> list[tuple[int, bytes]]:
        if after:
            raise BackendError("the second page is lost")
        return super().fetch(address, token, limit, after)[:1]


def test_a_fetch_that_fails_on_its_second_page_keeps_the_first() -> None:
    backend = OnePage()
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    send(ana, BUDI, "0", "1")
    assert shown(budi.receive()) == ["0"]
    assert len(backend.mailbox(BUDI)) == 2
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
