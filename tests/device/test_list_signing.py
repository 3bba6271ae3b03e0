# SPDX-License-Identifier: Apache-2.0
"""Signing the list of the own account: what each list says, and whom it is told."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from e2ecross import Address, Device, NoticeKind, Policy, Text
from e2ecross.device.foreign_lists import note_conflict
from e2ecross.device.list_signing import (
    may_sign,
    own_entry,
    require_held,
    require_primary,
    sign_next,
)
from e2ecross.device.own_list import restore_devices
from e2ecross.errors import DevicesConflict, NotPrimary, NotRegistered
from e2ecross.protocol.device_list import hash_list, verify_list
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_own_account,
    put_account,
    put_own_account,
)
from e2ecross.state.epoch import read_epoch
from e2ecross.state.sent import keep_copies
from e2ecross.state.transactions import peer_transaction
from e2ecross.state.trust import put_listed_identity
from e2ecross.wire.account_records import DeviceName, NewDevice, OwnAccountRecord
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.content import DeviceListPush
from e2ecross.wire.device_list import MAX_SEQ, ListedDevice, SignedDeviceList
from tests.support.accounts import account, change_account, device_of, hold_list, own_account, told
from tests.support.device_lists import Household
from tests.support.devices import ANA, BUDI, DAY_MS, TOKO, FakeClock, introduce, make_device
from tests.support.linked import notices_of
from tests.support.store_kinds import STRIPES

OWN = ANA.user_id
LAPTOP = device_of(ANA, 2)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def phone(clock: FakeClock) -> Device:
    return make_device(ANA, clock=clock)


@pytest.fixture
def home(phone: Device) -> Household:
    return Household(OWN, primary=phone._context.identity_key_pair)


def sign(
    phone: Device, devices: Sequence[ListedDevice] | None = None, *, is_reset: bool = False
) -> SignedDeviceList:
    context = phone._context
    with context.store.transaction() as tx:
        listed = [own_entry(context)] if devices is None else devices
        return sign_next(context, tx, listed, is_reset=is_reset)


def pushed(device: Device) -> list[tuple[Address, int]]:
    """Whom a list of the own account is to be pushed to, and its number."""
    found = []
    for address, control in told(device):
        assert isinstance(control, DeviceListPush)
        (data,) = control.device_lists
        signed = SignedDeviceList.decode(data)
        assert signed.list.user == OWN
        found.append((address, signed.list.seq))
    return sorted(found)


def send_to(device: Device, *contacts: Address) -> None:
    """Let the device have sent something to contacts."""
    context = device._context
    for contact in contacts:
        change_account(device, contact.user_id, written=True)
        introduce(device, make_device(contact, clock=context.clock))
        with peer_transaction(context, contact.user_id) as tx:
            now_ms = context.clock()
            user, copies = contact.user_id, [contact]
            content = Text("halo")
            keep_copies(
                tx, context.policy, user, bytes(16), bytes(16), content, copies, now_ms, now_ms
            )


# --- What a list says -----------------------------------------------------------------------


def test_the_first_list_has_device_1_alone(phone: Device, clock: FakeClock) -> None:
    signed = sign(phone)
    verify_list(signed)
    listed = signed.list
    assert (listed.user, listed.seq, listed.previous) == (OWN, 1, b"")
    assert listed.signed_at_ms == clock()
    key = phone._context.identity_key_pair.public
    capabilities = encode_capabilities({10} if STRIPES else {10, 35})
    assert listed.devices == (ListedDevice(1, key, b"", capabilities),)
    assert (listed.hosting, listed.vendor) == (0, "")


def test_each_list_continues_the_one_before(
    phone: Device, home: Household, clock: FakeClock
) -> None:
    lists = [sign(phone)]
    for devices in ((1, 2), (1,), (1,), (1, 3)):
        clock.advance(1)
        lists.append(sign(phone, [home.entry(each) for each in devices]))
    for before, after in pairwise(lists):
        verify_list(after, before)
        assert after.list.seq == before.list.seq + 1
        assert after.list.previous == hash_list(before)
    assert lists[-1].list.signed_at_ms == clock()


def test_what_is_signed_is_accepted_and_counted_and_not_published_yet(
    phone: Device, clock: FakeClock
) -> None:
    context = phone._context
    for epoch in (1, 2):
        with context.store.transaction() as tx:
            own = find_own_account(tx) or OwnAccountRecord()
            put_own_account(tx, replace(own, published=True))
        signed = sign(phone)
        record = account(phone, OWN)
        assert (record.held, record.accepted_at_ms, record.rival) == (signed, clock(), None)
        assert not own_account(phone).published
        with context.store.transaction() as tx:
            assert read_epoch(tx) == epoch


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_what_was_to_be_decided_is_decided(phone: Device, what: str) -> None:
    with phone._context.store.transaction() as tx:
        put_own_account(tx, replace(OwnAccountRecord(), **{what: True}))  # type: ignore[arg-type]
    sign(phone, is_reset=True)
    assert own_account(phone) == OwnAccountRecord()


def test_what_is_known_of_devices_goes_with_them(phone: Device, home: Household) -> None:
    new = [NewDevice(number, bytes(32), 1) for number in (2, 3)]
    names = [DeviceName(number, "laptop", 1) for number in (2, 3)]
    sign(phone, [home.entry(number) for number in (1, 2, 3)])
    with phone._context.store.transaction() as tx:
        put_own_account(tx, OwnAccountRecord(new_devices=tuple(new), names=tuple(names)))
    sign(phone, [home.entry(number) for number in (1, 3)])
    own = own_account(phone)
    assert own.new_devices == (new[1],)
    assert own.names == (names[1],)


def test_a_reset_is_far_above_all_that_was_seen(phone: Device, home: Household) -> None:
    assert sign(phone, is_reset=True).list.seq == 1_000
    reset = sign(phone, [home.entry(1), home.entry(2)], is_reset=True)
    assert (reset.list.seq, reset.list.previous) == (2_000, b"")
    change_account(phone, OWN, rival=home.sign(7_777, previous=bytes(32)))
    again = sign(phone, is_reset=True)
    assert (again.list.seq, again.list.previous) == (8_777, b"")
    assert account(phone, OWN).rival is None
    after = sign(phone)
    assert (after.list.seq, after.list.previous) == (8_778, hash_list(again))


@pytest.mark.parametrize(
    ("held", "rival", "expected"),
    [
        ((1, "desk"), None, (1, "desk")),
        ((2, ""), (1, "thief"), (2, "")),
        ((0, ""), (1, "thief"), (1, "thief")),
        ((0, ""), (2, ""), (2, "")),
    ],
)
def test_hosting_never_falls(
    phone: Device,
    home: Household,
    held: tuple[int, str],
    rival: tuple[int, str] | None,
    expected: tuple[int, str],
) -> None:
    """Also not below what somebody else has signed: who has accepted that would refuse it."""
    hold_list(phone, home.sign(1, hosting=held[0], vendor=held[1]))
    if rival is not None:
        other = home.sign(2, previous=bytes(32), hosting=rival[0], vendor=rival[1])
        change_account(phone, OWN, rival=other)
    listed = sign(phone, is_reset=True).list
    assert (listed.hosting, listed.vendor) == expected


def test_no_number_follows_the_last(phone: Device, home: Household) -> None:
    hold_list(phone, home.sign(MAX_SEQ - 1, previous=bytes(32)))
    assert sign(phone).list.seq == MAX_SEQ
    for is_reset in (False, True):
        with pytest.raises(DevicesConflict, match="another key"):
            sign(phone, is_reset=is_reset)


@pytest.mark.parametrize(("seq", "fits"), [(MAX_SEQ - 1_000, True), (MAX_SEQ - 999, False)])
def test_a_reset_has_to_fit(phone: Device, home: Household, seq: int, fits: bool) -> None:
    hold_list(phone, home.sign(1))
    change_account(phone, OWN, rival=home.sign(seq, previous=bytes(32)))
    if fits:
        assert sign(phone, is_reset=True).list.seq == MAX_SEQ
        return
    with pytest.raises(DevicesConflict, match="another key"):
        sign(phone, is_reset=True)


# --- Who is told ----------------------------------------------------------------------------


def test_a_new_device_is_told_the_other_own_ones(phone: Device, home: Household) -> None:
    send_to(phone, BUDI)
    sign(phone)
    assert pushed(phone) == []
    sign(phone, [home.entry(1), home.entry(2)])
    assert pushed(phone) == []
    sign(phone, [home.entry(1), home.entry(2), home.entry(3)])
    assert pushed(phone) == [(LAPTOP, 3)]
    assert notices_of(phone) == [(NoticeKind.DEVICE_LINKED, (2,)), (NoticeKind.DEVICE_LINKED, (3,))]


def test_a_removal_is_told_at_once_own_devices_and_who_was_written_to(
    phone: Device, home: Household, clock: FakeClock
) -> None:
    send_to(phone, BUDI, TOKO)
    budi = Household(BUDI.user_id)
    hold_list(phone, budi.sign(1, devices=(1, 4)))
    sign(phone)
    for removed in ((1, 2, 3), (1, 2)):  # the second on the same day
        sign(phone, [home.entry(number) for number in (1, 2, 3, 4)])
        clock.advance(1)
        before = pushed(phone)
        seq = sign(phone, [home.entry(number) for number in removed]).list.seq
        own = [device_of(ANA, number) for number in removed[1:]]
        contacts = [BUDI, device_of(BUDI, 4), TOKO]
        new = [each for each in pushed(phone) if each not in before]
        assert new == sorted((each, seq) for each in (*own, *contacts))


def test_a_renewal_is_told_nobody_and_a_reset_as_a_removal(phone: Device, home: Household) -> None:
    send_to(phone, BUDI)
    devices = [home.entry(1), home.entry(2)]
    hold_list(phone, home.sign(1, devices=(1, 2)))
    sign(phone, devices)
    assert pushed(phone) == []
    sign(phone, devices, is_reset=True)
    assert pushed(phone) == sorted([(LAPTOP, 1_002), (BUDI, 1_002)])


def test_a_reset_of_who_has_no_other_devices_is_told_nobody(phone: Device) -> None:
    send_to(phone, BUDI)
    sign(phone, is_reset=True)
    sign(phone, is_reset=True)
    assert pushed(phone) == []


def test_what_a_thief_has_signed_is_taken_back_at_once(phone: Device, home: Household) -> None:
    """The thief's list may have been accepted by any contact, and who that is nobody says."""
    send_to(phone, BUDI)
    hold_list(phone, home.sign(1))
    rival = home.sign(2, previous=bytes(32), devices=(1, 9))
    with phone._context.store.transaction() as tx:
        note_conflict(phone._context, tx, rival)
    restore_devices(phone._context, [])
    assert pushed(phone) == [(BUDI, 1_002)]


