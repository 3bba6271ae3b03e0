# SPDX-License-Identifier: Apache-2.0
"""How much is asked for again, and sent again: each limit at N and N+1."""

import pytest

from e2ecross import Address, Device, Policy, Text
from e2ecross.state.retry_budget import BUDGET, spend_answer, spend_request
from e2ecross.state.trust import note_asked
from e2ecross.stores import Table
from tests.support.devices import ANA, BUDI, DAY_MS, NOW_MS, TOKO, introduce, make_device

POLICY = Policy(retry_requests_per_peer=3, retry_requests=5, resends_per_peer=2, resends=3)


@pytest.fixture
def ana() -> Device:
    device = make_device(ANA, policy=POLICY)
    for address in (BUDI, TOKO):
        introduce(device, make_device(address))
    return device


def ask(device: Device, sender: Address, number: int, now_ms: int = NOW_MS) -> bool:
    with device._context.store.transaction() as tx:
        return spend_request(device._context, tx, sender, number.to_bytes(16), now_ms)


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
    assert answer(ana, BUDI)


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


def test_a_stranger_is_asked_once_a_day() -> None:
    ana = make_device(ANA)
    assert [ask(ana, BUDI, n) for n in range(3)] == [True, False, False]
    introduce(ana, make_device(TOKO))
    assert [ask(ana, TOKO, n) for n in range(3)] == [True, True, True]


def test_who_was_only_asked_is_a_stranger_until_something_authentic_comes() -> None:
    ana, budi = make_device(ANA), make_device(BUDI)
    introduce(ana, budi)
    with ana._context.store.transaction() as tx:
        note_asked(tx, BUDI, NOW_MS)
    assert not ask(ana, BUDI, 1, NOW_MS)
    # Not even when a new day of counting begins.
    assert not ask(ana, BUDI, 1, NOW_MS + DAY_MS - 1)
    assert ask(ana, BUDI, 1, NOW_MS + DAY_MS)
    assert not ask(ana, BUDI, 2, NOW_MS + DAY_MS)
    message = ana.decrypt(budi.encrypt(ANA, Text("halo")))
    assert message.sender == BUDI
    assert ask(ana, BUDI, 2, NOW_MS + DAY_MS)


def test_a_hundred_strangers_are_asked_in_a_day() -> None:
    ana = make_device(ANA)
    asked = [ask(ana, Address("messenger", f"stranger{n}"), 1) for n in range(101)]
    assert asked == [True] * 100 + [False]
    introduce(ana, make_device(BUDI))
    assert ask(ana, BUDI, 1)


@pytest.mark.parametrize("policy", [Policy(retry_requests=0), Policy(retry_requests_per_peer=0)])
def test_nothing_is_asked_for_where_the_policy_says_so(policy: Policy) -> None:
    ana = make_device(ANA, policy=policy)
    introduce(ana, make_device(BUDI))
    assert not ask(ana, BUDI, 1)
    assert answer(ana, BUDI)
