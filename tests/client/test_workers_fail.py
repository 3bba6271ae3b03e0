# SPDX-License-Identifier: Apache-2.0
"""Many workers of one device: killed between any two steps, lied to, with trouble in the store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from e2ecross import Client, Device, Envelope, Message, Notice, NoticeKind
from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    InvalidArgument,
    RecordCorrupted,
    RestoredStore,
    StoreBusy,
    StoreCorrupted,
    StoreError,
)
from e2ecross.state.context import Context
from e2ecross.state.inbox import ARRIVED, InboxItem, put_notice
from e2ecross.stores import Store, Table, Transaction
from e2ecross.wire.content import (
    CommitBytes,
    GroupCommits,
    GroupRetryRequest,
    RetryRequest,
    SenderKeyGrant,
)
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.exchange import Waiting
from e2ecross.wire.group import GroupDestination, GroupId
from tests.client.conversation import read, shown
from tests.client.fleet import HOLD_MS, Fleet
from tests.support.accounts import craft
from tests.support.around import AroundStore
from tests.support.devices import ANA, BUDI, TOKO, BackendSimulator, FakeClock, dump
from tests.support.entropy import SeededEntropy
from tests.support.store_kinds import close_stores


class Killed(BaseException):
    """The process has ended."""


class Plan:
    """Ends the process at one of its steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.at = -1

    def step(self) -> None:
        if self.at == self.steps:
            raise Killed
        self.steps += 1


class MortalStore(AroundStore):
    """A step stands before and after each transaction."""

    def __init__(self, inner: Store, plan: Plan) -> None:
        super().__init__(inner)
        self.plan = plan

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        self.plan.step()
        with self.inner.transaction(stripe, moved=moved) as tx:
            yield tx
        self.plan.step()


