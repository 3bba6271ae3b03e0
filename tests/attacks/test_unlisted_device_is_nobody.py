# SPDX-License-Identifier: Apache-2.0
"""Who is not in the list of an account, by number and key together, is nobody of that account.

The attacker: a back end that invents devices of a user; a thief with keys of his own under numbers
of hers; a device that she has removed and that goes on sending; all of them with every list that
there ever was, and with lists that they sign themselves.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from e2ecross import Device, Envelope, Policy, Text
from e2ecross.device.bundles import start_from_bundles
from e2ecross.device.collecting import keep_failure, take_in
from e2ecross.errors import InvalidSignature, RemoteError, UnlistedDevice
from e2ecross.protocol.device_list import hash_list, sign_consent, sign_list
from e2ecross.wire.content import Pin, Pins
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from tests.attacks.support import ANA, BUDI, NOW_MS, dump
from tests.support.accounts import (
    account,
    craft,
    device_of,
    hold_list,
    link_devices,
    outbox,
    receive,
    sign_devices,
)
from tests.support.devices import introduce, make_device, new_bundle, start
from tests.support.readers import device_with, key_of, pending_of

LAPTOP, TABLET, GHOST = (device_of(ANA, number) for number in (2, 3, 9))
ACCOUNT = ANA.user_id
HALO = Text("halo")


class World:
    """Ana's phone, laptop and tablet; the laptop was removed, and Budi has heard of it."""

    def __init__(self) -> None:
        self.phone, self.laptop = make_device(ANA), make_device(LAPTOP)
        self.tablet, self.budi = make_device(TABLET), make_device(BUDI)
        everybody = sign_devices(self.phone, self.laptop, self.tablet)
        hold_list(self.budi, everybody)
        for device in (self.phone, self.laptop, self.tablet):
            introduce(self.budi, device)
        # What the laptop had sent, and what it was sent, when it was removed.
        self.late = [craft(self.laptop, BUDI, HALO) for _ in range(3)]
        newest = sign_devices(self.phone, self.tablet, after=everybody)
        hold_list(self.budi, newest)
        self.lists = {
            "none": b"",
            "first": sign_devices(self.phone).encode(),
            "with the laptop": everybody.encode(),
            "newest": newest.encode(),
            "newer": sign_devices(self.phone, self.tablet, after=newest).encode(),
            "fork": sign_devices(self.phone, seq=2, previous=hash_list(everybody)).encode(),
        }

    def refuses(self, envelope: Envelope, error: type[RemoteError] = UnlistedDevice) -> None:
        """Nothing of it is kept, whichever way it comes, and nobody is asked for it again."""
        context = self.budi._context
        before = dump(context.store)
        with pytest.raises(RemoteError) as caught:
            self.budi.decrypt(envelope)
        assert type(caught.value) is error
        (result,) = self.budi.decrypt_many([envelope])
        assert type(result) is error
        with pytest.raises(error):
            take_in(context, 1, envelope.encode())
        assert dump(context.store) == before
        if error is UnlistedDevice:
            keep_failure(context, 1, envelope.encode(), caught.value)
            assert outbox(self.budi) == []


@pytest.fixture
def world() -> World:
    return World()


def first(sender: Device, reader: Device, carried: bytes) -> Envelope:
    sender.start_session(new_bundle(reader, kyber=True))
    return craft(sender, reader.address, HALO, device_list=carried)


NUMBERS = {2: LAPTOP, 3: TABLET, 9: GHOST}
LISTS = ["none", "first", "with the laptop", "newest", "newer", "fork"]


