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

from e2ecross import Address, Client, Device, Envelope, FailedMessage, Message, MessageKind, Text
from e2ecross.errors import MailboxFull
from e2ecross.relay import Relay, RelayLimits
from e2ecross.stores import MemoryStore
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES, MAX_SIGNAL_MESSAGE_BYTES
from tests.attacks.support import ANA, BUDI, TOKO

# The proportions of the defaults, with fewer messages.
SHARE = 60
LIMITS = RelayLimits(mailbox_messages=2 * SHARE, mailbox_messages_per_sender=SHARE)
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


def flood(relay: Relay, attempts: int, size: int = 50) -> int:
    """Deposit from all devices in turn; how many were kept."""
    kept = 0
    for number in range(attempts):
        device = MALLORY[number % len(MALLORY)]
        try:
            relay.deposit(token(device), junk(device, number, size))
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
    assert flood(relay, 3 * SHARE) == SHARE - 1
    assert relay.waiting(BUDI)[:2] == before
    ana.send(BUDI, Text("after"))
    toko.send(BUDI, Text("first contact"))
    messages, failed = drain(budi)
    assert [(item.sender, item.content) for item in messages] == [
        (ANA, Text("before")),
        (honest.device.address, Text("of the flooder, when still in a good mood")),
        (ANA, Text("after")),
        (TOKO, Text("first contact")),
    ]
    assert {item.sender for item in failed} == set(MALLORY)
    assert len(failed) == SHARE - 1
    assert relay.waiting(BUDI) == []
    flood(relay, 1)  # a repetition of what was read
    assert relay.waiting(BUDI) == []
    honest.send(BUDI, Text("in a good mood again"))
    assert [item.content for item in drain(budi)[0]] == [Text("in a good mood again")]


def test_what_two_users_fill_is_refused_from_then_on_and_nothing_is_pushed_out(
    relay: Relay,
) -> None:
    """The known limit: two accounts can fill a mailbox. Even then nothing that waits is lost."""
    ana, budi = client(ANA, relay), client(BUDI, relay)
    ana.send(BUDI, Text("before"))
    flood(relay, SHARE)
    accomplice = Address("whatsapp", "accomplice")
    relay.register(accomplice, token(accomplice))
    kept = 0
    for number in range(SHARE):
        try:
            relay.deposit(token(accomplice), junk(accomplice, number))
            kept += 1
        except MailboxFull:
            pass
    assert kept == SHARE - 1
    with pytest.raises(MailboxFull):
        ana.send(BUDI, Text("refused"))
    messages, failed = drain(budi)
    assert [item.content for item in messages] == [Text("before")]
    assert len(failed) == 2 * SHARE - 1
    ana.send(BUDI, Text("there is room again"))
    messages, _ = drain(budi)
    assert [item.content for item in messages] == [Text("there is room again")]


def test_the_largest_envelopes_cost_a_batch_of_memory_and_no_more(relay: Relay) -> None:
    budi = client(BUDI, relay)
    size = MAX_SIGNAL_MESSAGE_BYTES
    with peak_below(10 * MAX_ENVELOPE_BYTES):
        assert flood(relay, 2 * SHARE, size) == SHARE
    with peak_below((BATCH + 10) * MAX_ENVELOPE_BYTES):
        _, failed = drain(budi)
    assert len(failed) == SHARE
