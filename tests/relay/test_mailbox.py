# SPDX-License-Identifier: Apache-2.0
"""Envelopes that wait: order, repetition, bounds, and the operator's view."""

import sqlite3
import time
from operator import methodcaller
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import (
    BackendRefused,
    DecodeError,
    MailboxFull,
    UnknownRecipient,
)
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.exchange import KeysWanted, Waiting
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    deposit,
    envelope,
    envelope_of_size,
    epoch_of,
    published,
    register,
    sqlite_of,
    token,
)


def send(relay: Relay, *numbers: int) -> None:
    for number in numbers:
        deposit(relay, token(ANA), envelope(ANA, BUDI, number).encode())


def send_from(relay: Relay, sender: Address, number: int) -> None:
    deposit(relay, token(sender), envelope(sender, BUDI, number).encode())


def put(path: Path, sender: Address, messages: int) -> None:
    """Let something of the sender wait for budi; faster than deposits, and the triggers count."""
    operator = sqlite3.connect(path)
    with operator:
        operator.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?)"
            " INSERT INTO mailbox (recipient, sender, envelope) SELECT ?, ?, x'00' FROM n",
            (messages, str(BUDI), str(sender.user_id)),
        )
    operator.close()


def fetch(relay: Relay, limit: int = 1000, after: int = 0) -> list[Waiting]:
    return relay.fetch(BUDI, token(BUDI), limit, after)


def acknowledge_all(relay: Relay) -> None:
    relay.acknowledge(BUDI, token(BUDI), [number for number, _ in fetch(relay)])


def encoded(*numbers: int) -> list[bytes]:
    return [envelope(ANA, BUDI, number).encode() for number in numbers]


def test_envelopes_come_back_as_they_were_in_the_order_of_arrival(relay: Relay) -> None:
    send(relay, 3, 1, 2)
    items = fetch(relay)
    assert [data for _, data in items] == encoded(3, 1, 2)
    numbers = [number for number, _ in items]
    assert numbers == sorted(set(numbers))
    assert fetch(relay) == items  # fetching removes nothing
    assert fetch(relay, limit=2) == items[:2]
    assert fetch(relay, after=numbers[0]) == items[1:]
    assert fetch(relay, limit=1, after=numbers[0]) == items[1:2]
    assert fetch(relay, after=numbers[2]) == []


def test_acknowledged_envelopes_leave_and_others_stay(relay: Relay) -> None:
    send(relay, 1, 2, 3)
    numbers = [number for number, _ in fetch(relay)]
    relay.acknowledge(BUDI, token(BUDI), [numbers[1], numbers[1], 0, -1, 10**6, 2**63, 2**70])
    assert [data for _, data in fetch(relay)] == encoded(1, 3)
    relay.acknowledge(BUDI, token(BUDI), (numbers[1],))  # again: nothing
    assert len(fetch(relay)) == 2


def test_nobody_acknowledges_in_another_mailbox(relay: Relay) -> None:
    send(relay, 1)
    ((number, _),) = fetch(relay)
    relay.acknowledge(ANA, token(ANA), [number])
    assert len(fetch(relay)) == 1


def test_a_number_never_names_another_envelope(relay: Relay) -> None:
    send(relay, 1)
    ((first, _),) = fetch(relay)
    acknowledge_all(relay)
    send(relay, 2)
    ((second, _),) = fetch(relay)
    assert second > first


def test_a_long_list_is_acknowledged_in_batches(relay: Relay) -> None:
    send(relay, *range(5))
    relay.acknowledge(BUDI, token(BUDI), range(1, 3001))
    assert fetch(relay) == []


def test_a_repeated_deposit_changes_nothing(relay: Relay) -> None:
    send(relay, 1, 2, 1)
    assert [data for _, data in fetch(relay)] == encoded(1, 2)
    acknowledge_all(relay)
    send(relay, 1, 2, 3)
    assert [data for _, data in fetch(relay)] == encoded(3)


