# SPDX-License-Identifier: Apache-2.0
"""Hints: what is said of device lists, and what follows from what is said."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from e2ecross import Address, Device, Text, UserId
from e2ecross.device.hints import (
    carried_list,
    note_checked,
    note_hints,
    own_hints,
    push_change,
    push_list,
    take_wanted_checks,
)
from e2ecross.protocol.device_list import hint_of
from e2ecross.state.trust import observe_identity, require_identity
from e2ecross.stores import Transaction
from e2ecross.wire.content import DeviceHints, DeviceListPush, Payload
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import (
    account,
    change_account,
    device_of,
    hold_list,
    outbox,
    sign_devices,
    told,
)
from tests.support.devices import ANA, BUDI, DAY_MS, TOKO, FakeClock, dump, make_device

MINUTE_MS = 60 * 1000
OTHER_HASH = bytes(range(16))
OWN, CONTACT = ANA.user_id, BUDI.user_id
LAPTOP, TABLET = device_of(ANA, 2), device_of(BUDI, 2)


@dataclass
class World:
    """Ana's phone, which holds lists of both accounts: 3, a renewal of 2, which added a device."""

    clock: FakeClock
    phone: Device
    lists: dict[UserId, SignedDeviceList]

    def do(self, act: Callable[[Transaction], object]) -> object:
        with self.phone._context.store.transaction() as tx:
            return act(tx)

    def note(self, hints: DeviceHints | None, sender: Address = BUDI, **fields: object) -> None:
        """Receive hints as they stand in a payload."""
        context = self.phone._context
        payload = Payload(
            sender,
            ANA,
            bytes(16),
            1,
            fields.pop("sent_at_ms", self.clock()),  # type: ignore[arg-type]
            Text("halo"),
            hints,
            **fields,  # type: ignore[arg-type]
        )
        self.do(lambda tx: note_hints(context, tx, payload, self.clock()))

    def push(self, device: Address, users: Iterable[UserId]) -> None:
        context = self.phone._context
        self.do(lambda tx: push_list(context, tx, device, users, self.clock()))

    def let_key_wait(self) -> None:
        """Let Budi have shown another identity key, which the user has to decide about."""
        context, key = self.phone._context, make_device(TOKO)._context.identity_key_pair.public

        def show(tx: Transaction) -> None:
            known, now_ms = require_identity(tx, BUDI), self.clock()
            observe_identity(tx, BUDI, known, key, context.policy, now_ms, starts_session=True)

        self.do(show)

    @property
    def pushed(self) -> list[tuple[Address, list[UserId]]]:
        """Whom lists are to be pushed to, and whose."""
        found = []
        for device, control in told(self.phone):
            assert isinstance(control, DeviceListPush)
            lists = map(SignedDeviceList.decode, control.device_lists)
            found.append((device, [each.list.user for each in lists]))
        return found

    @property
    def wanted(self) -> set[UserId]:
        context, own = self.phone._context, set[UserId]()
        if context.store.stripes:  # of the own account that stands nowhere
            own = {OWN} & context.heard_of.keys()
            assert not account(self.phone, OWN).check_wanted
        users = (OWN, CONTACT, TOKO.user_id)
        return own | {user for user in users if account(self.phone, user).check_wanted}


@pytest.fixture
def world() -> World:
    clock = FakeClock()
    phone, laptop = make_device(ANA, clock=clock), make_device(LAPTOP, clock=clock)
    budi, tablet = make_device(BUDI, clock=clock), make_device(TABLET, clock=clock)
    lists = {}
    for primary, other in ((phone, laptop), (budi, tablet)):
        signed = sign_devices(primary)
        hold_list(phone, signed)
        for _ in range(2):
            signed = sign_devices(primary, other, after=signed)
            hold_list(phone, signed)
        lists[signed.list.user] = signed
    change_account(phone, CONTACT, written=True)
    return World(clock, phone, lists)


def hints_of(whose: UserId, seq: int, hint: bytes) -> DeviceHints:
    """Hints of a message of Budi that are of one account alone."""
    if whose == CONTACT:
        return DeviceHints(sender_seq=seq, sender_hash=hint)
    return DeviceHints(peer_seq=seq, peer_hash=hint)


both = pytest.mark.parametrize("whose", [OWN, CONTACT], ids=["own", "sender"])


