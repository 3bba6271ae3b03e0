# SPDX-License-Identifier: Apache-2.0
"""Envelopes of kind 7 that a client cannot read: what is told, and who is asked.

Whoever can put bytes into a mailbox can claim that anybody has sent one. What is no message is told
and nothing else; a message under a key that is not here is asked for within the budgets.
"""

import pytest

from e2ecross import Address, Client, FailedMessage
from e2ecross.errors import EnvelopeMismatch, UnknownSenderKey, UnsupportedVersion
from e2ecross.stores import Table
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from tests.client.conversation import read, send, store_of, waiting
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, dump, make_client
from tests.support.sender_keys import UUID

STRANGER = Address("messenger", "nobody-known")
ID = bytes(range(16))


@pytest.fixture
def pair(pair: tuple[Client, Client]) -> tuple[Client, Client]:
    """Ana and Budi in conversation, with no receipts on their way."""
    for _ in range(2):
        for client in pair:
            client.maintain()
            assert read(client) == []
    return pair


def group_message(sender: Client) -> bytes:
    sender.device.new_sender_key_raw(UUID)
    return sender.device.encrypt_group_raw(UUID, b"into a group")


def inject(backend: BackendSimulator, sender: Address, ciphertext: bytes) -> None:
    """What a back end may put there, whoever has sent it."""
    envelope = Envelope(ID, sender, BUDI, MessageKind.SENDER_KEY, ciphertext)
    backend.inject(BUDI, envelope.encode())


def rows(client: Client) -> dict[Table, list[bytes]]:
    """All that is stored, but the inbox and the numbers that it has given."""
    tables: dict[Table, list[bytes]] = {}
    for (table, *where), record in dump(store_of(client)).items():
        if table not in (Table.INBOX, Table.STRIPE):
            tables.setdefault(table, []).append(b"/".join((*where, record)))
    return tables


def test_a_contact_who_has_given_no_key_is_asked_once_for_it(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    copies = EnvelopeCopies(ID, ANA, (BUDI,), group_message(ana))
    assert backend.deposit_copies(ana._way().token.value, copies.encode()).refused == {}
    send(ana, BUDI, "right after")
    [failed] = budi.receive(limit=1)
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, UnknownSenderKey)
    assert (failed.sender, failed.message_id, failed.group) == (ANA, ID, None)
    assert failed.retrying
    budi.confirm([failed])
    assert len(backend.mailbox(ANA)) == 1
    # She knows of no such message into a group of ours.
    assert read(ana) == []
    assert read(budi) == ["right after"]


@pytest.mark.parametrize(
    ("ciphertext", "code"),
    [
        (b"\x33", "decode_error"),
        (b"\xff" * 65, "unsupported_version"),
        (bytes(100_864), "unsupported_version"),
    ],
)
def test_of_bytes_that_are_none_that_alone_is_told(
    pair: tuple[Client, Client], backend: BackendSimulator, ciphertext: bytes, code: str
) -> None:
    ana, budi = pair
    inject(backend, ANA, ciphertext)
    before = rows(budi)
    assert read(budi) == [f"!{code}"]
    assert rows(budi) == before
    send(ana, BUDI, "goes on")
    assert read(budi) == ["goes on"]


@pytest.mark.parametrize("sender", [STRANGER, TOKO])
def test_a_stranger_is_not_written_to_for_bytes_that_are_none(
    pair: tuple[Client, Client], backend: BackendSimulator, sender: Address
) -> None:
    """Also not one who is registered, and of whom keys could be fetched: none are asked for."""
    _, budi = pair
    make_client(TOKO, backend)
    for _ in range(5):
        inject(backend, sender, b"\x33" * 99)
    before = rows(budi)
    backend.calls.clear()
    assert read(budi) == ["!decode_error"] * 5
    assert rows(budi) == before
    budi.maintain()
    assert backend.mailbox(TOKO) == []
    assert "fetch_keys" not in backend.calls
    assert "deposit_all" not in backend.calls


def test_a_stranger_is_asked_once_a_day(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    _, budi = pair
    toko = make_client(TOKO, backend)
    ciphertext = group_message(toko)
    for number in range(5):
        envelope = Envelope(bytes([number] * 16), TOKO, BUDI, MessageKind.SENDER_KEY, ciphertext)
        backend.inject(BUDI, envelope.encode())
    assert read(budi) == ["!unknown_sender_key"] * 5
    budi.maintain()
    assert len(backend.mailbox(TOKO)) == 1


def test_of_somebody_who_is_blocked_nothing_is_told(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    budi.block(ANA.user_id)
    inject(backend, ANA, group_message(ana))
    before = rows(budi)
    assert read(budi) == []
    assert rows(budi) == before
    assert backend.mailbox(BUDI) == []  # it is acknowledged


def test_one_of_the_device_itself_is_none(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    _, budi = pair
    inject(backend, BUDI, b"\x33" * 99)
    [failed] = budi.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, EnvelopeMismatch)
    assert waiting(budi) == []


def test_a_sender_key_of_a_foreign_group_is_not_used_up_by_it(
    pair: tuple[Client, Client], backend: BackendSimulator
) -> None:
    ana, budi = pair
    budi.device.process_distribution_raw(ANA, UUID, ana.device.new_sender_key_raw(UUID))
    message = ana.device.encrypt_group_raw(UUID, b"into a group")
    inject(backend, ANA, message)
    assert read(budi) == ["!unknown_sender_key"]
    assert budi.device.decrypt_group_raw(ANA, UUID, message) == b"into a group"


def test_a_device_alone_refuses_it(pair: tuple[Client, Client]) -> None:
    ana, budi = pair
    envelope = Envelope(ID, ANA, BUDI, MessageKind.SENDER_KEY, group_message(ana))
    before = dump(store_of(budi))
    for given in (envelope, envelope.encode()):
        with pytest.raises(UnsupportedVersion):
            budi.device.decrypt(given)
        [refused] = budi.device.decrypt_many([given])
        assert isinstance(refused, UnsupportedVersion)
    assert dump(store_of(budi)) == before