def test_the_same_message_id_elsewhere_is_another_message(relay: Relay) -> None:
    register(relay, TOKO)
    for sender, recipient in ((ANA, BUDI), (TOKO, BUDI), (ANA, TOKO), (BUDI, ANA)):
        deposit(relay, token(sender), envelope(sender, recipient, 1).encode())
    assert [len(relay.waiting(a)) for a in (ANA, BUDI, TOKO)] == [1, 2, 1]


def test_the_first_of_two_envelopes_with_one_message_id_stays(relay: Relay) -> None:
    first, second = envelope(ANA, BUDI, 1), envelope(ANA, BUDI, 1, size=50)
    deposit(relay, token(ANA), first.encode())
    deposit(relay, token(ANA), second.encode())
    assert relay.waiting(BUDI) == [first]


def test_what_was_acknowledged_is_remembered_for_its_time(
    relay: Relay, clock: FakeClock, path: Path
) -> None:
    send(relay, 1, 2)
    clock.now_ms += relay.limits.waiting_ms - 1
    send(relay, 1)  # a waiting one is known as long as it waits
    assert len(fetch(relay)) == 2
    acknowledge_all(relay)
    clock.now_ms += relay.limits.remembered_ms - 1
    send(relay, 1)
    assert fetch(relay) == []
    clock.now_ms += 1
    send(relay, 1)
    assert [data for _, data in fetch(relay)] == encoded(1)
    assert count(path, "deposits") == 1  # and nothing of the forgotten is left


def test_what_a_clock_that_was_ahead_has_remembered_goes_in_its_time(
    relay: Relay, clock: FakeClock, path: Path
) -> None:
    clock.now_ms += 10**12
    send(relay, 1)
    acknowledge_all(relay)
    clock.now_ms -= 10**12
    send(relay, 1, 2)  # from here on its time runs
    assert [data for _, data in fetch(relay)] == encoded(2)
    clock.now_ms += relay.limits.remembered_ms - 1
    send(relay, 1)
    assert [data for _, data in fetch(relay)] == encoded(2)
    clock.now_ms += 1
    send(relay, 3)
    assert count(path, "deposits") == 2  # of those that wait


def test_what_is_remembered_is_bounded(path: Path) -> None:
    with Relay(path, limits=RelayLimits(remembered_messages=3)) as relay:
        register(relay, ANA, BUDI)
        send(relay, 1, 2, 3, 4, 5)
        acknowledge_all(relay)
        assert count(path, "deposits") == 3
        send(relay, 3, 4, 5)
        assert fetch(relay) == []
        send(relay, 2)
        assert [data for _, data in fetch(relay)] == encoded(2)


def test_a_full_mailbox_refuses_the_newest(path: Path) -> None:
    with Relay(path, limits=RelayLimits(mailbox_messages=3)) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, 1, 2, 3)
        with pytest.raises(MailboxFull, match=r"3 messages wait for instagram:budi\.1"):
            send(relay, 4)
        with pytest.raises(MailboxFull):
            deposit(relay, token(TOKO), envelope(TOKO, BUDI).encode())
        send(relay, 2)  # known already, so not refused
        deposit(relay, token(ANA), envelope(ANA, TOKO).encode())  # another mailbox has room
        assert [data for _, data in fetch(relay)] == encoded(1, 2, 3)
        relay.acknowledge(BUDI, token(BUDI), [fetch(relay)[0][0]])
        send(relay, 4)  # a refused one may be repeated
        assert [data for _, data in fetch(relay)] == encoded(2, 3, 4)


@pytest.mark.parametrize("messages", [1, 2, 3, 9])
def test_a_small_mailbox_has_no_reserve(path: Path, messages: int) -> None:
    with Relay(path, limits=RelayLimits(mailbox_messages=messages)) as relay:
        register(relay, ANA, BUDI, TOKO)
        senders = [(ANA, TOKO)[number % 2] for number in range(messages)]
        for number, sender in enumerate(senders):
            send_from(relay, sender, number)
        for sender in (ANA, TOKO, BUDI):
            with pytest.raises(MailboxFull, match=rf"^{messages} messages wait for instagram:budi"):
                send_from(relay, sender, messages)
        assert [e.sender for e in relay.waiting(BUDI)] == senders


