# SPDX-License-Identifier: Apache-2.0
"""Senders against the lists of their accounts, and what becomes of a list in a message."""

from typing import Any, cast

import pytest

from e2ecross import Address, Device, Envelope, Message, NoticeKind, Policy, Text
from e2ecross.device.sender_check import require_listed
from e2ecross.errors import (
    DecodeError,
    EnvelopeMismatch,
    IdentityChangedError,
    InvalidKey,
    InvalidSignature,
    NoSession,
    RemoteError,
    UnlistedDevice,
    UnsupportedVersion,
    UntrustedIdentity,
)
from e2ecross.state.context import address_key
from e2ecross.state.message import ControlMessage
from e2ecross.stores import Table
from e2ecross.wire.account_records import AccountRecord, OwnAccountRecord
from e2ecross.wire.content import PayloadContent, ReadMark, ReadMarks, Resent, UnsupportedContent
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.records import RemoteIdentityRecord
from tests.support.accounts import (
    account,
    change_account,
    craft,
    device_of,
    hold_list,
    link_devices,
    own_account,
    put_own,
    receive,
    sign_devices,
)
from tests.support.device_lists import recorded_list, recorded_pair
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    Dump,
    Stores,
    dump,
    introduce,
    make_device,
    start,
)
from tests.support.readers import device_with, key_of, notices, pending_of, sessions_of
from tests.support.vectors import devices, unhex

ACCOUNT = ANA.user_id
LAPTOP, TABLET = device_of(ANA, 2), device_of(ANA, 3)
HALO = Text("halo")
MARKS = ReadMarks((ReadMark(BUDI, MESSAGE_ID),))


def first(
    sender: Device,
    reader: Device,
    carried: SignedDeviceList | bytes = b"",
    content: PayloadContent = HALO,
    **fields: Any,  # noqa: ANN401
) -> Envelope:
    """A message that starts a session, with a list in it."""
    data = carried if isinstance(carried, bytes) else carried.encode()
    start(sender, reader, kyber=True)
    return craft(sender, reader.address, content, device_list=data, **fields)


def state(device: Device) -> Dump:
    return dump(device._context.store)


def read(device: Device, envelope: Envelope) -> Message:
    message = device.decrypt(envelope)
    assert isinstance(message, Message)
    return cast(Message, message)  # none of these contents has a frame


def refused(device: Device, envelope: Envelope, error: type[RemoteError]) -> None:
    """A message is refused alone and in a batch, and leaves the store as it was."""
    before = state(device)
    with pytest.raises(error):
        device.decrypt(envelope)
    assert state(device) == before
    (result,) = device.decrypt_many([envelope])
    assert type(result) is error
    assert state(device) == before


# --- The recorded ones, through a store ---------------------------------------------------------


def sender_of(case: dict[str, Any]) -> Device:
    """A device with the number and the key of a vector; any key where that is not recorded."""
    names = ("account", "laptop", "tablet", "second_phone", "mallory", "thief")
    by_key = {pair.public: pair for pair in map(recorded_pair, names)}
    address, key = device_of(ANA, case["device"]), unhex(case["identity_key"])
    return device_with(address, by_key[key]) if key in by_key else make_device(address)  # type: ignore[index]