class TestOwnHints:
    def test_of_a_device_without_a_list_there_are_none(self) -> None:
        context = make_device(ANA)._context
        with context.store.transaction() as tx:
            assert own_hints(context, tx, CONTACT) is None
            assert carried_list(context, tx) is None

    def test_of_an_account_without_a_list_there_are_none(self) -> None:
        device = make_device(ANA)
        change_account(device, OWN, written=True)
        with device._context.store.transaction() as tx:
            assert own_hints(device._context, tx, CONTACT) is None
            assert carried_list(device._context, tx) is None

    def test_they_name_both_lists(self, world: World) -> None:
        own, other = world.lists[OWN], world.lists[CONTACT]
        found = world.do(lambda tx: own_hints(world.phone._context, tx, CONTACT))
        assert found == DeviceHints(3, hint_of(own), 3, hint_of(other))

    @pytest.mark.parametrize("is_known", [False, True])
    def test_of_a_peer_without_a_list_they_say_nothing(self, world: World, is_known: bool) -> None:
        if is_known:
            change_account(world.phone, TOKO.user_id, written=True)
        found = world.do(lambda tx: own_hints(world.phone._context, tx, TOKO.user_id))
        assert found == DeviceHints(3, hint_of(world.lists[OWN]))

    def test_the_newest_list_is_carried(self, world: World) -> None:
        carried = world.do(lambda tx: carried_list(world.phone._context, tx))
        assert carried == world.lists[OWN]


class TestNoteHints:
    def test_a_message_without_hints_changes_nothing(self, world: World) -> None:
        before = dump(world.phone._context.store)
        world.note(None)
        assert dump(world.phone._context.store) == before

    @both
    def test_the_lists_that_are_held_change_nothing(self, world: World, whose: UserId) -> None:
        before = dump(world.phone._context.store)
        world.note(hints_of(whose, 3, hint_of(world.lists[whose])))
        assert dump(world.phone._context.store) == before
        assert not world.phone._context.heard_of

    @both
    def test_a_newer_list_is_asked_for(self, world: World, whose: UserId) -> None:
        world.note(hints_of(whose, 4, OTHER_HASH))
        assert world.wanted == {whose}
        assert not world.pushed
        assert take_wanted_checks(world.phone._context) == [whose]

    @both
    def test_another_list_of_the_same_number_is_asked_for_and_answered(
        self, world: World, whose: UserId
    ) -> None:
        world.note(hints_of(whose, 3, OTHER_HASH))
        assert world.wanted == {whose}
        assert world.pushed == [(BUDI, [whose])]

    @both
    def test_who_has_not_seen_that_devices_changed_is_sent_the_list(
        self, world: World, whose: UserId
    ) -> None:
        world.note(hints_of(whose, 1, OTHER_HASH))
        assert not world.wanted
        assert world.pushed == [(BUDI, [whose])]

    @both
    def test_who_could_not_know_the_list_yet_is_not(self, world: World, whose: UserId) -> None:
        before = dump(world.phone._context.store)
        signed_at_ms = world.lists[whose].list.signed_at_ms
        world.note(hints_of(whose, 1, OTHER_HASH), sent_at_ms=signed_at_ms - 1)
        assert dump(world.phone._context.store) == before
        world.note(hints_of(whose, 1, OTHER_HASH), sent_at_ms=signed_at_ms)
        assert world.pushed == [(BUDI, [whose])]

    @both
    def test_renewals_are_not_told(self, world: World, whose: UserId) -> None:
        before = dump(world.phone._context.store)
        world.note(hints_of(whose, 2, OTHER_HASH))
        assert dump(world.phone._context.store) == before

    def test_of_an_account_without_a_list_it_is_asked_for(self, world: World) -> None:
        change_account(world.phone, TOKO.user_id, written=True)
        world.note(DeviceHints(sender_seq=1, sender_hash=OTHER_HASH), sender=TOKO)
        assert world.wanted == {TOKO.user_id}
        assert account(world.phone, TOKO.user_id).written
        assert not world.pushed

    def test_lists_that_both_are_old_go_in_one_message(self, world: World) -> None:
        world.note(DeviceHints(1, OTHER_HASH, 1, OTHER_HASH))
        assert world.pushed == [(BUDI, [CONTACT, OWN])]

    def test_in_an_own_copy_the_hint_is_of_the_peers_account(self, world: World) -> None:
        hints = DeviceHints(3, hint_of(world.lists[OWN]), 4, OTHER_HASH)
        world.note(hints, sender=LAPTOP, peer=CONTACT)
        assert world.wanted == {CONTACT}
        hints = DeviceHints(3, hint_of(world.lists[OWN]), 1, OTHER_HASH)
        world.note(hints, sender=LAPTOP, peer=CONTACT)
        assert world.pushed == [(LAPTOP, [CONTACT])]

    def test_of_one_account_twice_it_is_sent_once(self, world: World) -> None:
        world.note(DeviceHints(1, OTHER_HASH, 1, OTHER_HASH), sender=LAPTOP)
        assert world.pushed == [(LAPTOP, [OWN])]

    def test_an_account_whose_list_was_wanted_before_is_looked_at_again(self, world: World) -> None:
        change_account(world.phone, CONTACT, check_wanted=True)
        world.note(hints_of(CONTACT, 3, hint_of(world.lists[CONTACT])))
        assert take_wanted_checks(world.phone._context) == [CONTACT]