def test_one_user_fills_a_mailbox_up_to_the_reserve(path: Path) -> None:
    """With the defaults: what the business that sends, and the flooder, get."""
    tablet = Address(ANA.app, ANA.user, 2)
    with Relay(path) as relay:
        register(relay, ANA, tablet, BUDI)
        put(path, ANA, 9_998)
        send(relay, 1)
        send_from(relay, tablet, 2)  # the last one
        for sender in (ANA, tablet):
            with pytest.raises(
                MailboxFull,
                match=r"^10000 messages or more wait for instagram:budi\.1, .* sent fewer than 10 "
                r"of them, not for whatsapp:ana: try again when the recipient has been online$",
            ):
                send_from(relay, sender, 3)
        send(relay, 1)  # known already, so not refused
        assert waiting_count(path, BUDI) == 10_000
        relay.acknowledge(BUDI, token(BUDI), [fetch(relay, limit=1)[0][0]])
        send_from(relay, tablet, 3)
        with pytest.raises(MailboxFull):
            send(relay, 4)


def test_of_others_some_more_are_kept(path: Path) -> None:
    """With the defaults: ten of each user, of all their devices together."""
    tablet = Address(TOKO.app, TOKO.user, 2)
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO, tablet)
        put(path, ANA, 10_000)
        for number in range(9):
            send_from(relay, TOKO, number)
        send_from(relay, tablet, 9)  # the tenth
        for sender in (TOKO, tablet):
            with pytest.raises(MailboxFull, match="not for messenger:toko-kopi:"):
                send_from(relay, sender, 10)
        send_from(relay, TOKO, 8)  # known already, so not refused
        send_from(relay, BUDI, 0)
        assert waiting_count(path, BUDI) == 10_011
        # One of the ten leaves, and there is room for another one, though the mailbox is full.
        numbers = [number for number, _ in fetch(relay, after=10_000)]
        relay.acknowledge(BUDI, token(BUDI), numbers[:1])
        send_from(relay, tablet, 10)
        with pytest.raises(MailboxFull):
            send_from(relay, tablet, 11)


@pytest.mark.parametrize("waiting", [9, 10, 11])
def test_what_waited_before_the_flood_counts(path: Path, waiting: int) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        for number in range(waiting):
            send_from(relay, TOKO, number)
        put(path, ANA, 10_000 - waiting)
        if waiting < 10:
            send_from(relay, TOKO, waiting)
        with pytest.raises(MailboxFull, match="not for messenger:toko-kopi:"):
            send_from(relay, TOKO, waiting + 1)


def test_the_reserve_has_a_bound(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, ANA, BUDI, TOKO)
        put(path, ANA, 10_000)
        for user in range(99):
            put(path, Address("messenger", f"user-{user}"), 10)
        for number in range(9):
            send_from(relay, TOKO, number)
        send_from(relay, BUDI, 0)  # the last one
        for sender in (ANA, TOKO, BUDI):
            with pytest.raises(MailboxFull, match=r"^11000 messages wait for instagram:budi\.1, "):
                send_from(relay, sender, 10)
        assert waiting_count(path, BUDI) == 11_000
        relay.acknowledge(BUDI, token(BUDI), [fetch(relay, limit=1)[0][0]])
        with pytest.raises(MailboxFull, match="not for whatsapp:ana:"):
            send(relay, 10)
        send_from(relay, TOKO, 10)


def test_an_operator_may_set_another_reserve(path: Path) -> None:
    limits = RelayLimits(mailbox_messages=39, mailbox_reserve_per_sender=2)
    with Relay(path, limits=limits) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, *range(39))
        with pytest.raises(MailboxFull, match=r"39 messages or more .* fewer than 2"):
            send(relay, 39)
        send_from(relay, TOKO, 1)
        send_from(relay, TOKO, 2)
        with pytest.raises(MailboxFull, match="fewer than 2"):
            send_from(relay, TOKO, 3)
        send_from(relay, BUDI, 1)
        with pytest.raises(MailboxFull, match="42 messages wait"):  # 39 and 3
            send_from(relay, BUDI, 2)