@pytest.mark.parametrize("case", devices("carried")["vectors"], ids=lambda case: str(case["name"]))
def test_recorded_messages_that_carry_lists(case: dict[str, Any], stores: Stores) -> None:
    budi, sender = make_device(BUDI, stores.open("budi")), sender_of(case)
    is_late = case["carried"] is None and case["known"] != []
    if is_late:
        introduce(budi, sender)
        if sender.address == ANA:  # then the account got another key
            budi.accept_identity(ANA, recorded_pair("account").public)
    for name in case["known"]:
        hold_list(budi, recorded_list(name))
    carried = None if case["carried"] is None else recorded_list(case["carried"])
    if case["name"] == "the same from device 1 itself":  # its private key is not recorded
        carried = sign_devices(sender, device_with(LAPTOP, recorded_pair("laptop")))
    envelope = craft(sender, BUDI, HALO) if is_late else first(sender, budi, carried or b"")
    before = state(budi)
    held = account(budi, ACCOUNT)
    if case["expect"] == "unlisted_device":
        refused(budi, envelope, UnlistedDevice)
        return
    message = read(budi, envelope)
    assert (message.content, message.peer, message.own_copy) == (HALO, ACCOUNT, False)
    record = account(budi, ACCOUNT)
    assert (None if record.held is None else record.held.list.seq) == case["seq_after"]
    is_changed = case["expect"] == "other_key" or (is_late and sender.address == ANA)
    assert message.identity_changed is is_changed
    if case["expect"] == "newer":
        assert record.held == carried
        assert key_of(budi, ANA) == recorded_pair("account").public
        assert key_of(budi, sender.address) == sender.identity_key
    elif case["expect"] == "other_key":
        assert carried is not None
        assert pending_of(budi, ANA) == carried.list.account_key
        assert record == held
        assert key_of(budi, sender.address) == before_key(before, sender.address)
    elif case["expect"] == "fork":
        assert record.rival == carried
    elif case["expect"] == "ignored":
        assert (record.held, record.rival, record.fork_noted) == (held.held, None, True)
    else:
        assert record == (AccountRecord() if sender.address != ANA and not held.held else held)
    told = case["expect"] in ("fork", "ignored")
    assert notices(budi) == [(NoticeKind.LIST_FORK, ACCOUNT, ())] * told


def before_key(before: Dump, address: Address) -> bytes | None:
    """Which key a store had of an address."""
    rows = {tuple(place): record for place, record in before.items()}  # of any stripe
    found = rows.get((Table.REMOTE_IDENTITIES, address_key(address), b""))
    return None if found is None else RemoteIdentityRecord.decode(found).identity_key


@pytest.mark.parametrize("case", devices("listed")["vectors"], ids=lambda case: str(case["name"]))
def test_recorded_senders_and_bundles_of_theirs(case: dict[str, Any]) -> None:
    budi, sender = make_device(BUDI), sender_of(case)
    introduce(budi, sender)
    other = make_device(device_of(BUDI, 2))
    late = craft(sender, BUDI, HALO)
    for name in case["known"]:
        change_account(budi, ACCOUNT, held=recorded_list(name))
        change_account(other, ACCOUNT, held=recorded_list(name))
    with other._context.store.transaction() as tx:
        if case["expect"] == "ok":
            require_listed(tx, sender.address, sender._context.identity_key_pair.public)
        else:
            with pytest.raises(UnlistedDevice):
                require_listed(tx, sender.address, sender._context.identity_key_pair.public)
    if case["expect"] == "ok":
        assert read(budi, late).content == HALO
        start(other, sender)
    else:
        refused(budi, late, UnlistedDevice)
        before = state(other)
        with pytest.raises(UnlistedDevice):
            start(other, sender)
        assert state(other) == before


# --- Lists in messages --------------------------------------------------------------------------


