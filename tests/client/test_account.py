# SPDX-License-Identifier: Apache-2.0
"""The own account at the back end: its list published and renewed, devices that come and go."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross import (
    AccountDevice,
    AccountDevices,
    Address,
    Client,
    Device,
    Envelope,
    FailedMessage,
    NoticeKind,
    Policy,
    Text,
    UserId,
)
from e2ecross.client.backend import Backend
from e2ecross.device.own_list import add_device
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    DevicesConflict,
    E2ECrossError,
    EnvelopeMismatch,
    InvalidArgument,
    InvalidSignature,
    NotPrimary,
    NotRegistered,
    RemoteError,
    RestoredStore,
    UnknownPrekey,
    UnknownRecipient,
    UnlistedDevice,
    UntrustedIdentity,
)
from e2ecross.relay import Relay
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.capabilities import decode_capabilities
from e2ecross.wire.device_list import SignedDeviceList
from tests.client.conversation import meet, read, read_notices, shown
from tests.support.accounts import (
    account,
    change_account,
    device_of,
    make_account,
    own_account,
)
from tests.support.device_lists import Household
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    TOKO,
    BackendSimulator,
    FakeClock,
    dump,
    make_client,
    make_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.linked import candidate, held, link, notices_of
from tests.support.store_kinds import copied, plain_store, raises_over_stripes

OWN, CONTACT = ANA.user_id, BUDI.user_id
LAPTOP = device_of(ANA, 2)
WORDS = "four words and more"
WEEK_MS = 7 * DAY_MS


@pytest.fixture
def phone(backend: BackendSimulator, clock: FakeClock) -> Client:
    return make_client(ANA, backend, clock=clock)


@pytest.fixture
def budi(backend: BackendSimulator, clock: FakeClock) -> Client:
    return make_client(BUDI, backend, clock=clock)


def published(backend: BackendSimulator, user: UserId = OWN) -> SignedDeviceList:
    return SignedDeviceList.decode(backend.lists[user])


def numbers(client: Client) -> list[int]:
    return [each.address.device for each in client.devices().devices]


def household(client: Client) -> Household:
    """Whoever has the account's key, too."""
    device = client.device
    return Household(device.address.user_id, primary=device._context.identity_key_pair)


def imported(old: Client, backend: Backend, seed: str = "moved") -> Client:
    """A new phone, with the identity of the old one; not registered yet."""
    backup = old.device.export_identity(WORDS, cost="interactive")
    clock, entropy = old.device._context.clock, SeededEntropy(seed)
    device = Device.import_identity(backup, WORDS, MemoryStore(), clock=clock, entropy=entropy)
    return Client(device, backend)


def restored(old: Client, backend: Backend) -> Client:
    """The same phone with its store opened as restored."""
    context = old.device._context
    entropy = SeededEntropy("restored")
    device = Device.open(context.store, clock=context.clock, entropy=entropy, restored=True)
    return Client(device, backend)


def kinds(client: Client) -> list[NoticeKind]:
    return [notice.kind for notice in read_notices(client)]


# --- The list is published, and renewed -----------------------------------------------------


def test_who_registers_publishes_a_list_of_one(backend: BackendSimulator, phone: Client) -> None:
    assert published(backend) == held(phone)
    assert held(phone).list.seq == 1
    assert own_account(phone.device).published
    assert phone.devices() == AccountDevices((AccountDevice(ANA, phone.device.identity_key),))
    assert phone.receive() == []
    calls = backend.calls.count("publish_devices")
    phone.maintain()
    assert backend.calls.count("publish_devices") == calls


def test_a_client_of_before_there_were_lists_makes_one_with_its_upkeep(
    backend: BackendSimulator, phone: Client
) -> None:
    with phone.device._context.store.transaction() as tx:
        tx.clear(Table.ACCOUNTS, b"whatsapp\0ana")
        tx.delete(Table.DEVICE, b"", b"account")
    backend.lists.clear()
    phone.maintain()
    assert published(backend) == held(phone)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_list_that_did_not_arrive_is_published_by_the_next_upkeep(
    backend: BackendSimulator, clock: FakeClock, is_late: bool
) -> None:
    phone = Client(make_device(ANA, clock=clock), backend)
    (backend.lose_answer if is_late else backend.fail)("publish_devices")
    with pytest.raises(BackendError):
        phone.register()
    assert not own_account(phone.device).published
    phone.maintain()
    assert published(backend) == held(phone)
    assert held(phone).list.seq == 1
    assert own_account(phone.device).published


