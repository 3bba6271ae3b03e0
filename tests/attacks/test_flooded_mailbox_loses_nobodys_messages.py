# SPDX-License-Identifier: Apache-2.0
"""A flooded mailbox: what waits stays, what others send arrives, and reading it costs little.

The attacker: a registered user with several devices, who deposits as much as they can into the
mailbox of somebody who is offline.
"""

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2ecross import (
    Address,
    Client,
    Device,
    Envelope,
    FailedMessage,
    Message,
    MessageKind,
    Policy,
    Text,
)
from e2ecross.errors import MailboxFull
from e2ecross.relay import Relay, RelayLimits
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES, MAX_SIGNAL_MESSAGE_BYTES
from tests.attacks.support import ANA, BUDI, TOKO, dump
from tests.relay.support import deposit

# With fewer messages than the defaults, and a reserve of 12 for five users and not six.
FULL = 120
RESERVE = 12
FEW = 2
LIMITS = RelayLimits(mailbox_messages=FULL, mailbox_reserve_per_sender=FEW)
MALLORY = [Address("messenger", "mallory", device) for device in (1, 2, 3)]
BATCH = 7


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path / "relay.db", limits=LIMITS) as relay:
        for device in MALLORY:
            relay.register(device, token(device))
        yield relay


def token(device: Address) -> bytes:
    return bytes([device.device]) * 32


def client(address: Address, relay: Relay) -> Client:
    made = Client(Device.create(address, MemoryStore()), relay)
    made.register()
    return made


def junk(sender: Address, number: int, size: int = 50) -> bytes:
    text = f"{sender} {number}".encode().ljust(16, b" ")
    return Envelope(
        message_id=text[-16:],
        sender=sender,
        recipient=BUDI,
        kind=MessageKind.SIGNAL,
        ciphertext=b"\x33" * size,
    ).encode()


def flood(relay: Relay, attempts: int, size: int = 50, first: int = 0) -> int:
    """Deposit from all devices in turn; how many were kept."""
    kept = 0
    for number in range(first, first + attempts):
        device = MALLORY[number % len(MALLORY)]
        try:
            deposit(relay, token(device), junk(device, number, size))
            kept += 1
        except MailboxFull:
            pass
    return kept


def drain(client: Client) -> tuple[list[Message], list[FailedMessage]]:
    """Read all that waits, batch after batch, and confirm each."""
    messages: list[Message] = []
    failed: list[FailedMessage] = []
    while items := client.receive(limit=BATCH):
        assert len(items) <= BATCH
        messages += [item for item in items if isinstance(item, Message)]
        failed += [item for item in items if isinstance(item, FailedMessage)]
        client.confirm(items)
    return messages, failed


@contextmanager
def peak_below(limit_bytes: int) -> Iterator[None]:
    """Fail when more memory is in use at any time than before, by this much. No collector helps."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert peak < limit_bytes


def test_what_others_sent_before_and_send_after_arrives(relay: Relay) -> None:
    ana, budi, toko = (client(address, relay) for address in (ANA, BUDI, TOKO))
    ana.send(BUDI, Text("before"))
    honest = client(Address("messenger", "mallory", 9), relay)
    honest.send(BUDI, Text("of the flooder, when still in a good mood"))
    before = relay.waiting(BUDI)
    # To the exact limit: 118 more, and none of another device of the same user.
    assert flood(relay, 2 * FULL) == FULL - 2
    with pytest.raises(MailboxFull, match="not for messenger:mallory:"):
        honest.send(BUDI, Text("the reserve is not for the flooder's other devices"))
    assert relay.waiting(BUDI)[:2] == before
    ana.send(BUDI, Text("after"))
    toko.send(BUDI, Text("first contact"))
    toko.send(BUDI, Text("and another one"))
    for sender in (ana, toko):  # both have two there now
        with pytest.raises(MailboxFull):
            sender.send(BUDI, Text("one too many"))
    assert flood(relay, FULL, first=1_000) == 0
    store = budi.device._context.store
    messages, failed = drain(budi)
    assert [(item.sender, item.content) for item in messages] == [
        (ANA, Text("before")),
        (honest.device.address, Text("of the flooder, when still in a good mood")),
        (ANA, Text("after")),
        (TOKO, Text("first contact")),
        (TOKO, Text("and another one")),
    ]
    assert {item.sender for item in failed} == set(MALLORY)
    assert len(failed) == FULL - 2
    assert relay.waiting(BUDI) == []
    # What the flood leaves: nothing in the queues; of each of its devices it is noted that it was
    # asked, for a bounded number of messages.
    after = dump(store)
    assert not [row for row in after if row[0] in (Table.INBOX, Table.OUTBOX)]
    asked = [row for row in after if row[0] == Table.RETRIES and len(row[1]) == 4]
    assert 0 < len(asked) <= len(MALLORY) * Policy().retry_requests_per_peer
    flood(relay, 1)  # a repetition of what was read
    assert relay.waiting(BUDI) == []
    assert drain(budi) == ([], [])
    assert dump(store) == after
    honest.send(BUDI, Text("in a good mood again"))
    assert [item.content for item in drain(budi)[0]] == [Text("in a good mood again")]


def test_what_many_users_fill_is_refused_from_then_on_and_nothing_is_pushed_out(
    relay: Relay,
) -> None:
    """The known limit: enough users fill the reserve, too. Even then nothing that waits is lost."""
    ana, budi = client(ANA, relay), client(BUDI, relay)
    ana.send(BUDI, Text("before"))
    assert flood(relay, FULL) == FULL - 1
    for user in range(RESERVE // FEW):
        accomplice = Address("whatsapp", f"accomplice-{user}")
        relay.register(accomplice, token(accomplice))
        for number in range(FEW):
            deposit(relay, token(accomplice), junk(accomplice, number))
        with pytest.raises(MailboxFull):
            deposit(relay, token(accomplice), junk(accomplice, FEW))
    with pytest.raises(MailboxFull):
        ana.send(BUDI, Text("refused"))
    assert len(relay.waiting(BUDI)) == FULL + RESERVE
    messages, failed = drain(budi)
    assert [item.content for item in messages] == [Text("before")]
    assert len(failed) == FULL + RESERVE - 1
    ana.send(BUDI, Text("there is room again"))
    messages, _ = drain(budi)
    assert [item.content for item in messages] == [Text("there is room again")]


def test_a_flooder_does_not_get_into_the_reserve_with_what_was_read(relay: Relay) -> None:
    """The device reads some, the flooder fills up, others still get through."""
    ana, budi = client(ANA, relay), client(BUDI, relay)
    assert flood(relay, FULL) == FULL
    ana.send(BUDI, Text("first"))
    budi.confirm(budi.receive(limit=BATCH))
    assert flood(relay, FULL, first=1_000) == BATCH - 1  # ana's takes the place of one
    assert len(relay.waiting(BUDI)) == FULL
    ana.send(BUDI, Text("second"))
    messages, _ = drain(budi)
    assert [item.content for item in messages] == [Text("first"), Text("second")]


def test_the_largest_envelopes_cost_a_batch_of_memory_and_no_more(relay: Relay) -> None:
    budi = client(BUDI, relay)
    size = MAX_SIGNAL_MESSAGE_BYTES
    with peak_below(10 * MAX_ENVELOPE_BYTES):
        assert flood(relay, FULL + RESERVE, size) == FULL
    with peak_below((BATCH + 10) * MAX_ENVELOPE_BYTES):
        _, failed = drain(budi)
    assert len(failed) == FULL