class World:
    """Budi, who holds the list of ana's phone and laptop."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.phone, self.laptop = make_device(ANA), make_device(LAPTOP)
        self.tablet = make_device(TABLET)
        self.held = sign_devices(self.phone, self.laptop)
        self.budi = make_device(BUDI, policy=policy)
        hold_list(self.budi, self.held)


def test_the_stored_list_is_not_so_much_as_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    start(world.laptop, world.budi)
    envelopes = [craft(world.laptop, BUDI, HALO, device_list=world.held.encode()) for _ in range(2)]
    monkeypatch.setattr(SignedDeviceList, "decode", None)
    for envelope in envelopes:
        assert not read(world.budi, envelope).identity_changed


@pytest.mark.parametrize("is_in_client", [False, True])
def test_a_companion_that_was_linked_since_is_no_changed_identity(is_in_client: bool) -> None:
    """Another device had its number: the message is opened again with the rows of the new one."""
    world = World()
    introduce(world.budi, world.laptop)
    new = make_device(LAPTOP, seed="new laptop")
    envelope = first(new, world.budi, sign_devices(world.phone, new, after=world.held))
    if is_in_client:
        (message,) = receive(world.budi, envelope)
        assert isinstance(message, Message)
    else:
        message = read(world.budi, envelope)
    assert (message.content, message.identity_changed) == (HALO, False)
    assert sessions_of(world.budi, LAPTOP) == [new.identity_key]
    assert key_of(world.budi, LAPTOP) == new.identity_key
    answer = new.decrypt(world.budi.encrypt(LAPTOP, Text("answer")))
    assert answer.content == Text("answer")
    late = craft(world.laptop, BUDI, HALO)
    with pytest.raises(RemoteError):
        world.budi.decrypt(late)


def test_a_one_time_prekey_is_used_up_once_where_a_message_is_opened_twice() -> None:
    world = World()
    envelope = first(world.tablet, world.budi, sign_devices(world.phone, world.tablet, seq=9))
    before = {where for where in state(world.budi) if where[0] is Table.ONE_TIME_PREKEYS}
    read(world.budi, envelope)
    after = {where for where in state(world.budi) if where[0] is Table.ONE_TIME_PREKEYS}
    assert len(before - after) == 1
    assert not after - before


@pytest.mark.parametrize("version", [3, 4])
def test_device_1_brings_a_newer_list(version: int) -> None:
    world = World()
    newer = sign_devices(world.phone, world.tablet, after=world.held)
    start(world.phone, world.budi, kyber=version == 4)
    envelope = craft(world.phone, BUDI, HALO, device_list=newer.encode())
    assert not read(world.budi, envelope).identity_changed
    assert account(world.budi, ACCOUNT) == AccountRecord(
        newer, NOW_MS, changed_seq=2, has_list=True
    )


def test_what_would_continue_a_list_of_less_hosting_is_ignored() -> None:
    world = World()
    hold_list(world.budi, hosted := sign_devices(world.phone, world.laptop, seq=5, hosting=2))
    hidden = sign_devices(world.phone, world.laptop, seq=7)
    assert read(world.budi, first(world.laptop, world.budi, hidden)).content == HALO
    assert account(world.budi, ACCOUNT).held == hosted


def broken_lists(world: World) -> dict[type[RemoteError], bytes]:
    newer = sign_devices(world.phone, world.laptop, after=world.held)
    forged = SignedDeviceList(newer.data, bytes(64), newer.list).encode()
    version_2 = SignedDeviceList(b"\x08\x02" + newer.data[2:], newer.signature, newer.list)
    low_order = newer.data.replace(world.laptop.identity_key, b"\x05" + bytes(32))
    return {
        DecodeError: b"garbage",
        UnsupportedVersion: version_2.encode(),
        InvalidKey: SignedDeviceList(low_order, newer.signature, newer.list).encode(),
        InvalidSignature: forged,
        EnvelopeMismatch: sign_devices(make_device(BUDI, seed="2"), user=BUDI.user_id).encode(),
    }


@pytest.mark.parametrize("error", list(broken_lists(World())))
def test_a_list_that_is_none_refuses_the_message(error: type[RemoteError]) -> None:
    world = World()
    refused(world.budi, first(world.laptop, world.budi, broken_lists(world)[error]), error)


def test_only_a_first_message_carries_a_list() -> None:
    world = World()
    introduce(world.phone, world.budi)
    envelope = craft(world.phone, BUDI, HALO, device_list=world.held.encode())
    refused(world.budi, envelope, EnvelopeMismatch)


def test_raw_messages_are_of_peers_that_have_no_lists() -> None:
    """A device that is listed keeps its key there, whoever uses its number."""
    world = World()
    introduce(world.budi, world.laptop)
    for thief in (make_device(LAPTOP, seed="thief"), make_device(device_of(ANA, 9))):
        start(thief, world.budi)
        kind, data = thief.encrypt_raw(BUDI, b"raw")
        assert world.budi.decrypt_raw(thief.address, kind, data) == b"raw"
    assert key_of(world.budi, LAPTOP) == world.laptop.identity_key
    assert pending_of(world.budi, LAPTOP) is None
    kind, data = world.budi.encrypt_raw(LAPTOP, b"still to the listed one")
    assert world.laptop.decrypt_raw(BUDI, kind, data) == b"still to the listed one"


# --- Another account key ------------------------------------------------------------------------


class Moved(World):
    """The account has another key, and a list under it, that budi has not heard of."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__(policy)
        for device in (self.phone, self.laptop):
            introduce(self.budi, device)
        self.new_phone = make_device(ANA, seed="new phone")
        self.new_laptop = make_device(LAPTOP, seed="new laptop")
        self.new_list = sign_devices(self.new_phone, self.new_laptop, self.tablet)


