# SPDX-License-Identifier: Apache-2.0
"""What a device tells the other devices of its own account."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

import pytest

from e2ecross import Address, Bytes, Content, Device, GroupId, Message, Policy, Text, UserId
from e2ecross.device.account_devices import read_devices
from e2ecross.device.self_sync import (
    announce_capabilities,
    mark_read,
    put_pin,
    put_pins,
    request_leave,
    share_history,
)
from e2ecross.errors import InvalidArgument, NotPrimary, StoreError
from e2ecross.state.context import Context
from e2ecross.state.trust import mark_verified, note_asked, put_listed_identity
from e2ecross.stores import MemoryStore
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.content import (
    DeviceRequest,
    History,
    HistoryItem,
    Pin,
    Pins,
    ReadMark,
    ReadMarks,
    encode_content,
)
from tests.support.accounts import (
    device_of,
    hold_list,
    link_devices,
    outbox,
    own_account,
    put_own,
    sign_devices,
    told,
)
from tests.support.devices import ANA, BUDI, DAY_MS, TOKO, FakeClock, SpyStore, dump, make_device
from tests.support.store_kinds import STRIPES

LAPTOP, TABLET = device_of(ANA, 2), device_of(ANA, 3)
OWN, CONTACT = ANA.user_id, BUDI.user_id
KEY = make_device(BUDI)._context.identity_key_pair.public


@dataclass
class World:
    """Ana's three devices."""

    clock: FakeClock
    phone: Device
    laptop: Device
    tablet: Device


@pytest.fixture
def world() -> World:
    clock = FakeClock()
    phone, laptop, tablet = (make_device(each, clock=clock) for each in (ANA, LAPTOP, TABLET))
    link_devices(phone, laptop, tablet)
    return World(clock, phone, laptop, tablet)


def meet(device: Device, address: Address, *, at_ms: int = 1, verified: bool = False) -> None:
    """Let a device have accepted the key of an address."""
    with device._context.store.transaction() as tx:
        put_listed_identity(tx, address, KEY, at_ms)
        if verified:
            mark_verified(tx, address, KEY)


def put_one(device: Device, address: Address) -> None:
    context = device._context
    with context.store.transaction() as tx:
        put_pin(context, tx, address)


def pins_for(device: Device, recipient: Address) -> list[Pin]:
    """What a recipient is to be told; each message fits."""
    found: list[Pin] = []
    for address, control in told(device):
        assert isinstance(control, Pins)
        if address == recipient:
            found += control.pins
    return found


class TestPutPins:
    def test_all_accounts_with_what_the_user_has_decided_the_newest_first(
        self, world: World
    ) -> None:
        meet(world.phone, BUDI, at_ms=1)
        meet(world.phone, TOKO, at_ms=2, verified=True)
        put_pins(world.phone._context, 2)
        assert pins_for(world.phone, LAPTOP) == [
            Pin(TOKO.user_id, KEY, verified=True),
            Pin(CONTACT, KEY, verified=False),
        ]
        assert len(told(world.phone)) == 1

    def test_neither_other_devices_nor_strangers_nor_the_own_account(self, world: World) -> None:
        meet(world.phone, device_of(BUDI, 2))
        meet(world.phone, TOKO)
        with world.phone._context.store.transaction() as tx:
            note_asked(tx, TOKO, world.clock())
        meet(world.laptop, BUDI)
        for device in (world.phone, world.laptop):
            put_pins(device._context, 3)
        assert not told(world.phone)
        assert pins_for(world.laptop, TABLET) == [Pin(CONTACT, KEY, verified=False)]

    def test_at_most_5000_in_messages_that_fit(self, world: World) -> None:
        for number in range(5_010):
            name = f"{number:0>64}"
            meet(world.phone, Address("a" * 32, name), at_ms=number + 1, verified=True)
        put_pins(world.phone._context, 2)
        names = [int(pin.user.user) for pin in pins_for(world.phone, LAPTOP)]
        assert names == list(range(5_009, 9, -1))


