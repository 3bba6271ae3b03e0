# SPDX-License-Identifier: Apache-2.0
"""A number that is given again is another device: nothing of the one before is used for it.

The attacker: whoever has a device that was linked once, or the account key that was used once, and
every message of that time; and a back end that brings them up again when the user has gone on.
"""

from collections.abc import Sequence

import pytest

from e2ecross import Address, Device, Envelope, Text
from e2ecross.errors import RemoteError, UnlistedDevice
from e2ecross.state.sent import keep_copies
from e2ecross.wire.content import RetryRequest
from tests.attacks.support import ANA, BUDI, NOW_MS, dump
from tests.support.accounts import craft, device_of, hold_list, outbox, receive, sign_devices
from tests.support.devices import MESSAGE_ID, introduce, make_device, new_bundle, say
from tests.support.readers import key_of, sessions_of

LAPTOP = device_of(ANA, 2)
ACCOUNT = ANA.user_id
HALO = Text("halo")
SECRET = Text("for the laptop that she had")


class World:
    """Budi, and ana's laptop as it was; messages of it that have not come, or are skipped."""

    def __init__(self) -> None:
        self.phone, self.old = make_device(ANA), make_device(LAPTOP)
        self.budi = make_device(BUDI)
        self.held = sign_devices(self.phone, self.old)
        hold_list(self.budi, self.held)
        for device in (self.phone, self.old):
            introduce(self.budi, device, kyber=True)
        self.skipped = [craft(self.old, BUDI, HALO) for _ in range(5)]
        say(self.old, self.budi, "comes before them")
        self.waiting = [craft(self.old, BUDI, HALO) for _ in range(2)]
        self.first = self.first_of(self.old)

    def first_of(self, device: Device, carried: bytes = b"") -> Envelope:
        device.start_session(new_bundle(self.budi, kyber=True))
        return craft(device, BUDI, HALO, device_list=carried)

    def keep_sent(self, *devices: Address) -> None:
        """What was sent to devices can be asked for again."""
        context = self.budi._context
        with context.store.transaction() as tx:
            ids = (MESSAGE_ID, MESSAGE_ID)
            keep_copies(*(tx, context.policy, ACCOUNT, *ids, SECRET, devices), NOW_MS, NOW_MS)

    def refuses(self, envelopes: Sequence[Envelope], *errors: type[RemoteError]) -> None:
        before = dump(self.budi._context.store)
        for envelope in envelopes:
            with pytest.raises(RemoteError) as caught:
                self.budi.decrypt(envelope)
            assert not errors or type(caught.value) in errors
        assert dump(self.budi._context.store) == before


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("is_heard", [False, True], ids=["fetched list", "with its first message"])
def test_another_device_under_the_number_of_a_removed_one(is_heard: bool, world: World) -> None:
    world.keep_sent(LAPTOP)
    new = make_device(LAPTOP, seed="another laptop")
    newest = sign_devices(world.phone, new, after=world.held)
    if not is_heard:
        hold_list(world.budi, newest)
    message = world.budi.decrypt(world.first_of(new, newest.encode()))
    assert (message.content, message.identity_changed) == (HALO, False)
    assert sessions_of(world.budi, LAPTOP) == [new.identity_key]
    # What is from before, or in sessions of before, is read no more.
    world.refuses([*world.skipped, *world.waiting, craft(world.old, BUDI, HALO)])
    world.refuses([world.first, world.first_of(world.old)], UnlistedDevice)
    # What was for the device before is nobody's now.
    asked = RetryRequest(MESSAGE_ID, None, 0, "decode_error")
    answer = new.decrypt(world.budi.encrypt(LAPTOP, Text("answer")))
    assert answer.content == Text("answer")
    receive(world.budi, craft(new, BUDI, asked))
    assert outbox(world.budi) == []
    for device in (world.phone, new):
        say(device, world.budi, "goes on")
        say(world.budi, device, "goes on")


def test_the_device_that_a_message_was_for_gets_it_again(world: World) -> None:
    """So that the test above shows something."""
    world.keep_sent(LAPTOP)
    receive(world.budi, craft(world.old, BUDI, RetryRequest(MESSAGE_ID, None, 0, "decode_error")))
    assert [waiting.message_id for waiting in outbox(world.budi)] == [MESSAGE_ID]


def test_the_same_device_under_another_number(world: World) -> None:
    """A device is a number and a key: consent is for one number, and so is everything else."""
    moved = make_device(device_of(ANA, 3))
    hold_list(world.budi, sign_devices(world.phone, moved, after=world.held))
    assert key_of(world.budi, LAPTOP) is None
    world.refuses([*world.skipped, *world.waiting, craft(world.old, BUDI, HALO)])
    world.refuses([world.first, world.first_of(world.old)], UnlistedDevice)


@pytest.mark.parametrize("number", [1, 2])
def test_an_account_that_begins_anew_has_nothing_of_the_one_before(
    number: int, world: World
) -> None:
    """The user has accepted another account key; phone and laptop of before are strangers."""
    new_phone = make_device(ANA, seed="new phone")
    new_laptop = make_device(LAPTOP, seed="new laptop")
    newest = sign_devices(new_phone, new_laptop)
    for each in (new_laptop, new_phone):
        assert world.budi.decrypt(world.first_of(each, newest.encode())).identity_changed
    world.budi.accept_identity(ANA, new_phone.identity_key)
    for each in (new_phone, new_laptop):
        message = world.budi.decrypt(world.first_of(each, newest.encode()))
        assert (message.content, message.identity_changed) == (HALO, False)
        answer = each.decrypt(world.budi.encrypt(each.address, Text("answer")))
        assert answer.content == Text("answer")
    if number == 2:
        world.refuses([*world.skipped, *world.waiting, craft(world.old, BUDI, HALO)])
        world.refuses([world.first, world.first_of(world.old)], UnlistedDevice)
        with_old_list = world.first_of(world.old, world.held.encode())
        assert world.budi.decrypt(with_old_list).identity_changed
    else:
        # A late message of the phone before opens, flagged; it is not sent with.
        assert world.budi.decrypt(craft(world.phone, BUDI, HALO)).identity_changed
    current = sessions_of(world.budi, device_of(ANA, number))[0]
    assert current == (new_phone if number == 1 else new_laptop).identity_key
    assert key_of(world.budi, LAPTOP) == new_laptop.identity_key