def test_a_mailbox_is_full_apart_from_others(path: Path) -> None:
    with Relay(path, limits=RelayLimits(mailbox_messages=10)) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, *range(10))
        for number in range(10):
            deposit(relay, token(TOKO), envelope(TOKO, ANA, number).encode())
        send_from(relay, TOKO, 0)  # however many of toko's wait elsewhere
        deposit(relay, token(ANA), envelope(ANA, TOKO).encode())  # which has room


def test_a_reset_empties_what_is_counted(path: Path) -> None:
    limits = RelayLimits(mailbox_messages=10, mailbox_reserve_per_sender=1)
    with Relay(path, limits=limits, authorise=lambda address, taken, credential: True) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, *range(10))
        send_from(relay, TOKO, 0)
        relay.register(BUDI, token(BUDI, 1))
        for number in range(10, 20):
            send_from(relay, TOKO, number)
        send(relay, 20)  # ana has none any more
        assert len(relay.waiting(BUDI)) == 11


def test_an_envelope_to_nobody_is_refused(relay: Relay) -> None:
    with pytest.raises(UnknownRecipient, match=r"messenger:toko-kopi\.1"):
        deposit(relay, token(ANA), envelope(ANA, TOKO).encode())
    assert relay.waiting(TOKO) == []


def test_what_is_no_envelope_is_refused(relay: Relay) -> None:
    good = envelope(ANA, BUDI).encode()
    for bad in (b"", good[:-1], good + b"\0", b"\xff" * 100, b"\x08\x02" + good[2:]):
        with pytest.raises(BackendRefused, match="this is no envelope: "):
            deposit(relay, token(ANA), bad)
    assert relay.waiting(BUDI) == []


def test_size_is_bounded(path: Path) -> None:
    with Relay(path, limits=RelayLimits(envelope_bytes=500)) as relay:
        register(relay, ANA, BUDI)
        with pytest.raises(BackendRefused, match="501 bytes, this back end carries up to 500"):
            deposit(relay, token(ANA), envelope_of_size(ANA, BUDI, 501))
        with pytest.raises(BackendRefused, match="100000 bytes, this back end carries up to 500"):
            deposit(relay, token(ANA), envelope_of_size(ANA, BUDI, 100_000))
        with pytest.raises(BackendRefused, match=r"no envelope: .*131073 bytes"):
            deposit(relay, token(ANA), bytes(MAX_ENVELOPE_BYTES + 1))
        deposit(relay, token(ANA), envelope_of_size(ANA, BUDI, 500))
        assert len(relay.waiting(BUDI)) == 1


def test_a_fetch_is_a_read_and_waits_for_no_writer(relay: Relay, path: Path) -> None:
    send(relay, 1)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    assert len(fetch(relay)) == 1
    assert time.monotonic() - started < 5
    writer.close()


def test_the_count_stays_true_when_the_operator_changes_the_mailbox(path: Path) -> None:
    """What a hostile back end does to its own file; attacks in the demo do the same."""
    with Relay(path, limits=RelayLimits(mailbox_messages=3)) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, 1, 2)
        operator = sqlite3.connect(path)
        with operator:
            # A replay, a re-addressing, and one to an address that nobody has.
            operator.execute(
                "INSERT INTO mailbox (recipient, envelope) SELECT recipient, envelope FROM mailbox"
            )
            operator.execute("UPDATE mailbox SET recipient = ? WHERE number = 1", (str(TOKO),))
            operator.execute("UPDATE mailbox SET recipient = 'x:nobody.1' WHERE number = 2")
            operator.execute("DELETE FROM mailbox WHERE number = 3")
            counts = operator.execute("SELECT waiting FROM mailboxes ORDER BY recipient").fetchall()
        operator.close()
        assert counts == [(1,), (1,), (0,)]  # budi, toko-kopi, ana
        assert relay.waiting(BUDI) == [envelope(ANA, BUDI, 2)]
        assert relay.waiting(TOKO) == [envelope(ANA, BUDI, 1)]
        send(relay, 3, 4)
        with pytest.raises(MailboxFull):
            send(relay, 5)
        acknowledge_all(relay)
        send(relay, 5)


