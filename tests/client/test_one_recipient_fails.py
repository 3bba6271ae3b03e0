# SPDX-License-Identifier: Apache-2.0
"""One recipient, contact, row or envelope that fails delays its own work, and nobody else's."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2ecross import Address, Client, Device, NoticeKind, Policy, Text
from e2ecross.device.waiting import Pending
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    MailboxFull,
    RecordCorrupted,
    StoreError,
)
from e2ecross.state.outbox import TURNS, Backlog, BacklogName, TurnKind, put_resend, read_backlog
from e2ecross.state.queue import NUMBER_BITS, number_row
from e2ecross.state.stripe import read_stripe, save_stripe
from e2ecross.stores import MemoryStore, SQLiteStore, Store, Table
from e2ecross.wire.exchange import Deposited
from tests.client.conversation import (
    meet,
    not_delivered,
    promise,
    read,
    read_notices,
    reinstalled,
    reopen,
    store_of,
    waiting,
)
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    SpyStore,
    dump,
    make_client,
    reopen_device,
)
from tests.support.lone_worker import end_holds, let_look
from tests.support.store_kinds import STRIPES


@pytest.fixture
def people(backend: BackendSimulator) -> tuple[Client, Client, Client]:
    """Ana, and two whom she has met."""
    ana, budi, toko = (make_client(address, backend) for address in (ANA, BUDI, TOKO))
    meet(ana, budi)
    meet(ana, toko)
    return ana, budi, toko


def many(backend: BackendSimulator, ana: Client, count: int) -> list[Client]:
    """Contacts of Ana, each with a message of hers that waits."""
    clients = [make_client(Address("threads", f"c{n}"), backend) for n in range(count)]
    for client in clients:
        ana.send(client.device.address, Text("first"))
        assert read(client) == ["first"]
    backend.unreachable = True
    for client in clients:
        promise(ana, client.device.address, "waits")
    backend.unreachable = False
    return clients


# --- At the back end ------------------------------------------------------------------------


def test_while_one_cannot_be_reached_all_others_get_their_messages_in_order(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.break_for(BUDI)
    for n in range(4):
        promise(ana, BUDI, str(n))
        ana.send(TOKO, Text(str(n)))
        with pytest.raises(BackendError, match="a part of the back end is down"):
            ana.maintain()
    assert read(toko) == ["0", "1", "2", "3"]
    assert read(budi) == []
    backend.broken.clear()
    ana.maintain()
    assert read(budi) == ["0", "1", "2", "3"]
    assert ana.pending() == []


@pytest.mark.parametrize("place", [0, 1, 9, 19])
def test_a_call_that_fails_for_one_in_it_reaches_all_others(
    place: int, backend: BackendSimulator
) -> None:
    ana = make_client(ANA, backend)
    clients = many(backend, ana, 20)
    broken = clients.pop(place)
    backend.break_for(broken.device.address)
    with pytest.raises(BackendError, match="a part of the back end is down"):
        ana.maintain()
    assert [read(client) for client in clients] == [["waits"]] * 19
    assert [item.recipient for item in ana.pending()] == [broken.device.address]
    assert read(broken) == []


@pytest.mark.parametrize("error", [BackendError("down"), MailboxFull("full")])
def test_forty_who_fail_hold_up_nobody_behind_them_for_long(
    error: BackendError, backend: BackendSimulator
) -> None:
    ana = make_client(ANA, backend)
    clients = many(backend, ana, 41)
    last = clients.pop()
    for client in clients:
        backend.break_for(client.device.address, error)
    for _ in range(10):
        try:
            ana.maintain()
        except BackendError as caught:
            assert caught is error  # noqa: PT017 - a full mailbox is no error of the call
    assert read(last) == ["waits"]
    # Whoever comes later does not stand behind them at all.
    ana.send(last.device.address, Text("now"))
    toko = make_client(TOKO, backend)
    ana.send(TOKO, Text("first"))
    backend.fail("deposit")
    promise(ana, TOKO, "waits")
    backend.calls.clear()
    try:
        ana.maintain()
    except BackendError as caught:
        assert caught is error  # noqa: PT017
    assert read(toko) == ["first", "waits"]
    # What is tried in vain is bounded in each call, and all are tried in turn.
    assert backend.calls.count("deposit") <= 70
    backend.broken.clear()
    end_holds(ana, backend)
    ana.maintain()
    assert [read(client) for client in clients] == [["waits"]] * 40
    assert read(toko) == []


def test_out_of_reach_few_calls_are_made_in_vain(backend: BackendSimulator) -> None:
    ana = make_client(ANA, backend)
    many(backend, ana, 40)
    for _ in range(3):
        backend.calls.clear()
        backend.fail("deposit", times=40)
        with pytest.raises(BackendError):
            ana.maintain()
        assert 1 < backend.calls.count("deposit") <= 12
        backend._faults.clear()
    ana.maintain()
    assert ana.pending() == []


def test_what_waits_for_the_user_holds_up_nobody(backend: BackendSimulator) -> None:
    """Also when it fills whole pages of what waits."""
    store = MemoryStore()
    ana, toko = make_client(ANA, backend, store), make_client(TOKO, backend)
    clients = many(backend, ana, 20)
    ana.send(TOKO, Text("first"))
    assert read(toko) == ["first"]
    for client in clients:
        reinstalled(client.device.address, backend)
    # Restored, all of it is encrypted anew; then the bundles have other keys.
    ana = Client(type(ana.device).open(store, clock=FakeClock(), restored=True), backend)
    for _ in range(2):
        ana.maintain()
    assert [item.code for item in ana.pending()] == ["untrusted_identity"] * 20
    backend.fail("deposit")
    promise(ana, TOKO, "waits")
    calls = backend.calls.count("fetch_bundle")
    ana.maintain()
    assert read(toko) == ["*account_restored", "waits"]
    assert backend.calls.count("fetch_bundle") == calls  # nobody's keys are asked for again


def test_a_full_mailbox_does_not_change_the_order(backend: BackendSimulator) -> None:
    """A later message is not taken where an earlier one was refused."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.fail("deposit", times=2)
    promise(ana, BUDI, "one", "two")
    backend.fail("deposit", MailboxFull("full"), times=2)
    ana.maintain()
    for _ in range(3):
        backend.fail("deposit", MailboxFull("full, for this one"))
        end_holds(ana, backend)
        ana.maintain()
    backend.fail("deposit", MailboxFull("full, for this one"))
    with pytest.raises(MailboxFull):
        ana.send(BUDI, Text("three"))
    assert [item.code for item in ana.pending()] == ["mailbox_full"] * 2
    ana.send(BUDI, Text("four"))
    assert read(budi) == ["one", "two", "four"]