class TestPutPin:
    def test_is_told_all_other_own_devices(self, world: World) -> None:
        meet(world.phone, BUDI)
        put_one(world.phone, BUDI)
        expected = Pins((Pin(CONTACT, KEY, verified=False),))
        assert list(told(world.phone)) == [(LAPTOP, expected), (TABLET, expected)]
        assert len({each.message_id for each in outbox(world.phone)}) == 2

    def test_with_what_is_verified(self, world: World) -> None:
        meet(world.phone, BUDI)
        with world.phone._context.store.transaction() as tx:
            mark_verified(tx, BUDI, KEY)
        put_one(world.phone, BUDI)
        assert pins_for(world.phone, TABLET) == [Pin(CONTACT, KEY, verified=True)]

    def test_is_not_told_by_another_than_device_1(self, world: World) -> None:
        meet(world.laptop, BUDI)
        put_one(world.laptop, BUDI)
        assert not told(world.laptop)

    def test_of_a_device_that_stands_for_itself_and_of_the_own_account_nothing_is_told(
        self, world: World
    ) -> None:
        meet(world.phone, device_of(BUDI, 2))
        put_one(world.phone, device_of(BUDI, 2))
        put_one(world.phone, ANA)
        assert not told(world.phone)

    def test_who_decides_on_the_phone_decides_for_all(self, world: World) -> None:
        """The calls of `Device` themselves."""
        other = make_device(BUDI, seed="other")._context.identity_key_pair.public
        meet(world.phone, BUDI)
        world.phone.mark_verified(BUDI, KEY)
        world.phone.accept_identity(BUDI, other)
        assert pins_for(world.phone, LAPTOP) == [
            Pin(CONTACT, KEY, verified=True),
            Pin(CONTACT, other, verified=False),
        ]

    def test_an_account_of_one_device_tells_nobody(self) -> None:
        alone, new = make_device(ANA), make_device(ANA)
        hold_list(alone, sign_devices(alone))
        for device in (alone, new):
            meet(device, BUDI)
            put_one(device, BUDI)
            assert not told(device)


class TestMarkRead:
    def test_own_devices_are_told_by_account(self, world: World) -> None:
        first, second, third = (message(BUDI, number) for number in range(3))
        second = replace(second, sender=device_of(BUDI, 2))
        other = message(TOKO, 3)
        mark_read(world.laptop._context, [first, second, other, third, first])
        marks = [
            ReadMarks(tuple(ReadMark(each.sender, each.message_id) for each in part))
            for part in ((first, second, third), (other,))
        ]
        # Of each account in its stripe, if there are some.
        stripe_of = world.laptop._context.stripe_of
        marks.sort(key=lambda each: stripe_of(each.messages[0].sender.user_id))
        assert sorted(told(world.laptop), key=lambda each: each[0]) == [
            (device, each) for device in (ANA, TABLET) for each in marks
        ]

    def test_what_the_user_has_sent_is_left_out(self, world: World) -> None:
        mark_read(world.laptop._context, [message(ANA, 1), message(LAPTOP, 2)])
        assert not told(world.laptop)

    def test_256_go_into_one_message(self, world: World) -> None:
        messages = [message(Address("a" * 32, "b" * 64), number) for number in range(600)]
        mark_read(world.phone._context, messages)
        sizes = [
            len(cast("ReadMarks", control).messages)
            for device, control in told(world.phone)
            if device == LAPTOP
        ]
        assert sizes == [256, 256, 88]

    def test_a_device_alone_tells_nobody(self) -> None:
        device = make_device(ANA)
        mark_read(device._context, [message(BUDI, 1)])
        assert not told(device)

    @pytest.mark.parametrize("messages", [None, b"bytes", [Text("halo")], 3])
    def test_other_things_are_refused(self, world: World, messages: object) -> None:
        before = dump(world.phone._context.store)
        with pytest.raises(InvalidArgument, match="messages"):
            mark_read(world.phone._context, cast("list[Message]", messages))
        assert dump(world.phone._context.store) == before


