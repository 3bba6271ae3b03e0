# SPDX-License-Identifier: Apache-2.0
"""No list is refused for its time: of two lists the one with the higher number is the newer one.

The attacker: who sets clocks, at the phone that signs lists or at who reads them: to 1970, as a
phone that has just booted, to 2035, forward and back again.
"""

from itertools import product
from typing import Final

import pytest

from e2ecross import Device, Sent, Text
from e2ecross.device.device_lists import read_fetched_list, targets_of
from e2ecross.protocol.device_list import Verdict
from tests.attacks.support import ANA, BUDI, NOW_MS, FakeClock, dump
from tests.support.accounts import account, device_of, make_account, sign_devices
from tests.support.devices import DAY_MS, BackendSimulator, make_client, make_device

OWN = ANA.user_id
YEAR_2035_MS: Final = 2_051_222_400_000
TIMES: Final = (0, 1, NOW_MS - 400 * DAY_MS, NOW_MS, YEAR_2035_MS)
LAST_MS: Final = 2**63 - 1
"""The latest that a list can say."""


def sent_to(device: Device) -> list[int]:
    context = device._context
    with context.store.transaction() as tx:
        targets = targets_of(context, tx, OWN, context.clock())
    assert targets is not None
    return sorted(address.device for address in targets.devices)


@pytest.mark.parametrize(("before_ms", "after_ms"), list(product(TIMES, (*TIMES, LAST_MS))))
def test_the_higher_number_is_the_newer_one_at_any_time(before_ms: int, after_ms: int) -> None:
    phone, laptop = make_device(ANA), make_device(device_of(ANA, 2))
    first = sign_devices(phone, laptop, signed_at_ms=before_ms)
    newer = sign_devices(phone, after=first, signed_at_ms=after_ms)
    for read_ms, later_ms in product(TIMES, repeat=2):
        clock = FakeClock(read_ms)
        reader = make_device(BUDI, clock=clock)
        context = reader._context
        assert read_fetched_list(context, OWN, first.encode()).verdict is Verdict.NEWER
        clock.now_ms = later_ms
        assert 1 in sent_to(reader)
        assert read_fetched_list(context, OWN, newer.encode()).verdict is Verdict.NEWER
        assert sent_to(reader) == [1]
        for clock.now_ms in TIMES:  # one that was taken out comes back by no time
            before = dump(context.store)
            assert read_fetched_list(context, OWN, first.encode()).verdict is Verdict.OLDER
            assert read_fetched_list(context, OWN, newer.encode()).verdict is Verdict.SAME
            assert dump(context.store) == before


@pytest.mark.parametrize("wrong_ms", [0, 3 * DAY_MS])
def test_a_phone_that_boots_in_1970_makes_nobody_take_its_list_for_an_old_one(
    wrong_ms: int,
) -> None:
    clock, wrong, backend = FakeClock(), FakeClock(), BackendSimulator()
    phone, *_ = make_account(ANA, (1, 2, 3), backend, clock=wrong)
    budi = make_client(BUDI, backend, clock=clock)
    assert reached(budi.send(str(OWN), Text("halo"))) == {1, 2, 3}
    wrong.now_ms = wrong_ms
    held = account(phone.device, OWN).held
    phone.maintain()
    assert account(phone.device, OWN).held == held
    phone.unlink(3)
    for _ in range(2):  # the answer to the first tells of the newer list
        sent = budi.send(str(OWN), Text("halo"))
    assert (reached(sent), sent.list_expired) == ({1, 2}, False)
    before = account(budi.device, OWN)
    wrong.now_ms = clock.now_ms
    phone.maintain()
    assert account(budi.device, OWN) == before
    assert reached(budi.send(str(OWN), Text("halo"))) == {1, 2}


def reached(sent: Sent) -> set[int]:
    return {each.address.device for each in sent.deliveries if not each.problem}