class TestPushList:
    def test_who_was_not_written_to_is_told_nothing(self, world: World) -> None:
        change_account(world.phone, CONTACT, written=False)
        before = dump(world.phone._context.store)
        world.push(BUDI, [OWN])
        world.push(TOKO, [OWN])
        assert dump(world.phone._context.store) == before

    def test_own_devices_are_told_always(self, world: World) -> None:
        world.push(LAPTOP, [OWN, CONTACT])
        assert world.pushed == [(LAPTOP, [OWN, CONTACT])]

    def test_this_device_tells_itself_nothing(self, world: World) -> None:
        world.push(ANA, [OWN])
        assert not world.pushed

    @pytest.mark.parametrize("device", [BUDI, TABLET])
    def test_nothing_is_told_while_the_user_has_to_decide_about_a_key(
        self, world: World, device: Address
    ) -> None:
        world.let_key_wait()
        world.push(device, [OWN])
        assert not world.pushed

    def test_a_list_that_is_not_held_is_not_sent(self, world: World) -> None:
        change_account(world.phone, TOKO.user_id, check_wanted=True)
        world.push(BUDI, [TOKO.user_id, UserId("whatsapp", "nobody")])
        assert not world.pushed
        world.push(BUDI, [TOKO.user_id, OWN])
        assert world.pushed == [(BUDI, [OWN])]

    def test_each_device_is_sent_each_list_once_a_day(self, world: World) -> None:
        for _ in range(3):
            world.push(BUDI, [OWN])
            world.push(TABLET, [OWN])
        assert world.pushed == [(BUDI, [OWN]), (TABLET, [OWN])]
        world.push(BUDI, [OWN, CONTACT])
        assert world.pushed == [(BUDI, [OWN]), (BUDI, [CONTACT]), (TABLET, [OWN])]
        world.clock.advance(DAY_MS - 1)
        world.push(TABLET, [OWN])
        assert len(world.pushed) == 3
        world.clock.advance(1)
        world.push(TABLET, [OWN])
        assert world.pushed[-1] == (TABLET, [OWN])
        assert len(world.pushed) == 4

    def test_a_clock_that_was_ahead_stops_nothing(self, world: World) -> None:
        world.clock.advance(10 * 365 * DAY_MS)
        world.push(BUDI, [OWN])
        world.clock.advance(-10 * 365 * DAY_MS)
        world.push(BUDI, [OWN])
        assert len(world.pushed) == 2
        world.push(BUDI, [OWN])
        assert len(world.pushed) == 2

    def test_each_push_has_an_id_of_its_own(self, world: World) -> None:
        world.push(BUDI, [OWN])
        world.push(TABLET, [OWN])
        assert len({each.message_id for each in outbox(world.phone)}) == 2


