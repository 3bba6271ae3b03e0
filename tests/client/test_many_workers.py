# SPDX-License-Identifier: Apache-2.0
"""Receiving by many workers of one device: who gets what, and what becomes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross import FailedMessage, Message, Text
from e2ecross.address import Address
from e2ecross.errors import (
    InvalidArgument,
    RecordCorrupted,
)
from e2ecross.relay import Relay
from e2ecross.stores import Table
from tests.client.conversation import read, shown
from tests.client.fleet import HOLD_MS, Fleet
from tests.support.devices import (
    ANA,
    BUDI,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    garbage,
)

CITRA = Address("messenger", "citra")
BOTH = ("simulator", "relay")


@pytest.fixture(params=BOTH)
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """A device over a simulated back end, and over the reference one."""
    clock = FakeClock()
    if request.param == "simulator":
        yield Fleet(BackendSimulator(clock=clock), clock)
    else:
        with Relay(tmp_path / "relay.db", clock=clock) as relay:
            yield Fleet(relay, clock)


@pytest.fixture
def simulated() -> Fleet:
    clock = FakeClock()
    return Fleet(BackendSimulator(clock=clock), clock)


# --- Who gets what ------------------------------------------------------------------------------


def test_what_one_worker_has_no_other_gets_until_it_is_confirmed(fleet: Fleet) -> None:
    one, two = fleet.worker(), fleet.worker()
    fleet.say(BUDI, "a", "b")
    items = one.receive()
    assert shown(items) == ["a", "b"]
    assert not any(item.redelivered for item in items)
    fleet.say(BUDI, "c")
    fleet.say(TOKO, "x")
    assert shown(two.receive()) == ["x"]
    assert shown(one.receive()) == ["c"]
    assert fleet.waiting() == 4
    one.confirm(items)
    assert fleet.waiting() == 2
    fleet.say(BUDI, "d")
    assert two.receive() == []  # one has "c"
    assert shown(one.receive()) == ["d"]


def test_after_all_was_confirmed_the_next_message_goes_to_whoever_asks(fleet: Fleet) -> None:
    one, two = fleet.worker(), fleet.worker()
    fleet.say(BUDI, "a")
    assert read(one) == ["a"]
    assert (fleet.waiting(), fleet.rows()) == (0, 0)
    fleet.say(BUDI, "b")
    assert read(two) == ["b"]
    assert (fleet.waiting(), fleet.rows()) == (0, 0)
    assert read(one) == read(two) == []


def test_what_was_not_confirmed_comes_again_after_a_minute(fleet: Fleet) -> None:
    one, two = fleet.worker(), fleet.worker()
    fleet.say(BUDI, "a", "b")
    lost = one.receive()
    fleet.clock.advance(HOLD_MS - 1)
    assert two.receive() == []
    fleet.clock.advance(1)
    fleet.say(BUDI, "c")
    items = two.receive()
    assert shown(items) == ["a", "b", "c"]
    assert [item.redelivered for item in items] == [True, True, False]
    assert [item.receipt for item in items[:2]] == [item.receipt for item in lost]
    two.confirm(items)
    assert (fleet.waiting(), fleet.rows()) == (0, 0)
    one.confirm(lost)  # too late, and nothing is wrong with it
    assert read(one) == []


def test_what_was_found_again_holds_up_nothing_behind_it(fleet: Fleet) -> None:
    fleet.say(BUDI, "a", "b")
    fleet.worker().receive()
    fleet.clock.advance(HOLD_MS)
    fleet.say(BUDI, "c")
    two = fleet.worker()  # looks first, and fetches the same envelopes then
    items = two.receive()
    assert shown(items) == ["a", "b", "c"]
    assert [item.redelivered for item in items] == [True, True, False]
    two.confirm(items)
    assert (fleet.waiting(), fleet.rows()) == (0, 0)


def test_the_worker_itself_gets_what_it_has_not_confirmed_again(fleet: Fleet) -> None:
    one = fleet.worker()
    fleet.say(BUDI, "a")
    assert shown(one.receive()) == ["a"]
    seen: list[str] = []
    for _ in range(7):
        fleet.clock.advance(HOLD_MS // 4)
        seen += shown(one.receive())
    assert seen == ["a"]


def test_any_worker_confirms_what_another_was_handed(fleet: Fleet) -> None:
    one, two = fleet.worker(), fleet.worker()
    fleet.say(BUDI, "a")
    fleet.say(TOKO, "x")
    two.confirm(one.receive())
    assert (fleet.waiting(), fleet.rows()) == (0, 0)
    fleet.clock.advance(2 * HOLD_MS)
    assert read(one) == read(two) == []


def test_whoever_holds_items_keeps_them(fleet: Fleet) -> None:
    one, two = fleet.worker(), fleet.worker()
    fleet.say(BUDI, "a")
    fleet.say(TOKO, "x")
    items = one.receive()
    mine = [item for item in items if isinstance(item, Message) and item.sender == BUDI]
    for _ in range(4):
        fleet.clock.advance(HOLD_MS - 1)
        one.hold(mine)
    fleet.say(BUDI, "b")
    assert shown(two.receive()) == ["x"]  # which nobody has held
    assert shown(one.receive()) == ["b"]
    one.confirm(mine)
    fleet.clock.advance(HOLD_MS)
    assert sorted(shown(two.receive())) == ["b", "x"]


def test_hold_refuses_what_is_not_of_this_inbox(fleet: Fleet) -> None:
    one = fleet.worker()
    fleet.say(BUDI, "a")
    (item,) = one.receive()
    before = dump(fleet.store)
    for wrong in ([None], ["item"], 7):
        with pytest.raises(InvalidArgument):
            one.hold(wrong)  # type: ignore[arg-type]
    others = fleet.customer(BUDI)
    with pytest.raises(InvalidArgument, match="another"):
        others.hold([item])
    with pytest.raises(InvalidArgument):
        others.hold([None])  # type: ignore[list-item]
    others.hold([])
    one.hold([])
    assert dump(fleet.store) == before


def test_hold_changes_nothing_without_stripes(fleet: Fleet) -> None:
    budi = fleet.customer(BUDI)
    fleet.customer(TOKO).send(BUDI, Text("halo"))
    items = budi.receive()
    before = dump(budi.device._context.store)
    budi.hold(items)
    assert dump(budi.device._context.store) == before
    budi.confirm(items)
    budi.hold(items)


def test_what_was_confirmed_is_not_held_again(fleet: Fleet) -> None:
    one = fleet.worker()
    fleet.say(BUDI, "a")
    items = one.receive()
    one.confirm(items)
    one.hold(items)
    assert fleet.rows() == 0


def test_a_limit_bounds_items_and_what_is_fetched(fleet: Fleet) -> None:
    one, two = fleet.worker(), fleet.worker()
    fleet.say(BUDI, "a", "b")
    fleet.say(TOKO, "x", "y")
    fleet.say(CITRA, "1")
    first = one.receive(limit=3)
    assert len(first) == 3
    second = two.receive(limit=1)
    assert shown(second) == ["1"]
    assert len(one.receive(limit=2)) == 1
    assert two.receive() == []


def test_items_come_in_the_order_of_their_arrival(fleet: Fleet) -> None:
    one = fleet.worker()
    said = []
    for number in range(40):
        for sender in (TOKO, BUDI, CITRA):
            said.append(f"{sender.user} {number:02}")
            fleet.say(sender, said[-1])
    items = one.receive(limit=1_000)
    assert shown(items) == said
    stripes = {item.receipt.number >> 40 for item in items if item.receipt is not None}
    context = one.device._context
    assert stripes == {context.stripe_of(each.user_id) for each in (TOKO, BUDI, CITRA)}
    one.confirm(items)
    assert (fleet.waiting(), fleet.rows()) == (0, 0)


def test_progress_is_told_between_transactions(fleet: Fleet) -> None:
    one = fleet.worker()
    fleet.say(BUDI, *map(str, range(40)))
    fleet.say(TOKO, "x")
    heard: list[tuple[int, int]] = []
    one.receive(progress=lambda done, of: heard.append((done, of)))
    assert len(heard) == 3  # 32 and 8 of one stripe, and one of another
    assert heard[-1] == (41, 41)


# --- Failures -----------------------------------------------------------------------------------


def test_failures_stand_in_their_places(simulated: Fleet) -> None:
    one = simulated.worker()
    backend = simulated.backend
    simulated.say(BUDI, "a", "b", "c", "d")
    backend.rewrite(ANA, 1, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    items = one.receive()
    assert shown(items) == ["a", "!envelope_mismatch", "c", "d"]
    failed = items[1]
    assert isinstance(failed, FailedMessage)
    assert failed.sender == BUDI
    assert failed.retrying
    one.confirm(items)
    assert (simulated.waiting(), simulated.rows()) == (0, 0)
    simulated.customer(BUDI).receive()  # is asked, and sends it again
    assert read(one) == ["b"]


def test_garbage_goes_to_the_other_stripes_and_comes_once(simulated: Fleet) -> None:
    one, two = simulated.worker(), simulated.worker()
    simulated.say(BUDI, "a")
    for data in garbage():
        simulated.backend.inject(ANA, data)
    simulated.say(BUDI, "b")
    items = one.receive()
    assert shown(items) == ["a", *["!decode_error"] * len(garbage()), "b"]
    stripes = {item.receipt.number >> 40 for item in items if item.receipt is not None}
    assert 0 not in stripes
    assert len(stripes) > 5
    assert two.receive() == []
    one.confirm(items)
    assert (simulated.waiting(), simulated.rows()) == (0, 0)
    simulated.clock.advance(2 * HOLD_MS)
    assert read(one) == read(two) == []


def test_a_failure_that_was_not_confirmed_comes_again_in_its_place(simulated: Fleet) -> None:
    one, two = simulated.worker(), simulated.worker()
    simulated.say(BUDI, "a", "b", "c")
    simulated.backend.rewrite(ANA, 1, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
    one.receive()
    simulated.clock.advance(HOLD_MS)
    items = two.receive()
    assert shown(items) == ["a", "!envelope_mismatch", "c"]
    assert all(item.redelivered for item in items)


def damage_sessions(fleet: Fleet, sender: Address) -> dict[tuple[Table, bytes, bytes], bytes]:
    """Damage what a session with a sender needs and nothing can repair; returns what was there."""
    stripe = fleet.worker().device._context.stripe_of(sender.user_id)
    with fleet.store.transaction() as whole:
        tx = whole.at(stripe)
        rows = {
            (table, partition, row): record
            for table in (Table.REMOTE_IDENTITIES,)
            for partition, row, record in tx.scan(table)
            if sender.user.encode() in partition
        }
        for place in rows:
            tx.put(*place, b"\x01\xff")
    assert rows
    return rows


def test_damaged_records_fail_their_sender_alone(simulated: Fleet) -> None:
    one, two = simulated.worker(), simulated.worker()
    simulated.say(BUDI, "0")
    simulated.say(TOKO, "0")
    read(one)
    rows = damage_sessions(simulated, BUDI)
    simulated.say(BUDI, "a", "b", "c")
    simulated.say(TOKO, "x", "y")
    assert shown(one.receive()) == ["x", "y"]
    assert two.receive() == []  # what was left is held
    assert simulated.waiting() == 5
    stripe = one.device._context.stripe_of(BUDI.user_id)
    with simulated.store.transaction() as tx:
        for place, record in rows.items():
            tx.at(stripe).put(*place, record)
    assert one.receive() == []
    simulated.clock.advance(HOLD_MS)
    again = two.receive()
    assert sorted(shown(again)) == ["a", "b", "c", "x", "y"]
    assert [item.redelivered for item in again] == [text in "xy" for text in shown(again)]


def test_what_a_worker_has_left_is_free_after_a_minute_although_it_goes_on(
    simulated: Fleet,
) -> None:
    one, two = simulated.worker(), simulated.worker()
    simulated.say(BUDI, "0")
    read(one)
    rows = damage_sessions(simulated, BUDI)
    simulated.say(BUDI, "a", "b")
    with pytest.raises(RecordCorrupted):
        one.receive()
    stripe = one.device._context.stripe_of(BUDI.user_id)
    with simulated.store.transaction() as tx:
        for place, record in rows.items():
            tx.at(stripe).put(*place, record)
    for _ in range(3):
        simulated.clock.advance(HOLD_MS // 4)
        assert one.receive() == two.receive() == []
    simulated.clock.advance(HOLD_MS // 4)
    assert shown(two.receive()) == ["a", "b"]


def test_a_hold_that_ends_between_two_pages_breaks_no_order(fleet: Fleet) -> None:
    """What the other one has is free from then on, the later messages and the earlier one."""
    one, two = fleet.worker(), fleet.worker()
    fleet.say(BUDI, "a")
    assert shown(one.receive()) == ["a"]
    fleet.say(TOKO, "x")
    fleet.say(BUDI, "b", "c")
    items = two.receive(progress=lambda _, __: fleet.clock.advance(HOLD_MS))
    assert shown(items) in (["x"], ["a", "x", "b", "c"])
    assert [item.redelivered for item in items] in ([False], [True, False, False, False])
