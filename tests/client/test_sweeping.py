# SPDX-License-Identifier: Apache-2.0
"""What is sent of what waits in a store with stripes costs little where it cannot be sent."""

from collections.abc import Mapping, Sequence
from itertools import count, islice

import pytest

from e2ecross import Address, Client, Envelope, Text
from e2ecross.errors import BackendError
from e2ecross.state.outbox import (
    BACKLOG_ROW,
    Backlog,
    BacklogName,
    Waiting,
    block_backlog,
    put_control,
    put_envelope,
    read_backlog,
    remove_waiting,
)
from e2ecross.state.outbox_repair import list_backlogs
from e2ecross.state.stripe import stripe_of
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.content import RetryRequest
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.exchange import Deposited
from tests.client.conversation import promise, read
from tests.client.fleet import HOLD_MS, Fleet
from tests.support.devices import ANA, BUDI, BackendSimulator, FakeClock, SpyStore, make_device

STRIPES = 64
KEY = make_device(BUDI, seed="another").identity_key


@pytest.fixture
def spy() -> SpyStore:
    return SpyStore(MemoryStore(STRIPES))


@pytest.fixture
def fleet(clock: FakeClock, spy: SpyStore) -> Fleet:
    return Fleet(BackendSimulator(clock=clock), clock, spy)


def strangers(stripe: int) -> list[Address]:
    """Forty of one stripe."""
    every = (Address("threads", f"c{number}") for number in count())
    return list(islice((each for each in every if stripe_of(each.user_id, STRIPES) == stripe), 40))


def ask_in_vain(worker: Client, recipient: Address) -> None:
    context = worker.device._context
    with context.store.transaction(stripe_of(recipient.user_id, STRIPES)) as tx:
        request = RetryRequest(bytes(16), None, 0, "unknown_session")
        put_control(tx, recipient, context.entropy.bytes(16), request, fresh_session=True)


def waits_for(worker: Client) -> list[tuple[Backlog, str]]:
    """Backlogs, and what each waits to pass; nothing: it was not tried."""
    found = []
    with worker.device._context.store.transaction() as whole:
        for stripe in range(STRIPES + 1):
            for backlog in list_backlogs(tx := whole.at(stripe)):
                record = read_backlog(tx, backlog)
                assert record is not None
                found.append((backlog, record.code))
    return found


def test_what_waits_for_the_user_is_not_looked_at_with_each_message(
    fleet: Fleet, spy: SpyStore
) -> None:
    one, stripe = fleet.worker(), stripe_of(BUDI.user_id, STRIPES)
    with spy.transaction(stripe) as tx:
        for number, stranger in enumerate(strangers(stripe)):
            message_id = number.to_bytes(16)
            put_envelope(tx, Envelope(message_id, ANA, stranger, MessageKind.SIGNAL, bytes(60)))
            block_backlog(tx, Backlog(BacklogName.MESSAGES, stranger), "untrusted", KEY)
    fleet.say(BUDI, "a")
    assert read(one) == ["a"]
    fleet.say(BUDI, "b")
    spy.forget()
    assert read(one) == ["b"]
    assert spy.reads[Table.OUTBOX] == 0


def test_keys_are_fetched_in_vain_for_some_and_what_needs_none_goes(fleet: Fleet) -> None:
    """Of one stripe and of several ones; the others are tried with the next call."""
    one = fleet.worker()
    fleet.say(BUDI, "halo")
    one.confirm(one.receive())
    fleet.backend.fail("deposit")
    promise(one, BUDI, "answer")
    everybody = {each for stripe in range(1, 4) for each in strangers(stripe)}
    for each in everybody:
        ask_in_vain(one, each)
    fleet.backend.fail("fetch_keys", times=1_000)
    tried = []
    for _ in range(8):
        before = fleet.backend.calls.count("fetch_keys")
        with pytest.raises(BackendError):
            one.maintain()
        tried.append(fleet.backend.calls.count("fetch_keys") - before)
    assert tried[:3] == [32, 32, 32]
    assert max(tried) == 32
    assert {code for _, code in waits_for(one)} == {"backend_error"}
    assert len(waits_for(one)) == len(everybody)
    assert read(fleet.customer(BUDI)) == ["answer"]


