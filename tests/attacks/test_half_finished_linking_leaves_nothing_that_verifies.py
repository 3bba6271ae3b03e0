# SPDX-License-Identifier: Apache-2.0
"""An attempt to link that ends before the user has confirmed leaves nothing that makes a device.

The attacker: a new device that keeps all that it was told, with the back end on its side: it hands
out whatever list the two of them can make of what they have, once the user has thought better of
it, at any step and at either end.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from e2ecross import Client, DeviceLink, Pairing, Text
from e2ecross.crypto.keys import KeyPair
from e2ecross.errors import InvalidSignature, LinkFailed, RemoteError
from e2ecross.protocol.device_list import hash_list, sign_list, verify_consent, verify_list
from e2ecross.protocol.linking import CompanionAnswered, begin_companion
from e2ecross.wire.device_list import DeviceList, ListedDevice, SignedDeviceList
from e2ecross.wire.linking import LinkAnswer
from tests.attacks.support import ANA, BUDI
from tests.support.accounts import account
from tests.support.devices import BackendSimulator, FakeClock, dump, make_client
from tests.support.entropy import SeededEntropy
from tests.support.pairing import LinkScene

Lead = Callable[[LinkScene], tuple[DeviceLink, Pairing]]
End = Callable[[LinkScene, DeviceLink, Pairing], None]


class World:
    """Ana's phone, and Budi, who writes to her and holds her list."""

    def __init__(self, backend: BackendSimulator, clock: FakeClock) -> None:
        self.backend, self.scene = backend, LinkScene(backend, clock)
        self.budi = make_client(BUDI, backend, clock=clock)
        self.budi.send("whatsapp:ana", Text("halo"))
        self.scene.phone.confirm(self.scene.phone.receive())
        self.first = self.scene.held

    def rows(self) -> object:
        """All that the phone and the contact hold."""
        return self.scene.phone_rows(), dump(self.budi.device._context.store)

    def check_nothing_has_come_of_it(self, rows: object) -> None:
        """Neither here nor there; and the next attempt works."""
        assert self.rows() == rows
        assert not dump(self.scene.store)
        assert self.backend.lists[ANA.user_id] == self.first.encode()
        (sent,) = self.budi.send("whatsapp:ana", Text("halo again")).deliveries
        assert sent.address == ANA
        laptop = self.scene.link()
        self.budi.send("whatsapp:ana", Text("to both"))
        assert len(laptop.receive()) == 1


@pytest.fixture
def world(backend: BackendSimulator, clock: FakeClock) -> World:
    return World(backend, clock)


def the_new_device_cancels(_: LinkScene, link: DeviceLink, __: Pairing) -> None:
    link.cancel()


def the_phone_cancels(_: LinkScene, __: DeviceLink, pairing: Pairing) -> None:
    pairing.cancel()


def both_are_killed(_: LinkScene, __: DeviceLink, ___: Pairing) -> None:
    """Nothing is told anybody."""


def the_time_is_over(scene: LinkScene, link: DeviceLink, pairing: Pairing) -> None:
    scene.clock.advance(10 * 60 * 1000 + 1)
    for call in (link.poll, pairing.poll, pairing.confirm):
        with pytest.raises(LinkFailed):
            call()


@pytest.mark.parametrize("lead", [LinkScene.begin, LinkScene.shown, LinkScene.typed])
@pytest.mark.parametrize(
    "end", [the_new_device_cancels, the_phone_cancels, both_are_killed, the_time_is_over]
)
def test_what_ends_at_any_step_leaves_all_stores_as_they_were(
    world: World, lead: Lead, end: End
) -> None:
    rows = world.rows()
    link, pairing = lead(world.scene)
    end(world.scene, link, pairing)
    world.check_nothing_has_come_of_it(rows)


def test_wrong_digits_end_it_before_anything_is_signed(world: World) -> None:
    rows = world.rows()
    link, pairing = world.scene.shown()
    with pytest.raises(LinkFailed):
        link.enter_digits(f"{(int(pairing.digits) + 7) % 1_000_000:06}")
    pairing.cancel()
    world.check_nothing_has_come_of_it(rows)


# --- What can be made of what the new device has --------------------------------------------


