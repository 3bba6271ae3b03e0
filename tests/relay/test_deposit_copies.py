# SPDX-License-Identifier: Apache-2.0
"""One message for many: each has an envelope of its own, and what all share is kept once."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DecodeError,
    MailboxFull,
    NotRegistered,
    UnknownRecipient,
    UnsupportedVersion,
)
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire._pb.e2ecross.v1 import envelope_pb2
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.exchange import Deposited
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    copies,
    device_list,
    digest,
    envelope,
    epoch_of,
    register,
    token,
    token_sha256,
)
from tests.relay.support import (
    shared_rows as shared,
)
from tests.support.vectors import groups, unhex

GROUP_MESSAGE = groups("group_message")
LAPTOP = Address(ANA.app, ANA.user, 2)
NOBODY = Address("x", "nobody")


def send(relay: Relay, message: EnvelopeCopies, *, epoch: int = 0) -> Deposited:
    return relay.deposit_copies(token(message.sender), message.encode(), epochs={0: epoch})


def refused(answer: Deposited) -> dict[int, type[BackendError]]:
    return {place: type(error) for place, error in answer.refused.items()}


def fetched(relay: Relay, address: Address) -> list[bytes]:
    return [data for _, data in relay.fetch(address, token(address), 1_000)]


def acknowledge(relay: Relay, address: Address) -> None:
    items = relay.fetch(address, token(address), 1_000)
    relay.acknowledge(address, token(address), [number for number, _ in items])


@pytest.fixture
def three(relay: Relay) -> Relay:
    """A relay where ana, budi and toko are registered."""
    register(relay, TOKO)
    return relay


def test_each_gets_its_own_envelope(three: Relay, path: Path) -> None:
    message = copies(ANA, 1, BUDI, TOKO)
    seqs = {user.user_id: 0 for user in (ANA, BUDI, TOKO)}
    assert send(three, message, epoch=5) == Deposited({}, seqs, {0: 0})
    for address in (BUDI, TOKO):
        assert fetched(three, address) == [message.encode_for(address)]
        [opened] = three.waiting(address)
        assert opened == Envelope(
            message.message_id, ANA, address, MessageKind.SENDER_KEY, message.ciphertext
        )
    assert fetched(three, ANA) == []
    assert shared(path) == [2]


@pytest.mark.parametrize("item", GROUP_MESSAGE["messages"], ids=lambda item: item["text"])
def test_recorded_copies_give_the_recorded_envelope(relay: Relay, item: dict[str, str]) -> None:
    message = EnvelopeCopies.decode(unhex(item["envelope_copies"]))
    register(relay, message.sender)
    relay.deposit_copies(token(message.sender), unhex(item["envelope_copies"]))
    assert fetched(relay, BUDI) == [unhex(item["envelope_to_budi"])]


def test_what_all_share_is_in_the_file_once(three: Relay, path: Path) -> None:
    secret = digest("ciphertext") * 100
    send(three, EnvelopeCopies(bytes(16), ANA, (BUDI, TOKO), secret))
    three.close()
    assert path.read_bytes().count(digest("ciphertext") * 8) >= 1
    with sqlite3.connect(path) as connection:
        [(most,)] = connection.execute("SELECT MAX(LENGTH(envelope)) FROM mailbox").fetchall()
        [(ending,)] = connection.execute("SELECT ciphertext FROM shared_ciphertexts").fetchall()
    connection.close()
    assert most <= 228
    assert ending.endswith(secret)


def test_they_come_between_other_envelopes_in_the_order_of_deposit(three: Relay) -> None:
    first, last = envelope(ANA, BUDI, 1).encode(), envelope(TOKO, BUDI, 2).encode()
    three.deposit_all(token(ANA), [first])
    message = copies(ANA, 3, BUDI, TOKO)
    send(three, message)
    three.deposit_all(token(TOKO), [last])
    assert fetched(three, BUDI) == [first, message.encode_for(BUDI), last]
    numbers = [number for number, _ in three.fetch(BUDI, token(BUDI), 3)]
    assert [data for _, data in three.fetch(BUDI, token(BUDI), 1, numbers[0])] == [
        message.encode_for(BUDI)
    ]


def test_it_leaves_with_the_last_of_its_copies(three: Relay, path: Path) -> None:
    send(three, copies(ANA, 1, BUDI, TOKO))
    send(three, copies(ANA, 2, BUDI, TOKO))
    assert shared(path) == [2, 2]
    acknowledge(three, BUDI)
    assert shared(path) == [1, 1]
    assert len(fetched(three, TOKO)) == 2
    [first, _] = three.fetch(TOKO, token(TOKO), 2)
    three.acknowledge(TOKO, token(TOKO), [first.number])
    assert shared(path) == [1]
    acknowledge(three, TOKO)
    assert shared(path) == []
    assert fetched(three, BUDI) == fetched(three, TOKO) == []


def test_it_leaves_with_a_mailbox_that_is_reset(path: Path) -> None:
    with Relay(path, authorise=lambda *_: True) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, copies(ANA, 1, BUDI, TOKO))
        relay.register(BUDI, token(BUDI, 1))
        assert shared(path) == [1]
        relay.register(TOKO, token(TOKO, 1))
        assert shared(path) == []


def test_it_leaves_with_a_device_that_is_not_listed_any_more(three: Relay, path: Path) -> None:
    digests = {LAPTOP.device: token_sha256(token(LAPTOP))}
    three.publish_devices(token(ANA), device_list(ANA, 1, (1, 2)).encode(), digests)
    send(three, copies(BUDI, 1, LAPTOP))
    assert shared(path) == [1]
    three.publish_devices(token(ANA), device_list(ANA, 2).encode(), {})
    assert shared(path) == []


def test_a_repetition_changes_nothing(three: Relay, path: Path) -> None:
    message = copies(ANA, 1, BUDI, TOKO)
    for _ in range(2):
        assert send(three, message).refused == {}
        assert fetched(three, BUDI) == [message.encode_for(BUDI)]
        assert shared(path) == [2]
    acknowledge(three, BUDI)
    assert send(three, message).refused == {}
    assert fetched(three, BUDI) == []
    assert shared(path) == [1]
    acknowledge(three, TOKO)
    assert send(three, message).refused == {}
    assert shared(path) == []


def test_a_copy_and_an_envelope_under_one_id_are_one(three: Relay, path: Path) -> None:
    """By sender, recipient and message id, in whichever call they come."""
    message = copies(ANA, 1, BUDI, TOKO)
    alone = envelope(ANA, BUDI, 1).encode()
    three.deposit_all(token(ANA), [alone])
    assert send(three, message).refused == {}
    assert fetched(three, BUDI) == [alone]
    assert shared(path) == [1]
    assert three.deposit_all(token(ANA), [envelope(ANA, TOKO, 1).encode()]).refused == {}
    assert fetched(three, TOKO) == [message.encode_for(TOKO)]
    acknowledge(three, TOKO)
    assert shared(path) == []


def test_more_recipients_than_fit_get_it_by_several_calls_with_one_id(three: Relay) -> None:
    first, second = copies(ANA, 1, BUDI), copies(ANA, 1, TOKO)
    assert send(three, first).refused == send(three, second).refused == {}
    assert fetched(three, BUDI) == [first.encode_for(BUDI)]
    assert fetched(three, TOKO) == [second.encode_for(TOKO)]


def test_each_is_refused_on_its_own(path: Path) -> None:
    with Relay(path, limits=RelayLimits(mailbox_messages=2)) as relay:
        register(relay, ANA, BUDI, TOKO)
        for number in range(2):
            relay.deposit_all(token(TOKO), [envelope(TOKO, BUDI, number).encode()])
        message = copies(ANA, 5, BUDI, TOKO, NOBODY)
        names = [str(each) for each in message.recipients]
        expected = {
            names.index(str(BUDI)): MailboxFull,
            names.index(str(NOBODY)): UnknownRecipient,
        }
        answer = send(relay, message)
        assert refused(answer) == expected
        assert answer.seqs == {user.user_id: 0 for user in (ANA, BUDI, TOKO, NOBODY)}
        assert fetched(relay, TOKO) == [message.encode_for(TOKO)]
        assert shared(path) == [1]
        acknowledge(relay, BUDI)
        assert refused(send(relay, message)) == {2: UnknownRecipient}
        assert fetched(relay, BUDI) == [message.encode_for(BUDI)]


def test_what_nobody_takes_is_not_kept(three: Relay, path: Path) -> None:
    answer = send(three, copies(ANA, 1, NOBODY), epoch=7)
    assert (refused(answer), answer.epochs) == ({0: UnknownRecipient}, {0: 0})
    assert shared(path) == []
    assert epoch_of(three, ANA, token(ANA)) == 7


def test_the_own_account_gets_its_copies_whatever_becomes_of_the_others(three: Relay) -> None:
    """A group has more accounts than one call may show; the sender's devices are members as any."""
    digests = {LAPTOP.device: token_sha256(token(LAPTOP))}
    three.publish_devices(token(ANA), device_list(ANA, 4, (1, 2)).encode(), digests)
    message = copies(ANA, 1, LAPTOP, NOBODY)
    answer = send(three, message)
    assert refused(answer) == {1: UnknownRecipient}
    assert fetched(three, LAPTOP) == [message.encode_for(LAPTOP)]
    assert answer.seqs == {ANA.user_id: 4, NOBODY.user_id: 0}


