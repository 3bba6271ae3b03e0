# SPDX-License-Identifier: Apache-2.0
"""Of two lists of one number only what both have is written to, until the next one ends it.

The attacker: a thief of an account's key, or a copy of the phone's store, that signs lists of its
own under the same key, and a back end that shows each contact whichever it likes, as often as it
likes.
"""

from itertools import product

import pytest

from e2ecross import Device, NoticeKind
from e2ecross.device.device_lists import read_fetched_list, targets_of
from e2ecross.device.own_list import restore_devices, unlink_device
from e2ecross.errors import DevicesConflict
from e2ecross.protocol.device_list import Verdict
from e2ecross.wire.device_list import SignedDeviceList
from tests.attacks.support import ANA, BUDI, TOKO, dump
from tests.support.accounts import account, device_of, hold_list, own_account, sign_devices
from tests.support.devices import make_device
from tests.support.readers import key_of, notices

OWN = ANA.user_id
LAPTOP, TABLET, GHOST = (device_of(ANA, number) for number in (2, 3, 9))


class World:
    """Ana's phone has signed a second list, a thief of its key another; each contact has one."""

    def __init__(self) -> None:
        self.phone, laptop, tablet, ghost = map(make_device, (ANA, LAPTOP, TABLET, GHOST))
        self.budi, self.toko = make_device(BUDI), make_device(TOKO)
        first = sign_devices(self.phone, laptop)
        self.genuine = sign_devices(self.phone, laptop, tablet, after=first)
        self.forged = sign_devices(self.phone, laptop, ghost, after=first)
        for device in (self.phone, self.budi, self.toko):
            hold_list(device, first)
        for device, signed in (
            (self.phone, self.genuine),
            (self.budi, self.genuine),
            (self.toko, self.forged),
        ):
            hold_list(device, signed)

    def contacts(self) -> tuple[Device, Device]:
        return self.budi, self.toko


@pytest.fixture
def world() -> World:
    return World()


def show(device: Device, signed: SignedDeviceList) -> Verdict:
    return read_fetched_list(device._context, OWN, signed.encode()).verdict


def sent_to(device: Device) -> list[int]:
    context = device._context
    with context.store.transaction() as tx:
        targets = targets_of(context, tx, OWN, context.clock())
    assert targets is not None
    return sorted(address.device for address in targets.devices)


def test_both_contacts_write_to_what_both_lists_have(world: World) -> None:
    assert (sent_to(world.budi), sent_to(world.toko)) == ([1, 2, 3], [1, 2, 9])
    assert show(world.budi, world.forged) is Verdict.FORK
    assert show(world.toko, world.genuine) is Verdict.FORK
    for contact in world.contacts():
        assert sent_to(contact) == [1, 2]
        assert [kind for kind, *_ in notices(contact)] == [NoticeKind.LIST_FORK]
    assert key_of(world.budi, GHOST) is None
    assert account(world.budi, OWN).held == world.genuine


def test_shown_again_and_again_it_changes_nothing_more(world: World) -> None:
    show(world.budi, world.forged)
    show(world.toko, world.genuine)
    third = sign_devices(world.phone, make_device(GHOST), seq=2, previous=bytes(32))
    for contact, signed in product(
        world.contacts(), (world.genuine, world.forged, third, world.genuine)
    ):
        before = dump(contact._context.store)
        assert show(contact, signed) in (Verdict.FORK, Verdict.SAME)
        assert dump(contact._context.store) == before


def test_the_phone_signs_nothing_until_the_user_has_decided_and_that_ends_it(world: World) -> None:
    show(world.budi, world.forged)
    show(world.toko, world.genuine)
    assert show(world.phone, world.forged) is Verdict.CONFLICT
    assert own_account(world.phone).conflict
    assert NoticeKind.FOREIGN_LIST in [kind for kind, *_ in notices(world.phone)]
    before = dump(world.phone._context.store)
    with pytest.raises(DevicesConflict):
        unlink_device(world.phone._context, 3)
    assert dump(world.phone._context.store) == before
    restore_devices(world.phone._context, [2, 3])
    reset = account(world.phone, OWN).held
    assert reset is not None
    for contact in world.contacts():
        assert show(contact, reset) is Verdict.RESET
        assert sent_to(contact) == [1, 2, 3]
        assert key_of(contact, GHOST) is None
        before = dump(contact._context.store)
        for late in (world.forged, world.genuine):
            assert show(contact, late) is Verdict.OLDER
        assert dump(contact._context.store) == before
