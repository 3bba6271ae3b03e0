# SPDX-License-Identifier: Apache-2.0
"""The outbox: what the back end may not have yet."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import pytest

from e2ecross import Address, Client, Device, Envelope, Message, Notice, NoticeKind, Text
from e2ecross.device.waiting import next_backlogs
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    MailboxFull,
    NotRegistered,
    RecordCorrupted,
    StoreError,
    UnknownRecipient,
)
from e2ecross.state.backlog_times import LEFT_ALONE_MS
from e2ecross.state.outbox import (
    TURNS,
    Backlog,
    BacklogName,
    TurnKind,
    Waiting,
    block_backlog,
    clear_backlog,
    find_message,
    find_row,
    find_waiting,
    forget_backlog,
    free_backlog,
    list_backlog,
    put_control,
    put_envelope,
    put_resend,
    read_backlog,
    remove_waiting,
    replace_waiting,
    walk_turns_of,
)
from e2ecross.state.outbox_repair import list_backlogs, repair_backlog
from e2ecross.state.queue import number_row
from e2ecross.stores import MemoryStore, Store, Table, Transaction
from e2ecross.wire.content import RetryRequest
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.exchange import Deposited
from e2ecross.wire.queue_records import BacklogRecord, OutboxRecord, TurnRecord
from tests.support.accounts import make_account
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    FakeClock,
    SpyStore,
    Stores,
    count_rows,
    dump,
    make_client,
    make_device,
    reopen_device,
)


@pytest.fixture
def pair(backend: BackendSimulator) -> tuple[Client, Client]:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    budi.confirm(budi.receive())
    return ana, budi


def outbox(client: Client) -> list[Envelope]:
    with client.device._context.store.transaction() as tx:
        waiting = [
            waiting for backlog in list_backlogs(tx) for waiting in list_backlog(tx, backlog)
        ]
        return [cast("Envelope", item.envelope) for item in waiting]


def texts(client: Client) -> list[str]:
    items = client.receive()
    return [cast("Text", item.content).text for item in items if isinstance(item, Message)]


def notices(client: Client) -> list[tuple[NoticeKind, str]]:
    """What a client hands over beside messages."""
    items = client.receive()
    return [(item.kind, item.code) for item in items if isinstance(item, Notice)]


# --- Rows -----------------------------------------------------------------------------------

MESSAGES = Backlog(BacklogName.MESSAGES, BUDI)
REQUESTS = Backlog(BacklogName.REQUESTS, BUDI)
REQUEST = RetryRequest(MESSAGE_ID, None, 0, "decode_error")


def envelope_of(number: int, recipient: Address = BUDI) -> Envelope:
    return Envelope(number.to_bytes(16), ANA, recipient, MessageKind.SIGNAL, b"%d" % number)


def fill(store: Store, count: int, recipient: Address = BUDI) -> list[Waiting]:
    with store.transaction() as tx:
        for number in range(1, count + 1):
            put_envelope(tx, envelope_of(number, recipient))
        return list_backlog(tx, Backlog(BacklogName.MESSAGES, recipient))


def test_a_backlog_that_is_forgotten_leaves_nothing_and_keeps_no_turn(stores: Stores) -> None:
    store = stores.open("ana")
    before = dump(store)
    fill(store, 1, TOKO)
    others = dump(store)
    fill(store, 70)
    with store.transaction() as tx:
        put_control(tx, BUDI, MESSAGE_ID, REQUEST)
        block_backlog(tx, REQUESTS, "untrusted_identity", b"\x05" * 33)
        for backlog in (MESSAGES, REQUESTS, REQUESTS):
            forget_backlog(tx, backlog)
            assert read_backlog(tx, backlog) is None
            assert list_backlog(tx, backlog) == []
    left = dump(store).keys() - before.keys()
    ends = {where for where in left if where[1].startswith(TURNS)} - others.keys()
    assert left - ends == others.keys() - before.keys() - ends
    with store.transaction() as tx:
        backlogs = [
            backlog
            for name in BacklogName
            for kind in TurnKind
            for backlog in waits(tx, kind, name)
        ]
    assert backlogs == [Backlog(BacklogName.MESSAGES, TOKO)]
    assert ids(fill(store, 2)) == [1, 2]


def ids(waiting: Sequence[Waiting]) -> list[int]:
    return [int.from_bytes(item.message_id) for item in waiting]


def turns(tx: Transaction) -> list[Backlog]:
    return list_backlogs(tx)


def walked(
    tx: Transaction, kind: TurnKind, after: int = 0
) -> list[tuple[int, Backlog | RecordCorrupted]]:
    return [*walk_turns_of(tx, BacklogName.MESSAGES, kind, after)]


def waits(
    tx: Transaction, kind: TurnKind, name: BacklogName = BacklogName.MESSAGES
) -> list[Backlog | RecordCorrupted]:
    """Backlogs that wait for something: by their turns, or what is written of each says it."""
    if not tx.stripe_count():
        return [backlog for _, backlog in walk_turns_of(tx, name, kind)]
    records = {
        backlog: read_backlog(tx, backlog) for backlog in list_backlogs(tx) if backlog.name is name
    }
    return [backlog for backlog, record in records.items() if record and kind_of(record) is kind]


def kind_of(record: BacklogRecord) -> TurnKind:
    if record.untrusted_key:
        return TurnKind.HELD
    return TurnKind.LATER if record.code else TurnKind.READY


def test_a_backlog_is_listed_and_emptied_in_the_order_of_sending(stores: Stores) -> None:
    fill(stores.open("ana"), 300)
    with stores.reopen("ana").transaction() as tx:
        listed = list_backlog(tx, MESSAGES)
        assert ids(listed) == [item.number for item in listed] == [*range(1, 301)]
        assert [cast("Envelope", item.envelope).encode() for item in listed] == [
            envelope_of(n).encode() for n in range(1, 301)
        ]
        assert ids(list_backlog(tx, MESSAGES, 3)) == [1, 2, 3]
        assert find_message(tx, BUDI, (255).to_bytes(16)) == 255
        assert find_message(tx, TOKO, (255).to_bytes(16)) is None
        for removed in (listed[1], listed[254], listed[0], listed[299]):
            assert remove_waiting(tx, removed)
            assert not remove_waiting(tx, removed)  # somebody else was faster
        assert find_message(tx, BUDI, (255).to_bytes(16)) is None
        left = [n for n in range(3, 300) if n != 255]
        assert ids(list_backlog(tx, MESSAGES)) == left
        assert put_envelope(tx, envelope_of(999)) == 301
        assert ids(list_backlog(tx, MESSAGES, 2)) == [3, 4]
        for removed in list_backlog(tx, MESSAGES):
            remove_waiting(tx, removed)
    store = stores.reopen("ana")
    assert count_rows(store, Table.OUTBOX) == 0


def test_where_nothing_waits_nothing_is_listed() -> None:
    store = MemoryStore()
    (waiting,) = fill(store, 1)
    with store.transaction() as tx:
        assert list_backlog(tx, REQUESTS) == list_backlog(tx, REQUESTS, 1) == []
        remove_waiting(tx, waiting)
        assert list_backlog(tx, MESSAGES) == []


def test_backlogs_of_recipients_and_of_requests_do_not_meet() -> None:
    store = MemoryStore()
    fill(store, 2)
    fill(store, 1, TOKO)
    with store.transaction() as tx:
        put_control(tx, BUDI, MESSAGE_ID, REQUEST, fresh_session=True)
        put_resend(tx, BUDI, (1).to_bytes(16))
        assert turns(tx) == [MESSAGES, Backlog(BacklogName.MESSAGES, TOKO), REQUESTS]
        assert ids(list_backlog(tx, MESSAGES)) == [1, 2]
        request, resend = list_backlog(tx, REQUESTS)
        assert (request.control, request.fresh_session) == (REQUEST, True)
        assert (request.message_id, request.envelope) == (MESSAGE_ID, None)
        assert (resend.control, resend.envelope, resend.fresh_session) == (None, None, False)
        assert resend.message_id == (1).to_bytes(16)
        # The message of the same id is another matter.
        assert remove_waiting(tx, resend)
        assert find_message(tx, BUDI, (1).to_bytes(16)) == 1
        assert find_message(tx, BUDI, MESSAGE_ID) is None  # no user's


def test_what_was_to_be_encrypted_gets_its_envelope_in_its_place_and_back() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        for fresh in (True, False):
            put_control(tx, BUDI, MESSAGE_ID, REQUEST, fresh_session=fresh)
        put_resend(tx, BUDI, (3).to_bytes(16))
        before = list_backlog(tx, REQUESTS)
        assert [item.fresh_session for item in before] == [True, False, False]
        replace_waiting(tx, before[2], envelope_of(7))
        after = list_backlog(tx, REQUESTS)
        assert [item.envelope is None for item in after] == [True, True, False]
        assert cast("Envelope", after[2].envelope).encode() == envelope_of(7).encode()
        assert (after[2].message_id, after[2].number) == ((3).to_bytes(16), 3)
        replace_waiting(tx, after[2], None)
        again = find_waiting(tx, after[2])
        assert again is not None
        assert (again.envelope, again.fresh_session) == (None, True)


def test_a_backlog_that_begins_anew_is_not_taken_for_the_one_before() -> None:
    """Its numbers begin anew as well, and another thread may still hold those of before."""
    store = MemoryStore()
    (old,) = fill(store, 1)
    with store.transaction() as tx:
        assert remove_waiting(tx, old)
        assert read_backlog(tx, MESSAGES) is None
        assert put_envelope(tx, envelope_of(2)) == old.number
        assert find_waiting(tx, old) is None
        assert not remove_waiting(tx, old)
        (new,) = list_backlog(tx, MESSAGES)
        assert ids([new]) == [2]
        assert find_message(tx, BUDI, (2).to_bytes(16)) == new.number
        assert remove_waiting(tx, new)


def test_a_backlog_that_was_tried_in_vain_goes_behind_the_others() -> None:
    store = MemoryStore()
    for recipient in (BUDI, TOKO):
        fill(store, 2, recipient)
    toko = Backlog(BacklogName.MESSAGES, TOKO)
    with store.transaction() as tx:
        assert turns(tx) == [MESSAGES, toko]
        block_backlog(tx, MESSAGES, "mailbox_full")
        assert turns(tx) == [toko, MESSAGES]
        record = read_backlog(tx, MESSAGES)
        assert record is not None
        assert (record.code, record.untrusted_key) == ("mailbox_full", b"")
        assert ids(list_backlog(tx, MESSAGES)) == [1, 2]
        (last,) = [turn for turn, _ in walked(tx, TurnKind.LATER)]
        assert walked(tx, TurnKind.LATER, last) == []
        block_backlog(tx, toko, "backend_error")
        ((_, backlog),) = walked(tx, TurnKind.LATER, last)
        assert backlog == toko
        assert waits(tx, TurnKind.READY) == []
        block_backlog(
            tx, Backlog(BacklogName.MESSAGES, ANA), "backend_error"
        )  # nothing waits there
        assert turns(tx) == [MESSAGES, toko]


def test_a_backlog_waits_for_the_user_until_it_is_freed() -> None:
    store, key = MemoryStore(), make_device(BUDI).identity_key
    fill(store, 2)
    with store.transaction() as tx:
        block_backlog(tx, MESSAGES, "untrusted_identity", key)
        record = read_backlog(tx, MESSAGES)
        assert record is not None
        assert record.untrusted_key == key
        assert waits(tx, TurnKind.HELD) == [MESSAGES]
        clear_backlog(tx, MESSAGES)  # it does not wait to pass an error
        put_envelope(tx, envelope_of(3))  # what comes behind it changes nothing
        record = read_backlog(tx, MESSAGES)
        assert record is not None
        assert record.untrusted_key == key
        free_backlog(tx, MESSAGES)
        freed = read_backlog(tx, MESSAGES)
        assert freed is not None
        assert (freed.code, freed.untrusted_key) == ("", b"")
        assert waits(tx, TurnKind.READY) == [MESSAGES]
        assert waits(tx, TurnKind.HELD) == []
        block_backlog(tx, MESSAGES, "mailbox_full")
        free_backlog(tx, MESSAGES)  # it does not wait for the user: it keeps its reason
        blocked = read_backlog(tx, MESSAGES)
        assert blocked is not None
        assert blocked.code == "mailbox_full"
        clear_backlog(tx, MESSAGES)
        assert waits(tx, TurnKind.READY) == [MESSAGES]
        free_backlog(tx, REQUESTS)  # nothing waits there
        assert read_backlog(tx, REQUESTS) is None
        assert ids(list_backlog(tx, MESSAGES)) == [1, 2, 3]


@pytest.mark.parametrize("left", [1, 2])
def test_only_an_empty_backlog_loses_its_turn(left: int) -> None:
    store = MemoryStore()
    waiting = fill(store, 3)
    with store.transaction() as tx:
        for item in waiting[: 3 - left]:
            remove_waiting(tx, item)
        assert turns(tx) == [MESSAGES]
        for item in reversed(waiting[3 - left :]):
            remove_waiting(tx, item)
        assert turns(tx) == []
        assert read_backlog(tx, MESSAGES) is None


@pytest.mark.parametrize(
    ("row", "record"),
    [
        (number_row(1), OutboxRecord(b"no envelope", MESSAGE_ID).encode()),
        (number_row(1), OutboxRecord(b"", MESSAGE_ID, content_kind=1, content_body=b"").encode()),
        (number_row(1), OutboxRecord(b"", MESSAGE_ID, content_kind=2**31 + 1).encode()),
        (b"", b"\x01"),
    ],
    ids=["no envelope", "no request", "no content", "no backlog"],
)
def test_a_row_that_holds_nothing_to_send_is_a_damaged_store(row: bytes, record: bytes) -> None:
    store = MemoryStore()
    fill(store, 1)
    with store.transaction() as tx:
        tx.put(Table.OUTBOX, MESSAGES.partition, row, record)
        with pytest.raises(RecordCorrupted, match="damaged"):
            list_backlog(tx, MESSAGES)


def test_a_turn_of_no_backlog_is_a_damaged_store() -> None:
    store = MemoryStore()
    for recipient in (BUDI, TOKO):
        fill(store, 1, recipient)
    with store.transaction() as tx:
        partition = TURNS + bytes((BacklogName.MESSAGES, TurnKind.READY))
        tx.put(Table.OUTBOX, partition, number_row(1), TurnRecord(3, BUDI).encode())
        (_, error), (_, backlog) = walked(tx, TurnKind.READY)
        assert turns(tx) == [Backlog(BacklogName.MESSAGES, TOKO), MESSAGES]
    assert isinstance(error, RecordCorrupted)
    assert "names no backlog" in str(error)
    assert backlog == Backlog(BacklogName.MESSAGES, TOKO)  # it hides no other


def test_a_message_without_its_backlog_is_a_damaged_store() -> None:
    store = MemoryStore()
    (waiting,) = fill(store, 1)
    with store.transaction() as tx:
        tx.delete(Table.OUTBOX, MESSAGES.partition, b"")
        with pytest.raises(RecordCorrupted, match="a backlog of the outbox is missing"):
            remove_waiting(tx, waiting)


def test_a_damaged_row_is_encrypted_anew_and_stops_nobody(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    toko = make_client(TOKO, backend)
    ana.send(TOKO, Text("first"))
    backend.unreachable = True
    for recipient in (BUDI, TOKO):
        with pytest.raises(BackendError):
            ana.send(recipient, Text("halo"))
    store = ana.device._context.store
    with store.transaction() as tx:
        record = OutboxRecord(b"no envelope", MESSAGE_ID).encode()
        tx.put(Table.OUTBOX, MESSAGES.partition, number_row(1), record)
    backend.unreachable = False
    ana.maintain()
    assert texts(toko) == ["first", "halo"]
    assert texts(budi) == ["halo"]


def test_a_damaged_row_whose_message_nobody_knows_is_forgotten_alone() -> None:
    store = MemoryStore()
    fill(store, 3)
    with store.transaction() as tx:
        record = OutboxRecord(b"no envelope", MESSAGE_ID).encode()
        tx.put(Table.OUTBOX, MESSAGES.partition, number_row(2), record)
        tx.delete(Table.OUTBOX, MESSAGES.partition, (2).to_bytes(16))
        (lost,) = repair_backlog(tx, MESSAGES)
        assert lost.message_id == b""
        assert ids(list_backlog(tx, MESSAGES)) == [1, 3]
        assert repair_backlog(tx, MESSAGES) == []


# --- What it costs --------------------------------------------------------------------------


def costs(waits: int, call: Callable[[Transaction, Sequence[Waiting]], object]) -> int:
    """How many calls of the store something takes when so much waits for one recipient."""
    spy = SpyStore(MemoryStore())
    waiting = fill(spy, waits)
    spy.forget()
    with spy.transaction() as tx:
        call(tx, waiting)
    return len(spy.operations)


_CALLS: dict[str, Callable[[Transaction, Sequence[Waiting]], object]] = {
    "put": lambda tx, _: put_envelope(tx, envelope_of(0)),
    "put for another": lambda tx, _: put_envelope(tx, envelope_of(0, TOKO)),
    "request": lambda tx, _: put_control(tx, BUDI, MESSAGE_ID, REQUEST, fresh_session=True),
    "list": lambda tx, _: list_backlog(tx, MESSAGES, 5),
    "find": lambda tx, _: find_message(tx, BUDI, (7).to_bytes(16)),
    "remove the first": lambda tx, waiting: remove_waiting(tx, waiting[0]),
    "remove in the middle": lambda tx, waiting: remove_waiting(tx, waiting[5]),
    "remove the last": lambda tx, waiting: remove_waiting(tx, waiting[-1]),
    "block": lambda tx, _: block_backlog(tx, MESSAGES, "mailbox_full"),
    "turns": lambda tx, _: turns(tx),
}


@pytest.mark.parametrize("name", _CALLS)
def test_what_a_call_costs_does_not_depend_on_what_waits(name: str) -> None:
    assert costs(10, _CALLS[name]) == costs(2_000, _CALLS[name]) <= 12


def test_what_has_left_a_backlog_makes_nothing_longer() -> None:
    found = []
    for gone in (5, 300):
        spy = SpyStore(MemoryStore())
        waiting = fill(spy, gone + 2)
        with spy.transaction() as tx:
            for item in waiting[:gone]:
                remove_waiting(tx, item)
            spy.forget()
            assert list_backlog(tx, MESSAGES, 1)
            assert remove_waiting(tx, waiting[gone])
        found.append(len(spy.operations))
    assert found[0] == found[1] <= 12


@pytest.mark.parametrize("recipient", [BUDI, TOKO])
def test_what_sending_while_offline_costs_does_not_depend_on_what_waits(recipient: Address) -> None:
    found = []
    for waits in (30, 500):
        backend, spy = BackendSimulator(), SpyStore(MemoryStore())
        ana = make_client(ANA, backend, spy)
        for other in (BUDI, TOKO):
            make_client(other, backend)
            ana.send(other, Text("first"))
        fill(spy, waits)
        backend.unreachable = True
        spy.forget()
        with pytest.raises(BackendError):
            ana.send(recipient, Text("halo"))
        found.append(len(spy.operations))
    assert found[0] == found[1]


def ready(device: Device, after: int, limit: int) -> tuple[list[str], int]:
    """Whose messages nobody has tried to send in vain; and the last turn."""
    found = next_backlogs(device._context, BacklogName.MESSAGES, TurnKind.READY, after, limit)
    return [backlog.recipient.user for backlog in found.backlogs], found.last


@pytest.mark.parametrize("backlogs", [20, 400])
def test_what_is_next_is_found_among_many_backlogs_with_few_calls(backlogs: int) -> None:
    spy = SpyStore(MemoryStore())
    device = make_device(ANA, spy)
    for number in range(backlogs):
        fill(spy, 1, Address("messenger", f"user{number}"))
    spy.forget()
    found, after = ready(device, 0, 16)
    assert found == [f"user{n}" for n in range(16)]
    assert len(spy.operations) == 5
    more, _ = ready(device, after, 2)
    assert more == ["user16", "user17"]


def test_a_backlog_that_waits_for_the_user_makes_no_walk_longer() -> None:
    """It keeps its turn at the front, while others that are tried in vain get new ones."""
    found = []
    for tries in (10, 500):
        spy = SpyStore(MemoryStore())
        device = make_device(ANA, spy)
        for recipient in (BUDI, TOKO):
            fill(spy, 1, recipient)
        key = make_device(BUDI).identity_key
        with spy.transaction() as tx:
            block_backlog(tx, MESSAGES, "untrusted_identity", key)
            for _ in range(tries):
                block_backlog(tx, Backlog(BacklogName.MESSAGES, TOKO), "backend_error")
        spy.forget()
        toko = [Backlog(BacklogName.MESSAGES, TOKO)]
        kind = TurnKind.LATER
        assert next_backlogs(device._context, BacklogName.MESSAGES, kind, 0, 16)[0] == toko
        with spy.transaction() as tx:
            assert len(turns(tx)) == 2
        found.append(len(spy.operations))
    assert found[0] == found[1] <= 16


# --- An unreachable back end ----------------------------------------------------------------


def test_a_message_that_could_not_be_sent_waits_and_goes_with_the_next_call(
    stores: Stores, backend: BackendSimulator
) -> None:
    ana, budi = make_client(ANA, backend, stores.open("ana")), make_client(BUDI, backend)
    ana.send(BUDI, Text("one"))
    backend.unreachable = True
    with pytest.raises(BackendError) as caught:
        ana.send(BUDI, Text("two"))
    assert caught.value.code == "backend_error"
    (waiting,) = outbox(ana)
    device = reopen_device(ana.device, stores.reopen("ana"), "again")
    backend.unreachable = False
    Client(device, backend).receive()
    assert backend.deposits[-1] == waiting.encode()
    assert outbox(Client(device, backend)) == []
    assert texts(budi) == ["one", "two"]


def test_the_first_message_to_somebody_fails_without_a_bundle_and_is_not_kept(
    backend: BackendSimulator,
) -> None:
    ana, _ = make_client(ANA, backend), make_client(BUDI, backend)
    before = dump(ana.device._context.store)
    backend.fail("fetch_bundle")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("halo"))
    assert dump(ana.device._context.store) == before


@pytest.mark.parametrize("late", [False, True])
def test_the_same_message_id_is_tried_again_and_not_encrypted_anew(
    pair: tuple[Client, Client], backend: BackendSimulator, late: bool
) -> None:
    ana, budi = pair
    (backend.lose_answer if late else backend.fail)("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    (waiting,) = outbox(ana)
    session = [r for w, r in dump(ana.device._context.store).items() if w[0] is Table.SESSIONS]
    sent = ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    assert sent.message_id == MESSAGE_ID
    assert backend.deposits[1:] == [waiting.encode()] * (1 + late)
    after = [r for w, r in dump(ana.device._context.store).items() if w[0] is Table.SESSIONS]
    assert session == after
    assert ana.pending() == []
    assert texts(budi) == ["halo"]  # once, although it may have been deposited twice


def test_the_same_message_id_to_somebody_else_is_another_message(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    toko = make_client(TOKO, backend)
    backend.fail("deposit")
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    ana.send(TOKO, Text("halo"), message_id=MESSAGE_ID)
    ana.maintain()
    assert texts(budi) == ["halo"]
    assert texts(toko) == ["halo"]


def test_what_waits_is_sent_in_its_order_before_the_new_message(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    backend.unreachable = True
    for n in range(3):
        with pytest.raises(BackendError):
            ana.send(BUDI, Text(str(n)))
    backend.unreachable = False
    ana.send(BUDI, Text("3"))
    assert texts(budi) == ["0", "1", "2", "3"]


def test_a_back_end_that_goes_away_while_the_outbox_empties_keeps_the_rest(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    backend.unreachable = True
    for n in range(3):
        with pytest.raises(BackendError):
            ana.send(BUDI, Text(str(n)))
    backend.unreachable = False
    backend.fail("deposit", NotRegistered("later"))
    with pytest.raises(NotRegistered):
        ana.maintain()
    assert len(outbox(ana)) == 3
    backend.lose_answer("deposit")
    with pytest.raises(BackendError):
        ana.maintain()
    assert len(outbox(ana)) == 3
    ana.maintain()
    assert texts(budi) == ["0", "1", "2"]


def test_a_full_mailbox_does_not_lose_a_message_that_was_promised_to_be_sent() -> None:
    backend = BackendSimulator(capacity=1)
    ana = make_client(ANA, backend)
    budi, toko = make_client(BUDI, backend), make_client(TOKO, backend)
    ana.send(BUDI, Text("fills the mailbox"))
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("promised"))
    backend.unreachable = False
    ana.send(TOKO, Text("others are not held up"))
    assert texts(toko) == ["others are not held up"]
    assert len(ana.pending()) == 1
    budi.confirm(budi.receive())
    ana.maintain()
    assert texts(budi) == ["promised"]


def test_a_message_in_the_outbox_that_meets_a_full_mailbox_when_tried_again_is_told() -> None:
    backend = BackendSimulator(capacity=1)
    ana, _ = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("fills the mailbox"))
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("again"), message_id=MESSAGE_ID)
    backend.unreachable = False
    with pytest.raises(MailboxFull):
        ana.send(BUDI, Text("again"), message_id=MESSAGE_ID)
    assert outbox(ana) == []


@pytest.mark.parametrize(
    "error", [UnknownRecipient("gone"), BackendRefused("too large")], ids=["unknown", "refused"]
)
def test_a_final_refusal_is_told_to_its_sender_and_does_not_hold_up_others(
    error: Exception, pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    backend.fail("deposit", error)
    with pytest.raises(type(error)):
        ana.send(BUDI, Text("refused"))
    assert outbox(ana) == []
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("refused later"))
    backend.unreachable = False
    backend.fail("deposit", error)
    ana.send(BUDI, Text("goes on"))
    assert outbox(ana) == []
    assert texts(budi) == ["goes on"]
    # Of what was promised the app hears, although nobody waited for it.
    assert notices(ana) == [(NoticeKind.NOT_DELIVERED, cast("BackendError", error).code)]


class Strict(BackendSimulator):
    """Fails for all envelopes of a call because it cannot read one of them, and says so."""

    poison = b""

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        self.calls.append("deposit_all")
        if any(Envelope.decode(data).message_id == self.poison for data in envelopes):
            raise DecodeError("what?")
        return super().deposit_all(token, envelopes, epochs=epochs, consents=consents)


def test_an_envelope_that_a_back_end_cannot_read_waits_and_holds_up_its_recipient_alone() -> None:
    backend = Strict()
    ana = make_client(ANA, backend)
    budi, toko = make_client(BUDI, backend), make_client(TOKO, backend)
    for client in (budi, toko):
        ana.send(client.device.address, Text("first"))
    backend.poison = MESSAGE_ID
    with pytest.raises(DecodeError):
        ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(TOKO, Text("halo"))
    backend.unreachable = False
    before = len(backend.calls)
    with pytest.raises(DecodeError):
        ana.maintain()
    assert "deposit_all" in backend.calls[before:]
    assert texts(toko) == ["first", "halo"]
    assert [pending.code for pending in ana.pending()] == ["decode_error"]
    backend.poison = b""
    ana.maintain()
    assert texts(budi) == ["first", "halo"]


# --- All or nothing -------------------------------------------------------------------------


def test_a_message_whose_commit_fails_does_not_leave(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend, spy), make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    before, deposits = dump(spy.inner), len(backend.deposits)
    for writes in range(3):  # session, number, outbox
        spy.writes_until_failure = writes
        with pytest.raises(StoreError):
            ana.send(BUDI, Text("lost"))
        assert dump(spy.inner) == before
    spy.writes_until_failure = None
    spy.fail_transactions = [False, False, False]
    spy.fail_commit = True
    with pytest.raises(StoreError):
        ana.send(BUDI, Text("lost"))
    assert dump(spy.inner) == before
    assert len(backend.deposits) == deposits
    spy.fail_commit = False
    ana.send(BUDI, Text("second"))
    assert texts(budi) == ["first", "second"]


class Last(BackendSimulator):
    """After what it takes now the store saves nothing any more: the app has crashed."""

    store: SpyStore | None = None

    def deposit(
        self, token: bytes, envelope: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> None:
        super().deposit(token, envelope, epochs=epochs)
        if self.store is not None:
            self.store.fail_commit = True


def test_a_crash_after_the_deposit_deposits_the_same_bytes_again() -> None:
    store, backend, clock = MemoryStore(), Last(), FakeClock()
    spy = SpyStore(store)
    ana, budi = make_client(ANA, backend, spy, clock=clock), make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    backend.store = spy
    ana.send(BUDI, Text("second"))
    backend.store, spy.fail_commit = None, False
    clock.advance(LEFT_ALONE_MS)  # for which others leave it to who has sent it, if there are any
    Client(Device.open(store, clock=clock), backend).maintain()
    assert len(backend.deposits) == 3
    assert backend.deposits[-1] == backend.deposits[-2]
    assert texts(budi) == ["first", "second"]
    assert outbox(ana) == []


def test_addresses_of_several_devices_wait_side_by_side(backend: BackendSimulator) -> None:
    ana = make_client(ANA, backend)
    clients = make_account(BUDI, (1, 2), backend)
    ana.send(BUDI, Text("hello"))
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("later"), message_id=MESSAGE_ID)
    assert [envelope.recipient.device for envelope in outbox(ana)] == [1, 2]
    backend.unreachable = False
    ana.maintain()
    for client in clients:
        assert texts(client) == ["hello", "later"]


SOME = Envelope(bytes(16), ANA, BUDI, MessageKind.SIGNAL, b"c")


def test_the_purpose_of_a_message_stays_with_it_when_it_is_encrypted_anew() -> None:
    with MemoryStore().transaction() as tx:
        number = put_envelope(tx, SOME, 3)
        backlog = Backlog(BacklogName.MESSAGES, SOME.recipient)
        for envelope in (None, SOME):
            waiting = find_row(tx, backlog, number)
            assert waiting is not None
            replace_waiting(tx, waiting, envelope)
            after = find_row(tx, backlog, number)
            assert after is not None
            assert (after.envelope, after.purpose) == (envelope, 3)