def test_copies_count_for_their_sender_in_a_mailbox(path: Path) -> None:
    limits = RelayLimits(mailbox_messages=10, mailbox_reserve_per_sender=1)
    with Relay(path, limits=limits) as relay:
        register(relay, ANA, BUDI, TOKO)
        for number in range(10):
            assert send(relay, copies(ANA, number, BUDI)).refused == {}
        assert refused(send(relay, copies(ANA, 10, BUDI))) == {0: MailboxFull}
        assert send(relay, copies(TOKO, 11, BUDI)).refused == {}
        assert refused(send(relay, copies(TOKO, 12, BUDI))) == {0: MailboxFull}
        assert shared(path) == [1] * 11


def test_nobody_deposits_for_somebody_else(three: Relay, path: Path) -> None:
    for sender, key in ((BUDI, token(ANA)), (NOBODY, token(ANA)), (ANA, token(ANA, 1))):
        message = copies(sender, 1, TOKO)
        with pytest.raises(NotRegistered):
            three.deposit_copies(key, message.encode(), epochs={0: 9})
    assert fetched(three, TOKO) == []
    assert shared(path) == []
    assert [epoch_of(three, who, token(who)) for who in (ANA, BUDI)] == [0, 0]


def test_epochs(three: Relay) -> None:
    assert send(three, copies(ANA, 1, BUDI), epoch=7).epochs == {0: 0}
    assert send(three, copies(ANA, 2, BUDI), epoch=6).epochs == {0: 7}
    assert three.deposit_copies(token(ANA), copies(ANA, 3, BUDI).encode()).epochs == {}
    assert epoch_of(three, ANA, token(ANA)) == 7
    told = {0: 9, 1: 2}
    answer = three.deposit_copies(token(ANA), copies(ANA, 4, BUDI).encode(), epochs=told)
    assert answer.epochs == {0: 7, 1: 0}
    assert three.epochs(ANA, token(ANA)) == told
    assert len(fetched(three, BUDI)) == 4