@pytest.mark.parametrize("left", [[], [1], [1, 2]], ids=["3 left", "2 left", "1 left"])
def test_a_message_takes_the_place_of_none_that_waits(fleet: Fleet, left: list[int]) -> None:
    """Where the row that counts them is lost; also when some before have left."""
    one, stripe = fleet.worker(), stripe_of(BUDI.user_id, STRIPES)
    customer = fleet.customer(BUDI)
    fleet.backend.fail("deposit", times=100)
    ids = promise(one, BUDI, "1", "2", "3")
    backlog = Backlog(BacklogName.MESSAGES, BUDI)
    with fleet.store.transaction(stripe) as tx:
        for number in left:
            remove_waiting(tx, Waiting(backlog, number, ids[number - 1], None))
        assert tx.delete(Table.OUTBOX, backlog.partition, BACKLOG_ROW)
    for text in ("4", "5", "6"):
        with pytest.raises(BackendError):
            one.send(BUDI, Text(text))
    fleet.backend.heal()
    for _ in range(2):
        fleet.clock.advance(HOLD_MS)
        one.maintain()
    assert sorted(read(customer)) == [text for text in "123456" if int(text) not in left]
    assert list(fleet.store.stripes_with(Table.OUTBOX)) == []


def test_stripes_in_which_calls_fail_delay_others_for_one_round_at_most(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes in 24 stripes; a sweep ends after six of them, and the next one goes on."""
    one, two = fleet.worker(), fleet.worker()
    by_stripe = [strangers(stripe)[0] for stripe in range(1, 27)]
    failing, others = by_stripe[:24], by_stripe[24:]
    for each in by_stripe:
        fleet.customer(each)
        one.send(each, Text("a"))
    fleet.backend.fail("deposit", times=1_000)
    for each in (*failing, others[0]):
        promise(one, each, "b")
    deposit_all = fleet.backend.deposit_all

    def fail_some(
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        if any(Envelope.decode(each).recipient in failing for each in envelopes):
            raise BackendError("this one never goes")
        return deposit_all(token, envelopes, epochs=epochs, consents=consents)

    def maintain(times: int) -> None:
        for _ in range(times):
            fleet.clock.advance(HOLD_MS)
            with pytest.raises(BackendError):
                two.maintain()

    fleet.backend.heal()
    monkeypatch.setattr(fleet.backend, "deposit_all", fail_some)
    maintain(25 // 6 + 1)
    assert read(fleet.customer(others[0])) == ["a", "b"]
    monkeypatch.undo()
    fleet.backend.fail("deposit", times=1_000)
    promise(one, others[1], "b")
    fleet.backend.heal()
    monkeypatch.setattr(fleet.backend, "deposit_all", fail_some)
    maintain(1)  # who fails is known by now
    assert read(fleet.customer(others[1])) == ["a", "b"]


def test_of_stripes_in_which_calls_fail_those_come_first_that_were_tried_longest_ago(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fleet.worker()
    customers = [strangers(stripe)[0] for stripe in range(1, 25)]
    for each in customers:
        fleet.customer(each)
        one.send(each, Text("a"))
    fleet.backend.fail("deposit", times=1_000)
    for each in customers:
        promise(one, each, "b")
    tried: list[Address] = []

    def fail(token: bytes, envelopes: Sequence[bytes], **_: object) -> Deposited:
        tried.extend(dict.fromkeys(Envelope.decode(each).recipient for each in envelopes))
        raise BackendError("none of them goes")

    monkeypatch.setattr(fleet.backend, "deposit_all", fail)
    for sweep in (one.maintain, one.receive) * 4:
        fleet.clock.advance(HOLD_MS)
        with pytest.raises(BackendError):
            sweep()
    first, again = list(dict.fromkeys(tried[: len(tried) // 2])), tried[len(tried) // 2 :]
    assert sorted(first, key=str) == sorted(customers, key=str)
    assert list(dict.fromkeys(again)) == first


def test_what_waits_for_keys_alone_goes_as_soon_as_they_can_be_fetched(fleet: Fleet) -> None:
    """As where a deposit fails, and however often it was tried in vain before."""
    one, citra = fleet.worker(), Address("messenger", "citra")
    fleet.customer(citra)
    ask_in_vain(one, citra)
    fleet.backend.fail("fetch_keys", times=3)
    for _ in range(3):
        with pytest.raises(BackendError):
            one.maintain()
    before = len(fleet.backend.deposits)
    one.maintain()
    assert len(fleet.backend.deposits) == before + 1