def test_what_was_tried_in_vain_goes_on_in_few_calls(
    people: tuple[Client, Client, Client],
    backend: BackendSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first alone, and then more and more."""
    ana, budi, _ = people
    texts = [str(n) for n in range(31)]
    backend.unreachable = True
    promise(ana, BUDI, *texts)
    backend.unreachable = False
    backend.break_for(BUDI, MailboxFull("full"))
    ana.maintain()
    backend.broken.clear()
    end_holds(ana, backend)
    sizes: list[int] = []
    deposit_all = backend.deposit_all

    def counting(token: bytes, envelopes: Sequence[bytes], **keywords: Any) -> Deposited:  # noqa: ANN401
        sizes.append(len(envelopes))
        return deposit_all(token, envelopes, **keywords)

    monkeypatch.setattr(backend, "deposit_all", counting)
    ana.maintain()
    assert sizes == ([1, 30] if STRIPES else [1, 2, 4, 8, 16])
    assert read(budi) == texts


def test_a_refusal_is_about_one_envelope(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.fail("deposit", times=4)
    one, _ = promise(ana, BUDI, "one", "two")
    promise(ana, TOKO, "three", "four")
    backend.fail("deposit", BackendRefused("not this one"))
    ana.maintain()
    assert read(budi) == ["two"]
    assert read(toko) == ["three", "four"]
    let_look(ana)
    assert not_delivered(read_notices(ana)) == [(one, "backend_refused")]


def test_of_what_is_refused_the_app_hears_once(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    """By a notice of what it had been promised; by the exception of what it sends now."""
    ana, budi, _ = people
    backend.unreachable = True
    (waits,) = promise(ana, BUDI, "waits")
    backend.unreachable = False
    backend.break_for(BUDI, BackendRefused("no"))
    with pytest.raises(BackendRefused):
        ana.send(BUDI, Text("now"))
    assert ana.pending() == []
    assert read(budi) == []
    let_look(ana)
    assert not_delivered(read_notices(ana)) == [(waits, "backend_refused")]


# --- Parts of one call ----------------------------------------------------------------------


def test_maintain_does_each_part_whatever_the_others_raise(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, _ = people
    backend.fail("deposit", times=2)
    promise(ana, BUDI, "waits")
    promise(ana, TOKO, "waits")
    backend.break_for(TOKO)
    first = BackendError("who counts is down")
    backend.fail("one_time_prekey_count", first)
    with pytest.raises(BackendError) as caught:
        ana.maintain()
    assert caught.value is first
    assert read(budi) == ["waits"]


def test_what_cannot_be_sent_does_not_keep_from_new_keys(backend: BackendSimulator) -> None:
    clock = FakeClock()
    ana, budi = make_client(ANA, backend, clock=clock), make_client(BUDI, backend)
    meet(ana, budi)
    backend.break_for(BUDI)
    promise(ana, BUDI, "waits")
    before = backend.published(ANA).signed_prekey.id
    clock.advance(7 * DAY_MS)
    with pytest.raises(BackendError, match="a part of the back end is down"):
        ana.maintain()
    assert backend.published(ANA).signed_prekey.id != before


# --- In the store ---------------------------------------------------------------------------


def damage_contact(client: Client, address: Address) -> Callable[[], None]:
    """Damage what is known of somebody's identity; returns what repairs it."""
    store = store_of(client)
    (where,) = [
        where
        for where in dump(store)
        if where[0] is Table.REMOTE_IDENTITIES and address.user.encode() in where[1]
    ]
    good = dump(store)[where]

    def put(record: bytes) -> None:
        with store.transaction() as tx:
            tx.put(*where, record)

    put(b"\x01\xff")
    return lambda: put(good)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_messages_of_a_damaged_contact_hide_no_others(
    limit: int, people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    for n in range(5):
        budi.send(ANA, Text(f"budi {n}"))
    toko.send(ANA, Text("toko"))
    repair = damage_contact(ana, BUDI)
    items = ana.receive(limit)
    assert [getattr(item, "content", None) for item in items] == [Text("toko")]
    ana.confirm(items)
    end_holds(ana, backend)
    with pytest.raises(RecordCorrupted):
        ana.receive(limit)
    assert len(backend.mailbox(ANA)) == 5  # nothing of them is lost
    repair()
    end_holds(ana, backend)
    assert read(ana) == [f"budi {n}" for n in range(5)]


def test_many_messages_of_a_damaged_contact_cost_one_attempt(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana = make_client(ANA, backend, spy)
    budi, toko = make_client(BUDI, backend), make_client(TOKO, backend)
    meet(ana, budi)
    for n in range(150):
        budi.send(ANA, Text(str(n)))
    toko.send(ANA, Text("toko"))
    repair = damage_contact(ana, BUDI)
    spy.forget()
    assert read(ana) == ["toko"]
    assert spy.reads[Table.REMOTE_IDENTITIES] < 20
    repair()
    end_holds(ana, backend)
    assert len(ana.receive(1000)) == 150


def test_a_damaged_contact_is_no_others_trouble_in_the_outbox(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    """What they have asked for has to be encrypted, and cannot be."""
    ana, budi, toko = people
    for client in (budi, toko):
        sent = ana.send(client.device.address, Text("lost"))
        backend.drop(client.device.address, 0)
        with store_of(ana).transaction() as tx:
            put_resend(tx, client.device.address, sent.message_id)
    repair = damage_contact(ana, BUDI)
    with pytest.raises(RecordCorrupted):
        ana.maintain()
    assert read(toko) == ["lost"]
    repair()
    end_holds(ana, backend)
    ana.maintain()
    assert read(budi) == ["lost"]


def damage_rows_of_backlog(client: Client, recipient: Address, numbers: list[int]) -> None:
    backlog = Backlog(BacklogName.MESSAGES, recipient)
    with store_of(client).transaction() as tx:
        for number in numbers:
            assert tx.get(Table.OUTBOX, backlog.partition, number_row(number)) is not None
            tx.put(Table.OUTBOX, backlog.partition, number_row(number), b"\x01\xff")


def test_a_message_whose_row_is_damaged_is_encrypted_anew(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.fail("deposit", times=4)
    promise(ana, BUDI, "one", "two", "three")
    promise(ana, TOKO, "four")
    damage_rows_of_backlog(ana, BUDI, [1, 3])
    ana.maintain()
    assert read(budi) == ["one", "two", "three"]
    assert read(toko) == ["four"]
    assert ana.pending() == []
    assert read(ana) == []


def test_a_message_whose_row_is_damaged_and_that_is_not_kept_is_told(
    backend: BackendSimulator,
) -> None:
    ana = make_client(ANA, backend, policy=Policy(resend_kept_messages=0))
    budi = make_client(BUDI, backend)
    meet(ana, budi)
    backend.fail("deposit", times=2)
    one, _ = promise(ana, BUDI, "one", "two")
    damage_rows_of_backlog(ana, BUDI, [1])
    ana.send(BUDI, Text("three"))
    let_look(ana)
    assert not_delivered(read_notices(ana)) == [(one, "record_corrupted")]
    assert read(budi) == ["two", "three"]


def test_a_request_whose_row_is_damaged_is_forgotten(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    """Nobody knows what it was, and it is no message of the user."""
    ana, budi, _ = people
    ids = [ana.send(BUDI, Text(text)).message_id for text in ("one", "two")]
    for _ in ids:
        backend.drop(BUDI, 0)
    backlog = Backlog(BacklogName.REQUESTS, BUDI)
    with store_of(ana).transaction() as tx:
        for message_id in ids:
            put_resend(tx, BUDI, message_id)
        tx.put(Table.OUTBOX, backlog.partition, number_row(1), b"\x01\xff")
    ana.maintain()
    assert read(budi) == ["two"]
    assert waiting(ana) == []
    assert read(ana) == []


def change_rows_of_backlog(path: Path, message_id: bytes, rows: list[bytes]) -> None:
    """Make rows unreadable in a sealed file, in the backlog that has that message."""
    with closing(sqlite3.connect(path)) as connection, connection:
        found = connection.execute("SELECT partition FROM outbox WHERE row = ?", (message_id,))
        ((backlog,),) = found.fetchall()
        for row in rows:
            damage = "UPDATE outbox SET record = zeroblob(60) WHERE partition = ? AND row = ?"
            assert connection.execute(damage, (backlog, row)).rowcount == 1


def test_what_stands_before_a_row_that_was_changed_goes_its_way(
    backend: BackendSimulator, tmp_path: Path
) -> None:
    path = tmp_path / "ana.db"
    with SQLiteStore(path, key=bytes(32)) as store:
        ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
        meet(ana, budi)
        backend.fail("deposit", times=2)
        one, _ = promise(ana, BUDI, "one", "two")
        backend.fail("deposit", MailboxFull("full"), times=2)
        ana.maintain()  # from now on the first is tried alone
    change_rows_of_backlog(path, one, [number_row(2)])
    with SQLiteStore(path, key=bytes(32)) as store:
        ana = Client(reopen_device(ana.device, store, "again"), backend)
        ana.maintain()
        assert read(budi) == ["one", "two"]
        assert read(ana) == []


def test_rows_of_a_sealed_store_that_were_changed_are_encrypted_anew(
    backend: BackendSimulator, tmp_path: Path
) -> None:
    """They do not open; neither does what says under which number a message stands."""
    path = tmp_path / "ana.db"
    with SQLiteStore(path, key=bytes(32)) as store:
        ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
        meet(ana, budi)
        backend.fail("deposit", times=3)
        one, *_ = promise(ana, BUDI, "one", "two", "three")
    change_rows_of_backlog(path, one, [number_row(1), one, number_row(3)])
    with SQLiteStore(path, key=bytes(32)) as store:
        ana = Client(reopen_device(ana.device, store, "again"), backend)
        ana.maintain()
        assert read(budi) == ["two", "three"]
        assert waiting(ana) == []
        (notice,) = read_notices(ana)  # which one it was is lost with its rows
        assert (notice.kind, notice.user) == (NoticeKind.NOT_DELIVERED, BUDI.user_id)
        assert (notice.messages, notice.code) == ((), "record_corrupted")


def test_a_damaged_turn_hides_no_others(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.fail("deposit", times=2)
    promise(ana, BUDI, "waits")
    promise(ana, TOKO, "waits")
    store = store_of(ana)
    turns = [place for place in dump(store) if place[1].startswith(TURNS) and place[2]]
    first = min(place for place in turns if place[0] is Table.OUTBOX)
    with store.transaction() as tx:
        tx.put(*first, b"\x01\xff")
    with pytest.raises(RecordCorrupted):
        ana.maintain()
    assert read(toko) == ["waits"]
    ana.send(BUDI, Text("and goes with the next"))
    assert read(budi) == ["waits", "and goes with the next"]


def damage_outbox(store: Store, partition: bytes, row: bytes) -> None:
    with store.transaction() as tx:
        assert tx.get(Table.OUTBOX, partition, row) is not None
        tx.put(Table.OUTBOX, partition, row, b"\x01\xff")


@pytest.mark.parametrize("row", [b"", number_row(1), "turn"], ids=["backlog", "row", "turn"])
def test_what_waits_is_listed_although_a_row_is_damaged(
    row: bytes | str, people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.fail("deposit", times=3)
    one, two = promise(ana, BUDI, "one", "two")
    (three,) = promise(ana, TOKO, "three")
    backlog = Backlog(BacklogName.MESSAGES, BUDI)
    with store_of(ana).transaction() as tx:
        record = read_backlog(tx, backlog)
    assert record is not None
    if isinstance(row, str):
        turns = TURNS + bytes((BacklogName.MESSAGES, TurnKind.READY))
        damage_outbox(store_of(ana), turns, number_row(record.turn))
    else:
        damage_outbox(store_of(ana), backlog.partition, row)
    codes = {b"": ("record_corrupted",) * 2, number_row(1): ("record_corrupted", "backend_error")}
    code = codes[row] if isinstance(row, bytes) else ("backend_error",) * 2
    assert set(ana.pending()) == {
        Pending(one, BUDI, code[0]),
        Pending(two, BUDI, code[1]),
        Pending(three, TOKO, "backend_error"),
    }
    ana.send(BUDI, Text("and goes with the next"))
    ana.maintain() if row != "turn" else ana.send(TOKO, Text("four"))
    assert read(budi) == ["one", "two", "and goes with the next"]
    assert read(toko)[:1] == ["three"]
    assert ana.pending() == []
    assert read(ana) == []


def test_a_damaged_backlog_goes_on_by_itself_and_stops_nobody(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.fail("deposit", times=3)
    promise(ana, BUDI, "one", "two")
    promise(ana, TOKO, "three")
    damage_outbox(store_of(ana), Backlog(BacklogName.MESSAGES, BUDI).partition, b"")
    ana.maintain()
    assert read(budi) == ["one", "two"]
    assert read(toko) == ["three"]
    assert waiting(ana) == []
    assert ana.pending() == []
    again = Backlog(BacklogName.MESSAGES, BUDI)
    left = [place for place in dump(store_of(ana)) if place[1] == again.partition]
    assert left == []


def test_a_damaged_backlog_of_a_sealed_store_goes_on(
    backend: BackendSimulator, tmp_path: Path
) -> None:
    """Nothing of it opens but its second message, and the number that the third stands under."""
    path = tmp_path / "ana.db"
    with SQLiteStore(path, key=bytes(32)) as store:
        ana, budi = make_client(ANA, backend, store), make_client(BUDI, backend)
        meet(ana, budi)
        backend.fail("deposit", times=3)
        one, two, three = promise(ana, BUDI, "one", "two", "three")
    change_rows_of_backlog(path, one, [b"", number_row(1), one, two, number_row(3)])
    with SQLiteStore(path, key=bytes(32)) as store:
        ana = Client(reopen_device(ana.device, store, "again"), backend)
        assert ana.pending() == [Pending(n, BUDI, "record_corrupted") for n in (two, three)]
        ana.maintain()
        assert read(budi) == ["two", "three"]
        assert waiting(ana) == []
        (notice,) = read_notices(ana)
        assert (notice.messages, notice.code) == ((), "record_corrupted")


def test_a_backlog_without_rows_is_forgotten_with_its_turn(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, _ = people
    backend.fail("deposit")
    promise(ana, BUDI, "lost with its row")
    backlog, store = Backlog(BacklogName.MESSAGES, BUDI), store_of(ana)
    with store.transaction() as tx:
        tx.delete(Table.OUTBOX, backlog.partition, number_row(1))
        tx.put(Table.OUTBOX, backlog.partition, b"", b"\x01\xff")
    ana.maintain()
    ana.send(BUDI, Text("goes"))
    assert read(budi) == ["goes"]
    assert waiting(ana) == []
    assert ana.pending() == []


def test_a_store_opens_as_restored_although_the_outbox_is_damaged(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.fail("deposit", times=2)
    promise(ana, BUDI, "one")
    promise(ana, TOKO, "two")
    damage_outbox(store_of(ana), Backlog(BacklogName.MESSAGES, BUDI).partition, b"")
    turns = TURNS + bytes((BacklogName.MESSAGES, TurnKind.READY))
    rows = [row for _, partition, row in dump(store_of(ana)) if partition == turns]
    assert bool(rows) is not bool(STRIPES)
    for last in sorted(rows)[-1:]:
        damage_outbox(store_of(ana), turns, last)
    context = ana.device._context
    device = Device.open(store_of(ana), clock=context.clock, restored=True)
    again = Client(device, backend)
    again.send(BUDI, Text("three"))
    again.send(TOKO, Text("four"))
    assert read(budi) == ["one", "three"]
    assert read(toko) == ["two", "four"]


@pytest.mark.parametrize("row", [b"", number_row(1)], ids=["empty", "number"])
def test_a_damaged_queue_of_turns_stops_nobody_for_ever(
    row: bytes, people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, toko = people
    backend.fail("deposit")
    promise(ana, BUDI, "one")
    partition = TURNS + bytes((BacklogName.MESSAGES, TurnKind.READY))
    with store_of(ana).transaction() as tx:
        tx.put(Table.OUTBOX, partition, row, b"\x01\xff")
    ana.send(TOKO, Text("two"))
    ana.send(BUDI, Text("three"))
    assert read(toko) == ["two"]
    assert read(budi) == ["one", "three"]


def test_a_lost_count_of_the_inbox_closes_nothing(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, _ = people
    budi.send(ANA, Text("one"))
    old = ana.receive()
    with store_of(ana).transaction() as tx:
        save_stripe(tx, read_stripe(tx)._replace(next_queue_number=1))
    budi.send(ANA, Text("two"))
    new = ana.receive()
    ana.confirm(old)
    ana.confirm(old)  # closes nothing else
    assert [getattr(item, "content", None) for item in new] == [Text("two")]
    assert [item.redelivered for item in reopen(ana, backend).receive()] == [True]
    ana.confirm(new)
    assert reopen(ana, backend).receive() == []


def test_a_damaged_item_of_the_inbox_hides_no_others(
    people: tuple[Client, Client, Client], backend: BackendSimulator
) -> None:
    ana, budi, _ = people
    for text in ("one", "two", "three"):
        budi.send(ANA, Text(text))
    items = ana.receive()
    store = store_of(ana)
    receipt = items[1].receipt
    assert receipt is not None
    with store.transaction() as tx:
        stripe, number = divmod(receipt.number, 1 << NUMBER_BITS)
        tx.at(stripe).put(Table.INBOX, b"", number_row(number), b"\x01\xff")
    again = reopen(ana, backend)
    assert [getattr(item, "content", None) for item in again.receive()] == [
        Text("one"),
        Text("three"),
    ]
    with pytest.raises(RecordCorrupted):
        again.receive()
    budi.send(ANA, Text("four"))
    # With stripes it waits for what stands before it, which is at the back end until then.
    assert read(again) == ([] if STRIPES else ["four"])


@pytest.mark.parametrize("table", ["inbox", "outbox"])
def test_a_row_of_a_sealed_queue_that_was_changed_hides_no_others(
    table: str, backend: BackendSimulator, tmp_path: Path
) -> None:
    """It does not open, and the store cannot say which it is."""
    path = tmp_path / "ana.db"
    with SQLiteStore(path, key=bytes(32)) as store:
        ana = make_client(ANA, backend, store)
        clients = [make_client(address, backend) for address in (BUDI, TOKO)]
        for client in clients:
            meet(ana, client)
        for client in clients:
            client.send(ANA, Text("received"))
        assert len(ana.receive()) == 2
        backend.unreachable = True
        for client in clients:
            promise(ana, client.device.address, "sent")
        backend.unreachable = False
    with closing(sqlite3.connect(path)) as connection, connection:
        # A backlog has a row empty, and message ids.
        of_length = f"SELECT partition FROM {table} WHERE length(row) = "  # noqa: S608
        queue = f"partition NOT IN ({of_length} 0) AND partition NOT IN ({of_length} 16)"
        where = f"FROM {table} WHERE length(row) = 8 AND {queue}"
        (first,) = connection.execute(f"SELECT min(row) {where}").fetchone()
        damage = f"UPDATE {table} SET record = zeroblob(60) WHERE row = ? AND {queue}"  # noqa: S608
        assert connection.execute(damage, (first,)).rowcount == 1
    with SQLiteStore(path, key=bytes(32)) as store:
        ana = Client(reopen_device(ana.device, store, "again"), backend)
        if table == "inbox":
            assert read(ana) == ["received"]
        else:
            assert len(ana.receive()) == 2
            assert sorted(map(len, map(read, clients))) == [0, 1]
        with pytest.raises(RecordCorrupted):
            ana.receive()


def test_items_that_could_not_be_handed_over_come_again(backend: BackendSimulator) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend, spy), make_client(BUDI, backend)
    budi.send(ANA, Text("one"))
    ana.receive()
    again = reopen(ana, backend)
    spy.fail_commit = True
    with pytest.raises(StoreError):
        again.receive()
    spy.fail_commit = False
    assert read(again) == ["one"]