def test_not_everybody_is_told_at_once(clock: FakeClock) -> None:
    """Each contact costs a message."""
    phone = make_device(ANA, clock=clock, policy=Policy(resend_kept_ms=DAY_MS))
    context, home = phone._context, Household(OWN, primary=phone._context.identity_key_pair)
    hold_list(phone, home.sign(1, devices=(1, 2)))
    content, now_ms = Text("halo"), clock()
    key = make_device(BUDI)._context.identity_key_pair.public
    for address in (Address("messenger", f"user{n}") for n in range(210)):
        user, ids = address.user_id, (bytes(16), bytes(16))
        with peer_transaction(context, user) as tx:
            put_listed_identity(tx, address, key, now_ms)
            put_account(tx, user, replace(NOTHING_KNOWN, written=True))
            keep_copies(tx, context.policy, user, *ids, content, [address], now_ms, now_ms)
    sign(phone)
    assert len(pushed(phone)) == 200


# --- Who may sign ---------------------------------------------------------------------------


def test_only_device_1_signs() -> None:
    laptop = make_device(LAPTOP)
    context = laptop._context
    with context.store.transaction() as tx:
        assert not may_sign(context, tx)
        for check in (lambda: require_primary(context), lambda: require_held(context, tx)):
            with pytest.raises(NotPrimary, match="device 1"):
                check()


@pytest.mark.parametrize("what", ["must_reset", "conflict"])
def test_nothing_is_signed_before_a_decision(phone: Device, what: str) -> None:
    context = phone._context
    signed = sign(phone)
    with context.store.transaction() as tx:
        require_primary(context)
        assert may_sign(context, tx)
        assert require_held(context, tx) == signed
        put_own_account(tx, replace(OwnAccountRecord(), **{what: True}))  # type: ignore[arg-type]
        assert not may_sign(context, tx)
        with pytest.raises(DevicesConflict, match="restore_devices"):
            require_held(context, tx)


def test_there_has_to_be_a_list(phone: Device) -> None:
    context = phone._context
    with context.store.transaction() as tx:
        assert may_sign(context, tx)
        with pytest.raises(NotRegistered, match="register"):
            require_held(context, tx)
    change_account(phone, OWN, written=True)
    with context.store.transaction() as tx, pytest.raises(NotRegistered):
        require_held(context, tx)
