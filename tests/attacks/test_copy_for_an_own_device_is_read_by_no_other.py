# SPDX-License-Identifier: Apache-2.0
"""What own devices tell each other of conversations is theirs alone: nobody can turn it elsewhere.

The attacker: a back end that readdresses copies between the devices of one account; a contact who
says with whom the user talks, as only an own device may; a device that claims to be one.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest

from e2ecross import Address, Device, Envelope, Message, Text, UserId
from e2ecross.errors import EnvelopeMismatch, RemoteError, UnlistedDevice
from e2ecross.wire.content import Resent
from e2ecross.wire.content.resent import PayloadContent
from tests.attacks.support import ANA, BUDI, NOW_MS, TOKO, dump
from tests.support.accounts import craft, device_of, link_devices, sign_devices
from tests.support.devices import MESSAGE_ID, introduce, make_device, new_bundle

NUMBERS = (1, 2, 3)
HALO = Text("halo, Budi")
AGAIN = Resent(MESSAGE_ID, NOW_MS, HALO)


class Home:
    """Ana's three devices, and Budi, who talks with all of them."""

    def __init__(self) -> None:
        self.devices = {number: make_device(device_of(ANA, number)) for number in NUMBERS}
        self.held = link_devices(*self.devices.values())
        self.budi = make_device(BUDI)
        for device in self.devices.values():
            introduce(self.budi, device)

    def copies(self, content: PayloadContent = HALO) -> Iterator[tuple[int, int, Envelope]]:
        """A copy from every device to every other one."""
        for sender, reader in permutations(NUMBERS, 2):
            address = device_of(ANA, reader)
            yield sender, reader, craft(self.devices[sender], address, content, peer=BUDI.user_id)


@pytest.fixture
def home() -> Home:
    return Home()


def refused(device: Device, envelope: Envelope, *errors: type[RemoteError]) -> None:
    before = dump(device._context.store)
    with pytest.raises(RemoteError) as caught:
        device.decrypt(envelope)
    assert not errors or type(caught.value) in errors
    assert dump(device._context.store) == before


@pytest.mark.parametrize("content", [HALO, AGAIN], ids=["content", "sent again"])
def test_a_copy_that_is_readdressed_opens_nowhere_else(content: PayloadContent, home: Home) -> None:
    for sender, reader, genuine in home.copies(content):
        for other in NUMBERS:
            if other != reader:
                turned = replace(genuine, recipient=device_of(ANA, other))
                refused(home.devices[other], turned)
                refused(home.devices[other], genuine, EnvelopeMismatch)
            if other not in (sender, reader):
                claimed = replace(genuine, sender=device_of(ANA, other))
                refused(home.devices[reader], claimed)
        refused(home.devices[reader], replace(genuine, sender=BUDI))
        message = home.devices[reader].decrypt(genuine)
        assert isinstance(message, Message)
        assert (message.sender, message.peer, message.own_copy, message.content) == (
            device_of(ANA, sender),
            BUDI.user_id,
            True,
            HALO,
        )


@pytest.mark.parametrize("peer", [BUDI.user_id, ANA.user_id, TOKO.user_id])
@pytest.mark.parametrize("content", [HALO, AGAIN], ids=["content", "sent again"])
@pytest.mark.parametrize("is_first", [False, True], ids=["in a session", "that starts one"])
def test_a_contact_says_with_whom_the_user_talks(
    peer: UserId, content: PayloadContent, is_first: bool, home: Home
) -> None:
    for device in home.devices.values():
        if is_first:
            home.budi.start_session(new_bundle(device, kyber=True))
        forged = craft(home.budi, device.address, content, peer=peer)
        genuine = craft(home.budi, device.address, content)
        refused(device, forged, EnvelopeMismatch)
        message = device.decrypt(genuine)
        assert isinstance(message, Message)
        assert (message.sender, message.peer, message.own_copy) == (BUDI, BUDI.user_id, False)


def stranger_at(number: int) -> Device:
    return make_device(device_of(ANA, number), seed="stranger")


@pytest.mark.parametrize("number", [1, 2, 9])
@pytest.mark.parametrize("peer", [None, BUDI.user_id])
@pytest.mark.parametrize("carried", ["nothing", "the list", "one of its own"])
def test_a_device_claims_to_be_one_of_the_account(
    number: int, peer: UserId | None, carried: str, home: Home
) -> None:
    stranger = stranger_at(number)
    own_list = sign_devices(stranger_at(1), *([] if number == 1 else [stranger]))
    data = {"nothing": b"", "the list": home.held.encode()}.get(carried, own_list.encode())
    for reader, device in home.devices.items():
        if reader == number:
            continue  # it names itself as sender
        stranger.start_session(new_bundle(device, kyber=True))
        address: Address = device.address
        envelope = craft(stranger, address, HALO, peer=peer, device_list=data)
        refused(device, envelope, UnlistedDevice if peer else EnvelopeMismatch)


def test_a_genuine_copy_is_read_after_all_of_that(home: Home) -> None:
    before = {number: dump(device._context.store) for number, device in home.devices.items()}
    stranger = stranger_at(2)
    for number in (1, 3):
        stranger.start_session(new_bundle(home.devices[number], kyber=True))
        before[number] = dump(home.devices[number]._context.store)
        envelope = craft(stranger, device_of(ANA, number), HALO, peer=TOKO.user_id)
        refused(home.devices[number], envelope, UnlistedDevice)
        assert dump(home.devices[number]._context.store) == before[number]
    for _, reader, genuine in home.copies():
        message = home.devices[reader].decrypt(genuine)
        assert message.content == HALO
        assert not message.identity_changed
