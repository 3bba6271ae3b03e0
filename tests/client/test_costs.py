# SPDX-License-Identifier: Apache-2.0
"""A call costs what it works on, and not what lies in queues: counted, with few and with many."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from e2ecross import Address, Client, Envelope, Message, Notice, NoticeKind, Text
from e2ecross.errors import BackendError
from e2ecross.state.inbox import put_message, put_notice
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    block_backlog,
    put_control,
    put_envelope,
)
from e2ecross.stores import MemoryStore
from e2ecross.wire.content import RetryRequest
from e2ecross.wire.envelope import MessageKind
from tests.client.conversation import meet, promise, read, reopen, send, shown
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    BackendSimulator,
    SpyStore,
    garbage,
    make_client,
    make_device,
)
from tests.support.lone_worker import let_look
from tests.support.store_kinds import STRIPES

FEW, MANY = 10, 2_000
KEY = make_device(BUDI, seed="another").identity_key

Fill = Callable[[Client, int], None]


def unconfirmed(client: Client, count: int) -> None:
    context = client.device._context
    with context.store.transaction() as tx:
        for _ in range(count):
            put_notice(context, tx, Notice(NoticeKind.RESTORED, ANA.user_id))
    let_look(client)
    while client.receive(1000):
        pass


def unconfirmed_in_front(client: Client, count: int) -> None:
    """All but the first are confirmed, and a restart begins to look from there."""
    unconfirmed(client, 1)
    context = client.device._context
    with context.store.transaction() as tx:
        for _ in range(count):
            put_notice(context, tx, Notice(NoticeKind.RESTORED, ANA.user_id))
    let_look(client)
    while items := client.receive(1000):
        client.confirm(items)


def waiting_for_one(client: Client, count: int) -> None:
    put_waiting(client, [BUDI] * count)


def waiting_for_many(client: Client, count: int) -> None:
    put_waiting(client, [Address("threads", f"c{n}") for n in range(count)])


def tried_in_vain(client: Client, count: int) -> None:
    put_waiting(client, [Address("threads", f"c{n}") for n in range(count)], "backend_error")


def held(client: Client, count: int) -> None:
    put_waiting(client, [Address("threads", f"c{n}") for n in range(count)], "untrusted", KEY)


def put_waiting(
    client: Client, recipients: list[Address], code: str = "", untrusted_key: bytes = b""
) -> None:
    with client.device._context.store.transaction() as tx:
        for n, recipient in enumerate(recipients):
            message_id = n.to_bytes(16)
            put_envelope(tx, Envelope(message_id, ANA, recipient, MessageKind.SIGNAL, bytes(60)))
            if code:
                block_backlog(tx, Backlog(BacklogName.MESSAGES, recipient), code, untrusted_key)


def requests_to_many(client: Client, count: int) -> None:
    with client.device._context.store.transaction() as tx:
        for n in range(count):
            request = RetryRequest(n.to_bytes(16), None, 0, "unknown_session")
            put_control(
                tx, Address("threads", f"c{n}"), n.to_bytes(16), request, fresh_session=True
            )


class Scene:
    """Ana's client on a store that counts; nothing of hers is taken by the back end."""

    def __init__(self, fill: Fill, count: int) -> None:
        self.backend = BackendSimulator()
        self.spy = SpyStore(MemoryStore())
        ana = make_client(ANA, self.backend, self.spy)
        self.budi = make_client(BUDI, self.backend)
        meet(ana, self.budi)
        fill(ana, count)
        self.ana = reopen(ana, self.backend) if fill is unconfirmed_in_front else ana
        if fill is unconfirmed_in_front:
            assert len(self.ana.receive()) == 1
        self.backend.fail("deposit", times=10_000)
        self.backend.fail("fetch_keys", times=10_000)

    def cost(self, call: Callable[["Scene"], object]) -> tuple[Counter[str], Counter[str]]:
        """Operations of the store by kind, rows that they list, and calls of the back end."""
        self.spy.forget()
        self.backend.calls.clear()
        with suppress(BackendError):
            call(self)
        return (
            Counter(operation.name for operation in self.spy.operations)
            + Counter({"rows": self.spy.rows_listed}),
            Counter(self.backend.calls),
        )


def idle_receive(scene: Scene) -> None:
    scene.ana.receive()


def one_garbage_envelope(scene: Scene) -> None:
    scene.backend._next_number += -scene.backend._next_number % 64  # always of the same stripe
    scene.backend.inject(ANA, garbage()[2])
    assert len(scene.ana.receive()) == 1


def one_message(scene: Scene) -> None:
    scene.backend._faults.clear()
    scene.budi.send(ANA, Text("halo"))
    scene.spy.forget()
    scene.backend.calls.clear()
    scene.backend.fail("deposit", times=10_000)
    scene.backend.fail("fetch_keys", times=10_000)
    (item,) = scene.ana.receive()
    scene.ana.confirm([item])