class TestPushChange:
    def push(self, world: World, *contacts: UserId) -> None:
        context = world.phone._context
        world.do(lambda tx: push_change(context, tx, contacts))

    def test_own_devices_get_the_own_list(self, world: World) -> None:
        self.push(world)
        assert world.pushed == [(LAPTOP, [OWN])]

    def test_all_devices_of_contacts_get_it_also_on_a_day_on_which_they_were_sent_it(
        self, world: World
    ) -> None:
        world.push(BUDI, [OWN])
        change_account(world.phone, TOKO.user_id, written=True)
        self.push(world, CONTACT, TOKO.user_id, CONTACT)
        pushed = sorted(world.pushed)
        assert pushed == [(BUDI, [OWN])] * 2 + [(TABLET, [OWN]), (TOKO, [OWN]), (LAPTOP, [OWN])]
        world.push(TABLET, [OWN])  # a back end may have dropped that
        assert sorted(world.pushed) == sorted([*pushed, (TABLET, [OWN])])

    def test_own_devices_that_are_named_do_not(self, world: World) -> None:
        context = world.phone._context
        world.do(lambda tx: push_change(context, tx, [CONTACT], but={2}))
        assert world.pushed == [(BUDI, [OWN]), (TABLET, [OWN])]

    def test_at_most_200_devices_are_told(self, world: World) -> None:
        users = [UserId("whatsapp", f"user{number}") for number in range(300)]
        for user in users:
            change_account(world.phone, user, written=True)
        self.push(world, *users)
        assert len(world.pushed) == 200

    def test_who_is_not_accepted_any_more_is_not_told(self, world: World) -> None:
        change_account(world.phone, CONTACT, written=False)
        self.push(world, CONTACT)
        assert world.pushed == [(LAPTOP, [OWN])]

    def test_who_has_another_key_that_waits_is_not_told(self, world: World) -> None:
        world.let_key_wait()
        self.push(world, CONTACT)
        assert world.pushed == [(LAPTOP, [OWN])]

    @pytest.mark.parametrize("is_known", [False, True])
    def test_without_a_list_there_is_nothing_to_tell(self, is_known: bool) -> None:
        device = make_device(ANA)
        if is_known:
            change_account(device, OWN, check_wanted=True)
        with device._context.store.transaction() as tx:
            push_change(device._context, tx, [CONTACT])
        assert not outbox(device)


class TestChecks:
    def test_nobody_is_asked_for_without_a_reason(self, world: World) -> None:
        assert take_wanted_checks(world.phone._context) == []

    def test_an_account_is_taken_once_until_it_is_heard_of_again(self, world: World) -> None:
        context, newer = world.phone._context, hints_of(CONTACT, 4, OTHER_HASH)
        world.note(newer)
        assert take_wanted_checks(context) == [CONTACT]
        assert take_wanted_checks(context) == []
        world.note(newer)
        assert take_wanted_checks(context) == [CONTACT]

    def test_an_account_is_asked_for_once_in_ten_minutes(self, world: World) -> None:
        context, newer = world.phone._context, hints_of(CONTACT, 4, OTHER_HASH)
        world.note(newer)
        note_checked(context, take_wanted_checks(context))
        assert not world.wanted
        assert account(world.phone, CONTACT).checked_at_ms == world.clock()
        world.clock.advance(10 * MINUTE_MS - 1)
        world.note(newer)
        assert world.wanted == {CONTACT}  # it is not forgotten
        assert take_wanted_checks(context) == []
        world.clock.advance(1)
        world.note(newer)
        assert take_wanted_checks(context) == [CONTACT]

    def test_a_clock_that_was_ahead_stops_nothing(self, world: World) -> None:
        context, newer = world.phone._context, hints_of(CONTACT, 4, OTHER_HASH)
        world.clock.advance(10 * 365 * DAY_MS)
        note_checked(context, [CONTACT])
        world.clock.advance(-10 * 365 * DAY_MS)
        world.note(newer)
        assert take_wanted_checks(context) == [CONTACT]

    def test_twenty_are_asked_for_at_once(self, world: World) -> None:
        senders = [Address("whatsapp", f"user{number}") for number in range(30)]
        for sender in senders:
            world.note(DeviceHints(1, OTHER_HASH), sender=sender)
        taken = take_wanted_checks(world.phone._context)
        assert taken == [each.user_id for each in senders[:20]]
        assert take_wanted_checks(world.phone._context) == []
        world.note(DeviceHints(1, OTHER_HASH), sender=senders[25])
        assert take_wanted_checks(world.phone._context) == [senders[25].user_id]

    def test_what_was_rolled_back_is_not_asked_for(self, world: World) -> None:
        world.phone._context.heard_of[TOKO.user_id] = None
        world.phone._context.heard_of[CONTACT] = None
        assert take_wanted_checks(world.phone._context) == []

    def test_that_an_account_was_asked_for_keeps_what_is_known_of_it(self, world: World) -> None:
        note_checked(world.phone._context, [CONTACT])
        record = account(world.phone, CONTACT)
        assert record.held == world.lists[CONTACT]
        assert record.written
