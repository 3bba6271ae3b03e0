# SPDX-License-Identifier: Apache-2.0
"""Messages that nobody sees get not one byte back, from a stranger or somebody who is blocked.

The attacker: a stranger with a valid account, who sends acts on messages that do not exist,
receipts for unknown ids, typing, to learn from what comes back which device is online, and how many
there are.
"""

import pytest

from e2ecross import (
    AnyContent,
    Client,
    Envelope,
    Message,
    MessageRef,
    Policy,
    Reaction,
    Receipt,
    Text,
)
from e2ecross.stores import Table
from e2ecross.wire.content import Delete, Edit, Framed, Typing
from tests.client.conversation import store_of, waiting
from tests.support.accounts import craft, make_account
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, dump, make_client

ALL = frozenset((10, *range(13, 21), 32, 33))
_REF = MessageRef(ANA.user_id, bytes(16), bytes(32))


def _probe(number: int) -> AnyContent | Typing:
    key, message_id = number.to_bytes(32), number.to_bytes(16)
    probes: list[AnyContent | Typing] = [
        Framed(Reaction(MessageRef(ANA.user_id, message_id, key), 1, "x"), key),
        Framed(Edit(_REF, number + 1, "x"), key),
        Framed(Delete(_REF), key),
        Receipt(Receipt.READ, (message_id,)),
        Typing(on=True),
        Text("halo"),
    ]
    return probes[number % len(probes)]


@pytest.mark.parametrize(("who", "shown"), [("stranger", 50), ("stranger", 1_000), ("blocked", 50)])
def test_a_thousand_probes_cost_not_one_byte(who: str, shown: int) -> None:
    """Also where the app is shown so many of them."""
    backend, clock = BackendSimulator(capacity=10_000), FakeClock()
    policy = Policy(capabilities=ALL, request_messages=shown)
    phone, laptop = make_account(ANA, (1, 2), backend, clock=clock, policy=policy)
    budi = make_client(BUDI, backend, clock=clock, policy=policy)
    budi.send(ANA, Text("first"))
    for client in (phone, laptop):
        client.confirm(client.receive())
    if who == "blocked":
        phone.block(BUDI)
        laptop.receive(), phone.receive()
    for number in range(1_000):
        for device in (phone.device, laptop.device):
            envelope = craft(budi.device, device.address, _probe(number))
            backend.inject(device.address, envelope.encode())
    deposits, before = len(backend.deposits), [_kept(client) for client in (phone, laptop)]
    backend.calls.clear()
    for _ in range(12):
        for client in (phone, laptop):
            items = client.receive()
            client.mark_read([item for item in items if isinstance(item, Message)])
            client.confirm(items)
            client.maintain()
        clock.advance(1_000)
    # What was read is told the own devices alone.
    told = [Envelope.decode(data) for data in backend.deposits[deposits:]]
    assert {envelope.recipient.user_id for envelope in told} <= {ANA.user_id}
    assert not [each for client in (phone, laptop) for each in waiting(client)]
    if who == "blocked":
        assert not told
        assert [_kept(client) for client in (phone, laptop)] == before


def _kept(client: Client) -> set[tuple[Table, bytes]]:
    """What an app could see of it, or others get: by table and partition."""
    tables = (Table.OUTBOX, Table.RECEIPTS, Table.SENT, Table.CONVERSATIONS)
    return {where[:2] for where in dump(store_of(client)) if where[0] in tables}
