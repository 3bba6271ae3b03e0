# SPDX-License-Identifier: Apache-2.0
"""Whom the user has never written to gets not one byte, whatever hints and lists come from there.

The attacker: a stranger with a valid account, who sends as much as they like, to learn whether
and when the victim is online, or to have the victim's client work for them.
"""

from itertools import cycle, islice

from e2ecross import Client, Message, Policy
from e2ecross.protocol.device_list import hint_of
from e2ecross.stores import Table
from e2ecross.wire.content import DeviceHints, DeviceListPush, Text
from e2ecross.wire.content.resent import PayloadContent
from tests.attacks.support import ANA, TOKO, FakeClock
from tests.support.accounts import change_account, craft, device_of, hold_list, sign_devices
from tests.support.devices import BackendSimulator, dump, introduce, make_client, make_device

GARBAGE = bytes(range(16))
MESSAGES = 1_000
AT_ONCE = 50


def test_a_thousand_messages_with_hints_are_answered_with_nothing() -> None:
    clock, backend = FakeClock(), BackendSimulator(capacity=2 * MESSAGES)
    policy = Policy(request_messages=MESSAGES)  # so that each is handed over
    ana: Client = make_client(ANA, backend, clock=clock, policy=policy)
    mallory = make_client(TOKO, backend, clock=clock).device
    introduce(mallory, ana.device, kyber=True)
    own = sign_devices(ana.device, seq=7)
    theirs = sign_devices(mallory, make_device(device_of(TOKO, 2)), seq=7)
    for signed in (own, theirs):
        hold_list(ana.device, signed)
        backend.lists[signed.list.user] = signed.encode()
    hints = [
        DeviceHints(theirs.list.seq, GARBAGE, own.list.seq, GARBAGE),
        DeviceHints(1, GARBAGE, 1, GARBAGE),
        DeviceHints(2**63 - 1, GARBAGE, 2**63 - 1, GARBAGE),
        DeviceHints(peer_seq=own.list.seq, peer_hash=GARBAGE),
        DeviceHints(peer_seq=1, peer_hash=hint_of(own)),
    ]
    contents: list[PayloadContent] = [
        Text("halo"),
        DeviceListPush((b"garbage",)),
        DeviceListPush((theirs.encode(),)),
    ]
    before = _outgoing(ana)
    backend.deposits.clear()
    sent = list(islice(zip(cycle(hints), cycle(contents), strict=False), MESSAGES))
    for start in range(0, MESSAGES, AT_ONCE):
        for hint, content in sent[start : start + AT_ONCE]:
            backend.inject(ANA, craft(mallory, ANA, content, hints=hint).encode())
        items = ana.receive(limit=1000)
        assert all(isinstance(item, Message) for item in items), "no notice, no failure"
        ana.confirm(items)
    assert not backend.deposits
    assert _outgoing(ana) == before
    # And it is the user who decides that: once written to, they are answered.
    change_account(ana.device, TOKO.user_id, written=True)
    backend.inject(ANA, craft(mallory, ANA, Text("halo"), hints=hints[0]).encode())
    ana.receive()
    assert len(backend.deposits) == 1


def _outgoing(client: Client) -> dict[object, bytes]:
    """What waits to be sent, and what was noted of what was sent."""
    rows = dump(client.device._context.store).items()
    return {
        where: row
        for where, row in rows
        if where[0] is Table.OUTBOX or where[2].startswith(b"pushed")
    }
