# SPDX-License-Identifier: Apache-2.0
"""A linked device cannot make others of its account believe in keys, histories or strangers' lists.

The attacker: somebody with an unlocked linked device, who wants the phone and the other devices
of the account to accept a key of theirs for a contact, or words that nobody has written.
"""

import pytest

from e2ecross import Address, Device
from e2ecross.stores import Table
from e2ecross.wire.content import (
    DeviceListPush,
    DeviceRequest,
    History,
    HistoryItem,
    Pin,
    Pins,
    ReadMark,
    ReadMarks,
    Text,
    encode_content,
)
from e2ecross.wire.content.resent import PayloadContent
from tests.attacks.support import ANA, BUDI, TOKO, FakeClock
from tests.support.accounts import (
    account,
    change_account,
    craft,
    device_of,
    hold_list,
    link_devices,
    own_account,
    receive,
    sign_devices,
)
from tests.support.devices import dump, introduce, make_device

MESSAGE_ID = bytes(range(16))
MESSAGE = {Table.SESSIONS, Table.SESSION_RECORDS, Table.SPQR, Table.DELIVERED, Table.INBOX}
"""What each message changes."""


class Household:
    """Ana's phone, her tablet, and the laptop that was stolen; Budi, whom they know."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.phone, self.laptop, self.tablet = (
            make_device(device_of(ANA, number), clock=clock) for number in (1, 2, 3)
        )
        self.budi = make_device(BUDI, clock=clock)
        self.own_list = link_devices(self.phone, self.laptop, self.tablet)
        for device in (self.phone, self.tablet):
            introduce(self.budi, device)
            hold_list(device, sign_devices(self.budi))

    def others(self) -> tuple[Device, Device]:
        return self.phone, self.tablet


@pytest.fixture
def home() -> Household:
    return Household()


def rest(device: Device) -> dict[object, bytes]:
    rows = dump(device._context.store).items()
    return {where: row for where, row in rows if where[0] not in MESSAGE and where[2] != b"account"}


def assert_ignored(laptop: Device, device: Device, content: PayloadContent) -> None:
    before = rest(device)
    assert not receive(device, craft(laptop, device.address, content))
    assert rest(device) == before


def false_key(address: Address) -> Device:
    """Whoever holds the key that is to be accepted for an address."""
    return make_device(address, seed="the thief's")


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize("address", [TOKO, BUDI, ANA], ids=["unknown", "known", "own"])
def test_pins(home: Household, address: Address, *, verified: bool) -> None:
    key = false_key(address)._context.identity_key_pair.public
    for device in home.others():
        assert_ignored(home.laptop, device, Pins((Pin(address.user_id, key, verified),)))


def test_a_pin_that_is_true_but_for_verified(home: Household) -> None:
    key = home.budi._context.identity_key_pair.public
    for device in home.others():
        assert_ignored(home.laptop, device, Pins((Pin(BUDI.user_id, key, verified=True),)))


@pytest.mark.parametrize("sender", [BUDI, TOKO, ANA], ids=str)
def test_history(home: Household, sender: Address) -> None:
    peer = BUDI.user_id if sender == ANA else sender.user_id
    item = HistoryItem(sender, peer, MESSAGE_ID, 1, *encode_content(Text("never said")))
    for device in home.others():
        assert_ignored(home.laptop, device, History((item,)))


def test_lists_of_strangers(home: Household) -> None:
    """Also of one who was named before, in a copy of what the user is to have sent there."""
    for device in home.others():
        signed = DeviceListPush((sign_devices(false_key(TOKO)).encode(),))
        assert_ignored(home.laptop, device, signed)
        change_account(device, TOKO.user_id, check_wanted=True, written=True)
        assert_ignored(home.laptop, device, signed)


def test_lists_of_contacts_and_of_the_account_under_other_keys(home: Household) -> None:
    for address in (BUDI, ANA):
        signed = sign_devices(false_key(address), seq=99)
        for device in home.others():
            assert_ignored(home.laptop, device, DeviceListPush((signed.encode(),)))


def test_a_list_that_the_laptop_has_signed_itself(home: Household) -> None:
    signed = sign_devices(home.laptop, home.tablet, seq=99, user=ANA.user_id)
    for device in home.others():
        assert_ignored(home.laptop, device, DeviceListPush((signed.encode(),)))
        assert account(device, ANA.user_id).held == home.own_list


def test_requests_to_a_device_that_signs_nothing(home: Household) -> None:
    for request in (
        DeviceRequest(unlink=True, capabilities=b""),
        DeviceRequest(unlink=False, capabilities=b"all"),
    ):
        assert_ignored(home.laptop, home.tablet, request)


def test_read_marks_of_the_users_own_words(home: Household) -> None:
    for device in home.others():
        assert_ignored(home.laptop, device, ReadMarks((ReadMark(ANA, MESSAGE_ID),)))


def test_a_contact_can_do_nothing_of_this_either(home: Household) -> None:
    key = false_key(TOKO)._context.identity_key_pair.public
    item = HistoryItem(BUDI, BUDI.user_id, MESSAGE_ID, 1, *encode_content(Text("never said")))
    for device in home.others():
        before = own_account(device)
        for content in (
            Pins((Pin(TOKO.user_id, key, verified=True),)),
            History((item,)),
            ReadMarks((ReadMark(BUDI, MESSAGE_ID),)),
            DeviceRequest(unlink=True, capabilities=b""),
            DeviceListPush((sign_devices(false_key(TOKO)).encode(),)),
        ):
            assert_ignored(home.budi, device, content)
        assert own_account(device) == before