class MortalBackend(BackendSimulator):
    """A step stands before and after each fetch and acknowledgement, if there is a plan."""

    plan: Plan | None = None

    def fetch(self, *args: Any, **options: Any) -> list[Waiting]:  # noqa: ANN401
        found: list[Waiting] = self._between(
            lambda: super(MortalBackend, self).fetch(*args, **options)
        )
        return found

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None:
        self._between(lambda: super(MortalBackend, self).acknowledge(address, token, numbers))

    def _between(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401
        if self.plan is None:
            return call()
        self.plan.step()
        answer = call()
        self.plan.step()
        return answer


def around(fleet: Fleet, store: Store, name: str = "around") -> Client:
    """A worker over another way to the same store."""
    device = Device.open(store, clock=fleet.clock, entropy=SeededEntropy(name))
    return Client(device, fleet.backend)


class TestKilled:
    def test_between_any_two_steps_nothing_is_lost_and_nothing_stays(self) -> None:
        at = 0
        while self.is_killed(at):
            at += 1
            close_stores()  # a server lets in only so many at once
        assert at > 20

    def is_killed(self, at: int) -> bool:
        clock, plan = FakeClock(), Plan()
        backend = MortalBackend(clock=clock)
        fleet = Fleet(backend, clock)
        fleet.say(BUDI, "a", "b")
        fleet.say(TOKO, "x", "y", "z")
        backend.rewrite(ANA, 3, lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
        backend.inject(ANA, b"garbage")
        worker = around(fleet, MortalStore(fleet.store, plan), f"mortal {at}")
        handled: list[InboxItem] = []
        backend.plan, plan.at = plan, plan.steps + at
        killed = False
        try:
            for _ in range(2):
                items = worker.receive(limit=4)
                handled += items
                worker.confirm(items)
        except Killed:
            killed = True
        backend.plan = None
        other = fleet.worker()
        for _ in range(5):
            items = other.receive()
            handled += items
            other.confirm(items)
            clock.advance(HOLD_MS // 2)
        texts = list(dict.fromkeys(shown(handled)))
        assert sorted(texts) == ["!decode_error", "!envelope_mismatch", "a", "b", "x", "z"], at
        for mine in ("ab", "xz"):
            assert [text for text in texts if text in mine] == list(mine), at
        left = [place for place in dump(fleet.store) if place[0] is Table.INBOX]
        assert (fleet.waiting(), left) == (0, []), at
        return killed


# --- Back ends ----------------------------------------------------------------------------------


class Lying(BackendSimulator):
    """Changes what it answers a fetch with."""

    lie: Callable[[list[Waiting]], list[Waiting]] | None = None
    ignores_holds = False

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        if self.ignores_holds:
            hold_ms, holder = 0, b""
            if not limit:
                return []
        found = super().fetch(
            address, token, limit, after, wait_ms=wait_ms, hold_ms=hold_ms, holder=holder
        )
        return found if self.lie is None else self.lie(found)


@pytest.fixture
def lied_to() -> Fleet:
    clock = FakeClock()
    return Fleet(Lying(clock=clock), clock)


def back_end(fleet: Fleet) -> Lying:
    assert isinstance(fleet.backend, Lying)
    return fleet.backend


def lose(backend: Lying) -> None:
    """Let its next answer to a fetch be lost on the way."""

    def lie(_: list[Waiting]) -> list[Waiting]:
        backend.lie = None
        raise BackendError("timed out")

    backend.lie = lie


def test_a_back_end_that_holds_nothing_costs_work_and_no_message(lied_to: Fleet) -> None:
    back_end(lied_to).ignores_holds = True
    one, two = lied_to.worker(), lied_to.worker()
    lied_to.say(BUDI, "a", "b")
    items = one.receive()
    assert shown(items) == ["a", "b"]
    lied_to.say(BUDI, "c")
    lied_to.say(TOKO, "x")
    assert shown(two.receive()) == ["x"]  # "c" waits for what is before it
    assert shown(one.receive()) == []
    one.hold(items)
    one.confirm(items)
    assert shown(two.receive()) == ["c"]
    lied_to.clock.advance(HOLD_MS)
    again = one.receive()
    assert sorted(shown(again)) == ["c", "x"]
    assert all(item.redelivered for item in again)
    one.confirm(again)
    assert (lied_to.waiting(), lied_to.rows()) == (0, 0)


def test_what_was_confirmed_and_is_handed_out_again_is_acknowledged_again(lied_to: Fleet) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    items = one.receive()
    lied_to.backend.fail("acknowledge", times=1)
    one.confirm(items)
    assert lied_to.waiting() == 1
    assert lied_to.rows() == 1  # that of the envelope
    assert read(one) == []
    assert lied_to.waiting() == 0
    lied_to.clock.advance(HOLD_MS)
    assert read(one) == []
    assert lied_to.rows() == 0


def test_another_worker_acknowledges_what_was_confirmed_while_the_back_end_was_away(
    lied_to: Fleet,
) -> None:
    one, two = lied_to.worker(), lied_to.worker()
    lied_to.say(BUDI, "a", "b")
    items = one.receive()
    lied_to.backend.fail("acknowledge")
    one.confirm(items[:1])
    lied_to.backend.heal()
    lied_to.clock.advance(HOLD_MS)
    assert shown(two.receive()) == ["b"]
    assert lied_to.waiting() == 1
    lied_to.clock.advance(HOLD_MS)
    assert read(two) == ["b"]
    lied_to.clock.advance(HOLD_MS)
    assert read(two) == []
    assert (lied_to.waiting(), lied_to.rows()) == (0, 0)


def test_what_could_not_be_told_is_asked_for_page_by_page(lied_to: Fleet) -> None:
    """What others have stands in between."""
    one, two = lied_to.worker(), lied_to.worker()
    lied_to.say(BUDI, "a")
    items = one.receive()
    lied_to.say(TOKO, "x")
    others = two.receive()
    lied_to.say(BUDI, "b")
    items += one.receive()
    assert shown([*items, *others]) == ["a", "b", "x"]
    lied_to.backend.fail("acknowledge")
    one.confirm(items)
    assert lied_to.waiting() == 3
    assert read(one) == []
    assert lied_to.waiting() == 1
    two.confirm(others)
    assert lied_to.waiting() == 0


def test_one_number_for_two_envelopes_loses_neither(lied_to: Fleet) -> None:
    backend, one = back_end(lied_to), lied_to.worker()
    lied_to.say(BUDI, "a")
    first = one.receive()
    lied_to.say(BUDI, "b")
    ((number, _), (_, other)) = backend._account(ANA, one._way().token.value).mailbox
    backend._account(ANA, one._way().token.value).mailbox[:] = [(number, other)]
    backend.holds.clear()
    second = one.receive()
    assert shown(second) == ["b"]
    one.confirm(first)
    assert lied_to.rows() == 2
    one.confirm(second)
    assert (lied_to.waiting(), lied_to.rows()) == (0, 0)


def test_numbers_that_fall_change_no_order_of_a_sender(lied_to: Fleet) -> None:
    """As after a back end was put back to a backup."""
    backend, one = back_end(lied_to), lied_to.worker()
    lied_to.say(BUDI, "a")
    lied_to.say(TOKO, "x")
    one.receive()
    lied_to.clock.advance(HOLD_MS)
    lied_to.say(BUDI, "b")
    mailbox = backend._account(ANA, one._way().token.value).mailbox
    mailbox[:] = [(number - 2, data) for number, data in mailbox[2:]]
    (number, _), *_ = mailbox
    assert number == 1
    assert shown(one.receive()) in (["a", "b", "x"], ["a", "x", "b"])


def test_one_envelope_twice_in_a_page_and_under_two_numbers(lied_to: Fleet) -> None:
    back_end(lied_to).lie = lambda found: [
        *found,
        *found,
        *(Waiting(number + 100, data) for number, data in found),
    ]
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    items = one.receive(limit=10)
    assert shown(items) in (["a"], ["a", "!duplicate_message"])
    one.confirm(items)
    lied_to.clock.advance(2 * HOLD_MS)
    assert shown(one.receive()) == []


def test_a_worker_that_slept_through_its_hold_tells_the_app_nothing_wrong(lied_to: Fleet) -> None:
    """It has fetched, and wakes up when another has taken all in, and confirmed it."""
    one, two = lied_to.worker(), lied_to.worker()
    lied_to.say(BUDI, "a", "b")
    backend = back_end(lied_to)

    def sleep(found: list[Waiting]) -> list[Waiting]:
        backend.lie = None
        lied_to.clock.advance(HOLD_MS)
        assert read(two) == ["a", "b"]
        return found

    backend.lie = sleep
    assert one.receive() == []
    assert (lied_to.waiting(), lied_to.rows()) == (0, 0)


def test_a_worker_that_slept_leaves_what_another_has(lied_to: Fleet) -> None:
    one, two = lied_to.worker(), lied_to.worker()
    lied_to.say(BUDI, "a", "b")
    lied_to.backend.inject(ANA, b"garbage")
    backend = back_end(lied_to)
    taken: list[InboxItem] = []

    def sleep(found: list[Waiting]) -> list[Waiting]:
        backend.lie = None
        lied_to.clock.advance(HOLD_MS)
        taken.extend(two.receive())
        return found

    backend.lie = sleep
    assert one.receive() == []
    assert sorted(shown(taken)) == ["!decode_error", "a", "b"]


def test_the_back_end_goes_away_after_some_has_arrived(lied_to: Fleet) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")

    def go_away(found: list[Waiting]) -> list[Waiting]:
        lied_to.backend.fail("fetch", times=9)
        return found

    back_end(lied_to).lie = go_away
    assert shown(one.receive()) == ["a"]
    with pytest.raises(BackendError):
        one.receive()


def test_hold_says_that_the_back_end_is_away_and_holds_the_items(lied_to: Fleet) -> None:
    one, two = lied_to.worker(), lied_to.worker()
    lied_to.say(BUDI, "a")
    items = one.receive()
    lied_to.clock.advance(HOLD_MS - 1)
    lied_to.backend.fail("fetch")
    with pytest.raises(BackendError):
        one.hold(items)
    lied_to.clock.advance(HOLD_MS - 1)
    assert two.receive() == []


# --- What gives no item -------------------------------------------------------------------------


def test_what_gives_no_item_is_acknowledged_at_once(lied_to: Fleet) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    assert read(one) == ["a"]
    budi = lied_to.customer(BUDI).device
    request = RetryRequest(bytes(16), None, 0, "decode_error")
    lied_to.backend.inject(ANA, craft(budi, ANA, request).encode())
    one.receive()
    assert lied_to.waiting() == 0
    lied_to.clock.advance(HOLD_MS)
    one.confirm(one.receive())
    assert lied_to.rows() == 0


def test_messages_into_groups_and_what_groups_say_count_as_received(lied_to: Fleet) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    assert read(one) == ["a"]
    budi = lied_to.customer(BUDI).device
    before = {place for place in dump(lied_to.store) if place[0] is not Table.DELIVERED}
    for control in (
        GroupCommits(GroupId(bytes(32)), (CommitBytes(b"commit", bytes(64)),)),
        GroupRetryRequest(GroupId(bytes(32)), (), bytes(16), b"", "decode_error"),
        SenderKeyGrant(GroupDestination(GroupId(bytes(32)), (bytes(32),)), b"no sender key"),
    ):
        lied_to.backend.inject(ANA, craft(budi, ANA, control).encode())
    for data in (b"", b"garbage", bytes(200)):
        envelope = Envelope(bytes(16), BUDI, ANA, MessageKind.SENDER_KEY, data or b"\x33")
        lied_to.backend.inject(ANA, envelope.encode())
    assert one.receive() == []
    assert lied_to.waiting() == 0
    after = {place for place in dump(lied_to.store) if place[0] is not Table.DELIVERED}
    tables = {place[0] for place in after - before}
    assert tables <= {Table.INBOX, Table.SESSIONS, Table.SESSION_RECORDS, Table.SKIPPED_KEYS}
    assert not [place for place in after if place[0] in (Table.OUTBOX, Table.RETRIES)]
    lied_to.clock.advance(HOLD_MS)
    assert one.receive() == []
    assert lied_to.rows() == 0


def test_what_was_fetched_in_vain_is_not_overtaken_and_comes_again(lied_to: Fleet) -> None:
    """The answer was lost on the way: the back end holds what nobody has got."""
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    lose(back_end(lied_to))
    with pytest.raises(BackendError):
        one.receive()
    lied_to.say(BUDI, "b")
    assert one.receive() == []
    lied_to.clock.advance(HOLD_MS)
    assert shown(one.receive()) == ["a", "b"]


def test_what_was_fetched_in_vain_is_not_held_for_ever(lied_to: Fleet) -> None:
    """Also by a worker that always has something that takes longer."""
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    lose(back_end(lied_to))
    with pytest.raises(BackendError):
        one.receive()
    lied_to.say(TOKO, "x")
    items = one.receive()
    assert shown(items) == ["x"]
    for _ in range(12):
        lied_to.clock.advance(HOLD_MS - 1)
        one.hold(items)
    assert shown(one.receive()) == ["a"]


def test_what_a_call_that_was_ended_has_taken_in_is_not_overtaken(lied_to: Fleet) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")

    def end(_: int, __: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one.receive(progress=end)
    lied_to.say(BUDI, "b")
    assert one.receive() == []
    lied_to.clock.advance(HOLD_MS)
    assert shown(one.receive()) == ["a", "b"]


# --- The store ----------------------------------------------------------------------------------


class FailingStore(AroundStore):
    """Fails where it is told to: at the beginning of transactions of some stripes."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.failing: dict[int, list[StoreError]] = {}

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        if self.failing.get(stripe):
            raise self.failing[stripe].pop()
        with self.inner.transaction(stripe, moved=moved) as tx:
            yield tx


def failing(fleet: Fleet) -> tuple[Client, FailingStore, Callable[[Address], int]]:
    store = FailingStore(fleet.store)
    worker = around(fleet, store)
    worker.receive()
    context = worker.device._context
    return worker, store, lambda address: context.stripe_of(address.user_id)


def test_a_stripe_that_is_busy_once_is_tried_again(lied_to: Fleet) -> None:
    one, store, stripe_of = failing(lied_to)
    lied_to.say(BUDI, "a", "b")
    store.failing[stripe_of(BUDI)] = [StoreBusy("busy")]
    assert shown(one.receive()) == ["a", "b"]


def test_a_stripe_that_stays_busy_is_left_and_stops_no_other(lied_to: Fleet) -> None:
    one, store, stripe_of = failing(lied_to)
    lied_to.say(BUDI, *map(str, range(40)))
    lied_to.say(TOKO, "x")
    store.failing[stripe_of(BUDI)] = [StoreBusy("busy") for _ in range(2)]
    assert shown(one.receive()) == ["x"]
    assert one.receive() == []  # it holds what it has left, and
    lied_to.clock.advance(HOLD_MS)
    again = one.receive()  # prolongs it no more
    assert len(again) == 41


def test_what_a_busy_stripe_has_left_is_not_overtaken_on_the_next_page(lied_to: Fleet) -> None:
    one, store, stripe_of = failing(lied_to)
    lied_to.say(BUDI, *map(str, range(5)))
    lied_to.say(TOKO, "x")
    store.failing[stripe_of(BUDI)] = [StoreBusy("busy") for _ in range(2)]
    items = one.receive(limit=2)
    assert shown(items) == ["x"]
    one.confirm(items)
    lied_to.clock.advance(HOLD_MS)
    assert read(one) == list(map(str, range(5)))


def test_after_damage_the_later_ones_of_its_sender_are_left(lied_to: Fleet) -> None:
    """Also where they could be read: what the damage has stopped is before them."""
    worker, store, stripe = failing(lied_to)
    lied_to.say(BUDI, "a", "b")
    # One for both together, then the first alone, and what would mend it.
    store.failing = {stripe(BUDI): [RecordCorrupted("damaged") for _ in range(3)]}
    with pytest.raises(RecordCorrupted):
        worker.receive()
    assert (store.failing[stripe(BUDI)], lied_to.waiting()) == ([], 2)
    lied_to.clock.advance(HOLD_MS)
    assert read(worker) == ["a", "b"]


def test_who_is_with_another_stays_there_also_where_the_stripe_is_busy_once(
    lied_to: Fleet,
) -> None:
    one, store, stripe_of = failing(lied_to)
    other = lied_to.worker()
    lied_to.say(BUDI, "a", "b")
    assert shown(lied_to.worker().receive()) == ["a", "b"]
    lied_to.clock.advance(HOLD_MS)
    assert shown(other.receive(limit=1)) == ["a"]  # "b" is free, but for its sender
    pages = 0

    def make_busy(found: list[Waiting]) -> list[Waiting]:
        nonlocal pages
        pages += 1
        if pages == 2:  # the first one has "a"
            store.failing[stripe_of(BUDI)] = [StoreBusy("busy")]
        return found

    back_end(lied_to).lie = make_busy
    assert one.receive(limit=1) == []
    assert store.failing[stripe_of(BUDI)] == []


def test_trouble_is_raised_where_there_is_nothing_to_return(lied_to: Fleet) -> None:
    one, store, stripe_of = failing(lied_to)
    lied_to.say(BUDI, "a")
    store.failing[stripe_of(BUDI)] = [StoreBusy("busy") for _ in range(2)]
    with pytest.raises(StoreBusy):
        one.receive()


def test_no_more_is_tried_in_a_store_that_is_out_of_order(lied_to: Fleet) -> None:
    one, store, stripe_of = failing(lied_to)
    senders = [Address("messenger", f"user-{number}") for number in range(8)]
    for sender in senders:
        lied_to.say(sender, "a")
    stripes = {stripe_of(sender) for sender in senders}
    assert len(stripes) > 5
    store.failing = {stripe: [StoreBusy("busy") for _ in range(2)] for stripe in stripes}
    with pytest.raises(StoreBusy):
        one.receive()
    tried = {stripe for stripe in stripes if not store.failing[stripe]}
    assert tried == set(sorted(stripes)[:4])


@pytest.mark.parametrize("error", [RestoredStore("older"), StoreCorrupted("damaged")])
def test_a_store_that_is_not_to_be_used_ends_the_call(lied_to: Fleet, error: StoreError) -> None:
    one, store, stripe_of = failing(lied_to)
    lied_to.say(BUDI, "a")
    store.failing[stripe_of(BUDI)] = [error]
    with pytest.raises(type(error)):
        one.receive()
    store.failing[stripe_of(BUDI)] = []
    lied_to.clock.advance(HOLD_MS)
    assert shown(one.receive()) == ["a"]


def test_a_look_goes_on_where_one_stripe_is_busy(lied_to: Fleet) -> None:
    one, store, stripe_of = failing(lied_to)
    lied_to.say(BUDI, "a")
    lied_to.say(TOKO, "x")
    lied_to.worker().receive()
    lied_to.backend.acknowledge(ANA, one._way().token.value, range(100))
    lied_to.clock.advance(HOLD_MS)
    store.failing[stripe_of(BUDI)] = [StoreBusy("busy")]
    assert shown(one.receive()) == ["x"]
    lied_to.clock.advance(36_001)
    assert shown(one.receive()) == ["a"]


def change_inbox(
    fleet: Fleet, sender: Address, partition: bytes, record: bytes | None
) -> list[int]:
    """Change the rows of a partition of a sender's inbox; returns their numbers."""
    stripe = fleet.worker().device._context.stripe_of(sender.user_id)
    with fleet.store.transaction() as whole:
        tx = whole.at(stripe)
        rows = [row for row, _ in tx.list(Table.INBOX, partition)]
        for row in rows:
            if record is None:
                tx.delete(Table.INBOX, partition, row)
            else:
                tx.put(Table.INBOX, partition, row, record)
    return [int.from_bytes(row) for row in rows]


def test_an_item_that_is_damaged_is_told_once_and_hides_no_other(lied_to: Fleet) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    one.receive()
    change_inbox(lied_to, BUDI, b"", b"\x01\xff")
    lied_to.say(TOKO, "x")
    lied_to.worker().receive()
    lied_to.backend.acknowledge(ANA, one._way().token.value, range(100))
    lied_to.clock.advance(HOLD_MS)
    assert shown(one.receive()) == ["x"]
    lied_to.clock.advance(HOLD_MS)
    two = lied_to.worker()
    assert shown(two.receive()) == ["x"]
    lied_to.clock.advance(HOLD_MS // 2)
    with pytest.raises(RecordCorrupted):  # in the place of no item
        two.receive()
    assert two.receive() == []
    three = lied_to.worker()
    with pytest.raises(RecordCorrupted):
        three.receive()
    lied_to.clock.advance(HOLD_MS)
    assert shown(three.receive()) == ["x"]


def test_a_damaged_item_fails_its_sender_alone_where_the_envelope_comes_again(
    lied_to: Fleet,
) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a", "b")
    lied_to.say(TOKO, "x")
    one.receive()
    change_inbox(lied_to, BUDI, b"", b"\x01\xff")
    lied_to.clock.advance(HOLD_MS)
    assert shown(lied_to.worker().receive()) == ["x"]


@pytest.mark.parametrize("record", [b"\x01\xff", None])
def test_the_row_of_an_envelope_is_not_needed_to_confirm(
    lied_to: Fleet, record: bytes | None
) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a", "b")
    items = one.receive()
    change_inbox(lied_to, BUDI, ARRIVED, record)
    one.confirm(items)
    assert (lied_to.waiting(), lied_to.rows()) == (0, 0)


def test_damaged_rows_of_envelopes_are_forgotten_when_the_back_end_has_none(
    lied_to: Fleet,
) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    items = one.receive()
    lied_to.backend.fail("acknowledge")
    one.confirm(items)
    change_inbox(lied_to, BUDI, ARRIVED, b"\x01\xff")
    lied_to.backend.heal()
    lied_to.backend.acknowledge(ANA, one._way().token.value, range(100))
    two = lied_to.worker()
    assert two.receive() == []
    lied_to.clock.advance(HOLD_MS)
    assert two.receive() == []
    assert lied_to.rows() == 0


# --- Notices, and what is confirmed -------------------------------------------------------------


def put(fleet: Fleet, user: Address, kind: NoticeKind = NoticeKind.RESTORED) -> None:
    context: Context = fleet.worker().device._context
    with fleet.store.transaction(context.stripe_of(user.user_id)) as tx:
        put_notice(context, tx, Notice(kind, user.user_id))


def test_a_notice_comes_with_the_look_of_whichever_worker_is_first(lied_to: Fleet) -> None:
    one, two = lied_to.worker(), lied_to.worker()
    assert one.receive() == two.receive() == []
    put(lied_to, BUDI)
    assert one.receive() == two.receive() == []
    lied_to.clock.advance(24_000 - 1)
    assert one.receive() == two.receive() == []
    lied_to.clock.advance(12_001)
    (notice,) = one.receive()
    assert isinstance(notice, Notice)
    assert not notice.redelivered
    assert two.receive() == []
    lied_to.clock.advance(HOLD_MS)
    (again,) = two.receive()
    assert again.redelivered
    one.confirm([notice])
    assert lied_to.rows() == 0


def test_a_look_has_room_for_no_more_than_the_limit_and_goes_on_with_the_next_call(
    lied_to: Fleet,
) -> None:
    one = lied_to.worker()
    for user in (BUDI, TOKO, BUDI):
        put(lied_to, user)
    seen = [len(one.receive(limit=1)) for _ in range(4)]
    assert seen == [1, 1, 1, 0]


def test_items_of_another_device_are_refused_and_none_is_closed(lied_to: Fleet) -> None:
    one = lied_to.worker()
    lied_to.say(BUDI, "a")
    (item,) = one.receive()
    assert isinstance(item, Message)
    receipt = item.receipt
    assert receipt is not None
    wrong = [
        receipt._replace(inbox=bytes(32)),
        receipt._replace(number=-1),
        receipt._replace(number=0),
        receipt._replace(number=receipt.number + 1),
        receipt._replace(number=2**63),
        receipt._replace(number=65 << 40 | 1),
    ]
    before = dump(lied_to.store)
    for each in wrong:
        with pytest.raises(InvalidArgument, match="items must be of this device"):
            one.confirm([item, replace(item, receipt=each, message_id=bytes(16))])
        assert dump(lied_to.store) == before
    with pytest.raises(InvalidArgument):
        one.confirm([None])  # type: ignore[list-item]


def test_confirming_works_for_what_came_in_no_envelope(lied_to: Fleet) -> None:
    one = lied_to.worker()
    put(lied_to, BUDI)
    items = one.receive()
    lied_to.backend.fail("acknowledge")
    one.confirm(items)  # of which the back end need not hear
    assert lied_to.rows() == 0


def test_clients_of_threads_confirm_for_each_other(lied_to: Fleet) -> None:
    one = lied_to.worker()
    two = one.for_thread()
    lied_to.say(BUDI, "a")
    items = one.receive()
    assert two.receive() == []
    lied_to.backend.fail("acknowledge")
    two.confirm(items)
    lied_to.backend.heal()
    assert one.receive() == []
    assert lied_to.waiting() == 0


def test_it_waits_for_mail_only_where_there_is_nothing(lied_to: Fleet) -> None:
    one = lied_to.worker(wait_ms=25_000)
    waits: list[int] = []
    fetch = lied_to.backend.fetch

    def noted(*args: Any, wait_ms: int = 0, **options: Any) -> list[Waiting]:  # noqa: ANN401
        waits.append(wait_ms)
        if wait_ms:
            lied_to.say(BUDI, "b")
        return fetch(*args, wait_ms=wait_ms, **options)

    one._backend._backend.fetch = noted  # type: ignore[method-assign]
    lied_to.say(BUDI, "a")
    assert shown(one.receive()) == ["a"]
    assert waits == [0, 0]
    assert shown(one.receive()) == ["b"]
    assert waits.count(25_000) == 1