def test_who_registers_anew_publishes_again(backend: BackendSimulator, phone: Client) -> None:
    """The back end has lost the account; nothing else would tell the phone."""
    backend.forget(ANA)
    assert OWN not in backend.lists
    phone.register()
    assert published(backend) == held(phone)
    assert held(phone).list.seq == 1


@pytest.mark.parametrize("call", [Client.maintain, Client.receive])
def test_the_list_is_renewed(
    backend: BackendSimulator, clock: FakeClock, phone: Client, call: Callable[[Client], object]
) -> None:
    """Also by an app that only receives."""
    clock.advance(WEEK_MS - 1)
    call(phone)
    assert published(backend).list.seq == 1
    clock.advance(60_001)
    call(phone)
    assert published(backend) == held(phone)
    assert held(phone).list.seq == 2
    assert own_account(phone.device).published


def test_what_is_due_is_done_whatever_becomes_of_the_rest(
    backend: BackendSimulator, clock: FakeClock, phone: Client, budi: Client
) -> None:
    meet(phone, budi)
    clock.advance(WEEK_MS)
    for method in ("one_time_prekey_count", "publish_devices"):
        backend.fail(method)
    with pytest.raises(BackendError):
        phone.maintain()
    assert held(phone).list.seq == 2
    assert published(backend).list.seq == 1
    phone.maintain()
    assert published(backend).list.seq == 2


