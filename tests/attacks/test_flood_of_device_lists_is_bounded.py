# SPDX-License-Identifier: Apache-2.0
"""However many lists a contact sends, one is kept, and each costs its new signatures once.

The attacker: a contact with all the time in the world, whose client signs list after list, forges
others, and sends them all, to fill the victim's store and to keep its device busy.
"""

import pytest

from e2ecross import Text
from e2ecross.crypto import xeddsa
from e2ecross.protocol import device_list
from e2ecross.stores import Table
from e2ecross.wire.content import DeviceListPush
from e2ecross.wire.device_list import SignedDeviceList
from tests.attacks.support import ANA, BUDI, FakeClock
from tests.support.accounts import account, craft, hold_list, receive
from tests.support.device_lists import Household
from tests.support.devices import dump, introduce, make_device, start

LISTS = 1_000
OTHERS = range(2, 17)
ROWS = (Table.ACCOUNTS, Table.REMOTE_IDENTITIES)


class World:
    """Ana, and Budi, who signs whatever he likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = FakeClock()
        self.ana, self.budi = make_device(ANA, clock=clock), make_device(BUDI, clock=clock)
        introduce(self.budi, self.ana)
        pair = self.budi._context.identity_key_pair
        self.home = Household(BUDI.user_id, primary=pair)
        self.signatures = 0
        verify = xeddsa.verify_signature

        def count(key: bytes, message: bytes, signature: bytes) -> None:
            self.signatures += 1
            verify(key, message, signature)  # type: ignore[arg-type]

        monkeypatch.setattr(device_list, "verify_signature", count)

    def push(self, *lists: SignedDeviceList | bytes) -> None:
        data = [each if isinstance(each, bytes) else each.encode() for each in lists]
        receive(self.ana, craft(self.budi, ANA, DeviceListPush(tuple(data))))

    @property
    def kept(self) -> dict[object, bytes]:
        """What is kept of Budi's account."""
        rows = dump(self.ana._context.store).items()
        return {where: row for where, row in rows if where[0] in ROWS}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_thousand_newer_lists_are_one_row_each_with_one_new_signature(world: World) -> None:
    newest = world.home.sign(1, devices=(1, *OTHERS))
    world.push(newest)
    assert world.signatures == 16
    rows = len(world.kept)
    assert rows == 1 + 16
    for seq in range(2, LISTS + 2):
        newest = world.home.sign(seq, previous=newest, devices=(1, *OTHERS))
        world.push(newest)
    assert account(world.ana, BUDI.user_id).held == newest
    assert len(world.kept) == rows
    assert world.signatures == 16 + LISTS


def test_devices_that_are_new_in_each_leave_nothing_behind(world: World) -> None:
    for seq in range(1, 51):
        for number in OTHERS:
            world.home.move_in(number)
        world.push(world.home.sign(seq * 2, devices=(1, *OTHERS)))
    assert len(world.kept) == 1 + 16
    assert world.signatures == 16 * 50


def test_the_same_the_older_and_the_forged_are_not_kept(world: World) -> None:
    lists = [world.home.sign(seq, devices=(1, 2)) for seq in (5, 7)]
    for signed in lists:
        hold_list(world.ana, signed)
    before = {
        where: row for where, row in dump(world.ana._context.store).items() if where[0] in ROWS
    }
    newest = lists[-1]
    forged = SignedDeviceList(newest.data, bytes(64), newest.list)
    higher = world.home.sign(9, devices=(1, 2))
    stripped = SignedDeviceList(higher.data, newest.signature, higher.list)
    other = Household(BUDI.user_id, seed="other").sign(9)
    for _ in range(LISTS // 10):
        world.push(lists[0], newest)
        world.push(forged, stripped)
        world.push(other, b"garbage")
    after = {
        where: row for where, row in dump(world.ana._context.store).items() if where[0] in ROWS
    }
    assert after == before


def test_contradictions_are_told_once_and_one_is_kept(world: World) -> None:
    hold_list(world.ana, world.home.sign(5))
    rows = len(world.kept)
    first = world.home.sign(5, signed_at_ms=1)
    for time_ms in range(1, LISTS // 10):
        world.push(world.home.sign(5, signed_at_ms=time_ms))
        world.push(world.home.sign(6, signed_at_ms=time_ms))  # which continues no list
    assert len(world.kept) == rows
    rival = account(world.ana, BUDI.user_id).rival
    assert rival is not None
    assert rival.data == first.data
    items = receive(world.ana, craft(world.budi, ANA, DeviceListPush((b"garbage",))))
    assert len(items) == 1


def test_first_messages_that_carry_a_list_each_are_no_more(world: World) -> None:
    """A session that nobody answers, and a newer list in each message."""
    newest = world.home.sign(1, devices=(1, *OTHERS))
    hold_list(world.ana, newest)
    start(world.budi, world.ana, kyber=True)
    rows = len(world.kept)
    for seq in range(2, LISTS + 2):
        newest = world.home.sign(seq, previous=newest, devices=(1, *OTHERS))
        carried = newest.encode()
        world.ana.decrypt(craft(world.budi, ANA, Text("halo"), device_list=carried))
    assert account(world.ana, BUDI.user_id).held == newest
    assert len(world.kept) == rows
    assert world.signatures == LISTS
    before = world.kept
    forged = SignedDeviceList(newest.data, bytes(64), newest.list)
    for data in (world.home.sign(3).encode(), newest.encode(), forged.encode()):
        world.ana.decrypt(craft(world.budi, ANA, Text("halo"), device_list=data))
    assert world.kept == before
