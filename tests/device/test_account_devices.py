# SPDX-License-Identifier: Apache-2.0
"""What an app is shown of the devices of an account."""

import pytest

from e2ecross import AccountDevice, AccountDevices
from e2ecross.device.account_devices import read_devices
from e2ecross.state.accounts import put_own_account
from e2ecross.wire.account_records import DeviceName, OwnAccountRecord
from tests.support.accounts import change_account, device_of, hold_list
from tests.support.device_lists import Household
from tests.support.devices import ANA, BUDI, DAY_MS, FakeClock, make_device

OWN, CONTACT = ANA.user_id, BUDI.user_id


def test_nothing_is_shown_without_a_list() -> None:
    phone = make_device(ANA)
    assert read_devices(phone._context, CONTACT) is None
    change_account(phone, CONTACT, written=True)
    assert read_devices(phone._context, CONTACT) is None
    assert AccountDevices() == AccountDevices((), 0, "", False, False)


def test_a_contact_has_numbers_and_keys() -> None:
    phone, home = make_device(ANA), Household(CONTACT)
    hold_list(phone, home.sign(1, devices=(1, 4)))
    with phone._context.store.transaction() as tx:
        put_own_account(tx, OwnAccountRecord(names=(DeviceName(4, "laptop", 5, 6),)))
    assert read_devices(phone._context, CONTACT) == AccountDevices(
        tuple(
            AccountDevice(device_of(BUDI, number), bytes(home.pair(number).public))
            for number in (1, 4)
        )
    )


@pytest.mark.parametrize(("hosting", "vendor"), [(0, ""), (1, "Example Desk"), (2, "")])
def test_who_holds_keys_is_shown(hosting: int, vendor: str) -> None:
    phone = make_device(ANA)
    hold_list(phone, Household(CONTACT).sign(1, hosting=hosting, vendor=vendor))
    shown = read_devices(phone._context, CONTACT)
    assert shown is not None
    assert (shown.hosting, shown.vendor) == (hosting, vendor)


def test_age_and_contradictions_are_shown() -> None:
    clock = FakeClock()
    phone, home = make_device(ANA, clock=clock), Household(CONTACT)
    hold_list(phone, home.sign(1))
    for days, rival, expected in (
        (0, None, (False, False)),
        (35, None, (False, False)),
        (36, None, (True, False)),
        (0, home.sign(1, signed_at_ms=1), (True, True)),
        (-36, home.sign(1, signed_at_ms=1), (False, True)),
    ):
        clock.advance(days * DAY_MS - (days == 36) * 35 * DAY_MS)
        change_account(phone, CONTACT, rival=rival)
        shown = read_devices(phone._context, CONTACT)
        assert shown is not None
        assert (shown.expired, shown.forked) == expected, days


def test_device_1_knows_names_and_a_companion_itself() -> None:
    phone, laptop = make_device(ANA), make_device(device_of(ANA, 2))
    home = Household(OWN, primary=phone._context.identity_key_pair)
    home.move_in(2, laptop._context.identity_key_pair)
    signed = home.sign(1, devices=(1, 2, 3))
    keys = [bytes(home.pair(number).public) for number in (1, 2, 3)]
    hold_list(phone, signed)
    hold_list(laptop, signed)
    for device, own in (
        (phone, OwnAccountRecord(names=(DeviceName(2, "laptop", 5, 6), DeviceName(3, "x", 7)))),
        (laptop, OwnAccountRecord(linked_at_ms=8)),
    ):
        with device._context.store.transaction() as tx:
            put_own_account(tx, own)
    first, second, third = (device_of(ANA, number) for number in (1, 2, 3))
    assert read_devices(phone._context, OWN) == AccountDevices(
        (
            AccountDevice(first, keys[0]),
            AccountDevice(second, keys[1], "laptop", 5, 6),
            AccountDevice(third, keys[2], "x", 7, 0),
        )
    )
    assert read_devices(laptop._context, OWN) == AccountDevices(
        (
            AccountDevice(first, keys[0]),
            AccountDevice(second, keys[1], linked_at_ms=8),
            AccountDevice(third, keys[2]),
        )
    )


def test_neither_keys_nor_names_are_in_a_repr() -> None:
    shown = AccountDevice(ANA, b"\x05key", "Ana's laptop", 1, 2)
    assert repr(shown) == "<AccountDevice whatsapp:ana.1>"
