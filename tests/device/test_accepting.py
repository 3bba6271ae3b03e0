# SPDX-License-Identifier: Apache-2.0
"""Accepting a list of an account's devices: which rows go, which stay, and what the app hears."""

from collections.abc import Callable, Iterable

import pytest

from e2ecross import Device, NoticeKind, Text
from e2ecross.address import Address
from e2ecross.device.accepting import follow_identity, forget_unlisted
from e2ecross.state.accounts import find_pushed, note_pushed
from e2ecross.state.changes import CHANGES_ROW
from e2ecross.state.context import address_key
from e2ecross.state.outbox import Backlog, BacklogName, put_control, put_envelope, read_backlog
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import Table
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.content import RetryRequest
from tests.support.accounts import (
    account,
    change_account,
    device_of,
    hold_list,
    sign_devices,
)
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    Stores,
    dump,
    introduce,
    make_device,
    say,
    start,
)
from tests.support.readers import key_of, notices, pending_of, sessions_of

LAPTOP, TABLET = device_of(ANA, 2), device_of(ANA, 3)
ACCOUNT = ANA.user_id
REQUEST = RetryRequest(MESSAGE_ID, None, 0, "decode_error")


class Home:
    """Three devices of one account, and another user's who has sessions with all of them."""

    def __init__(self, store: Stores | None = None) -> None:
        self.phone, self.laptop, self.tablet = (
            make_device(address) for address in (ANA, LAPTOP, TABLET)
        )
        self.budi = make_device(BUDI, None if store is None else store.open("budi"))
        self.all = sign_devices(self.phone, self.laptop, self.tablet)

    def settle(self) -> None:
        """Accept the list, and have everything that there can be of each device."""
        hold_list(self.budi, self.all)
        for device in (self.phone, self.laptop, self.tablet):
            introduce(self.budi, device, kyber=True)
            self.leave_something(device)

    def leave_something(self, device: Device) -> None:
        """Something waits for a device; it was told lists; a message of it is still to come."""
        budi, address = self.budi, device.address
        device.encrypt(BUDI, Text("is lost"))
        say(device, budi, "comes after one that is lost")
        context = budi._context
        with peer_transaction(context, ACCOUNT) as tx:
            for user in (ACCOUNT, BUDI.user_id):
                note_pushed(tx, user, address, NOW_MS)
            put_control(tx, address, MESSAGE_ID, REQUEST)
        envelope = budi.encrypt(address, Text("waits"))
        with context.store.transaction() as tx:
            put_envelope(tx, envelope)


def rows_about(device: Device, address: Address) -> set[Table]:
    """In which tables a device has anything that names an address."""
    place = address_key(address)
    return {
        table
        for table, partition, row in dump(device._context.store)
        if place in partition or place in row
    }


def changed_rows(device: Device) -> set[tuple[Table, bytes, bytes]]:
    """What a list changes that says nothing new of the devices that stay."""
    rows = {(Table.ACCOUNTS, b"whatsapp\0ana", b"")}
    if not device._context.store.stripes:  # else changes are not counted
        rows.add((Table.DEVICE, b"", CHANGES_ROW))
    return rows


def places(rows: Iterable[tuple[Table, bytes, bytes]]) -> set[tuple[Table, bytes, bytes]]:
    """The same rows, in whatever stripe."""
    return {(table, partition, row) for table, partition, row in rows}


EVERYTHING = {
    Table.REMOTE_IDENTITIES,
    Table.SESSION_RECORDS,
    Table.SESSIONS,
    Table.SKIPPED_KEYS,
    Table.SPQR,
    Table.OUTBOX,
    Table.ACCOUNTS,
}


def test_the_first_list_of_an_account_of_which_nothing_is_known(stores: Stores) -> None:
    home = Home(stores)
    hold_list(home.budi, home.all)
    for device in (home.phone, home.laptop, home.tablet):
        assert key_of(home.budi, device.address) == device.identity_key
    assert account(home.budi, ACCOUNT) == AccountRecord(
        home.all, NOW_MS, changed_seq=1, has_list=True
    )
    assert notices(home.budi) == []


def test_a_device_that_is_gone_leaves_nothing_behind_and_the_others_stay(stores: Stores) -> None:
    home = Home(stores)
    home.settle()
    budi = home.budi
    assert rows_about(budi, LAPTOP) == rows_about(budi, TABLET) == EVERYTHING
    before = dump(budi._context.store)
    hold_list(budi, sign_devices(home.phone, home.tablet, after=home.all))
    after = dump(budi._context.store)
    assert rows_about(budi, LAPTOP) == set()
    assert rows_about(budi, TABLET) == rows_about(budi, ANA) == EVERYTHING
    # Nothing else was touched but the account's record, and the count of changes.
    assert after.keys() <= before.keys()
    changed = {where for where in after if after[where] != before[where]}
    assert places(changed) == changed_rows(budi)
    say(home.tablet, budi, "still here")
    say(budi, home.phone, "and here")
    assert notices(budi) == []


