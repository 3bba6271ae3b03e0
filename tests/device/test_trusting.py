# SPDX-License-Identifier: Apache-2.0
"""Identities: of an account with a list, every address stands for device 1."""

import pytest

from e2ecross import Address, Device, NoticeKind, Recipient, Text
from e2ecross.device.settling import hold
from e2ecross.errors import InvalidArgument, NoSession, UntrustedIdentity
from e2ecross.protocol.safety_number import make_safety_number
from e2ecross.state.outbox import Backlog, BacklogName, put_control, put_resend, read_backlog
from e2ecross.state.trust import TrustState
from e2ecross.wire.account_records import AccountRecord, OwnAccountRecord
from e2ecross.wire.content import RetryRequest
from tests.support.accounts import (
    account,
    craft,
    device_of,
    hold_list,
    link_devices,
    outbox,
    put_own,
    sign_devices,
)
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    Stores,
    dump,
    introduce,
    make_device,
    reopen_device,
    start,
)
from tests.support.readers import key_of, notices, pending_of, sessions_of

LAPTOP, TABLET, STRANGER = (device_of(ANA, number) for number in (2, 3, 9))
ANYBODY = [ANA, LAPTOP, TABLET, STRANGER]
ACCOUNT = ANA.user_id
HALO = Text("halo")
REQUEST = RetryRequest(MESSAGE_ID, None, 0, "decode_error")


class World:
    """Budi, who knows ana's devices by her list, and has heard of another key of her account."""

    def __init__(self) -> None:
        self.budi, self.phone = make_device(BUDI), make_device(ANA)
        self.laptop, self.tablet = make_device(LAPTOP), make_device(TABLET)
        self.new_phone = make_device(ANA, seed="new phone")
        for device in (self.phone, self.laptop, self.tablet):
            introduce(self.budi, device)
        self.held = sign_devices(self.phone, self.laptop, self.tablet)
        hold_list(self.budi, self.held)

    @property
    def new_key(self) -> bytes:
        return self.new_phone.identity_key

    def hear(self) -> None:
        """A new companion writes under the other key, and things wait for the user's decision."""
        new = make_device(STRANGER)
        start(new, self.budi)
        carried = sign_devices(self.new_phone, new).encode()
        self.budi.decrypt(craft(new, BUDI, HALO, device_list=carried))
        context = self.budi._context
        with context.store.transaction() as tx:
            for address in ANYBODY:
                put_control(tx, address, MESSAGE_ID, REQUEST)
                put_resend(tx, address, bytes(16))
                hold(context, tx, Backlog(BacklogName.REQUESTS, address), self.new_key)

    def held_backlogs(self) -> list[Address]:
        """For whom something waits for the user."""
        found = []
        with self.budi._context.store.transaction() as tx:
            for address in ANYBODY:
                record = read_backlog(tx, Backlog(BacklogName.REQUESTS, address))
                if record is not None and record.untrusted_key:
                    found.append(address)
        return found


@pytest.mark.parametrize("address", ANYBODY)
def test_every_address_stands_for_the_account(address: Address) -> None:
    world = World()
    budi = world.budi
    number = budi.safety_number(address)
    key = world.phone.identity_key
    assert number == make_safety_number(
        BUDI.user_id,
        budi._context.identity_key_pair.public,
        ACCOUNT,
        key,  # type: ignore[arg-type]
    )
    budi.mark_verified(address, key)
    identity = budi.remote_identity(address)
    assert identity is not None
    assert (identity.address, identity.identity_key) == (ANA, key)
    assert identity.trust is TrustState.VERIFIED
    with pytest.raises(InvalidArgument):
        budi.mark_verified(address, world.laptop.identity_key)


@pytest.mark.parametrize("user", ["whatsapp:ana", ACCOUNT])
def test_a_user_is_named_by_text_or_id_as_by_the_address_of_device_1(user: Recipient) -> None:
    world = World()
    budi = world.budi
    assert budi.safety_number(user) == budi.safety_number(ANA)
    budi.mark_verified(user, world.phone.identity_key)
    assert budi.remote_identity(user) == budi.remote_identity(LAPTOP)
    world.hear()
    budi.reject_identity(user, world.new_key)
    assert pending_of(budi, ANA) is None
    budi.accept_identity(user, world.new_key)
    assert key_of(budi, ANA) == world.new_key


def test_without_a_list_a_user_stands_for_device_1() -> None:
    budi, phone, laptop = make_device(BUDI), make_device(ANA), make_device(LAPTOP)
    for device in (phone, laptop):
        introduce(budi, device)
    for user in ("whatsapp:ana", ACCOUNT):
        identity = budi.remote_identity(user)
        assert identity is not None
        assert identity.identity_key == phone.identity_key
    assert budi.remote_identity("whatsapp:dewi") is None