NEWCOMERS = ["new_phone", "new_laptop", "tablet"]


@pytest.mark.parametrize("who", NEWCOMERS)
def test_another_account_key_waits_for_the_user_whichever_device_brings_it(who: str) -> None:
    moved = Moved()
    budi, sender = moved.budi, getattr(moved, who)
    record, rows = account(budi, ACCOUNT), (key_of(budi, ANA), key_of(budi, LAPTOP))
    message = read(budi, first(sender, budi, moved.new_list))
    assert message.identity_changed
    assert pending_of(budi, ANA) == moved.new_phone.identity_key
    assert pending_of(budi, LAPTOP) is None
    assert (account(budi, ACCOUNT), (key_of(budi, ANA), key_of(budi, LAPTOP))) == (record, rows)
    for address in (ANA, LAPTOP, TABLET):
        if address == TABLET and who != "tablet":
            continue  # nothing is known of it
        with pytest.raises(UntrustedIdentity) as caught:
            budi.encrypt(address, HALO)
        assert (caught.value.address, caught.value.identity_key) == (
            ANA,
            moved.new_phone.identity_key,
        )
    # What comes after it in its session is read, and is still flagged.
    again = craft(sender, BUDI, HALO, device_list=moved.new_list.encode())
    assert read(budi, again).identity_changed
    # So are late messages of the devices before.
    assert not read(budi, craft(moved.laptop, BUDI, HALO)).identity_changed
    # And when the user stays with the key before, so does everything.
    budi.reject_identity(TABLET, moved.new_phone.identity_key)
    assert sessions_of(budi, TABLET) == []
    for device in (moved.phone, moved.laptop):
        assert device.decrypt(budi.encrypt(device.address, HALO)).content == HALO


@pytest.mark.parametrize("who", NEWCOMERS)
def test_another_account_key_is_refused_by_policy(who: str) -> None:
    moved = Moved(Policy(refuse_changed_identity=True))
    envelope = first(getattr(moved, who), moved.budi, moved.new_list)
    refused(moved.budi, envelope, IdentityChangedError)
    with pytest.raises(IdentityChangedError) as caught:
        moved.budi.decrypt(envelope)
    assert (caught.value.address, caught.value.identity_key) == (ANA, moved.new_phone.identity_key)


@pytest.mark.parametrize("who", NEWCOMERS)
@pytest.mark.parametrize("is_in_client", [False, True])
def test_another_account_key_is_accepted_by_policy_with_its_list(
    who: str, is_in_client: bool
) -> None:
    moved = Moved(Policy(accept_changed_identity=True))
    budi, sender = moved.budi, getattr(moved, who)
    change_account(budi, ACCOUNT, written=True)
    envelope = first(sender, budi, moved.new_list)
    if is_in_client:
        notice, message = receive(budi, envelope)
        assert (notice.kind, notice.devices, notice.identity_key) == (  # type: ignore[union-attr]
            NoticeKind.IDENTITY_CHANGED,
            (1,),
            moved.new_phone.identity_key,
        )
        assert isinstance(message, Message)
    else:
        message = read(budi, envelope)
    assert message.identity_changed
    assert account(budi, ACCOUNT) == AccountRecord(
        moved.new_list, NOW_MS, changed_seq=1, written=True, has_list=True
    )
    identity = budi.remote_identity(TABLET)
    assert identity is not None
    assert (identity.address, identity.identity_key, identity.by_policy) == (
        ANA,
        moved.new_phone.identity_key,
        True,
    )
    assert key_of(budi, LAPTOP) == moved.new_laptop.identity_key
    assert moved.laptop.identity_key not in sessions_of(budi, LAPTOP)
    answer = sender.decrypt(budi.encrypt(sender.address, Text("answer")))
    assert answer.content == Text("answer")
    assert not read(budi, craft(sender, BUDI, HALO)).identity_changed


def test_a_verified_contact_is_never_changed_by_policy() -> None:
    moved = Moved(Policy(accept_changed_identity=True))
    moved.budi.mark_verified(LAPTOP, moved.phone.identity_key)
    assert read(moved.budi, first(moved.new_laptop, moved.budi, moved.new_list)).identity_changed
    assert pending_of(moved.budi, ANA) == moved.new_phone.identity_key
    assert account(moved.budi, ACCOUNT).held == moved.held


