# SPDX-License-Identifier: Apache-2.0
"""The outbox: what the back end may not have yet."""

from typing import cast

import pytest

from e2ecross import Address, Client, Envelope, Message, Text
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
from e2ecross.state.outbox import (
    find_in_outbox,
    list_outbox,
    put_into_outbox,
    remove_from_outbox,
    take_number,
)
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.queue_records import OutboxRecord
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    TOKO,
    BackendSimulator,
    SpyStore,
    Stores,
    count_rows,
    dump,
    introduce,
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
        return [cast("Envelope", waiting.envelope) for waiting in list_outbox(tx)]


def texts(client: Client) -> list[str]:
    return [cast("Text", cast("Message", item).content).text for item in client.receive()]


# --- Rows -----------------------------------------------------------------------------------


def test_rows_are_listed_found_and_removed_in_the_order_of_sending() -> None:
    store = MemoryStore()
    ana, budi = make_device(ANA, store), make_device(BUDI)
    introduce(ana, budi)
    envelopes = [ana.encrypt(BUDI, Text(str(n)), message_id=n.to_bytes(16)) for n in range(300)]
    with store.transaction() as tx:
        rows = [put_into_outbox(tx, envelope) for envelope in envelopes]
    with store.transaction() as tx:
        listed = [(waiting.row, waiting.envelope) for waiting in list_outbox(tx)]
        assert listed == list(zip(rows, envelopes, strict=True))
        assert find_in_outbox(tx, BUDI, (255).to_bytes(16)) == rows[255]
        assert find_in_outbox(tx, TOKO, (255).to_bytes(16)) is None
        remove_from_outbox(tx, rows[255])
        assert find_in_outbox(tx, BUDI, (255).to_bytes(16)) is None
        assert int.from_bytes(take_number(tx)) == 301


def test_a_row_that_holds_no_envelope_is_a_damaged_store(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, _ = pair
    backend.unreachable = True
    with pytest.raises(BackendError):
        ana.send(BUDI, Text("halo"))
    store = ana.device._context.store
    (where,) = [where for where in dump(store) if where[0] is Table.OUTBOX]
    with store.transaction() as tx:
        tx.put(*where, OutboxRecord(b"no envelope").encode())
    backend.unreachable = False
    with pytest.raises(RecordCorrupted, match="does not decode"):
        ana.maintain()


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
    assert outbox(ana) == []
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
    assert len(outbox(ana)) == 1
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
    "error", [UnknownRecipient("gone"), BackendRefused("too large"), DecodeError("what?")]
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


def test_a_crash_after_the_deposit_deposits_the_same_bytes_again(
    backend: BackendSimulator,
) -> None:
    spy = SpyStore(MemoryStore())
    ana, budi = make_client(ANA, backend, spy), make_client(BUDI, backend)
    ana.send(BUDI, Text("first"))
    # token, look-up, has_session, encrypt, list; then the removal fails
    spy.fail_transactions = [False] * 5 + [True]
    with pytest.raises(StoreError):
        ana.send(BUDI, Text("second"))
    assert count_rows(spy.inner, Table.OUTBOX) == 1
    ana.maintain()
    assert backend.deposits[-1] == backend.deposits[-2]
    assert texts(budi) == ["first", "second"]


def test_addresses_of_several_devices_wait_side_by_side(backend: BackendSimulator) -> None:
    ana = make_client(ANA, backend)
    clients = [make_client(Address("instagram", "budi", n), backend) for n in (1, 2)]
    for client in clients:
        ana.send(client.device.address, Text("hello"))
    backend.unreachable = True
    for client in clients:
        with pytest.raises(BackendError):
            ana.send(client.device.address, Text("later"), message_id=MESSAGE_ID)
    assert [envelope.recipient.device for envelope in outbox(ana)] == [1, 2]
    backend.unreachable = False
    ana.maintain()
    for client in clients:
        assert texts(client) == ["hello", "later"]
