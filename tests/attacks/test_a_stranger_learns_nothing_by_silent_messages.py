# SPDX-License-Identifier: Apache-2.0
"""A stranger who probes with messages that nobody sees gets not one byte back.

Acts on messages that do not exist, receipts for unknown ids, typing: from them, and from what
leaves when, others have told which device is online, and how many there are.
"""

import pytest

from e2ecross import Content, MessageRef, Policy, Reaction, Receipt, Text
from e2ecross.wire.content import Delete, Edit, Framed, Typing
from tests.client.conversation import waiting
from tests.support.accounts import craft, make_account
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, make_client

ALL = frozenset((10, *range(13, 21), 32, 33))
_REF = MessageRef(ANA.user_id, bytes(16), bytes(32))


def _probe(number: int) -> Content | Typing:
    key, message_id = number.to_bytes(32), number.to_bytes(16)
    probes: list[Content | Typing] = [
        Framed(Reaction(MessageRef(ANA.user_id, message_id, key), 1, "x"), key),
        Framed(Edit(_REF, number + 1, "x"), key),
        Framed(Delete(_REF), key),
        Receipt(Receipt.READ, (message_id,)),
        Typing(on=True),
        Text("halo"),
    ]
    return probes[number % len(probes)]


@pytest.mark.parametrize("who", ["stranger", "blocked"])
def test_a_thousand_probes_cost_not_one_byte(who: str) -> None:
    backend, clock = BackendSimulator(capacity=10_000), FakeClock()
    policy = Policy(capabilities=ALL)
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
    deposits = len(backend.deposits)
    backend.calls.clear()
    for _ in range(12):
        for client in (phone, laptop):
            items = client.receive()
            phone.mark_read([])
            client.confirm(items)
            client.maintain()
        clock.advance(1_000)
    assert not any(backend.waiting(device) for device in (phone.device.address,))
    assert len(backend.deposits) == deposits
    assert "deposit" not in backend.calls
    assert waiting(phone) == waiting(laptop) == []