def test_a_number_that_has_another_key_has_nothing_of_the_device_before(stores: Stores) -> None:
    home = Home(stores)
    home.settle()
    other = make_device(LAPTOP, seed="another laptop")
    hold_list(home.budi, sign_devices(home.phone, other, home.tablet, after=home.all))
    assert rows_about(home.budi, LAPTOP) == {Table.REMOTE_IDENTITIES}
    assert key_of(home.budi, LAPTOP) == other.identity_key
    assert rows_about(home.budi, TABLET) == EVERYTHING


def test_the_next_list_of_the_same_devices_changes_no_row_of_theirs() -> None:
    home = Home()
    home.settle()
    before = dump(home.budi._context.store)
    renewed = sign_devices(home.phone, home.laptop, home.tablet, after=home.all)
    hold_list(home.budi, renewed)
    after = dump(home.budi._context.store)
    changed = {
        where for where in after.keys() | before.keys() if after.get(where) != before.get(where)
    }
    assert places(changed) == changed_rows(home.budi)
    assert account(home.budi, ACCOUNT).changed_seq == 1
    assert account(home.budi, ACCOUNT).held == renewed


def test_what_an_accepted_list_settles_and_what_it_leaves() -> None:
    home = Home()
    hold_list(home.budi, home.all)
    change_account(
        home.budi,
        ACCOUNT,
        rival=sign_devices(home.phone, seq=1),
        written=True,
        checked_at_ms=5,
        check_wanted=True,
        hosting_unseen=True,
        fork_noted=True,
        accepted_at_ms=1,
    )
    after = sign_devices(home.phone, home.laptop, after=home.all)
    hold_list(home.budi, after)
    assert account(home.budi, ACCOUNT) == AccountRecord(
        after,
        NOW_MS,
        changed_seq=2,
        written=True,
        checked_at_ms=5,
        hosting_unseen=True,
        has_list=True,
    )


def test_the_first_list_takes_what_an_account_without_one_had_by_address(stores: Stores) -> None:
    """A listed device keeps its sessions, one that is not listed and a thief's key go."""
    home = Home(stores)
    budi = home.budi
    thief = make_device(LAPTOP, seed="thief")
    for device in (home.tablet, thief, make_device(device_of(ANA, 127))):
        introduce(budi, device)
        home.leave_something(device)
    hold_list(budi, home.all)
    assert rows_about(budi, device_of(ANA, 127)) == set()
    assert rows_about(budi, LAPTOP) == {Table.REMOTE_IDENTITIES}
    assert key_of(budi, LAPTOP) == home.laptop.identity_key
    assert sessions_of(budi, TABLET) == [home.tablet.identity_key]
    assert Table.OUTBOX in rows_about(budi, TABLET)
    say(home.tablet, budi, "still here")


def test_a_key_that_waits_at_a_number_is_settled_by_the_first_list() -> None:
    """By address the user would have been asked; an account's list answers."""
    home = Home()
    budi = home.budi
    introduce(budi, home.laptop)
    thief = make_device(LAPTOP, seed="thief")
    start(thief, budi)
    assert budi.decrypt(thief.encrypt(BUDI, Text("let me in"))).identity_changed
    assert pending_of(budi, LAPTOP) == thief.identity_key
    hold_list(budi, home.all)
    assert pending_of(budi, LAPTOP) is None
    assert key_of(budi, LAPTOP) == home.laptop.identity_key
    assert sessions_of(budi, LAPTOP) == [home.laptop.identity_key]
    say(budi, home.laptop, "you are listed")


def test_the_listed_device_is_sent_to_in_its_own_session_where_the_other_key_was_accepted() -> None:
    home = Home()
    budi = home.budi
    introduce(budi, home.laptop)
    thief = make_device(LAPTOP, seed="thief")
    start(thief, budi)
    budi.decrypt(thief.encrypt(BUDI, Text("let me in")))
    budi.accept_identity(LAPTOP, thief.identity_key)
    assert sessions_of(budi, LAPTOP) == [thief.identity_key, home.laptop.identity_key]
    hold_list(budi, home.all)
    assert sessions_of(budi, LAPTOP) == [home.laptop.identity_key]
    say(budi, home.laptop, "you are listed")


def test_a_request_to_a_new_companion_outlives_the_list_that_brings_it() -> None:
    """Its first message could not be read, and it carries the list: the request must go."""
    home = Home()
    hold_list(home.budi, sign_devices(home.phone))
    context = home.budi._context
    with context.store.transaction() as tx:
        put_control(tx, LAPTOP, MESSAGE_ID, REQUEST)
    hold_list(home.budi, sign_devices(home.phone, home.laptop, after=sign_devices(home.phone)))
    with context.store.transaction() as tx:
        assert read_backlog(tx, Backlog(BacklogName.REQUESTS, LAPTOP)) is not None


def test_device_1_is_pinned_once_and_never_changed_by_a_list() -> None:
    home = Home()
    introduce(home.budi, home.phone)
    home.budi.mark_verified(ANA, home.phone.identity_key)
    before = home.budi.remote_identity(ANA)
    hold_list(home.budi, home.all)
    assert home.budi.remote_identity(ANA) == before