def test_the_list_of_a_companion_is_not_its_to_publish(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    laptop = link(phone, backend)
    calls = backend.calls.count("publish_devices")
    clock.advance(WEEK_MS)
    laptop.register()
    laptop.maintain()
    laptop.receive()
    assert backend.calls.count("publish_devices") == calls
    assert held(laptop).list.seq == 2


def test_what_a_companion_shows_comes_into_the_list(
    backend: BackendSimulator, phone: Client
) -> None:
    laptop = link(phone, backend)
    context = laptop.device._context
    device = Device.open(
        context.store,
        policy=Policy(capabilities=frozenset({10, 15})),
        clock=context.clock,
        entropy=SeededEntropy("restarted"),
    )
    restarted = Client(device, backend)
    for _ in range(2):
        restarted.maintain()
        phone.receive()
        phone.maintain()
        restarted.receive()
    listed = held(restarted).list
    assert [sorted(decode_capabilities(each.capabilities)) for each in listed.devices] == [
        [10, 35],
        [10, 15, 35],
    ]
    assert listed.seq == 3


# --- A back end that refuses ----------------------------------------------------------------


def test_a_back_end_that_takes_no_list_and_has_no_newer_one_is_told(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    clock.advance(WEEK_MS)
    backend.fail("publish_devices", BackendRefused("no"), times=3)
    with pytest.raises(BackendRefused):
        phone.maintain()
    clock.advance(60_001)
    with raises_over_stripes(BackendRefused):  # one of many workers maintains now and then
        assert phone.receive() == []
    assert read_notices(phone) == []
    backend.lists.clear()
    with pytest.raises(BackendRefused):
        phone.maintain()
    assert not own_account(phone.device).conflict
    phone.maintain()
    assert published(backend).list.seq == 2


def test_a_back_end_that_has_the_list_after_all_is_believed(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    clock.advance(WEEK_MS)
    backend.lose_answer("publish_devices")
    with pytest.raises(BackendError):
        phone.maintain()
    backend.fail("publish_devices", BackendRefused("list 2 is known"))
    phone.maintain()
    assert own_account(phone.device).published


@pytest.mark.parametrize("seq", [2, 3, 900])
def test_somebody_else_who_signs_is_told_the_user_and_nothing_is_signed(
    backend: BackendSimulator, clock: FakeClock, phone: Client, seq: int
) -> None:
    link(phone, backend)
    thief = household(phone).sign(seq + 1, previous=bytes(32), devices=(1, 9))
    backend.lists[OWN] = thief.encode()
    clock.advance(WEEK_MS)
    phone.maintain()
    assert kinds(phone)[-1] is NoticeKind.FOREIGN_LIST
    assert account(phone.device, OWN).rival == thief
    assert phone.devices().forked
    assert numbers(phone) == [1, 2]
    before = held(phone)
    clock.advance(WEEK_MS)
    phone.maintain()
    phone.receive()
    with pytest.raises(DevicesConflict):
        phone.unlink(2)
    with pytest.raises(DevicesConflict):
        add(phone)
    assert held(phone) == before
    phone.restore_devices([2])
    assert held(phone) == published(backend)
    assert held(phone).list.seq == thief.list.seq + 1_000
    assert not phone.devices().forked
    assert read_notices(phone) == []


def add(phone: Client) -> None:
    new = candidate(phone.device)
    add_device(phone.device._context, new.entry, "x", new.token_hash)


@pytest.mark.usefixtures("alone")
def test_a_removal_that_meets_somebody_elses_list_is_done_and_told(
    backend: BackendSimulator, phone: Client
) -> None:
    link(phone, backend)
    thief = household(phone).sign(90, previous=bytes(32), devices=(1, 9))
    backend.lists[OWN] = thief.encode()
    with pytest.raises(DevicesConflict):
        phone.unlink(2)
    assert numbers(phone) == [1]
    assert kinds(phone)[-2:] == [NoticeKind.DEVICE_UNLINKED, NoticeKind.FOREIGN_LIST]
    higher = household(phone).sign(5_000, previous=bytes(32), devices=(1, 9))
    backend.lists[OWN] = higher.encode()
    with pytest.raises(DevicesConflict):
        phone.restore_devices([])
    assert kinds(phone) == [NoticeKind.FOREIGN_LIST]
    phone.restore_devices([])
    assert published(backend) == held(phone)
    assert held(phone).list.seq == 6_000


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"no list", RemoteError),
        (Household(CONTACT).sign(9).encode(), EnvelopeMismatch),
        (replace(Household(OWN).sign(9), signature=bytes(64)).encode(), InvalidSignature),
        (Household(OWN).sign(9).encode(), BackendRefused),
    ],
    ids=["garbage", "another account", "forged", "another key"],
)
def test_what_a_back_end_brings_up_instead_is_no_conflict(
    backend: BackendSimulator,
    clock: FakeClock,
    phone: Client,
    data: bytes,
    error: type[E2ECrossError],
) -> None:
    clock.advance(WEEK_MS)
    backend.lists[OWN] = data
    backend.fail("publish_devices", BackendRefused("no"))
    with pytest.raises(error):
        phone.maintain()
    assert not own_account(phone.device).conflict
    assert account(phone.device, OWN).rival is None
    assert notices_of(phone.device) == []


# --- Linked devices -------------------------------------------------------------------------