@pytest.mark.parametrize("carried", LISTS)
def test_a_key_under_a_number_that_it_is_not_listed_with(carried: str, world: World) -> None:
    """Every key at every number, with every list that the account key has signed."""
    keys = {"laptop": 2, "tablet": 3, "thief": 0}
    for name, number in product(keys, (2, 3, 9)):
        if keys[name] == number == 3:
            continue  # the tablet is listed
        owner = getattr(world, name, make_device(GHOST, seed="thief"))
        sender = device_with(NUMBERS[number], owner._context.identity_key_pair)
        world.refuses(first(sender, world.budi, world.lists[carried]))
        # Nor is anything sent to it.
        with pytest.raises(UnlistedDevice):
            start(world.budi, sender)


def test_a_removed_device_goes_on_sending(world: World) -> None:
    """Its sessions are gone: what it sends in them cannot be read, and not be asked for either."""
    before = dump(world.budi._context.store)
    for envelope in (*world.late, craft(world.laptop, BUDI, HALO)):
        with pytest.raises(RemoteError):
            world.budi.decrypt(envelope)
    assert dump(world.budi._context.store) == before
    for carried in LISTS:
        world.refuses(first(world.laptop, world.budi, world.lists[carried]))
    assert key_of(world.budi, LAPTOP) is None
    assert not world.budi.has_session(LAPTOP)


def test_the_one_that_is_listed_is_read_all_the_same(world: World) -> None:
    for carried in LISTS:
        message = world.budi.decrypt(first(world.tablet, world.budi, world.lists[carried]))
        assert (message.content, message.identity_changed) == (HALO, False)


def forged_lists(world: World) -> Iterator[tuple[str, SignedDeviceList]]:
    """Lists with a device more, by whoever has keys of the account but not its own."""
    held = account(world.budi, ACCOUNT).held
    assert held is not None
    ghost = make_device(GHOST)
    pair, account_key = ghost._context.identity_key_pair, held.list.account_key
    entropy = ghost._context.entropy
    consents = {
        "nobody's": bytes(64),
        "its own": sign_consent(ACCOUNT, 9, pair, account_key, entropy),
        "for another number": sign_consent(ACCOUNT, 8, pair, account_key, entropy),
        "for another account": sign_consent(BUDI.user_id, 9, pair, account_key, entropy),
        "for another key": sign_consent(ACCOUNT, 9, pair, pair.public, entropy),
        "the tablet's": held.list.devices[1].device_signature,
    }
    phone, tablet = world.phone._context, world.tablet._context
    signers = {
        "the account key": phone.identity_key_pair,
        "the tablet": tablet.identity_key_pair,
        "the ghost": pair,
    }
    for (consent, signature), (signer, key_pair) in product(consents.items(), signers.items()):
        if (consent, signer) == ("its own", "the account key"):
            continue  # that is a list
        devices = (*held.list.devices, ListedDevice(9, pair.public, signature))
        unsigned = DeviceList(ACCOUNT, 3, hash_list(held), NOW_MS, devices)
        yield f"{consent}, {signer}", sign_list(unsigned, key_pair, entropy)
    devices = (*held.list.devices, ListedDevice(9, pair.public, consents["its own"]))
    data = DeviceList(ACCOUNT, 3, hash_list(held), NOW_MS, devices)
    for signature in (bytes(64), held.signature):
        yield "signed for another list", SignedDeviceList(data.encode(), signature, data)


def test_a_device_that_the_account_has_not_taken_in(world: World) -> None:
    """Also where account key and ghost agree: a device's key is listed by its holder alone."""
    for _, forged in forged_lists(world):
        ghost = make_device(GHOST)
        world.refuses(first(ghost, world.budi, forged.encode()), InvalidSignature)
    assert key_of(world.budi, GHOST) is None


def test_a_list_of_a_strangers_own_vouches_for_no_device_beside_it(world: World) -> None:
    """It is a changed identity of the account, for the user to decide about; never a companion."""
    thief = make_device(ANA, seed="thief")
    ghost = make_device(GHOST)
    own_list = sign_devices(thief, ghost).encode()
    world.refuses(first(world.laptop, world.budi, own_list))
    held = account(world.budi, ACCOUNT)
    assert world.budi.decrypt(first(ghost, world.budi, own_list)).identity_changed
    assert account(world.budi, ACCOUNT) == held
    assert pending_of(world.budi, ANA) == thief.identity_key
    world.budi.reject_identity(ANA, thief.identity_key)
    assert key_of(world.budi, GHOST) is None
    world.refuses(first(ghost, world.budi, b""))