class TestShareHistory:
    def share(self, device: Device, number: int, messages: Iterable[Message]) -> list[History]:
        share_history(device._context, number, messages)
        found = told(device)
        assert all(address == device_of(ANA, number) for address, _ in found)
        return [cast("History", control) for _, control in found]

    def test_what_was_received_and_sent_is_handed_on(self, world: World) -> None:
        messages = [
            message(BUDI, 1),
            message(ANA, 2, peer=CONTACT),
            replace(message(BUDI, 3), content=Bytes(b"halo")),
        ]
        (history,) = self.share(world.phone, 2, messages)
        expected = [
            HistoryItem(
                *(each.sender, each.peer, each.message_id, each.sent_at_ms),
                *encode_content(cast("Content", each.content)),
            )
            for each in messages
        ]
        assert encode_content(history) == encode_content(History(tuple(expected)))

    def test_what_was_said_in_groups_is_left_out(self, world: World) -> None:
        in_group = replace(message(BUDI, 1), group=GroupId(bytes(32)))
        (history,) = self.share(world.phone, 2, [in_group, message(BUDI, 2)])
        assert [item.message_id for item in history.items] == [message(BUDI, 2).message_id]

    def test_no_messages_are_none(self, world: World) -> None:
        assert not self.share(world.phone, 2, [])

    def test_messages_have_at_most_48_kib_or_one_item(self, world: World) -> None:
        sizes = [20_000, 20_000, 20_000, 48_000, 60_000, 60_000, 1, 1]
        messages = [
            replace(message(BUDI, number), content=Text("x" * size))
            for number, size in enumerate(sizes)
        ]
        shared = self.share(world.phone, 2, messages)
        assert [len(each.items) for each in shared] == [2, 1, 1, 1, 1, 2]
        items = [item for each in shared for item in each.items]
        assert [item.message_id for item in items] == [each.message_id for each in messages]
        assert all(
            len(encode_content(each)[1]) <= 48 * 1024 or len(each.items) == 1 for each in shared
        )
        for one, behind in pairwise(shared):  # and none has room for the next item
            parts = (one, History(behind.items[:1]))
            assert sum(len(encode_content(each)[1]) for each in parts) > 48 * 1024

    def test_what_just_fits_is_not_parted(self, world: World) -> None:
        first, second = message(BUDI, 1), message(BUDI, 2)
        (history,) = self.share(world.phone, 2, [first, second])
        left = 48 * 1024 - len(encode_content(history)[1])
        for more, parts in ((left - 8, 1), (left - 7, 1), (left - 6, 1), (left - 5, 2)):
            device = make_device(ANA)
            link_devices(device, make_device(LAPTOP))
            text = replace(second, content=Text("text 2" + "x" * more))
            shared = self.share(device, 2, [first, text])
            assert len(shared) == parts
            size = sum(len(encode_content(each)[1]) for each in shared)
            assert (size <= 48 * 1024) is (parts == 1)
            if more == left - 6:
                assert size == 48 * 1024

    def test_many_go_in_several_transactions(self) -> None:
        store = SpyStore(MemoryStore())
        phone = make_device(ANA, store)
        link_devices(phone, make_device(LAPTOP))
        messages = [
            replace(message(BUDI, number), content=Text("x" * 40_000)) for number in range(40)
        ]
        store.fail_transactions = [False, False, True]
        with pytest.raises(StoreError):
            share_history(phone._context, 2, messages)
        assert len(told(phone)) == 32

    def test_the_bounds_are_those_of_one_linking(self, world: World) -> None:
        few = [message(BUDI, number) for number in range(10_000)]
        with pytest.raises(InvalidArgument, match="10000"):
            share_history(world.phone._context, 2, [*few, message(BUDI, 10_000)])
        size = 16 * 1024 * 1024 // 256
        large = [
            replace(message(BUDI, number), content=Text("x" * (size - 60))) for number in range(256)
        ]
        with pytest.raises(InvalidArgument, match="16777216"):
            share_history(world.phone._context, 2, [*large, *large[:1]])
        assert not outbox(world.phone)
        share_history(world.phone._context, 2, few)
        items = [len(cast("History", control).items) for _, control in told(world.phone)]
        assert sum(items) == 10_000

    def test_within_a_day_of_the_linking(self, world: World) -> None:
        world.clock.advance(DAY_MS - 1)
        assert self.share(world.phone, 2, [message(BUDI, 1)])
        for ms in (1, -DAY_MS - 1):
            world.clock.advance(ms)
            with pytest.raises(InvalidArgument, match="24 hours"):
                share_history(world.phone._context, 3, [message(BUDI, 1)])

    @pytest.mark.parametrize("device", [0, 1, 4, 127, 128, 2**40, "2", None])
    def test_to_another_own_device_only(self, world: World, device: object) -> None:
        with pytest.raises(InvalidArgument, match="device"):
            share_history(world.phone._context, cast("int", device), [message(BUDI, 1)])
        assert not outbox(world.phone)

    def test_of_a_device_without_a_name_it_is_not_known_when_it_was_linked(
        self, world: World
    ) -> None:
        names = own_account(world.phone).names
        put_own(world.phone, replace(own_account(world.phone), names=names[1:]))
        with pytest.raises(InvalidArgument, match="24 hours"):
            share_history(world.phone._context, 2, [message(BUDI, 1)])

    def test_not_by_another_than_device_1(self, world: World) -> None:
        with pytest.raises(NotPrimary):
            share_history(world.laptop._context, 3, [message(BUDI, 1)])
        assert not outbox(world.laptop)

    def test_not_without_a_list(self) -> None:
        device = make_device(ANA)
        with pytest.raises(InvalidArgument, match="device"):
            share_history(device._context, 2, [message(BUDI, 1)])
        hold_list(device, sign_devices(device, make_device(LAPTOP)))
        with pytest.raises(InvalidArgument, match="device"):
            share_history(device._context, 2, [message(BUDI, 1)])

    def test_what_is_of_no_conversation_is_refused(self, world: World) -> None:
        wrong = [
            cast("Message", Text("halo")),
            replace(message(BUDI, 1), content=cast("Text", "halo")),
            replace(message(BUDI, 1), peer=TOKO.user_id),
            replace(message(BUDI, 1), message_id=b"short"),
        ]
        for each in wrong:
            with pytest.raises(InvalidArgument):
                share_history(world.phone._context, 2, [message(BUDI, 1), each])
        assert not outbox(world.phone)