def test_a_linked_device_that_has_keys_gets_pins_and_is_done(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    meet(phone, budi)
    laptop = link(phone, backend)
    assert [new.device for new in own_account(phone.device).new_devices] == [2]
    phone.maintain()
    assert own_account(phone.device).new_devices == ()
    assert laptop.receive() == []
    known = laptop.device.remote_identity(BUDI)
    assert known is not None
    assert known.identity_key == budi.device.identity_key
    fetched = backend.calls.count("fetch_keys")
    phone.maintain()
    assert backend.calls.count("fetch_keys") == fetched


def test_one_that_never_has_keys_goes_after_a_day(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    add(phone)
    phone.maintain()
    assert [each.device for each in published(backend).list.devices] == [1, 2]
    clock.advance(DAY_MS - 1)
    phone.maintain()
    assert numbers(phone) == [1, 2]
    clock.advance(1)
    phone.maintain()
    assert numbers(phone) == [1]
    assert published(backend) == held(phone)
    assert kinds(phone) == [NoticeKind.DEVICE_LINKED, NoticeKind.DEVICE_UNLINKED]


def test_while_the_back_end_is_out_of_reach_nobody_goes(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    add(phone)
    clock.advance(DAY_MS)
    backend.fail("fetch_keys")
    with pytest.raises(BackendError):
        phone.maintain()
    assert numbers(phone) == [1, 2]


def test_keys_of_somebody_else_are_no_keys_of_the_device(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    """A back end that invents them gets no pins, and keeps nobody in the list."""
    add(phone)
    phone.maintain()
    stranger = make_device(LAPTOP, seed="stranger", clock=clock)
    token = b"t" * 32
    backend._accounts.pop(LAPTOP, None)
    backend.lists.clear()
    backend.register(LAPTOP, token)
    backend.publish(token, stranger.publish())
    backend.lists[OWN] = held(phone).encode()
    phone.maintain()
    assert [new.device for new in own_account(phone.device).new_devices] == [2]
    assert backend.waiting(LAPTOP) == []
    clock.advance(DAY_MS)
    phone.maintain()
    assert numbers(phone) == [1]


# --- Unlinking ------------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_a_device_is_unlinked(backend: BackendSimulator, phone: Client, budi: Client) -> None:
    laptop, tablet = link(phone, backend), link(phone, backend)
    phone.send(BUDI, Text("from the phone"))
    laptop.send(BUDI, Text("from the laptop"))
    assert sorted(read(budi)) == ["from the laptop", "from the phone"]
    read(phone)
    read(tablet)
    phone.unlink(2)
    assert numbers(phone) == [1, 3]
    assert published(backend) == held(phone)
    assert kinds(phone) == [NoticeKind.DEVICE_UNLINKED]
    assert kinds(tablet) == [NoticeKind.DEVICE_UNLINKED]
    assert read(budi) == []
    assert [each.address.device for each in budi.devices("whatsapp:ana").devices] == [1, 3]
    with pytest.raises(NotRegistered):
        laptop.maintain()
    sent = budi.send("whatsapp:ana", Text("only for these"))
    assert [each.address.device for each in sent.deliveries] == [1, 3]


def test_what_the_device_has_sent_before_is_read(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    laptop = link(phone, backend, store=plain_store())
    phone.maintain()
    laptop.send(BUDI, Text("before"))
    phone.unlink(2)
    assert shown(phone.receive())[-2:] == ["before", "*device_unlinked"]


def test_what_comes_from_it_afterwards_is_refused(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    laptop = link(phone, backend, store=plain_store())
    laptop.send(BUDI, Text("before"))
    read(phone)
    laptop.send(BUDI, Text("too late"))
    late = backend.mailbox(ANA)
    while backend.mailbox(ANA):
        backend.drop(ANA, 0)
    phone.unlink(2)
    read(phone)
    deposited = len(backend.deposits)
    for data in late:
        backend.inject(ANA, data)
    (failed,) = phone.receive()
    assert isinstance(failed, FailedMessage)
    assert isinstance(failed.error, UnlistedDevice | UnknownPrekey)
    assert not failed.retrying
    phone.maintain()
    recipients = {Envelope.decode(data).recipient for data in backend.deposits[deposited:]}
    assert LAPTOP not in recipients


@pytest.mark.parametrize("method", ["fetch", "publish_devices", ""])
def test_out_of_reach_a_device_is_unlinked_all_the_same(
    backend: BackendSimulator, phone: Client, budi: Client, method: str
) -> None:
    """A stolen one gets nothing from this phone from then on; others hear of it later."""
    laptop = link(phone, backend)
    phone.send(BUDI, Text("halo"))
    read(budi)
    read(laptop)
    backend.unreachable = not method
    if method:
        backend.fail(method)
    if method == "fetch":
        phone.unlink(2)
    else:
        with pytest.raises(BackendError):
            phone.unlink(2)
    backend.unreachable = False
    assert numbers(phone) == [1]
    sent = phone.send(BUDI, Text("not for the laptop"))
    assert [each.address for each in sent.deliveries] == [BUDI]
    phone.maintain()
    assert published(backend) == held(phone)
    assert read(budi) == ["not for the laptop"]
    assert [each.address.device for each in budi.devices("whatsapp:ana").devices] == [1]


def test_an_installation_that_has_moved_unlinks_nobody(
    backend: BackendSimulator, phone: Client
) -> None:
    link(phone, backend)
    imported(phone, backend).register()
    with pytest.raises(NotRegistered):
        phone.unlink(2)
    assert numbers_held(phone) == [1, 2]


def numbers_held(client: Client) -> list[int]:
    return [each.device for each in held(client).list.devices]


@pytest.mark.parametrize(
    ("device", "error"),
    [
        (1, InvalidArgument),
        (3, InvalidArgument),
        (0, InvalidArgument),
        (128, InvalidArgument),
        ("2", InvalidArgument),
        (None, InvalidArgument),
        (True, InvalidArgument),
    ],
)
def test_what_is_no_other_device_is_not_unlinked(
    backend: BackendSimulator, phone: Client, device: int, error: type[E2ECrossError]
) -> None:
    link(phone, backend)
    before, calls = dump(phone.device._context.store), len(backend.calls)
    with pytest.raises(error, match="device"):
        phone.unlink(device)
    assert dump(phone.device._context.store) == before
    assert len(backend.calls) == calls


def test_a_companion_unlinks_and_restores_nobody(backend: BackendSimulator, phone: Client) -> None:
    laptop = link(phone, backend)
    link(phone, backend)
    calls: tuple[Callable[[], None], ...] = (
        lambda: laptop.unlink(3),
        lambda: laptop.restore_devices([2, 3]),
    )
    before = dump(laptop.device._context.store)
    for call in calls:
        with pytest.raises(NotPrimary):
            call()
    assert dump(laptop.device._context.store) == before


def test_a_store_that_was_put_back_signs_nothing(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    link(phone, backend)
    backend._accounts[ANA].epochs[0] = 10**6
    again = Client(
        Device.open(phone.device._context.store, clock=phone.device._context.clock), backend
    )
    calls: tuple[Callable[[], None], ...] = (
        lambda: again.unlink(2),
        lambda: again.restore_devices([2]),
        again.leave,
    )
    for call in calls:
        with pytest.raises(RestoredStore):
            call()
    assert numbers_held(phone) == [1, 2]


# --- Leaving --------------------------------------------------------------------------------


def test_a_device_that_leaves_is_taken_out(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    laptop = link(phone, backend, store=plain_store())
    laptop.send(BUDI, Text("last words"))
    laptop.leave()
    assert shown(phone.receive())[-2:] == ["last words", "*device_unlinked"]
    assert numbers(phone) == [1]
    phone.maintain()
    assert published(backend) == held(phone)
    with pytest.raises(NotRegistered):
        laptop.maintain()


def test_what_follows_the_wish_to_leave_is_not_read(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    laptop = link(phone, backend, store=plain_store())
    laptop.leave()
    laptop.send(BUDI, Text("one more thing"))
    assert shown(phone.receive())[-2:] == ["*device_unlinked", "!unknown_prekey"]
    assert dump_of(phone, LAPTOP) == []


def dump_of(client: Client, address: Address) -> list[object]:
    """Rows of sessions with, and the identity of, an address."""
    place = f"{address.app}\0{address.user}\0".encode() + bytes((address.device,))
    tables = {"remote_identities", "session_records", "sessions", "skipped_keys", "spqr"}
    rows = dump(client.device._context.store)
    return [where for where in rows if where[0] in tables and where[1].startswith(place)]


def test_who_cannot_reach_the_back_end_leaves_later(
    backend: BackendSimulator, phone: Client
) -> None:
    laptop = link(phone, backend)
    backend.unreachable = True
    with pytest.raises(BackendError):
        laptop.leave()
    backend.unreachable = False
    laptop.maintain()
    phone.receive()
    assert numbers(phone) == [1]


def test_device_1_does_not_leave(phone: Client) -> None:
    before = dump(phone.device._context.store)
    with pytest.raises(InvalidArgument, match="device 1"):
        phone.leave()
    assert dump(phone.device._context.store) == before


# --- What is shown --------------------------------------------------------------------------


def test_devices_of_the_own_account_have_names(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    laptop = link(phone, backend)
    linked_at_ms = clock()
    clock.advance(5)
    laptop.send(ANA, Text("note to self"))
    phone.receive()
    first = AccountDevice(ANA, phone.device.identity_key)
    key = laptop.device.identity_key
    seen = phone.devices().devices
    assert seen == (first, AccountDevice(LAPTOP, key, "laptop", linked_at_ms, clock()))
    assert laptop.devices().devices == (first, AccountDevice(LAPTOP, key, "", linked_at_ms))
    for user in (OWN, ANA, LAPTOP, "whatsapp:ana"):
        assert phone.devices(user).devices == seen


@pytest.mark.parametrize("user", [CONTACT, BUDI, device_of(BUDI, 7), "instagram:budi"])
def test_devices_of_a_contact_are_asked_for_once(
    backend: BackendSimulator, phone: Client, user: UserId | Address | str
) -> None:
    budi, laptop = make_account(BUDI, (1, 2), backend)
    expected = AccountDevices(
        (
            AccountDevice(BUDI, budi.device.identity_key),
            AccountDevice(device_of(BUDI, 2), laptop.device.identity_key),
        )
    )
    assert phone.devices(user) == expected
    calls = len(backend.calls)
    assert phone.devices(user) == expected
    assert len(backend.calls) == calls


def test_nobody_is_asked_for_an_account_that_has_not_registered(
    backend: BackendSimulator, phone: Client
) -> None:
    before = dump(phone.device._context.store)
    with pytest.raises(UnknownRecipient):
        phone.devices("instagram:budi")
    backend.fail("fetch_keys")
    with pytest.raises(BackendError):
        phone.devices("instagram:budi")
    assert dump(phone.device._context.store) == before


def test_an_account_without_a_list_shows_nobody(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    del backend.lists[CONTACT]
    assert phone.devices("instagram:budi") == AccountDevices()


def test_before_the_first_list_the_device_is_alone(
    backend: BackendSimulator, clock: FakeClock
) -> None:
    phone = Client(make_device(ANA, clock=clock), backend)
    with pytest.raises(NotRegistered):
        phone.devices()
    backend.fail("publish")
    with pytest.raises(BackendError):
        phone.register()
    assert phone.devices() == AccountDevices((AccountDevice(ANA, phone.device.identity_key),))


def test_a_list_that_is_not_true_is_not_shown(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    for bad, error in (
        (b"no list", RemoteError),
        (household(phone).sign(1).encode(), EnvelopeMismatch),
        (replace(held(budi), signature=bytes(64)).encode(), InvalidSignature),
    ):
        backend.lists[CONTACT] = bad
        before = dump(phone.device._context.store)
        with pytest.raises(error):
            phone.devices("instagram:budi")
        assert dump(phone.device._context.store) == before


def test_another_key_of_the_account_is_not_shown(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    del backend.lists[CONTACT]
    phone.send(BUDI, Text("halo"))
    backend.lists[CONTACT] = Household(CONTACT, "another life").sign(1).encode()
    with pytest.raises(UntrustedIdentity):
        phone.devices("instagram:budi")


@pytest.mark.parametrize("user", [7, b"instagram:budi", "budi", "instagram:budi.2", ["x"]])
def test_what_names_no_user_is_refused(phone: Client, user: str) -> None:
    with pytest.raises(InvalidArgument, match=r"\buser\b"):
        phone.devices(user)


# --- An identity that was moved, a store that was restored ----------------------------------


@pytest.mark.parametrize("make", [imported, restored])
def test_alone_a_moved_or_restored_phone_goes_on_at_once(
    backend: BackendSimulator,
    phone: Client,
    budi: Client,
    make: Callable[[Client, Backend], Client],
) -> None:
    meet(phone, budi)
    new = make(phone, backend)
    new.register()
    assert (held(new).list.seq, held(new).list.previous) == (1_001, b"")
    assert published(backend) == held(new)
    assert not own_account(new.device).must_reset
    new.send(BUDI, Text("it is me"))
    assert sorted(read(budi)) == ["*account_restored", "it is me"]
    budi.send(ANA, Text("so it is"))
    assert read(new)[-1:] == ["so it is"]


@pytest.mark.parametrize("make", [imported, restored])
def test_with_others_it_waits_for_the_user(
    backend: BackendSimulator,
    phone: Client,
    budi: Client,
    make: Callable[[Client, Backend], Client],
) -> None:
    laptop, tablet = link(phone, backend), link(phone, backend)
    phone.maintain()
    read(laptop)
    read(tablet)
    newest = held(phone)
    new = make(phone, backend)
    new.register()
    new.maintain()
    assert held(new) == published(backend) == newest
    assert numbers(new) == [1, 2, 3]
    with pytest.raises(DevicesConflict):
        new.unlink(3)
    with pytest.raises(InvalidArgument, match="4"):
        new.restore_devices([2, 4])
    sent = new.send(BUDI, Text("copies for all"))
    assert [each.address for each in sent.deliveries] == [BUDI, *copied(LAPTOP, device_of(ANA, 3))]
    new.restore_devices([2])
    assert (held(new).list.seq, numbers(new)) == (1_003, [1, 2])
    assert published(backend) == held(new)
    assert read(budi) == ["copies for all", "*account_restored"]
    assert [each.address.device for each in budi.devices("whatsapp:ana").devices] == [1, 2]
    assert [text for text in read(laptop) if text[0] != "*"] == [*copied("copies for all")]
    assert held(laptop) == held(new)
    with pytest.raises(NotRegistered):
        tablet.maintain()
    new.unlink(2)
    assert numbers(new) == [1]


def test_nothing_is_decided_before_the_back_end_was_asked(
    backend: BackendSimulator, phone: Client
) -> None:
    link(phone, backend)
    new = imported(phone, backend)
    backend.fail("fetch_keys", times=2)
    with pytest.raises(BackendError):
        new.register()
    assert account(new.device, OWN).held is None
    with pytest.raises(BackendError):
        new.restore_devices([])
    assert account(new.device, OWN).held is None
    assert own_account(new.device).must_reset
    new.maintain()
    assert numbers(new) == [1, 2]


@pytest.mark.parametrize("is_gone", [False, True])
def test_where_there_is_no_list_it_goes_on_alone(
    backend: BackendSimulator, phone: Client, is_gone: bool
) -> None:
    new = imported(phone, backend)
    backend.lists.clear()
    if is_gone:
        unknown: list[object] = [UnknownRecipient("nobody")]
        original = backend.fetch_keys
        backend.fetch_keys = lambda *_: unknown  # type: ignore[assignment, method-assign]
    new.register()
    if is_gone:
        backend.fetch_keys = original  # type: ignore[method-assign]
    assert held(new).list.seq == 1_000
    assert published(backend) == held(new)


@pytest.mark.parametrize(
    "data", [b"no list", Household(CONTACT).sign(9).encode(), b"\x0a\x02\x08\x02"]
)
def test_what_is_no_list_resets_nothing(
    backend: BackendSimulator, phone: Client, data: bytes
) -> None:
    """It may be one of a later release."""
    link(phone, backend)
    new = imported(phone, backend)
    genuine = backend.lists[OWN]
    backend.lists[OWN] = data
    with pytest.raises(RemoteError):
        new.register()
    assert own_account(new.device).must_reset
    backend.lists[OWN] = genuine
    new.maintain()
    assert numbers(new) == [1, 2]


def test_a_restored_phone_believes_what_it_holds_against_a_back_end_that_has_nothing(
    backend: BackendSimulator, phone: Client
) -> None:
    link(phone, backend)
    backend.lists.clear()
    again = restored(phone, backend)
    again.register()
    assert own_account(again.device).must_reset
    assert numbers(again) == [1, 2]
    again.restore_devices([2])
    assert numbers(again) == [1, 2]


def test_an_old_phone_that_is_found_again_learns_that_it_is_not_the_one(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    """Both go on with stores of their own; the relay was told another token is the right one."""
    new = imported(phone, backend)
    new.register()
    clock.advance(WEEK_MS)
    with pytest.raises(NotRegistered):
        phone.maintain()


def test_a_restore_has_all_lists_asked_for(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    meet(phone, budi)
    toko = Household(TOKO.user_id)
    change_account(phone.device, TOKO.user_id, held=toko.sign(1))
    assert not account(phone.device, CONTACT).check_wanted
    new = restored(phone, backend)
    new.device.restore_stripes()
    for user in (CONTACT, TOKO.user_id, OWN):
        assert account(new.device, user).check_wanted


def test_a_companion_that_was_restored_resets_nothing(
    backend: BackendSimulator, phone: Client, budi: Client
) -> None:
    laptop = link(phone, backend)
    again = restored(laptop, backend)
    assert account(again.device, OWN).check_wanted
    assert not own_account(again.device).must_reset
    again.register()
    again.send(BUDI, Text("halo"))
    assert read(budi) == ["halo"]
    assert held(again) == held(phone)


# --- A list that is too old -----------------------------------------------------------------


def test_a_companion_whose_phone_is_away_is_told_once(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    laptop = link(phone, backend)
    clock.advance(36 * DAY_MS)
    for _ in range(2):
        laptop.maintain()
    assert kinds(laptop) == [NoticeKind.OWN_LIST_EXPIRED]
    assert laptop.devices().expired
    phone.maintain()
    laptop.maintain()
    assert held(laptop) == held(phone)
    assert not laptop.devices().expired
    assert kinds(laptop) == []


def test_what_a_removed_device_has_sent_is_read_before_the_list_is_taken_in(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    laptop, tablet = link(phone, backend), link(phone, backend)
    phone.maintain()
    read(laptop)
    tablet.send(ANA, Text("before"))
    (message,) = backend.mailbox(LAPTOP)
    phone.unlink(3)
    while backend.mailbox(LAPTOP)[1:]:
        backend.drop(LAPTOP, 1)  # the back end hides what tells of it
    assert backend.mailbox(LAPTOP) == [message]
    clock.advance(36 * DAY_MS)
    phone.maintain()
    laptop.maintain()
    assert held(laptop) == held(phone)
    assert read(laptop) == ["before", "*device_unlinked"]


def test_a_companion_that_cannot_ask_is_told_all_the_same(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    laptop = link(phone, backend)
    clock.advance(36 * DAY_MS)
    backend.fail("fetch_keys")
    with pytest.raises(BackendError):
        laptop.maintain()
    assert kinds(laptop) == [NoticeKind.OWN_LIST_EXPIRED]


def test_a_phone_that_waits_for_the_user_is_told(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    link(phone, backend)
    new = imported(phone, backend)
    new.register()
    clock.advance(36 * DAY_MS)
    new.maintain()
    assert kinds(new) == [NoticeKind.OWN_LIST_EXPIRED]
    new.restore_devices([2])
    new.maintain()
    assert not new.devices().expired


def test_a_phone_that_was_off_for_long_renews_first(
    backend: BackendSimulator, clock: FakeClock, phone: Client
) -> None:
    clock.advance(36 * DAY_MS)
    phone.maintain()
    assert kinds(phone) == []
    assert held(phone).list.seq == 2


# --- With a relay ---------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_with_a_relay_devices_come_and_go(tmp_path: Path, clock: FakeClock) -> None:
    with Relay(tmp_path / "relay.db", clock=clock) as relay:
        phone, budi = (Client(make_device(address, clock=clock), relay) for address in (ANA, BUDI))
        phone.register()
        budi.register()
        laptop = link(phone, relay)
        tablet = link(phone, relay)
        phone.maintain()
        sent = phone.send("instagram:budi", Text("halo"))
        assert [each.problem for each in sent.deliveries] == ["", *copied("", "")]
        assert read(budi) == ["halo"]
        for companion in (laptop, tablet):
            assert [text for text in read(companion) if text == "halo"] == [*copied("halo")]
        phone.unlink(2)
        with pytest.raises(NotRegistered):
            laptop.maintain()
        new = imported(phone, relay)
        new.register()
        with pytest.raises(NotRegistered):
            phone.maintain()
        assert numbers(new) == [1, 3]
        new.restore_devices([3])
        budi.send("whatsapp:ana", Text("who is there?"))
        assert kinds(budi) == [NoticeKind.ACCOUNT_RESTORED]
        assert read(new)[-1:] == ["!unknown_session"]
        assert "who is there?" in read(tablet)
        assert read(budi) == []
        assert read(new) == ["who is there?"]
        tablet.leave()
        new.receive()
        new.maintain()
        assert numbers(new) == [1]
        with pytest.raises(NotRegistered):
            tablet.maintain()