class Keeper:
    """A new device that has answered, and keeps what it has: its keys, its consent, the offer."""

    def __init__(self, world: World) -> None:
        entropy = SeededEntropy("keeper")
        start = begin_companion("whatsapp", entropy, world.scene.clock.now_ms)
        self.pairing = world.scene.phone.link_device(start.code)
        offer = world.backend.get_link(start.link_id, 0)
        assert offer is not None
        self.answered: CompanionAnswered = start.take_offer(
            offer,
            name="laptop",
            token=bytes(32),
            entropy=entropy,
            now_ms=world.scene.clock.now_ms,
        )
        world.backend.put_link(start.link_id, 1, self.answered.answer)
        self.pairing.poll()
        self.entropy = entropy

    @property
    def key_pair(self) -> KeyPair:
        """Its identity."""
        return self.answered.device.key_pair

    def entry(self, world: World) -> ListedDevice:
        """How it would stand in the list: its consent is genuine."""
        sealing = self.answered.sealing
        answer = sealing.open_later(sealing.keys.answer, self.answered.answer)
        consent = LinkAnswer.decode(answer).device_signature
        entry = ListedDevice(2, self.key_pair.public, consent)
        verify_consent(ANA.user_id, entry, world.first.list.account_key)
        return entry


def signatures(world: World, keeper: Keeper, unsigned: DeviceList) -> Iterator[bytes]:
    """Every signature of the account's key that anybody has seen, and what the device can make."""
    published = world.backend.published(ANA)
    yield world.first.signature
    yield published.signed_prekey.signature
    for prekey in published.kyber_prekeys:
        yield prekey.signature
    last_resort = published.last_resort_kyber_prekey
    assert last_resort is not None
    yield last_resort.signature
    yield keeper.entry(world).device_signature
    yield sign_list(unsigned, keeper.key_pair, keeper.entropy).signature
    yield bytes(64)


def lists(world: World, keeper: Keeper) -> Iterator[DeviceList]:
    """Lists that have the device: the next one, one far ahead, a reset, one of the same number."""
    first, entry = world.first.list, keeper.entry(world)
    for seq, previous in ((2, hash_list(world.first)), (1_000, b"x" * 32), (1_001, b""), (1, b"")):
        yield replace(first, seq=seq, previous=previous, devices=(*first.devices, entry))


def forged(world: World, keeper: Keeper) -> list[SignedDeviceList]:
    return [
        SignedDeviceList(unsigned.encode(), signature, unsigned)
        for unsigned in lists(world, keeper)
        for signature in signatures(world, keeper, unsigned)
    ]


def test_all_that_the_new_device_has_makes_no_list_that_verifies(world: World) -> None:
    keeper = Keeper(world)
    made = forged(world, keeper)
    assert len(made) > 4 * 100
    for signed in made:
        with pytest.raises(InvalidSignature):
            verify_list(signed)
        with pytest.raises(InvalidSignature):
            verify_list(signed, world.first)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_contact_takes_none_of_them_from_the_back_end(
    world: World, is_known: bool, clock: FakeClock
) -> None:
    keeper = Keeper(world)
    rows = world.rows()
    contact: Client = world.budi
    if is_known:
        contact.send("whatsapp:ana", Text("so that the list is asked for again"))
    else:
        contact = make_client(replace(BUDI, user="citra"), world.backend, clock=clock)
    contact.receive()
    before = dump(contact.device._context.store)
    genuine = world.backend.lists[ANA.user_id]
    for signed in forged(world, keeper)[::40]:
        world.backend.lists[ANA.user_id] = signed.encode()
        if not is_known:
            with pytest.raises(RemoteError):
                contact.send("whatsapp:ana", Text("halo"))
            with pytest.raises(RemoteError):
                contact.devices("whatsapp:ana")
        contact.receive()
        assert dump(contact.device._context.store) == before
    world.backend.lists[ANA.user_id] = genuine
    assert world.rows()[0] == rows[0]  # type: ignore[index]
    (sent,) = contact.send("whatsapp:ana", Text("halo")).deliveries
    assert sent.address == ANA


def test_the_phone_takes_none_of_them_either(world: World) -> None:
    keeper = Keeper(world)
    keeper.pairing.cancel()
    rows = world.scene.phone_rows()
    for signed in forged(world, keeper)[::40]:
        world.backend.lists[ANA.user_id] = signed.encode()
        world.scene.phone.maintain()
        assert world.scene.phone_rows() == rows
    assert account(world.scene.phone.device, ANA.user_id).held == world.first


def test_the_same_list_signed_by_the_phone_is_one(world: World) -> None:
    """So what fails above fails for want of the one signature."""
    keeper = Keeper(world)
    unsigned = next(lists(world, keeper))
    owner = world.scene.phone.device._context.identity_key_pair
    verify_list(sign_list(unsigned, owner, SeededEntropy("owner")))
    keeper.pairing.confirm()
    assert world.scene.held.list.devices == unsigned.devices