class TestRequestLeave:
    def test_device_1_is_asked(self, world: World) -> None:
        request_leave(world.laptop._context)
        assert list(told(world.laptop)) == [(ANA, DeviceRequest(unlink=True, capabilities=b""))]

    def test_device_1_does_not_leave(self, world: World) -> None:
        with pytest.raises(InvalidArgument, match="device 1"):
            request_leave(world.phone._context)
        assert not outbox(world.phone)


class TestAnnounceCapabilities:
    def context(self, device: Device, *chosen: int) -> Context:
        return replace(device._context, policy=Policy(capabilities=frozenset(chosen)))

    def announce(self, world: World, *chosen: int) -> Context:
        context = self.context(world.laptop, *chosen)
        announce_capabilities(context)
        return context

    def test_device_1_is_asked_where_the_list_says_otherwise(self, world: World) -> None:
        capabilities = encode_capabilities({10, 15} if STRIPES else {10, 15, 35})
        wanted = DeviceRequest(unlink=False, capabilities=capabilities)
        self.announce(world, 10, 15)
        assert list(told(world.laptop)) == [(ANA, wanted)]
        assert not outbox(world.phone)

    def test_what_the_list_says_is_not_asked_for(self, world: World) -> None:
        self.announce(world, 10)
        assert not outbox(world.laptop)
        assert own_account(world.laptop).names == ()

    def test_at_most_four_times_a_day(self, world: World) -> None:
        world.clock.advance(1)
        for _ in range(6):
            context = self.announce(world, 10, 13)
        assert len(list(told(world.laptop))) == 4
        before = dump(context.store)
        world.clock.advance(DAY_MS - 1)
        announce_capabilities(context)
        assert dump(context.store) == before
        world.clock.advance(1)
        announce_capabilities(context)
        assert len(list(told(world.laptop))) == 5

    def test_when_it_was_linked_is_still_known(self, world: World) -> None:
        put_own(world.laptop, replace(own_account(world.laptop), linked_at_ms=7))
        self.announce(world)
        known = read_devices(world.laptop._context, OWN)
        assert known is not None
        assert [each.linked_at_ms for each in known.devices] == [0, 7, 0]

    def test_device_1_and_who_is_in_no_list_ask_nobody(self, world: World) -> None:
        announce_capabilities(self.context(world.phone))
        alone = make_device(device_of(BUDI, 2))
        announce_capabilities(self.context(alone))
        stranger = make_device(device_of(ANA, 4))
        hold_list(stranger, sign_devices(world.phone, world.laptop))
        announce_capabilities(self.context(stranger))
        assert not any(outbox(each) for each in (world.phone, alone, stranger))


def message(sender: Address, number: int, peer: UserId | None = None) -> Message:
    """A message of a conversation with its sender, if with nobody else."""
    return Message(
        sender,
        number.to_bytes(16),
        1_000,
        Text(f"text {number}"),
        identity_changed=False,
        peer=peer or sender.user_id,
    )