def test_without_a_list_each_address_stands_for_itself() -> None:
    budi, phone, laptop = make_device(BUDI), make_device(ANA), make_device(LAPTOP)
    introduce(budi, phone)
    introduce(budi, laptop)
    budi.mark_verified(LAPTOP, laptop.identity_key)
    for address, verified in ((ANA, False), (LAPTOP, True)):
        identity = budi.remote_identity(address)
        assert identity is not None
        assert (identity.address, identity.verified) == (address, verified)
    assert budi.safety_number(ANA) != budi.safety_number(LAPTOP)
    new = make_device(LAPTOP, seed="new")
    start(new, budi)
    budi.decrypt(new.encrypt(BUDI, HALO))
    budi.accept_identity(LAPTOP, new.identity_key)
    assert (key_of(budi, ANA), key_of(budi, LAPTOP)) == (phone.identity_key, new.identity_key)


def test_safety_numbers_are_the_same_on_all_devices_of_both_ends() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    budi, budis_tablet = make_device(BUDI), make_device(device_of(BUDI, 3))
    ours, theirs = link_devices(phone, laptop), link_devices(budi, budis_tablet)
    numbers = set()
    for own in (phone, laptop):
        own = reopen_device(own, own._context.store, "again")
        hold_list(own, theirs)
        numbers |= {own.safety_number(device.address).digits for device in (budi, budis_tablet)}
    for own in (budi, budis_tablet):
        own = reopen_device(own, own._context.store, "again")
        hold_list(own, ours)
        numbers |= {own.safety_number(device.address).digits for device in (phone, laptop)}
    assert len(numbers) == 1


def test_a_device_knows_the_key_of_its_account_when_it_is_opened(stores: Stores) -> None:
    phone = make_device(ANA)
    laptop = make_device(LAPTOP, stores.open("laptop"))
    assert laptop._context.account_key == laptop.identity_key  # it stands alone
    hold_list(laptop, sign_devices(phone, laptop))
    laptop = reopen_device(laptop, stores.reopen("laptop"), "1")
    assert laptop._context.account_key == laptop.identity_key
    put_own(laptop, OwnAccountRecord(linked_at_ms=1))
    again = reopen_device(laptop, stores.reopen("laptop"), "2")
    assert again._context.account_key == phone.identity_key
    assert reopen_device(phone, phone._context.store, "3")._context.account_key == (
        phone.identity_key
    )


@pytest.mark.parametrize("address", ANYBODY)
def test_accepting_another_key_begins_the_account_anew(address: Address) -> None:
    world = World()
    budi = world.budi
    budi.mark_verified(ANA, world.phone.identity_key)
    world.hear()
    assert world.held_backlogs() == ANYBODY
    for each in (ANA, LAPTOP, TABLET, STRANGER):
        with pytest.raises(UntrustedIdentity) as caught:
            budi.encrypt(each, HALO)
        assert (caught.value.address, caught.value.identity_key) == (ANA, world.new_key)
    budi.accept_identity(address, world.new_key)
    identity = budi.remote_identity(ANA)
    assert identity is not None
    assert (identity.identity_key, identity.trust) == (world.new_key, TrustState.UNVERIFIED)
    assert account(budi, ACCOUNT) == AccountRecord(has_list=True)
    assert world.held_backlogs() == []
    for gone in (LAPTOP, TABLET, STRANGER):
        assert key_of(budi, gone) is None
        assert sessions_of(budi, gone) == []
        with pytest.raises(NoSession):
            budi.encrypt(gone, HALO)
    assert {waiting.backlog.recipient for waiting in outbox(budi)} == {ANA}


@pytest.mark.parametrize("address", ANYBODY)
def test_rejecting_another_key_leaves_the_account_as_it_was(address: Address) -> None:
    world = World()
    budi = world.budi
    world.hear()
    budi.reject_identity(address, world.new_key)
    assert (key_of(budi, ANA), pending_of(budi, ANA)) == (world.phone.identity_key, None)
    assert account(budi, ACCOUNT).held == world.held
    assert key_of(budi, STRANGER) is None
    assert sessions_of(budi, STRANGER) == []
    assert world.held_backlogs() == []
    for device in (world.phone, world.laptop, world.tablet):
        text = device.decrypt(budi.encrypt(device.address, HALO))
        assert text.content == HALO
    left = {(each.backlog.recipient, each.control) for each in outbox(budi)}
    assert left == {(each, REQUEST) for each in (ANA, LAPTOP, TABLET)}
    assert {kind for kind, *_ in notices(budi)} == {NoticeKind.IDENTITY_PENDING}


def test_accepting_the_accepted_key_forgets_nothing() -> None:
    world = World()
    before = dump(world.budi._context.store)
    world.budi.accept_identity(LAPTOP, world.phone.identity_key)
    assert dump(world.budi._context.store) == before


def test_without_a_list_own_devices_are_trusted_like_any() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    introduce(phone, laptop)
    new = make_device(ANA, seed="new")
    laptop.accept_identity(ANA, new.identity_key)
    assert key_of(laptop, ANA) == new.identity_key


@pytest.mark.parametrize("asked", [ANA, LAPTOP])
def test_no_other_key_is_accepted_for_the_own_account(asked: Address) -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    link_devices(phone, laptop)
    own: Device = reopen_device(laptop, laptop._context.store, "again")
    other = make_device(ANA, seed="other").identity_key
    before = dump(own._context.store)
    with pytest.raises(InvalidArgument, match="link it again"):
        own.accept_identity(asked, other)
    own.accept_identity(asked, phone.identity_key)
    assert dump(own._context.store) == before
