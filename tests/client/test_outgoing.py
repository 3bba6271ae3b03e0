# SPDX-License-Identifier: Apache-2.0
"""Sending through a back end: what goes with a message, and a message id that is used again."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from e2ecross import Address, Bytes, Client, Delivery, Message, Text
from e2ecross.errors import BackendError, MailboxFull
from e2ecross.state.context import require_device
from e2ecross.state.epoch import read_epoch
from e2ecross.state.outbox import replace_waiting
from e2ecross.state.transactions import stripe_transaction
from e2ecross.stores import Table
from e2ecross.wire.exchange import Deposited
from tests.client.conversation import (
    damage,
    forget_sessions,
    meet,
    promise,
    read,
    store_of,
    waiting,
)
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
)
from tests.support.lone_worker import end_holds


def epochs(client: Client, backend: BackendSimulator, peer: Address) -> tuple[int, int]:
    """How far a store, or what it has of a peer, has come, and what the back end knows of it."""
    context = client.device._context
    stripe = context.stripe_of(peer.user_id)
    with stripe_transaction(context, stripe) as tx:
        own, token = read_epoch(tx), require_device(tx).backend_token
    return own, backend.epochs(client.device.address, token)[stripe]


def test_the_back_end_hears_the_epoch_with_every_message(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    for text in ("one", "two"):
        before, _ = epochs(ana, backend, BUDI)
        ana.send(BUDI, Text(text))
        own, known = epochs(ana, backend, BUDI)
        assert own == known == before + 1
    # A request and its answer are operations like any other.
    forget_sessions(budi)
    assert read(budi) == ["!unknown_session"] * 2
    own, known = epochs(budi, backend, ANA)
    assert own == known
    assert read(ana) == []
    own, known = epochs(ana, backend, BUDI)
    assert own == known


def test_a_message_says_when_it_was_sent(backend: BackendSimulator) -> None:
    clock = FakeClock()
    ana, budi = make_client(ANA, backend, clock=clock), make_client(BUDI, backend)
    clock.advance(3)
    ana.send(BUDI, Text("halo"))
    (message,) = budi.receive()
    assert isinstance(message, Message)
    assert message.sent_at_ms == NOW_MS + 3


def test_a_message_id_that_was_sent_is_not_sent_again(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    ana.maintain()  # forgets what it has sent
    before, deposits = dump(store_of(ana)), list(backend.deposits)
    sent = ana.send(BUDI, Text("halo"), message_id=MESSAGE_ID)
    assert (sent.message_id, sent.deliveries) == (MESSAGE_ID, (Delivery(BUDI, False),))
    assert dump(store_of(ana)) == before
    assert backend.deposits == deposits
    assert read(budi) == ["halo"]


def test_a_full_mailbox_holds_up_nothing_that_waits_behind_it() -> None:
    backend = BackendSimulator(capacity=1)
    ana = make_client(ANA, backend)
    budi, toko = make_client(BUDI, backend), make_client(TOKO, backend)
    ana.send(BUDI, Text("fills the mailbox"))
    ana.send(TOKO, Text("first"))
    assert read(toko) == ["first"]
    for address in (BUDI, TOKO):
        backend.fail("deposit")
        with pytest.raises(BackendError):
            ana.send(address, Text("waits"))
    assert len(waiting(ana)) == 2
    ana.maintain()
    assert [item.backlog.recipient for item in waiting(ana)] == [BUDI]
    assert [(item.recipient, item.code) for item in ana.pending()] == [(BUDI, "mailbox_full")]
    assert read(toko) == ["waits"]
    assert read(budi) == ["fills the mailbox"]
    end_holds(ana, backend)
    ana.maintain()
    assert read(budi) == ["waits"]


def test_who_is_told_by_an_exception_that_a_mailbox_is_full_gets_no_notice_too() -> None:
    """What stands before it is tried alone, and the mailbox has no room for that."""
    backend = BackendSimulator(capacity=1)
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    ana.send(BUDI, Text("fills the mailbox"))
    backend.unreachable = True
    (promised,) = promise(ana, BUDI, "waits")
    backend.unreachable = False
    ana.maintain()
    with pytest.raises(MailboxFull):
        ana.send(BUDI, Text("taken back"), message_id=MESSAGE_ID)
    assert [item.message_id for item in ana.pending()] == [promised]
    assert read(ana) == []
    assert read(budi) == ["fills the mailbox"]
    end_holds(ana, backend)
    ana.maintain()
    assert read(budi) == ["waits"]
    ana.send(BUDI, Text("another text under the same id"), message_id=MESSAGE_ID)
    assert read(budi) == ["another text under the same id"]


def test_a_call_carries_four_megabytes_at_most(
    backend: BackendSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.unreachable = True
    for number in range(115):
        with pytest.raises(BackendError):
            ana.send(BUDI, Bytes(number.to_bytes(2) + bytes(65_534)))
    backend.unreachable = False
    sizes: list[int] = []
    deposit_all = backend.deposit_all

    def watched(token: bytes, envelopes: Sequence[bytes], **more: Any) -> Deposited:  # noqa: ANN401
        sizes.append(sum(map(len, envelopes)))
        return deposit_all(token, envelopes, **more)

    monkeypatch.setattr(backend, "deposit_all", watched)
    ana.maintain()
    assert max(sizes) <= 4 * 1024 * 1024 < sum(sizes)
    assert len(sizes) < 10
    items = budi.receive(1000)
    assert [
        cast("Bytes", item.content).data[:2] for item in items if isinstance(item, Message)
    ] == [number.to_bytes(2) for number in range(115)]


def test_who_is_written_to_in_a_damaged_session_gets_a_new_one(backend: BackendSimulator) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    damage(ana, Table.SESSIONS)
    ana.send(BUDI, Text("in a new session"))
    assert read(budi) == ["in a new session"]
    assert ana.pending() == []


def test_what_has_to_be_encrypted_anew_goes_before_what_is_sent_then(
    backend: BackendSimulator,
) -> None:
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    backend.unreachable = True
    promise(ana, BUDI, "one", "two")
    for item in waiting(ana):
        with store_of(ana).transaction() as tx:
            replace_waiting(tx, item, None)
    backend.unreachable = False
    ana.send(BUDI, Text("three"))
    assert read(budi) == ["one", "two", "three"]