def test_the_operator_sees_waiting_envelopes_without_a_token(relay: Relay, path: Path) -> None:
    send(relay, 2, 1)
    assert relay.waiting(BUDI) == [envelope(ANA, BUDI, 2), envelope(ANA, BUDI, 1)]
    assert relay.waiting(TOKO) == []
    operator = sqlite3.connect(path)
    with operator:
        operator.execute("UPDATE mailbox SET envelope = x'00'")
    operator.close()
    with pytest.raises(DecodeError):
        relay.waiting(BUDI)


def test_no_statement_of_a_call_scans_a_table(path: Path) -> None:
    """Every call finds its rows by an index, whatever else is in the file."""
    with Relay(path, limits=RelayLimits(mailbox_messages=10)) as relay:
        register(relay, ANA, BUDI)
        plans = plans_of_calls(relay, path)
    assert len(plans) > 40
    plans = [plan for plan in plans if plan != "SCAN CONSTANT ROW"]  # which is no table
    assert [plan for plan in plans if "SCAN" in plan or "TEMP B-TREE" in plan] == []


def plans_of_calls(relay: Relay, path: Path) -> list[str]:
    statements: list[str] = []
    sqlite_of(relay).read(lambda connection: connection.set_trace_callback(statements.append))
    relay.publish(token(BUDI), published(BUDI, range(1, 3)))
    relay.publish(token(BUDI), published(BUDI, range(1, 4)), epoch=1, replace=True)
    for devices in (None, [], [1, 2]):
        relay.fetch_keys(ANA, token(ANA), [KeysWanted(BUDI.user_id, devices)])
    relay.register(TOKO, token(TOKO, 1))
    relay.register(TOKO, token(TOKO), replaces=token(TOKO, 1))
    deposit(relay, token(ANA), envelope(ANA, BUDI).encode(), epoch=2)
    epoch_of(relay, ANA, token(ANA))
    send(relay, *range(1, 10))
    send_from(relay, BUDI, 1)  # the first one in the reserve
    assert any(text.startswith("SELECT waiting FROM waiting_from") for text in statements)
    acknowledge_all(relay)
    relay.register(TOKO, token(TOKO))
    operator = sqlite3.connect(path)
    plans = [
        row[3]
        for statement in statements
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))
        for row in operator.execute("EXPLAIN QUERY PLAN " + statement)
    ]
    operator.close()
    return plans


def test_what_a_call_costs_does_not_grow_with_the_mailbox(path: Path) -> None:
    """Counted in steps of SQLite's machine, which are the same on each computer."""
    with Relay(path, limits=RelayLimits(mailbox_messages=20_000)) as relay:
        register(relay, ANA, BUDI, TOKO)
        send(relay, *range(10))
        few = costs(relay, ANA, 10)
        put(path, ANA, 19_985)
        many = costs(relay, ANA, 20)
        assert all(few.values())
        assert max(many[name] - few[name] for name in few) < 50
        send(relay, *range(30, 35))
        with pytest.raises(MailboxFull, match="20000 messages or more"):
            send(relay, 35)
        reserved = costs(relay, TOKO, 0)
        assert max(reserved[name] - few[name] for name in few) < 50


def costs(relay: Relay, sender: Address, number: int) -> dict[str, int]:
    """Steps of a deposit, a fetch and an acknowledgement."""
    steps = {"deposit": 0, "fetch": 0, "acknowledge": 0}
    for name in steps:

        def step(name: str = name) -> int:
            steps[name] += 1
            return 0

        sqlite_of(relay).read(methodcaller("set_progress_handler", step, 1))
        if name == "deposit":
            send_from(relay, sender, number)
        elif name == "fetch":
            assert len(fetch(relay, limit=3)) == 3
        else:
            relay.acknowledge(BUDI, token(BUDI), [fetch(relay, limit=1)[0][0]])
        sqlite_of(relay).read(methodcaller("set_progress_handler", None, 0))
    return steps


def count(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    (rows,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()  # noqa: S608
    connection.close()
    return int(rows)


def waiting_count(path: Path, address: Address) -> int:
    connection = sqlite3.connect(path)
    query = "SELECT COUNT(*) FROM mailbox WHERE recipient = ?"
    (rows,) = connection.execute(query, (str(address),)).fetchone()
    connection.close()
    return int(rows)