def test_at_first_contact_nothing_but_the_list_says_who_belongs_there() -> None:
    """A device that the back end has invented before goes when the account's list comes."""
    budi, phone, ghost = make_device(BUDI), make_device(ANA), make_device(GHOST)
    introduce(budi, ghost)
    assert budi.has_session(GHOST)
    world = World()
    world.budi = budi
    carried = sign_devices(phone).encode()
    assert budi.decrypt(first(phone, budi, carried)).content == HALO
    assert key_of(budi, GHOST) is None
    assert not budi.has_session(GHOST)
    world.refuses(first(ghost, budi, carried))


def test_a_verified_key_without_a_list_vouches_for_no_other_device(world: World) -> None:
    """As on a laptop that was just linked: it knows the key from the phone, and no list yet."""
    budi, phone, tablet, ghost = map(make_device, (BUDI, ANA, TABLET, GHOST))
    introduce(budi, phone)
    budi.mark_verified(ANA, phone.identity_key)
    world.budi = budi
    world.refuses(first(ghost, budi, b""))
    with pytest.raises(UnlistedDevice):
        start(budi, ghost)
    carried = sign_devices(phone, tablet).encode()
    assert budi.decrypt(first(tablet, budi, carried)).content == HALO
    assert budi.decrypt(craft(phone, BUDI, HALO)).content == HALO
    world.refuses(first(ghost, budi, b""))


@pytest.mark.parametrize("how", ["pinned", "another key accepted", "another key by policy"])
def test_who_is_known_to_have_a_list_has_no_other_device_without_it(how: str, world: World) -> None:
    """Known by the phone that has linked this device, or by the list of an earlier key."""
    phone, tablet, ghost = make_device(ANA, seed="new"), make_device(TABLET), make_device(GHOST)
    budi = world.budi
    if how == "pinned":
        own_phone, budi = make_device(BUDI), make_device(device_of(BUDI, 2))
        link_devices(own_phone, budi)
        pin = Pin(ACCOUNT, phone._context.identity_key_pair.public, verified=False)
        receive(budi, craft(own_phone, budi.address, Pins((pin,))))
        world.budi = budi
    elif how == "another key accepted":
        assert budi.decrypt(first(phone, budi, b"")).identity_changed
        budi.accept_identity(ANA, phone.identity_key)
    else:
        policy = Policy(accept_changed_identity=True)
        budi = world.budi = Device(replace(budi._context, policy=policy))
        start_from_bundles(budi._context, [new_bundle(phone, kyber=True)])
    assert account(budi, ACCOUNT).held is None
    assert key_of(budi, ANA) == phone.identity_key
    world.refuses(first(ghost, budi, b""))
    world.refuses(first(ghost, budi, sign_devices(phone, tablet).encode()))
    before = dump(budi._context.store)
    with pytest.raises(UnlistedDevice):
        start(budi, ghost)
    (outcome,) = start_from_bundles(budi._context, [new_bundle(ghost, kyber=True)])
    assert isinstance(outcome, UnlistedDevice)
    assert dump(budi._context.store) == before
    carried = sign_devices(phone, tablet).encode()
    assert budi.decrypt(first(tablet, budi, carried)).content == HALO
    world.refuses(first(ghost, budi, b""))


def test_who_has_no_list_writes_from_any_device() -> None:
    """Of Signal clients that sign none, each device stands for itself."""
    budi, phone, laptop = make_device(BUDI), make_device(ANA), make_device(LAPTOP)
    for device in (phone, laptop):
        assert budi.decrypt(first(device, budi, b"")).content == HALO
        start(budi, device, kyber=True)
