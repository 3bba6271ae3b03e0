# SPDX-License-Identifier: Apache-2.0
"""Lists at a reader: what a store makes of each, what the app hears, who is sent to."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from e2ecross import Address, Device, NoticeKind, Policy, Text, UserId
from e2ecross.device.device_lists import (
    FetchedList,
    Targets,
    judge_list,
    read_fetched_list,
    take_list,
    targets_of,
    would_remove,
)
from e2ecross.errors import (
    DecodeError,
    EnvelopeMismatch,
    InvalidSignature,
    RemoteError,
    UntrustedIdentity,
)
from e2ecross.protocol.device_list import Verdict, hash_list
from e2ecross.state.accounts import put_own_account
from e2ecross.state.trust import find_identity
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import (
    account,
    change_account,
    device_of,
    hold_list,
    own_account,
    sign_devices,
)
from tests.support.device_lists import Household, recorded_list, recorded_pair
from tests.support.devices import (
    ANA,
    BUDI,
    DAY_MS,
    NOW_MS,
    FakeClock,
    Stores,
    dump,
    introduce,
    make_device,
    start,
)
from tests.support.readers import device_with, key_of, notices, pending_of, sessions_of
from tests.support.vectors import devices, unhex

ACCOUNT = ANA.user_id
LAPTOP = device_of(ANA, 2)
MAX_AGE_MS = Policy().device_list_max_age_ms


def take(device: Device, signed: SignedDeviceList, user: UserId = ACCOUNT) -> Verdict:
    context = device._context
    with context.store.transaction() as tx:
        return take_list(context, tx, user, signed, context.clock())


def judged(device: Device, signed: SignedDeviceList, user: UserId = ACCOUNT) -> Verdict:
    context = device._context
    with context.store.transaction() as tx:
        return judge_list(context, tx, user, signed)


def fetch(device: Device, signed: SignedDeviceList, user: UserId = ACCOUNT) -> Verdict:
    return read_fetched_list(device._context, user, signed.encode()).verdict


def targets(device: Device, user: UserId = ACCOUNT) -> Targets | None:
    context = device._context
    with context.store.transaction() as tx:
        return targets_of(context, tx, user, context.clock())


def sent_to(device: Device) -> tuple[dict[Address, bytes], bool]:
    """Addresses and keys of the devices that are sent to, and whether the list is too old."""
    found = targets(device)
    assert found is not None
    return dict(found.devices), found.is_expired


def numbers(device: Device, user: UserId = ACCOUNT) -> list[int]:
    """Which devices of an account are sent to."""
    found = targets(device, user)
    assert found is not None
    return [address.device for address in found.devices]


# --- The recorded judgements, through a store ---------------------------------------------------


@pytest.mark.parametrize(
    "case", devices("judgements")["vectors"], ids=lambda case: str(case["name"])
)
def test_recorded_judgements(case: dict[str, Any], stores: Stores) -> None:
    budi = make_device(BUDI, stores.open("budi"))
    for name in case["known"]:
        take(budi, recorded_list(name))
    user, expected = UserId.parse(case["account_asked"]), case["expect"]
    before = dump(budi._context.store)
    try:
        verdict = read_fetched_list(budi._context, user, unhex(case["signed"])).verdict.value
    except UntrustedIdentity:
        verdict = "other_key"
    except RemoteError as error:
        verdict = error.code
    if expected == "invalid_device_list":
        assert verdict in ("broken_chain", "hosting_lowered")
    else:
        assert verdict == expected
    if expected in ("newer", "reset", "fork"):
        assert dump(budi._context.store) != before
    elif verdict != "broken_chain":
        assert dump(budi._context.store) == before
    if "targets" in case:
        assert numbers(budi, user) == case["targets"]


@pytest.mark.parametrize("case", devices("expiry")["vectors"], ids=lambda case: str(case["name"]))
def test_recorded_expiry(case: dict[str, Any]) -> None:
    clock = FakeClock(case["accepted_at_ms"])
    policy = Policy(device_list_max_age_ms=case["max_age_ms"])
    budi = make_device(BUDI, clock=clock, policy=policy)
    signed = recorded_list(case["list"])
    take(budi, signed, signed.list.user)
    clock.now_ms = case["now_ms"]
    found = targets(budi, signed.list.user)
    assert found is not None
    assert (found.is_expired, numbers(budi, signed.list.user)) == (case["expired"], case["targets"])


@pytest.mark.parametrize(
    "case", devices("own_list_at_the_primary")["vectors"], ids=lambda case: str(case["name"])
)
def test_recorded_lists_of_the_own_account_at_device_1(case: dict[str, Any]) -> None:
    phone = device_with(ANA, recorded_pair("account"))
    hold_list(phone, held := recorded_list(case["held"]))
    before = dump(phone._context.store)
    arrives = recorded_list(case["arrives"])
    verdict = fetch(phone, arrives)
    expected = {"refused": Verdict.OTHER_KEY}.get(case["expect"]) or Verdict(case["expect"])
    assert verdict is expected
    if verdict is Verdict.CONFLICT:
        assert own_account(phone).conflict
        assert account(phone, ACCOUNT).rival == arrives
        assert notices(phone) == [(NoticeKind.FOREIGN_LIST, ACCOUNT, ())]
    else:
        assert dump(phone._context.store) == before
    assert account(phone, ACCOUNT).held == held


# --- Contradictions -----------------------------------------------------------------------------


class Chain:
    """Lists of an account, and a reader who holds the second of them."""

    def __init__(self) -> None:
        self.home = Household(ACCOUNT)
        self.first = self.home.sign(1)
        self.held = self.home.sign(2, previous=self.first, devices=(1, 2, 3))
        self.fork = self.home.sign(2, previous=self.first, devices=(1, 3))
        self.budi = make_device(BUDI)
        take(self.budi, self.held)


FORKED = [(NoticeKind.LIST_FORK, ACCOUNT, ())]


def test_a_fork_is_kept_and_told_once_and_only_devices_of_both_are_sent_to() -> None:
    chain = Chain()
    budi = chain.budi
    assert take(budi, chain.fork) is Verdict.FORK
    assert (account(budi, ACCOUNT).held, account(budi, ACCOUNT).rival) == (chain.held, chain.fork)
    assert numbers(budi) == [1, 3]
    before = dump(budi._context.store)
    third = chain.home.sign(2, previous=chain.first, devices=(1,))
    for signed in (chain.fork, third):
        assert take(budi, signed) is Verdict.FORK
    assert dump(budi._context.store) == before
    assert notices(budi) == FORKED
    assert take(budi, chain.held) is Verdict.SAME


@pytest.mark.parametrize("branch", ["held", "fork"])
def test_a_fork_ends_with_the_list_that_continues_either(branch: str) -> None:
    chain = Chain()
    take(chain.budi, chain.fork)
    newest = chain.home.sign(3, previous=getattr(chain, branch), devices=(1, 2, 3))
    assert take(chain.budi, newest) is Verdict.NEWER
    record = account(chain.budi, ACCOUNT)
    assert (record.held, record.rival, record.fork_noted) == (newest, None, False)
    assert numbers(chain.budi) == [1, 2, 3]
    again = chain.home.sign(3, previous=chain.held)
    take(chain.budi, again)
    assert notices(chain.budi) == FORKED * 2  # once for each list that is held


def test_a_broken_chain_is_told_once_and_changes_nothing_else() -> None:
    chain = Chain()
    budi = chain.budi
    broken = chain.home.sign(3, previous=chain.fork)
    assert take(budi, broken) is Verdict.BROKEN_CHAIN
    record = account(budi, ACCOUNT)
    assert (record.held, record.rival, record.fork_noted) == (chain.held, None, True)
    before = dump(budi._context.store)
    assert take(budi, broken) is Verdict.BROKEN_CHAIN
    assert dump(budi._context.store) == before
    assert notices(budi) == FORKED
    assert take(budi, chain.fork) is Verdict.FORK  # kept all the same, and told before
    assert account(budi, ACCOUNT).rival == chain.fork
    assert notices(budi) == FORKED


def test_the_own_account_forks_at_a_companion_like_any_and_never_at_device_1() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    tablet = make_device(device_of(ANA, 3))
    held = sign_devices(phone, laptop, tablet)
    fork = sign_devices(phone, laptop)
    for device in (phone, laptop):
        hold_list(device, held)
    assert take(laptop, fork) is Verdict.FORK
    assert numbers(laptop) == [1]
    assert take(phone, fork) is Verdict.CONFLICT
    assert account(phone, ACCOUNT).rival == fork
    assert numbers(phone) == [2, 3]


def test_device_1_that_was_restored_takes_in_what_verifies_under_its_key() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    with phone._context.store.transaction() as tx:
        put_own_account(tx, OwnAccountRecord(must_reset=True))
    assert take(phone, signed := sign_devices(phone, laptop, seq=5)) is Verdict.NEWER
    assert numbers(phone) == [2]
    assert take(phone, sign_devices(phone, seq=3)) is Verdict.OLDER
    assert take(phone, sign_devices(make_device(ANA, seed="other"), seq=9)) is Verdict.OTHER_KEY
    assert take(phone, fork := sign_devices(phone, seq=5)) is Verdict.FORK
    assert (account(phone, ACCOUNT).held, account(phone, ACCOUNT).rival) == (signed, fork)
    assert numbers(phone) == [2]  # nobody but device 1 knows better
    assert not own_account(phone).conflict


def test_judging_writes_nothing() -> None:
    chain = Chain()
    lists = (
        chain.first,
        chain.held,
        chain.fork,
        chain.home.sign(3, previous=chain.fork),
        chain.home.sign(3, previous=chain.held),
        chain.home.sign(9),
        Household(ACCOUNT, "other").sign(1),
    )
    before = dump(chain.budi._context.store)
    assert [judged(chain.budi, signed) for signed in lists] == [
        Verdict.OLDER,
        Verdict.SAME,
        Verdict.FORK,
        Verdict.BROKEN_CHAIN,
        Verdict.NEWER,
        Verdict.RESET,
        Verdict.OTHER_KEY,
    ]
    assert dump(chain.budi._context.store) == before


# --- Lists that the back end hands out ----------------------------------------------------------


def test_a_fetched_list_of_another_key_is_a_changed_identity_and_keeps_nothing() -> None:
    chain = Chain()
    other = Household(ACCOUNT, "other")
    before = dump(chain.budi._context.store)
    with pytest.raises(UntrustedIdentity) as caught:
        fetch(chain.budi, other.sign(9))
    assert (caught.value.address, caught.value.identity_key) == (ANA, other.pair(1).public)
    assert dump(chain.budi._context.store) == before


@pytest.mark.parametrize("state", ["verified", "pending"])
def test_the_policy_accepts_no_other_key_where_the_user_has_decided_or_has_to(state: str) -> None:
    budi = make_device(BUDI, policy=Policy(accept_changed_identity=True))
    phone = make_device(ANA)
    fetch(budi, sign_devices(phone))
    budi.mark_verified(ANA, phone.identity_key)
    if state == "pending":
        start(new := make_device(ANA, seed="new"), budi)
        assert budi.decrypt(new.encrypt(BUDI, Text("halo"))).identity_changed
        assert pending_of(budi, ANA) == new.identity_key
    before = dump(budi._context.store)
    with pytest.raises(UntrustedIdentity):
        fetch(budi, sign_devices(make_device(ANA, seed="newest"), seq=9))
    assert dump(budi._context.store) == before


def test_the_policy_accepts_another_key_with_its_list_and_tells_the_app() -> None:
    budi = make_device(BUDI, policy=Policy(accept_changed_identity=True))
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    introduce(budi, phone)
    introduce(budi, laptop)
    fetch(budi, sign_devices(phone, laptop, seq=40))
    new = make_device(ANA, seed="new")
    assert fetch(budi, newest := sign_devices(new, seq=1)) is Verdict.NEWER
    assert key_of(budi, ANA) == new.identity_key
    assert key_of(budi, LAPTOP) is None
    assert sessions_of(budi, LAPTOP) == []
    assert not budi.has_session(ANA)
    assert account(budi, ACCOUNT).held == newest
    identity = budi.remote_identity(ANA)
    assert identity is not None
    assert identity.by_policy
    assert notices(budi) == [(NoticeKind.IDENTITY_CHANGED, ACCOUNT, (1,))]


@pytest.mark.parametrize("number", [1, 2])
def test_the_own_account_never_has_another_key(number: int) -> None:
    """The policy is for contacts: a device belongs to the account that it was linked to."""
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    policy = Policy(accept_changed_identity=True)
    own = make_device(device_of(ANA, number), policy=policy)
    hold_list(own, sign_devices(own, laptop) if number == 1 else sign_devices(phone, own))
    before = dump(own._context.store)
    assert fetch(own, sign_devices(make_device(ANA, seed="other"), seq=9)) is Verdict.OTHER_KEY
    assert dump(own._context.store) == before


@pytest.mark.parametrize("kind", ["garbage", "forged", "another account's"])
def test_a_fetched_list_that_is_none_changes_nothing(kind: str) -> None:
    chain = Chain()
    newer = chain.home.sign(3, previous=chain.held)
    data = {
        "garbage": b"garbage",
        "forged": SignedDeviceList(newer.data, bytes(64), newer.list).encode(),
        "another account's": Household(BUDI.user_id).sign().encode(),
    }[kind]
    error = {"garbage": DecodeError, "forged": InvalidSignature}.get(kind, EnvelopeMismatch)
    before = dump(chain.budi._context.store)
    with pytest.raises(error):
        read_fetched_list(chain.budi._context, ACCOUNT, data)
    if error is not InvalidSignature:  # what it would remove needs no signature
        with pytest.raises(error):
            would_remove(chain.budi._context, ACCOUNT, data)
    assert dump(chain.budi._context.store) == before


@pytest.mark.parametrize("is_changed", [False, True], ids=["first", "changed key"])
def test_a_fetched_list_is_dated_by_the_clock(is_changed: bool) -> None:
    """What is in it is first seen then; and it is not too old before its time."""
    clock = FakeClock(NOW_MS + 5)
    budi = make_device(BUDI, clock=clock, policy=Policy(accept_changed_identity=True))
    if is_changed:
        introduce(budi, make_device(ANA, seed="the phone before"))
        clock.advance(7)
    signed = Household(ACCOUNT).sign(devices=(1, 2), signed_at_ms=NOW_MS + 90)
    found = read_fetched_list(budi._context, ACCOUNT, signed.encode())
    assert found == FetchedList(Verdict.NEWER, is_changed)
    accepted_at_ms = clock()
    assert account(budi, ACCOUNT).accepted_at_ms == accepted_at_ms
    with budi._context.store.transaction() as tx:
        known = [find_identity(tx, address) for address in (ANA, LAPTOP)]
    assert [None if each is None else each.first_seen_at_ms for each in known] == [clock()] * 2
    clock.now_ms = accepted_at_ms + MAX_AGE_MS
    assert numbers(budi) == [1, 2]
    clock.advance(1)
    assert numbers(budi) == [1]


def test_a_stranger_with_another_key_than_the_member_of_a_group_is_not_taken_in() -> None:
    budi, signed = make_device(BUDI), Household(ACCOUNT).sign()
    other = Household(BUDI.user_id).sign().list.account_key
    before = dump(budi._context.store)
    with pytest.raises(UntrustedIdentity) as caught:
        read_fetched_list(budi._context, ACCOUNT, signed.encode(), other)
    assert caught.value.identity_key == signed.list.account_key
    assert dump(budi._context.store) == before
    of_member = (signed.encode(), signed.list.account_key)
    assert read_fetched_list(budi._context, ACCOUNT, *of_member).verdict is Verdict.NEWER


@pytest.mark.parametrize(
    ("seq", "listed", "moved", "expected"),
    [
        (3, (1, 2, 3), (), False),
        (3, (1, 2, 3, 4), (), False),
        (3, (1, 2), (), True),
        (3, (1, 2, 3), (2,), True),
        (1, (1,), (), False),  # older: it is not accepted
    ],
)
def test_what_a_list_would_remove(
    seq: int, listed: Iterable[int], moved: Sequence[int], expected: bool
) -> None:
    chain = Chain()
    for number in moved:
        chain.home.move_in(number)
    previous = chain.held if seq == 3 else b""
    data = chain.home.sign(seq, previous=previous, devices=listed).encode()
    before = dump(chain.budi._context.store)
    assert would_remove(chain.budi._context, ACCOUNT, data) is expected
    assert would_remove(make_device(BUDI)._context, ACCOUNT, data) is False  # holds none
    assert dump(chain.budi._context.store) == before


# --- Who is sent to -----------------------------------------------------------------------------


def test_without_a_list_nobody_says_which_devices_there_are() -> None:
    budi = make_device(BUDI)
    assert targets(budi) is None
    change_account(budi, ACCOUNT, written=True)
    assert targets(budi) is None


def test_targets_have_the_listed_keys_and_never_this_device() -> None:
    phone, laptop = make_device(ANA), make_device(LAPTOP)
    signed = sign_devices(phone, laptop)
    budi = make_device(BUDI)
    for device in (phone, laptop, budi):
        hold_list(device, signed)
    keys = {ANA: phone.identity_key, LAPTOP: laptop.identity_key}
    assert sent_to(budi) == (keys, False)
    assert sent_to(phone) == ({LAPTOP: laptop.identity_key}, False)
    assert sent_to(laptop) == ({ANA: phone.identity_key}, False)


def test_a_list_that_is_too_old_leaves_device_1() -> None:
    clock = FakeClock()
    phone = make_device(ANA, clock=clock)
    laptop = make_device(LAPTOP, clock=clock)
    hold_list(laptop, sign_devices(phone, laptop))
    clock.advance(MAX_AGE_MS)
    assert sent_to(laptop) == ({ANA: phone.identity_key}, False)
    clock.advance(1)
    assert sent_to(laptop) == ({ANA: phone.identity_key}, True)


@pytest.mark.parametrize("signed_at_ms", [0, NOW_MS, NOW_MS + 4000 * DAY_MS])
def test_no_list_is_refused_for_its_time(signed_at_ms: int) -> None:
    home, clock = Household(ACCOUNT), FakeClock()
    budi = make_device(BUDI, clock=clock)
    signed = home.sign(1, devices=(1, 2), signed_at_ms=signed_at_ms)
    assert take(budi, signed) is Verdict.NEWER
    found = targets(budi)
    assert found is not None
    assert found.is_expired is (signed_at_ms == 0)
    clock.now_ms = 0  # a clock that goes back makes nothing older
    assert take(budi, home.sign(2, previous=hash_list(signed))) is Verdict.NEWER
