# SPDX-License-Identifier: Apache-2.0
"""How much is asked for again, and sent again: each limit at N and N+1."""

from dataclasses import replace

import pytest

from e2ecross import Address, Device, Policy, Text
from e2ecross.state.context import require_device, save_device
from e2ecross.state.retry_budget import (
    BUDGET,
    Request,
    spend_answer,
    spend_change,
    spend_request,
)
from e2ecross.state.stripe import bound_of_stripe
from e2ecross.state.transactions import peer_transaction
from e2ecross.state.trust import note_asked
from e2ecross.stores import Table
from tests.support.devices import ANA, BUDI, DAY_MS, NOW_MS, TOKO, introduce, make_device
from tests.support.neighbours import neighbours

POLICY = Policy(retry_requests_per_peer=3, retry_requests=5, resends_per_peer=2, resends=3)


@pytest.fixture
def ana() -> Device:
    device = make_device(ANA, policy=POLICY)
    for address in (BUDI, TOKO):
        introduce(device, make_device(address))
    return device


def request(device: Device, sender: Address, number: int, now_ms: int = NOW_MS) -> Request:
    with device._context.store.transaction() as tx:
        return spend_request(device._context, tx, sender, number.to_bytes(16), now_ms)


def ask(device: Device, sender: Address, number: int, now_ms: int = NOW_MS) -> bool:
    return request(device, sender, number, now_ms) is not Request.REFUSED


def answer(device: Device, requester: Address, now_ms: int = NOW_MS) -> bool:
    with device._context.store.transaction() as tx:
        return spend_answer(device._context, tx, requester, now_ms)


def test_requests_are_bounded_for_each_device_and_in_all(ana: Device) -> None:
    assert [ask(ana, BUDI, n) for n in range(4)] == [True, True, True, False]
    assert [ask(ana, TOKO, n) for n in range(4)] == [True, True, False, False]


def test_answers_are_bounded_for_each_device_and_in_all(ana: Device) -> None:
    assert [answer(ana, BUDI) for _ in range(3)] == [True, True, False]
    assert [answer(ana, TOKO) for _ in range(3)] == [True, False, False]


def test_requests_and_answers_do_not_eat_each_others_share(ana: Device) -> None:
    assert all(ask(ana, BUDI, n) for n in range(3))
    assert all(answer(ana, BUDI) for _ in range(2))
    assert all(ask(ana, TOKO, n) for n in range(2))
    assert answer(ana, TOKO)


@pytest.mark.parametrize("later", [DAY_MS, -1], ids=["a day later", "a clock that went back"])
def test_a_new_day_begins_anew(later: int, ana: Device) -> None:
    assert not all(ask(ana, BUDI, n) for n in range(4))
    assert not all(answer(ana, BUDI) for _ in range(3))
    assert not ask(ana, BUDI, 9, NOW_MS + DAY_MS - 1)
    assert ask(ana, BUDI, 9, NOW_MS + later)
    assert answer(ana, BUDI, NOW_MS + later)


def test_what_was_counted_on_other_days_is_forgotten(ana: Device) -> None:
    for day in range(4):
        ask(ana, (BUDI, TOKO)[day % 2], day, NOW_MS + day * DAY_MS)
        with ana._context.store.transaction() as tx:
            assert tx.count(Table.RETRIES, BUDGET) == 2  # the total and one device


def test_one_message_is_asked_for_three_times(ana: Device) -> None:
    days = [NOW_MS + day * DAY_MS for day in range(4)]
    assert [ask(ana, BUDI, 7, now_ms) for now_ms in days] == [True, True, True, False]
    assert ask(ana, BUDI, 8, days[3])
    assert ask(ana, TOKO, 7, days[3])  # told by its sender, too


def asked(device: Device, address: Address, now_ms: int) -> None:
    """Note that a request has been encrypted to somebody, which starts a session with them."""
    with device._context.store.transaction() as tx:
        note_asked(tx, address, now_ms)


def test_a_stranger_gets_one_new_session_a_day_and_several_requests_in_it() -> None:
    ana = make_device(ANA, policy=POLICY)
    introduce(ana, make_device(BUDI))
    asked(ana, BUDI, NOW_MS)
    day = [NOW_MS, NOW_MS + 1, NOW_MS + DAY_MS - 1]
    same = [Request.IN_SAME_SESSION] * 3
    assert [request(ana, BUDI, n, now_ms) for n, now_ms in enumerate(day)] == same
    assert request(ana, BUDI, 3, NOW_MS + DAY_MS - 1) is Request.REFUSED  # by the policy
    assert request(ana, BUDI, 3, NOW_MS + DAY_MS) is Request.IN_NEW_SESSION


def test_a_stranger_whose_key_is_not_known_yet_gets_no_second_new_session() -> None:
    """The first request still waits for a bundle: nothing is known of whom it is for but that."""
    ana = make_device(ANA)
    asked_for = [request(ana, BUDI, n, NOW_MS + n) for n in range(3)]
    assert asked_for == [Request.IN_NEW_SESSION, *[Request.IN_SAME_SESSION] * 2]
    assert request(ana, BUDI, 3, NOW_MS + DAY_MS) is Request.IN_NEW_SESSION