def _changed(**fields: object) -> bytes:
    changed = envelope_pb2.EnvelopeCopies.FromString(copies(ANA, 1, BUDI).encode())
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", DecodeError),
        (b"no copies", DecodeError),
        (copies(ANA, 1, BUDI).encode() + b"\x78\x01", DecodeError),
        (envelope(ANA, BUDI, 1).encode(), DecodeError),
        (_changed(kind=2), DecodeError),
        (_changed(ciphertext=b""), DecodeError),
        (_changed(version=2), UnsupportedVersion),
        (bytes(262_144), DecodeError),
        (bytes(262_145), BackendRefused),
    ],
)
def test_what_is_none_is_refused_as_a_whole(
    relay: Relay, path: Path, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        relay.deposit_copies(token(ANA), data, epochs={0: 9})
    assert fetched(relay, BUDI) == []
    assert shared(path) == []
    assert epoch_of(relay, ANA, token(ANA)) == 0


def test_one_copy_alone_may_be_deposited_with_other_envelopes(three: Relay, path: Path) -> None:
    """Its bytes are those of an envelope; it is kept as one."""
    data = copies(ANA, 1, BUDI).encode()
    assert three.deposit_all(token(ANA), [data]).refused == {}
    assert fetched(three, BUDI) == [data]
    assert shared(path) == []


def test_an_envelope_that_is_too_large_for_this_relay(path: Path) -> None:
    """As far as its recipient's address makes it so."""
    message = copies(ANA, 1, BUDI, Address("instagram", "budi-with-a-longer-name"))
    size = len(message.encode_for(BUDI))
    with Relay(path, limits=RelayLimits(envelope_bytes=size)) as relay:
        register(relay, ANA, *message.recipients)
        answer = send(relay, message, epoch=3)
        assert (refused(answer), answer.epochs) == ({0: BackendRefused}, {0: 0})
        assert f"this back end carries up to {size}" in str(answer.refused[0])
        assert fetched(relay, BUDI) == [message.encode_for(BUDI)]
    with Relay(path, limits=RelayLimits(envelope_bytes=size - 1)) as relay:
        again = EnvelopeCopies(bytes(16), ANA, message.recipients, message.ciphertext)
        assert refused(send(relay, again)) == {0: BackendRefused, 1: BackendRefused}
        assert shared(path) == [1]


def test_1024_of_them_and_their_lists(path: Path) -> None:
    crowd = sorted((Address("x", f"user-{number}") for number in range(1_024)), key=str)
    with Relay(path) as relay:
        register(relay, ANA, *crowd)
        relay.publish_devices(token(crowd[7]), device_list(crowd[7], 9).encode(), {})
        message = EnvelopeCopies(bytes(16), ANA, tuple(crowd), bytes(60_000))
        answer = send(relay, message)
        assert answer.refused == {}
        assert len(answer.seqs) == 1_025
        assert {user: seq for user, seq in answer.seqs.items() if seq} == {crowd[7].user_id: 9}
        assert shared(path) == [1_024]
        for address in crowd[::100]:
            assert fetched(relay, address) == [message.encode_for(address)]
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        assert size < 8_000_000  # 61 MB, if each had its own


# --- A file that somebody else has written into ---------------------------------------------


@pytest.fixture
def operator(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM shared_ciphertexts",
        "UPDATE mailbox SET shared = 99",
        "UPDATE shared_ciphertexts SET ciphertext = 'text'",
        "UPDATE mailbox SET envelope = 5",
    ],
)
def test_a_copy_without_its_ciphertext_is_damage_of_the_file(
    three: Relay, operator: sqlite3.Connection, damage: str
) -> None:
    send(three, copies(ANA, 1, BUDI, TOKO))
    operator.execute(damage)
    for read in (lambda: fetched(three, BUDI), lambda: three.waiting(BUDI)):
        with pytest.raises(BackendError, match="restore it from a backup"):
            read()
    acknowledged: Sequence[int] = [1, 2]
    three.acknowledge(BUDI, token(BUDI), acknowledged)  # who knows the number still can
    assert fetched(three, BUDI) == []