def test_another_key_of_device_1_without_a_list_is_a_changed_identity_of_the_account() -> None:
    moved = Moved(Policy(accept_changed_identity=True))
    assert read(moved.budi, first(moved.new_phone, moved.budi)).identity_changed
    assert key_of(moved.budi, ANA) == moved.new_phone.identity_key
    assert account(moved.budi, ACCOUNT) == AccountRecord(has_list=True)
    assert key_of(moved.budi, LAPTOP) is None
    moved.budi.encrypt(ANA, HALO)


def test_the_list_of_an_account_does_not_vouch_for_another_key_of_device_1() -> None:
    """At first contact it pins the key that it is signed with; who has sent it waits."""
    phone, thief = make_device(ANA), make_device(ANA, seed="thief")
    signed = sign_devices(phone)
    budi = make_device(BUDI)
    assert read(budi, first(thief, budi, signed)).identity_changed
    assert (key_of(budi, ANA), pending_of(budi, ANA)) == (phone.identity_key, thief.identity_key)
    assert account(budi, ACCOUNT).held == signed
    refusing = make_device(BUDI, policy=Policy(refuse_changed_identity=True))
    refused(refusing, first(thief, refusing, signed), IdentityChangedError)


def test_a_list_is_not_kept_where_the_policy_refuses_its_sender() -> None:
    world = World(Policy(refuse_changed_identity=True))
    thief = make_device(ANA, seed="thief")
    newer = sign_devices(world.phone, world.laptop, after=world.held)
    fork = sign_devices(world.phone)
    for carried in (newer, fork):
        refused(world.budi, first(thief, world.budi, carried), IdentityChangedError)


def test_an_account_without_a_list_is_marked_at_device_1_alone() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    budi = make_device(BUDI)
    introduce(budi, phone)
    introduce(budi, laptop)
    other = make_device(ANA, seed="other")
    new = make_device(LAPTOP, seed="new laptop")
    assert read(budi, first(new, budi, sign_devices(other, new))).identity_changed
    assert pending_of(budi, ANA) == other.identity_key
    assert (key_of(budi, LAPTOP), pending_of(budi, LAPTOP)) == (laptop.identity_key, None)
    assert sessions_of(budi, LAPTOP) == [laptop.identity_key, new.identity_key]


# --- The own account ----------------------------------------------------------------------------


class Own:
    """Ana's phone and laptop, which are linked."""

    def __init__(self) -> None:
        self.phone, self.laptop = make_device(ANA), make_device(LAPTOP)
        self.held = link_devices(self.phone, self.laptop)


def test_a_copy_of_another_own_device_says_with_whom_we_talk() -> None:
    own = Own()
    for content in (HALO, Resent(MESSAGE_ID, NOW_MS, HALO)):
        envelope = craft(own.phone, LAPTOP, content, peer=BUDI.user_id)
        message = read(own.laptop, envelope)
        assert (message.sender, message.peer, message.own_copy) == (ANA, BUDI.user_id, True)
        assert not message.historical
    (message_, note) = receive(
        own.laptop,
        craft(own.phone, LAPTOP, HALO, peer=BUDI.user_id),
        craft(own.phone, LAPTOP, Text("to myself"), peer=ACCOUNT),
    )
    assert isinstance(message_, Message)
    assert isinstance(note, Message)
    assert (message_.peer, message_.own_copy) == (BUDI.user_id, True)
    assert (note.peer, note.own_copy) == (ACCOUNT, True)


@pytest.mark.parametrize(
    "content",
    [HALO, UnsupportedContent(15, b"?"), Resent(MESSAGE_ID, NOW_MS, HALO)],
    ids=lambda content: type(content).__name__,
)
def test_a_copy_that_does_not_say_it_is_refused(content: PayloadContent) -> None:
    own = Own()
    refused(own.laptop, craft(own.phone, LAPTOP, content), EnvelopeMismatch)