def test_each_request_to_somebody_of_whom_something_was_read_goes_in_a_new_session() -> None:
    ana = make_device(ANA)
    introduce(ana, make_device(TOKO))
    assert [request(ana, TOKO, n) for n in range(3)] == [Request.IN_NEW_SESSION] * 3


def test_who_was_only_asked_is_a_stranger_until_something_authentic_comes() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    asked(ana, BUDI, NOW_MS)
    assert request(ana, BUDI, 1) is Request.IN_SAME_SESSION
    message = ana.decrypt(budi.encrypt(ANA, Text("halo")))
    assert message.sender == BUDI
    assert request(ana, BUDI, 2) is Request.IN_NEW_SESSION


def test_a_time_of_asking_that_lies_in_the_future_stops_nothing() -> None:
    """Of a clock that was wrong: else nobody would be asked in a new session for a year."""
    ana = make_device(ANA)
    introduce(ana, make_device(BUDI))
    asked(ana, BUDI, NOW_MS + 365 * DAY_MS)
    assert request(ana, BUDI, 1) is Request.IN_NEW_SESSION


@pytest.mark.parametrize("ahead", [1, DAY_MS, 400 * DAY_MS])
def test_a_window_that_began_in_the_future_begins_now(ahead: int, ana: Device) -> None:
    assert not all(ask(ana, BUDI, n, NOW_MS + ahead) for n in range(4))
    assert not all(answer(ana, BUDI, NOW_MS + ahead) for _ in range(3))
    assert [ask(ana, BUDI, 10 + n) for n in range(4)] == [True, True, True, False]
    assert [answer(ana, BUDI) for _ in range(3)] == [True, True, False]
    assert not ask(ana, BUDI, 20, NOW_MS + DAY_MS - 1)
    assert ask(ana, BUDI, 20, NOW_MS + DAY_MS)


def test_attempts_that_were_counted_in_the_future_are_forgotten_in_time(ana: Device) -> None:
    """A clock that is a year ahead for a while must not stop a message for a year."""
    future = NOW_MS + 365 * DAY_MS
    assert [ask(ana, BUDI, 7, future + n * DAY_MS) for n in range(4)] == [True] * 3 + [False]
    assert not ask(ana, BUDI, 7)
    for day in range(15):  # others are asked for meanwhile, and 7 is not asked for
        ask(ana, BUDI, 100 + day, NOW_MS + day * DAY_MS)
    assert ask(ana, BUDI, 7, NOW_MS + 15 * DAY_MS)


def strangers(device: Device, more: int, now_ms: int) -> list[bool]:
    """Whether each of so many is asked who come after as many as may be, all of one stripe."""
    context, asked = device._context, list[bool]()
    most = bound_of_stripe(100, context.store.stripes)
    for each in neighbours(BUDI, most + more):
        with peer_transaction(context, each.user_id) as tx:
            request = spend_request(context, tx, each, (1).to_bytes(16), now_ms)
        asked.append(request is not Request.REFUSED)
    assert asked[:most] == [True] * most
    return asked[most:]


def test_a_hundred_strangers_are_asked_in_a_day() -> None:
    ana = make_device(ANA)
    assert strangers(ana, 1, NOW_MS) == [False]
    introduce(ana, make_device(BUDI))
    assert ask(ana, BUDI, 1)


@pytest.mark.parametrize(
    ("age_ms", "is_new"), [(0, True), (DAY_MS - 1, True), (DAY_MS, False), (-1, False)]
)
def test_in_the_day_after_an_import_everybody_is_a_stranger_and_is_asked(
    age_ms: int, is_new: bool
) -> None:
    ana = make_device(ANA)
    with ana._context.store.transaction() as tx:
        save_device(tx, replace(require_device(tx), imported_at_ms=NOW_MS))
    assert strangers(ana, 2, NOW_MS + age_ms) == [is_new] * 2


@pytest.mark.parametrize("policy", [Policy(retry_requests=0), Policy(retry_requests_per_peer=0)])
def test_nothing_is_asked_for_where_the_policy_says_so(policy: Policy) -> None:
    ana = make_device(ANA, policy=policy)
    introduce(ana, make_device(BUDI))
    assert request(ana, BUDI, 1) is Request.REFUSED
    assert answer(ana, BUDI)


def test_changes_of_the_account_list_are_counted_for_each_device_and_beside_the_rest() -> None:
    device = make_device(ANA, policy=POLICY)
    introduce(device, make_device(BUDI))

    def change(whose: Address, now_ms: int = NOW_MS) -> bool:
        with device._context.store.transaction() as tx:
            return spend_change(tx, whose, now_ms)

    assert [change(BUDI) for _ in range(6)] == [True] * 4 + [False] * 2
    assert change(TOKO)
    assert [ask(device, BUDI, number) for number in range(4)] == [True] * 3 + [False]
    assert [answer(device, BUDI) for _ in range(3)] == [True] * 2 + [False]
    assert not change(BUDI, NOW_MS + DAY_MS - 1)
    assert change(BUDI, NOW_MS + DAY_MS)
    assert change(BUDI, NOW_MS - 1), "a clock that went back stops nothing"