def test_nothing_is_kept_of_the_device_itself() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    signed = sign_devices(phone, laptop)
    for own, other in ((phone, laptop), (laptop, phone)):
        hold_list(own, signed)
        assert key_of(own, own.address) is None
        assert key_of(own, other.address) == other.identity_key


def test_own_devices_come_and_go_and_the_app_hears_of_it() -> None:
    home = Home()
    first = sign_devices(home.phone)
    for own in (home.phone, home.laptop):
        hold_list(own, first)
        assert notices(own) == []
        hold_list(own, second := sign_devices(home.phone, home.laptop, home.tablet, after=first))
        hold_list(own, third := sign_devices(home.phone, home.laptop, home.tablet, after=second))
        other = make_device(LAPTOP, seed="again")
        hold_list(own, sign_devices(home.phone, other, after=third))
        assert notices(own) == [
            (NoticeKind.DEVICE_LINKED, ACCOUNT, (2, 3)),
            (NoticeKind.DEVICE_LINKED, ACCOUNT, (2,)),
            (NoticeKind.DEVICE_UNLINKED, ACCOUNT, (3,)),
        ]


@pytest.mark.parametrize(
    ("whose", "expected"),
    [
        (lambda home: home.budi, [NoticeKind.HOSTING_CHANGED, NoticeKind.ACCOUNT_RESTORED]),
        (lambda home: home.laptop, [NoticeKind.HOSTING_CHANGED, NoticeKind.ACCOUNT_RESTORED]),
        (lambda home: home.phone, []),
    ],
)
def test_hosting_and_resets_are_told_whoever_has_not_signed_them(
    whose: Callable[[Home], Device], expected: list[NoticeKind]
) -> None:
    home = Home()
    device = whose(home)
    hold_list(device, home.all)
    companions = home.laptop, home.tablet
    hold_list(device, hosted := sign_devices(home.phone, *companions, after=home.all, hosting=2))
    assert account(device, ACCOUNT).hosting_unseen is bool(expected)
    change_account(device, ACCOUNT, hosting_unseen=False)
    hold_list(device, sign_devices(home.phone, *companions, after=hosted, hosting=2))
    assert not account(device, ACCOUNT).hosting_unseen
    hold_list(device, sign_devices(home.phone, *companions, seq=1003, hosting=2))
    assert notices(device) == [(kind, ACCOUNT, ()) for kind in expected]


def test_a_first_list_is_neither_a_reset_nor_a_change_of_hosting() -> None:
    home = Home()
    hold_list(home.budi, sign_devices(home.phone, seq=1003, hosting=2))
    assert notices(home.budi) == []
    assert not account(home.budi, ACCOUNT).hosting_unseen


def follow(device: Device, address: Address, key: bytes) -> None:
    context = device._context
    with context.store.transaction() as tx:
        follow_identity(context, tx, address, key)  # type: ignore[arg-type]


def test_another_key_of_the_account_forgets_the_list_and_all_that_it_vouched_for() -> None:
    home = Home()
    home.settle()
    change_account(home.budi, ACCOUNT, written=True, check_wanted=True)
    new = make_device(ANA, seed="new phone")
    follow(home.budi, ANA, new.identity_key)
    assert rows_about(home.budi, LAPTOP) == rows_about(home.budi, TABLET) == set()
    assert account(home.budi, ACCOUNT) == AccountRecord(written=True, has_list=True)
    with home.budi._context.store.transaction() as tx:
        assert find_pushed(tx, ACCOUNT, ANA) == 0
    assert not home.budi.has_session(ANA)
    assert sessions_of(home.budi, ANA) == [home.phone.identity_key]  # late messages


@pytest.mark.parametrize("address", [ANA, LAPTOP])
def test_the_key_that_a_list_is_under_and_keys_of_other_devices_forget_no_list(
    address: Address,
) -> None:
    home = Home()
    home.settle()
    before = dump(home.budi._context.store)
    key = home.phone.identity_key if address == ANA else home.laptop.identity_key
    follow(home.budi, address, key)
    assert dump(home.budi._context.store) == before


def test_devices_that_another_account_key_vouched_for_are_forgotten_beside_a_list() -> None:
    home = Home()
    budi = home.budi
    introduce(budi, stranger := make_device(device_of(ANA, 9)))
    context = budi._context
    with context.store.transaction() as tx:
        forget_unlisted(context, tx, ACCOUNT)
    assert sessions_of(budi, stranger.address)  # without a list nobody says who belongs there
    hold_list(budi, sign_devices(home.phone, home.laptop, stranger))
    introduce(budi, home.laptop)
    change_account(budi, ACCOUNT, held=sign_devices(home.phone, home.laptop))
    with context.store.transaction() as tx:
        forget_unlisted(context, tx, ACCOUNT)
    assert rows_about(budi, stranger.address) == set()
    assert sessions_of(budi, LAPTOP)
