# SPDX-License-Identifier: Apache-2.0
"""Several workers of one device: who gets which messages, in which order, until when."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address
from e2ecross.errors import InvalidArgument, NotRegistered
from e2ecross.relay import Relay, RelayLimits
from e2ecross.relay.holding import Hold, fetch_and_hold
from e2ecross.relay.rows import read_rows
from e2ecross.wire.envelope import Envelope
from e2ecross.wire.exchange import MAX_FETCHED_BYTES
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    deposit,
    envelope,
    envelope_of_size,
    register,
    token,
)

ONE, TWO = b"1" * 16, b"2" * 16


def put(relay: Relay, sender: Address, *numbers: int) -> None:
    for number in numbers:
        deposit(relay, token(sender), envelope(sender, BUDI, number).encode())


def operator_puts(path: Path, data: bytes) -> None:
    operator = sqlite3.connect(path)
    with operator:
        operator.execute(
            "INSERT INTO mailbox (recipient, envelope) VALUES (?, ?)", (str(BUDI), data)
        )
    operator.close()


def hold(relay: Relay, holder: bytes, limit: int = 100, ms: int = 1_000) -> list[int]:
    found = relay.fetch(BUDI, token(BUDI), limit, hold_ms=ms, holder=holder)
    return [each.number for each in found]


@pytest.fixture
def three(relay: Relay) -> Relay:
    register(relay, TOKO)
    return relay


def test_what_is_held_goes_to_nobody_else(three: Relay, clock: FakeClock) -> None:
    put(three, ANA, 1, 2)
    assert hold(three, ONE) == [1, 2]
    assert hold(three, TWO) == []
    assert hold(three, ONE) == []  # it has them
    clock.now_ms += 1_000
    assert hold(three, TWO) == [1, 2]


def test_only_what_comes_after_a_number_is_held(three: Relay) -> None:
    put(three, ANA, 1, 2, 3)
    after = three.fetch(BUDI, token(BUDI), 100, 2, hold_ms=1_000, holder=ONE)
    assert [each.number for each in after] == [3]


def test_a_fetch_prolongs_what_its_holder_has(three: Relay, clock: FakeClock) -> None:
    put(three, ANA, 1)
    assert hold(three, ONE) == [1]
    assert three.held_for_ms(BUDI) == 1_000
    clock.now_ms += 999
    assert hold(three, ONE, limit=0) == []
    assert three.held_for_ms(BUDI) == 1_000
    clock.now_ms += 999
    assert hold(three, TWO) == []
    clock.now_ms += 1
    assert three.held_for_ms(BUDI) is None
    assert hold(three, TWO) == [1]


def test_a_clock_that_was_far_ahead_holds_nothing_for_ever(three: Relay, clock: FakeClock) -> None:
    clock.now_ms += 365 * 24 * 60 * 60 * 1000
    put(three, ANA, 1, 2)
    put(three, TOKO, 3)
    assert hold(three, ONE, limit=1) == [1]
    clock.now_ms -= 365 * 24 * 60 * 60 * 1000  # it was set right
    assert three.held_for_ms(BUDI) is None
    assert hold(three, TWO) == [1, 2, 3]
    assert hold(three, ONE) == []
    assert three.held_for_ms(BUDI) == 1_000


def test_a_clock_that_is_a_little_behind_takes_nobody_anything(
    three: Relay, clock: FakeClock
) -> None:
    put(three, ANA, 1)
    assert hold(three, ONE, ms=600_000) == [1]
    clock.now_ms -= 10_000
    assert hold(three, TWO) == []


def test_all_of_an_account_is_with_one_holder(three: Relay) -> None:
    put(three, ANA, 1)
    put(three, TOKO, 2)
    assert hold(three, ONE, limit=1) == [1]
    put(three, ANA, 3)
    assert hold(three, TWO) == [2]
    assert hold(three, ONE) == [3]
    three.acknowledge(BUDI, token(BUDI), [1])
    assert hold(three, TWO) == []
    three.acknowledge(BUDI, token(BUDI), [3])
    put(three, ANA, 4)
    assert hold(three, TWO) == [4]


def test_without_a_hold_all_is_seen(three: Relay) -> None:
    put(three, ANA, 1, 2)
    assert hold(three, ONE, limit=1) == [1]
    assert [each.number for each in three.fetch(BUDI, token(BUDI), 10)] == [1, 2]


def test_what_an_operator_put_there_is_of_nobody(three: Relay, path: Path) -> None:
    with sqlite3.connect(path) as operator:
        operator.execute(
            "INSERT INTO mailbox (recipient, envelope) VALUES (?, x'00')", (str(BUDI),)
        )
        operator.execute(
            "INSERT INTO mailbox (recipient, envelope) VALUES (?, x'01')", (str(BUDI),)
        )
    operator.close()
    assert hold(three, ONE, limit=1) == [1]
    assert hold(three, TWO) == [2]


@pytest.mark.parametrize(
    "arguments",
    [
        {"hold_ms": 1},
        {"hold_ms": 1, "holder": bytes(15)},
        {"holder": ONE},
        {"hold_ms": 600_001, "holder": ONE},
        {"hold_ms": 1, "holder": ONE, "limit": 1_001},
        {"limit": 0},
        {"wait_ms": 30_001},
    ],
)
def test_wrong_arguments(relay: Relay, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        relay.fetch(BUDI, token(BUDI), **{"limit": 1, **arguments})  # type: ignore[arg-type]


def test_a_hold_needs_the_token(three: Relay) -> None:
    put(three, ANA, 1)
    with pytest.raises(NotRegistered):
        three.fetch(BUDI, token(ANA), 1, hold_ms=1, holder=ONE)
    assert three.held_for_ms(BUDI) is None


SENDERS = (ANA, TOKO, Address("messenger", "siti"))
steps = st.lists(
    st.tuples(
        st.sampled_from(("put", "put", "hold", "hold", "acknowledge", "wait")),
        st.integers(0, 3),
        st.integers(0, 900),
    ),
    max_size=60,
)


class Workers:
    """Four workers of one device, and what each holds: number, sender, until when."""

    def __init__(self, relay: Relay, clock: FakeClock) -> None:
        self.relay, self.clock = relay, clock
        self.held: list[dict[int, tuple[str, int]]] = [{}, {}, {}, {}]
        self.sent = 0

    def put(self, who: int, _: int) -> None:
        self.sent += 1
        put(self.relay, SENDERS[who % 3], self.sent)

    def wait(self, _: int, ms: int) -> None:
        self.clock.now_ms += ms
        for mine in self.held:
            for number in [n for n, (_, end) in mine.items() if end <= self.clock.now_ms]:
                del mine[number]

    def acknowledge(self, who: int, _: int) -> None:
        self.relay.acknowledge(BUDI, token(BUDI), list(self.held[who]))
        self.held[who].clear()

    def hold(self, who: int, amount: int) -> None:
        holder = bytes([who]) * 16
        found = self.relay.fetch(BUDI, token(BUDI), amount % 4, hold_ms=1_000, holder=holder)
        mine, end = self.held[who], self.clock.now_ms + 1_000
        others = {
            sender for other in self.held if other is not mine for sender, _ in other.values()
        }
        for number, (sender, _) in mine.items():
            mine[number] = (sender, end)
        for each in found:
            sender = str(Envelope.decode(each.envelope).sender.user_id)
            assert sender not in others
            assert all(number < each.number for number, (s, _) in mine.items() if s == sender)
            mine[each.number] = (sender, end)


@given(steps)
def test_no_account_is_at_two_holders_and_order_is_kept(
    tmp_path_factory: pytest.TempPathFactory, script: list[tuple[str, int, int]]
) -> None:
    clock = FakeClock()
    with Relay(tmp_path_factory.mktemp("relay") / "relay.db", clock=clock) as relay:
        register(relay, BUDI, *SENDERS)
        workers = Workers(relay, clock)
        for do, who, amount in script:
            getattr(workers, do)(who, amount)


# --- Four megabytes -----------------------------------------------------------------------------


@pytest.mark.parametrize("held", [False, True])
def test_a_fetch_returns_four_megabytes_at_most(relay: Relay, held: bool) -> None:
    size = 64 * 1024
    for number in range(66):
        deposit(relay, token(ANA), _large(number, size))
    arguments = {"hold_ms": 1_000, "holder": ONE} if held else {}
    found = relay.fetch(BUDI, token(BUDI), 1_000, **arguments)  # type: ignore[arg-type]
    assert sum(len(each.envelope) for each in found) == MAX_FETCHED_BYTES
    assert [each.number for each in found] == list(range(1, 65))
    if held:
        assert hold(relay, ONE) == [65, 66]


def _large(number: int, size: int) -> bytes:
    encoded = envelope_of_size(ANA, BUDI, size)
    marker = envelope(ANA, BUDI).message_id
    return encoded.replace(marker, bytes([number]) * 16, 1)


def test_one_is_returned_however_large(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, BUDI)
        operator_puts(path, bytes(MAX_FETCHED_BYTES + 1))
        [found] = relay.fetch(BUDI, token(BUDI), 10)
        assert len(found.envelope) == MAX_FETCHED_BYTES + 1


# --- What waits for too long --------------------------------------------------------------------


def test_what_waits_for_too_long_is_dropped_and_remembered(path: Path, clock: FakeClock) -> None:
    with Relay(path, clock=clock, limits=RelayLimits(waiting_ms=1_000)) as relay:
        register(relay, ANA, BUDI, TOKO)
        put(relay, ANA, 1, 2)
        assert relay.oldest_waiting_ms() == 0
        clock.now_ms += 999
        assert relay.oldest_waiting_ms() == 999
        put(relay, TOKO, 3)
        assert [each.number for each in relay.fetch(BUDI, token(BUDI), 10)] == [1, 2, 3]
        clock.now_ms += 1
        put(relay, ANA, 1, 4)  # a repetition is none, the first deposit of it was taken
        assert [each.number for each in relay.fetch(BUDI, token(BUDI), 10)] == [3, 4]
        assert relay.oldest_waiting_ms() == 1


def test_a_hundred_go_with_each_deposit(path: Path, clock: FakeClock) -> None:
    with Relay(path, clock=clock, limits=RelayLimits(waiting_ms=1_000)) as relay:
        register(relay, ANA, BUDI, TOKO)
        relay.deposit_all(token(ANA), [envelope(ANA, BUDI, n).encode() for n in range(150)])
        clock.now_ms += 1_000
        put(relay, TOKO, 1_000)
        assert len(relay.waiting(BUDI)) == 51
        put(relay, TOKO, 1_001)
        assert len(relay.waiting(BUDI)) == 2


def test_what_an_operator_put_there_stays(relay: Relay, path: Path, clock: FakeClock) -> None:
    with sqlite3.connect(path) as operator:
        operator.execute(
            "INSERT INTO mailbox (recipient, envelope) VALUES (?, x'00')", (str(BUDI),)
        )
    operator.close()
    put(relay, ANA, 1)
    clock.now_ms += 10 * relay.limits.waiting_ms
    put(relay, ANA, 2)
    assert [each.number for each in relay.fetch(BUDI, token(BUDI), 10)] == [1, 3]
    assert relay.oldest_waiting_ms() == 0


# --- How it is found ----------------------------------------------------------------------------


def test_no_query_scans_the_mailbox(path: Path) -> None:
    with Relay(path) as relay:
        register(relay, BUDI)
    operator = sqlite3.connect(path)
    asked: list[str] = []
    operator.set_trace_callback(asked.append)
    fetch_and_hold(operator, BUDI, 1, 0, Hold(ONE, 1, 2))
    operator.set_trace_callback(None)
    plans = [
        str(row[3])
        for statement in asked
        if not statement.startswith("BEGIN")
        for row in read_rows(operator, "EXPLAIN QUERY PLAN " + statement, (), int, int, int, str)
    ]
    operator.close()
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")]
    assert any("held_of_recipient" in plan for plan in plans)


def test_a_bell_is_rung_after_the_commit(path: Path) -> None:
    class Bell:
        rung: list[tuple[Address, int]]

        def __init__(self) -> None:
            self.rung = []

        def ring(self, address: Address) -> None:
            self.rung.append((address, len(relay.waiting(BUDI))))

    bell = Bell()
    with Relay(path, bell=bell) as relay:
        register(relay, ANA, BUDI)
        put(relay, ANA, 1)
        relay.deposit_all(token(ANA), [envelope(ANA, TOKO, 1).encode(), b"no envelope"])
        relay.acknowledge(BUDI, token(BUDI), [1])
        assert bell.rung == [(BUDI, 1), (BUDI, 0)]


def test_a_bell_can_be_rung(path: Path) -> None:
    with pytest.raises(InvalidArgument, match="bell must have a method ring"):
        Relay(path, bell=object())  # type: ignore[arg-type]


def test_a_token_has_a_holder(relay: Relay) -> None:
    assert relay.holder(token(ANA)) == ANA
    assert relay.holder(bytes(32)) is None


def test_a_credential_is_for_authorise(path: Path) -> None:
    shown: list[bytes] = []

    def authorise(address: Address, taken: bool, credential: bytes) -> bool:
        shown.append(credential)
        return True

    with Relay(path, authorise=authorise) as relay:
        relay.register(ANA, token(ANA), credential=b"card")
        relay.register(ANA, token(ANA), credential=b"not asked for")
    assert shown == [b"card"]
