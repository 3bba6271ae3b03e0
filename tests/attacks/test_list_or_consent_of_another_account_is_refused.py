# SPDX-License-Identifier: Apache-2.0
"""A list counts for the account that it names, a consent for one account, key and number.

The attacker: a back end, or the holder of an account's key, with all lists and consents that there
are: those of other users and apps, of the same user under another key, for other numbers. It shows
each of them wherever another one is expected.
"""

from dataclasses import replace
from itertools import permutations, product
from typing import Final, NamedTuple

import pytest

from e2ecross import Device, Text, UserId
from e2ecross.crypto.keys import KeyPair, generate_key_pair
from e2ecross.device.device_lists import read_fetched_list
from e2ecross.errors import EnvelopeMismatch, InvalidSignature, RemoteError
from e2ecross.protocol.device_list import Verdict, sign_consent, sign_list
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from tests.attacks.support import ANA, BUDI, NOW_MS, dump
from tests.support.accounts import craft
from tests.support.device_lists import Household
from tests.support.devices import make_device, new_bundle
from tests.support.entropy import SeededEntropy
from tests.support.readers import device_with

ENTROPY: Final = SeededEntropy("lists and consents of others")
USERS: Final = (ANA.user_id, UserId("instagram", "ana"), UserId("whatsapp", "toko"))
KEYS: Final = tuple(generate_key_pair(ENTROPY) for _ in range(2))
DEVICE: Final = generate_key_pair(ENTROPY)


class Place(NamedTuple):
    """Where a device can stand: of which account, under which key of it, and with which number."""

    user: UserId
    account: KeyPair
    number: int

    def consent(self) -> bytes:
        """The device's own, to stand here."""
        account_key = self.account.public
        return sign_consent(self.user, self.number, DEVICE, account_key, ENTROPY)

    def list_with(self, consent: bytes) -> SignedDeviceList:
        """A list of this account that has the device here, with some consent."""
        devices = (
            ListedDevice(1, self.account.public, b""),
            ListedDevice(self.number, DEVICE.public, consent),
        )
        return sign_list(DeviceList(self.user, 1, b"", NOW_MS, devices), self.account, ENTROPY)


PLACES: Final = [Place(*each) for each in product(USERS, KEYS, (2, 3, 127))]


def refuse(reader: Device, user: UserId, data: bytes, error: type[RemoteError]) -> None:
    """Nothing is kept of what is handed out as the list of an account."""
    before = dump(reader._context.store)
    with pytest.raises(error):
        read_fetched_list(reader._context, user, data)
    assert dump(reader._context.store) == before


def test_a_consent_is_good_in_one_place() -> None:
    consents = {place: place.consent() for place in PLACES}
    reader = make_device(BUDI)
    for here, there in permutations(PLACES, 2):
        refuse(reader, here.user, here.list_with(consents[there]).encode(), InvalidSignature)
    for place, consent in consents.items():
        context = make_device(BUDI)._context
        fetched = read_fetched_list(context, place.user, place.list_with(consent).encode())
        assert fetched.verdict is Verdict.NEWER


@pytest.mark.parametrize("has_lists", [False, True])
def test_a_list_is_good_for_the_account_that_it_names(has_lists: bool) -> None:
    """Neither as it is, nor with another name under the signature that it has."""
    homes = [Household(user) for user in USERS]
    reader = make_device(BUDI)
    if has_lists:
        for home in homes:
            read_fetched_list(reader._context, home.user, home.sign(devices=(1, 2)).encode())
    for here, there in permutations(homes, 2):
        signed = there.sign(7, previous=bytes(32), devices=(1, 2, 3))
        refuse(reader, here.user, signed.encode(), EnvelopeMismatch)
        named = replace(signed.list, user=here.user)
        forged = SignedDeviceList(named.encode(), signed.signature, named)
        refuse(reader, here.user, forged.encode(), InvalidSignature)


def test_a_message_carries_no_list_of_another_account() -> None:
    phone, reader = device_with(ANA, KEYS[0]), make_device(BUDI)
    for user in USERS[1:]:
        signed = Household(user, primary=KEYS[0]).sign()  # under the very key of the sender
        phone.start_session(new_bundle(reader, kyber=True))
        envelope = craft(phone, BUDI, Text("halo"), device_list=signed.encode())
        before = dump(reader._context.store)
        with pytest.raises(EnvelopeMismatch):
            reader.decrypt(envelope)
        assert dump(reader._context.store) == before