@pytest.mark.parametrize(
    "content", [MARKS, UnsupportedContent(2**31 + 99, b"?")], ids=lambda c: type(c).__name__
)
def test_what_clients_tell_each_other_is_no_copy(content: PayloadContent) -> None:
    own = Own()
    refused(own.laptop, craft(own.phone, LAPTOP, content, peer=BUDI.user_id), EnvelopeMismatch)
    message = own.laptop.decrypt(craft(own.phone, LAPTOP, content))
    assert isinstance(message, ControlMessage | Message)


def test_nobody_else_says_with_whom_we_talk() -> None:
    own, budi = Own(), make_device(BUDI)
    introduce(budi, own.phone)
    for peer in (BUDI.user_id, ACCOUNT):
        refused(own.phone, craft(budi, ANA, HALO, peer=peer), EnvelopeMismatch)


def test_without_a_list_there_are_no_own_devices() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    introduce(phone, laptop)
    refused(laptop, craft(phone, LAPTOP, HALO, peer=BUDI.user_id), EnvelopeMismatch)
    message = read(laptop, craft(phone, LAPTOP, HALO))
    assert (message.peer, message.own_copy) == (ACCOUNT, False)


def test_an_own_device_that_is_not_listed_is_refused() -> None:
    own = Own()
    for stranger in (make_device(TABLET), make_device(ANA, seed="other")):
        envelope = first(stranger, own.laptop, peer=BUDI.user_id)
        refused(own.laptop, envelope, UnlistedDevice)


@pytest.mark.parametrize("is_from_1", [False, True])
def test_another_key_of_the_own_account_is_refused_at_a_companion(is_from_1: bool) -> None:
    own = Own()
    new_phone = make_device(ANA, seed="new phone")
    sender = new_phone if is_from_1 else own.phone
    other_list = sign_devices(new_phone, own.laptop, seq=9)
    envelope = first(sender, own.laptop, other_list, peer=BUDI.user_id)
    if is_from_1:
        refused(own.laptop, envelope, UnlistedDevice)
    else:  # who has it, and sends another's, is listed all the same
        assert read(own.laptop, envelope).own_copy
    assert account(own.laptop, ACCOUNT).held == own.held
    assert pending_of(own.laptop, ANA) is None


def test_a_list_that_device_1_did_not_sign_comes_with_a_message_of_its_own_device() -> None:
    own = Own()
    foreign = sign_devices(own.phone, own.laptop, after=own.held)
    envelope = first(own.laptop, own.phone, foreign, peer=BUDI.user_id)
    assert read(own.phone, envelope).own_copy
    assert own_account(own.phone).conflict
    record = account(own.phone, ACCOUNT)
    assert (record.held, record.rival) == (own.held, foreign)


def test_device_1_that_was_restored_learns_its_list_from_its_own_device() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    put_own(phone, OwnAccountRecord(must_reset=True))
    signed = sign_devices(phone, laptop, seq=7)
    message = read(phone, first(laptop, phone, signed, peer=BUDI.user_id))
    assert (message.own_copy, message.peer) == (True, BUDI.user_id)
    assert account(phone, ACCOUNT).held == signed


# --- Bundles ------------------------------------------------------------------------------------


def test_another_key_in_a_bundle_of_device_1_is_a_changed_identity() -> None:
    world = World()
    before = state(world.budi)
    with pytest.raises(UntrustedIdentity) as caught:
        start(world.budi, make_device(ANA, seed="other"))
    assert caught.value.address == ANA
    assert state(world.budi) == before


def test_a_bundle_of_a_companion_without_a_list_is_taken_by_address() -> None:
    budi = make_device(BUDI)
    start(budi, make_device(LAPTOP))
    assert budi.has_session(LAPTOP)
    with pytest.raises(NoSession):
        budi.encrypt(ANA, HALO)


@pytest.mark.parametrize("is_verified", [True, False])
def test_who_should_have_a_list_has_no_other_device_without_it(is_verified: bool) -> None:
    """The key was compared, or another own device has told of it; no list has come yet."""
    phone, laptop, budi = make_device(ANA), make_device(LAPTOP), make_device(BUDI)
    introduce(budi, phone)
    if is_verified:
        budi.mark_verified(ANA, phone.identity_key)
    else:
        change_account(budi, ACCOUNT, has_list=True)
    refused(budi, first(laptop, budi), UnlistedDevice)
    signed = sign_devices(phone, laptop)
    assert not read(budi, first(laptop, budi, signed)).identity_changed