def test_damage_of_one_mailbox_decides_over_no_other(
    three: Relay, operator: sqlite3.Connection, path: Path
) -> None:
    operator.execute("UPDATE mailboxes SET waiting = 'many' WHERE recipient = ?", (str(BUDI),))
    message = copies(ANA, 1, BUDI, TOKO)
    answer = send(three, message)
    assert refused(answer) == {0: BackendError}
    assert fetched(three, TOKO) == [message.encode_for(TOKO)]
    assert shared(path) == [1]


def test_a_mailbox_may_be_moved_or_emptied_by_the_operator(
    three: Relay, operator: sqlite3.Connection, path: Path
) -> None:
    send(three, copies(ANA, 1, BUDI, TOKO))
    send(three, copies(ANA, 2, BUDI, TOKO))
    operator.execute("INSERT INTO mailbox (recipient, envelope) VALUES (?, x'00')", (str(ANA),))
    operator.execute(
        "UPDATE mailbox SET shared = 1 WHERE shared = 2 AND recipient = ?", (str(BUDI),)
    )
    assert shared(path) == [3, 1]
    operator.execute("UPDATE mailbox SET shared = NULL WHERE recipient = ?", (str(TOKO),))
    assert shared(path) == [2]
    operator.execute("UPDATE mailbox SET shared = 1 WHERE recipient = ?", (str(ANA),))
    assert shared(path) == [3]
    operator.execute("DELETE FROM mailbox")
    assert shared(path) == []


def test_times_and_memory_of_what_was_acknowledged(path: Path, clock: FakeClock) -> None:
    limits = RelayLimits(remembered_ms=1_000)
    with Relay(path, limits=limits, clock=clock) as relay:
        register(relay, ANA, BUDI, TOKO)
        message = copies(ANA, 1, BUDI, TOKO)
        send(relay, message)
        acknowledge(relay, BUDI)
        clock.now_ms += 999
        send(relay, message)
        assert fetched(relay, BUDI) == []
        clock.now_ms += 1
        send(relay, message)
        assert fetched(relay, BUDI) == [message.encode_for(BUDI)]
        assert shared(path) == [1, 1]  # one for toko, one that came again


def test_it_leaves_when_its_copies_have_waited_for_too_long(path: Path, clock: FakeClock) -> None:
    with Relay(path, limits=RelayLimits(waiting_ms=1_000), clock=clock) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, copies(ANA, 1, BUDI, TOKO))
        clock.now_ms += 1_001
        later = copies(ANA, 2, BUDI)
        send(relay, later)
        assert shared(path) == [1]
        assert fetched(relay, BUDI) == [later.encode_for(BUDI)]
        assert fetched(relay, TOKO) == []


def test_who_holds_a_copy_gets_it_whole(three: Relay) -> None:
    message = copies(ANA, 1, BUDI, TOKO)
    send(three, message)
    [held] = three.fetch(BUDI, token(BUDI), 10, hold_ms=10_000, holder=bytes(16))
    assert held.envelope == message.encode_for(BUDI)
    assert three.fetch(BUDI, token(BUDI), 10, hold_ms=10_000, holder=bytes(15) + b"1") == []


def test_the_bell_is_rung_for_those_who_get_one(path: Path) -> None:
    class Bell:
        rung: list[Address] = []  # noqa: RUF012

        def ring(self, address: Address) -> None:
            self.rung.append(address)

    with Relay(path, bell=Bell()) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, copies(ANA, 1, BUDI, TOKO, NOBODY))
        assert Bell.rung == [BUDI, TOKO]