def offline_send(scene: Scene) -> None:
    scene.ana.send(BUDI, Text("halo"))


def vain_maintain(scene: Scene) -> None:
    """What `offline_send` has left is due, so that the backlogs are walked over."""
    with pytest.raises(BackendError):
        scene.ana.maintain()


QUEUES: list[Fill] = [
    unconfirmed,
    unconfirmed_in_front,
    waiting_for_one,
    waiting_for_many,
    tried_in_vain,
    held,
    requests_to_many,
]
CALLS = [idle_receive, one_garbage_envelope, one_message, offline_send]
if not STRIPES:  # a sweep goes through all that waits, to see what is due
    CALLS.append(vain_maintain)


@pytest.mark.parametrize("fill", QUEUES)
def test_what_lies_in_queues_costs_nothing(fill: Fill) -> None:
    few, many = Scene(fill, 300), Scene(fill, MANY)
    for call in CALLS:
        few.cost(call), many.cost(call)  # the first of a client tidies up
        operations, calls = few.cost(call)
        more_operations, more_calls = many.cost(call)
        assert more_operations.total() <= 1.1 * operations.total() + 5, call
        assert more_calls.total() <= calls.total() + 2, call


def test_with_ten_and_with_two_thousand_unconfirmed_it_is_the_same() -> None:
    few, many = Scene(unconfirmed, FEW), Scene(unconfirmed, MANY)
    for call in CALLS:
        few.cost(call), many.cost(call)
        assert few.cost(call) == many.cost(call)


@pytest.mark.parametrize("fill", [waiting_for_one, held])
def test_with_ten_and_with_two_thousand_waiting_a_send_costs_no_more(fill: Fill) -> None:
    few, many = Scene(fill, 16), Scene(fill, MANY)
    few.cost(offline_send), many.cost(offline_send)
    assert few.cost(offline_send) == many.cost(offline_send)


def test_what_users_sent_stands_behind_no_requests(backend: BackendSimulator) -> None:
    """However many requests are tried in vain, and however many there are."""
    ana, budi = make_client(ANA, backend), make_client(BUDI, backend)
    meet(ana, budi)
    requests_to_many(ana, 200)
    backend.fail("deposit")
    promise(ana, BUDI, "halo")
    backend.fail("fetch_keys", times=10_000)
    with pytest.raises(BackendError):
        ana.maintain()
    assert read(budi) == ["halo"]
    assert backend.calls.count("fetch_keys") <= 1 + 2 * 32


# --- Of the inbox ---------------------------------------------------------------------------

HALO = Message(BUDI, MESSAGE_ID, NOW_MS, Text("halo"), False, peer=BUDI.user_id)
RESTORED = Notice(NoticeKind.RESTORED, ANA.user_id)


def put(client: Client, *items: Message | Notice) -> None:
    context = client.device._context
    with context.store.transaction() as tx:
        for item in items:
            if isinstance(item, Notice):
                put_notice(context, tx, item)
            else:
                put_message(context, tx, item)


def costs(waits: int, call: Callable[[Client, BackendSimulator, Client], object]) -> int:
    """Calls of the store that something takes when so many items are not confirmed."""
    backend, spy = BackendSimulator(), SpyStore(MemoryStore())
    budi = make_client(BUDI, backend)
    ana = make_client(ANA, backend, spy)
    send(budi, ANA, "first")
    put(ana, *[replace(HALO, message_id=n.to_bytes(16)) for n in range(waits)])
    while ana.receive(limit=1000):
        pass
    spy.forget()
    call(ana, backend, budi)
    return len(spy.operations)


def _receive_garbage(ana: Client, backend: BackendSimulator, _: Client) -> None:
    backend.inject(ANA, b"garbage")
    assert shown(ana.receive()) == ["!decode_error"]


def _receive_message(ana: Client, backend: BackendSimulator, budi: Client) -> None:
    send(budi, ANA, "halo")
    ana.confirm(ana.receive())


_CALLS: dict[str, Callable[[Client, BackendSimulator, Client], object]] = {
    "receive nothing": lambda ana, backend, budi: ana.receive(),
    "receive garbage": _receive_garbage,
    "receive and confirm": _receive_message,
    "begin to hand over": lambda ana, backend, budi: Client(ana.device, backend).receive(limit=5),
    "put": lambda ana, backend, budi: put(ana, HALO, RESTORED),
}


@pytest.mark.parametrize("name", _CALLS)
def test_what_a_call_costs_does_not_depend_on_what_is_not_confirmed(name: str) -> None:
    assert costs(10, _CALLS[name]) == costs(2_000, _CALLS[name])
