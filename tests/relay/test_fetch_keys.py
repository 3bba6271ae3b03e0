# SPDX-License-Identifier: Apache-2.0
"""Keys of several users and devices in one call."""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    InvalidArgument,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.exchange import KeysWanted, UserKeys
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    device_list,
    published,
    register,
    sqlite_of,
    take,
    token,
    token_sha256,
)

TABLET = Address(ANA.app, ANA.user, 2)
PC = Address(ANA.app, ANA.user, 127)
WATCH = Address(ANA.app, ANA.user, 3)
NAMESAKE = Address(BUDI.app, ANA.user)
MOST = 32
LIST = device_list(ANA, 1, (1, 2, 3, 127)).encode()


@pytest.fixture
def alone(relay: Relay) -> Relay:
    """A relay where three devices of ana have keys, and a fourth none; there is no list."""
    for device in (PC, TABLET, WATCH):  # not in their order
        relay.register(device, token(device))
    for device in (TABLET, ANA, PC):
        relay.publish(token(device), published(device, range(1, 6)))
    return relay


@pytest.fixture
def ana(alone: Relay) -> Relay:
    """The same with a list of all four."""
    alone.publish_devices(token(ANA), LIST, {})
    return alone


def fetch(
    relay: Relay, *wanted: tuple[Address, Collection[int] | None]
) -> list[list[tuple[int, int | None]] | str]:
    """Device and one-time prekey of each bundle, for each user; or whose keys there are none of."""
    answer = relay.fetch_keys(
        BUDI, token(BUDI), [KeysWanted(address.user_id, devices) for address, devices in wanted]
    )
    return [told(keys) for keys in answer]


def told(keys: UserKeys | UnknownRecipient) -> list[tuple[int, int | None]] | str:
    if isinstance(keys, UnknownRecipient):
        return str(keys).partition(" ")[0]
    assert keys.device_list in (b"", LIST)
    return [(bundle.address.device, bundle.one_time_prekey_id) for bundle in keys.bundles]


def test_all_devices_with_keys_in_their_order(ana: Relay) -> None:
    assert fetch(ana, (ANA, None)) == [[(1, 1), (2, 1), (127, 1)]]


def test_only_the_devices_that_are_wanted(ana: Relay) -> None:
    assert fetch(ana, (ANA, [127, 1])) == [[(1, 1), (127, 1)]]
    assert fetch(ana, (ANA, (2,))) == [[(2, 1)]]
    assert fetch(ana, (ANA, {1})) == [[(1, 2)]]
    assert fetch(ana, (ANA, [2, 2, 2])) == [[(2, 2)]]  # one bundle of each


def test_no_device_is_wanted(ana: Relay) -> None:
    """The list of the user's devices alone. No prekey is used up."""
    wanted = [KeysWanted(address.user_id, []) for address in (ANA, BUDI, TOKO)]
    mine, budis, nobodys = ana.fetch_keys(BUDI, token(BUDI), wanted)
    assert (mine, budis) == (UserKeys(LIST, ()), UserKeys(b"", ()))
    assert isinstance(nobodys, UnknownRecipient)
    assert ana.one_time_prekey_count(ANA, token(ANA)) == 5


def test_the_list_comes_with_the_keys_as_it_was_published(ana: Relay) -> None:
    for devices in (None, [1], [3], [9]):
        [keys] = ana.fetch_keys(BUDI, token(BUDI), [KeysWanted(ANA.user_id, devices)])
        assert isinstance(keys, UserKeys)
        assert keys.device_list == LIST


def test_without_a_list_there_is_one_device(alone: Relay) -> None:
    """Others stand alone; they are handed out to whoever names them."""
    assert fetch(alone, (ANA, None)) == [[(1, 1)]]
    assert fetch(alone, (ANA, [1, 2, 127])) == [[(1, 2), (2, 1), (127, 1)]]


def test_a_device_that_is_not_in_the_list_is_never_handed_out(alone: Relay) -> None:
    alone.publish_devices(token(ANA), device_list(ANA, 1, (1, 3)).encode(), {})
    for devices, bundles in ((None, 1), ([1, 2, 127], 1), ([2, 127], 0)):
        [keys] = alone.fetch_keys(BUDI, token(BUDI), [KeysWanted(ANA.user_id, devices)])
        assert isinstance(keys, UserKeys)
        assert [bundle.address for bundle in keys.bundles] == [ANA][:bundles]


def test_a_device_without_keys_is_left_out(ana: Relay) -> None:
    assert fetch(ana, (ANA, [1, 3, 4])) == [[(1, 1)]]
    assert fetch(ana, (ANA, [3, 4])) == [[]]


def test_who_is_not_registered_is_told_in_their_place(ana: Relay) -> None:
    """And decides over nobody else; who is registered may have no keys."""
    answer = fetch(ana, (TOKO, None), (ANA, [1, 2]), (BUDI, None), (NAMESAKE, None))
    assert answer == ["messenger:toko-kopi", [(1, 1), (2, 1)], [], "instagram:ana"]


@pytest.mark.parametrize("user", ["an", "anab", "ana-", "ana_2", "ana+", "a"])
def test_a_user_with_a_similar_name_is_somebody_else(ana: Relay, user: str) -> None:
    assert fetch(ana, (Address(ANA.app, user), None)) == [f"whatsapp:{user}"]
    other = Address(ANA.app, user)
    ana.register(other, token(other))
    ana.publish(token(other), published(other))
    assert fetch(ana, (other, None), (ANA, None)) == [[(1, None)], [(1, 1), (2, 1), (127, 1)]]
    ana.publish_devices(token(other), device_list(other).encode(), {})
    assert ana.fetch(PC, token(PC), 1) == []


def test_one_user_twice_is_refused(ana: Relay) -> None:
    for devices in ([1], [], None, [2]):
        with pytest.raises(BackendRefused, match="a user is asked for twice"):
            fetch(ana, (ANA, [1]), (BUDI, None), (ANA, devices))
    assert take(ana, BUDI, ANA) == 1


def test_the_allowance_is_that_of_each_device(path: Path) -> None:
    limits = RelayLimits(one_time_prekeys_per_requester=2)
    with Relay(path, limits=limits) as relay:
        register(relay, BUDI, ANA, TABLET)
        for device in (ANA, TABLET):
            relay.publish(token(device), published(device, range(1, 6)))
        assert fetch(relay, (ANA, [1])) == [[(1, 1)]]
        assert [fetch(relay, (ANA, [1, 2])) for _ in range(3)] == [
            [[(1, 2), (2, 1)]],
            [[(1, None), (2, 2)]],
            [[(1, None), (2, None)]],
        ]
        for device in (ANA, TABLET):
            assert relay.one_time_prekey_count(device, token(device)) == 3


@pytest.mark.parametrize("key", [token(ANA), token(TABLET), token(BUDI, 1), bytes(32)])
def test_only_with_the_own_token(ana: Relay, key: bytes) -> None:
    with pytest.raises(NotRegistered, match=r"instagram:budi\.1"):
        ana.fetch_keys(BUDI, key, [KeysWanted(ANA.user_id, None), KeysWanted(TOKO.user_id, None)])
    assert ana.one_time_prekey_count(ANA, token(ANA)) == 5


def test_the_bounds_of_a_call(ana: Relay) -> None:
    wanted = [KeysWanted(ANA.user_id, [1])]
    wanted += [KeysWanted(Address("x", f"user-{n}").user_id, None) for n in range(MOST)]
    for too_many in (wanted, []):
        with pytest.raises(BackendRefused, match=f"^{len(too_many)} users .* takes 1 to 32$"):
            ana.fetch_keys(BUDI, token(BUDI), too_many)
    answer = ana.fetch_keys(BUDI, token(BUDI), wanted[:MOST])
    assert [isinstance(keys, UserKeys) for keys in answer] == [True] + [False] * (MOST - 1)
    assert len(ana.fetch_keys(BUDI, token(BUDI), wanted[:1])) == 1


def test_one_call_is_one_transaction(ana: Relay, path: Path) -> None:
    """What fails on the way uses nothing up, and begins no allowance."""
    operator = sqlite3.connect(path)
    with operator:
        operator.execute("UPDATE accounts SET signed_prekey = 7 WHERE address = ?", (str(PC),))
    with pytest.raises(BackendError, match="no relay wrote"):
        fetch(ana, (ANA, None))
    for device in (ANA, TABLET):
        assert ana.one_time_prekey_count(device, token(device)) == 5
    assert operator.execute("SELECT COUNT(*) FROM prekey_requests").fetchone() == (0,)
    operator.close()
    assert transactions(ana, lambda: fetch(ana, (ANA, [1]), (BUDI, [2]), (TOKO, None))) == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]


@pytest.mark.parametrize("address", ["whatsapp:ana.128", "whatsapp:ana.", "whatsapp:ana.01"])
def test_addresses_that_somebody_damaged_in_the_file(ana: Relay, path: Path, address: str) -> None:
    operator = sqlite3.connect(path)
    with operator:
        operator.execute("UPDATE accounts SET address = ? WHERE address = ?", (address, str(PC)))
    operator.close()
    with pytest.raises(BackendError, match="addresses of whatsapp:ana in the relay file"):
        fetch(ana, (ANA, None))


def transactions(relay: Relay, call: object) -> Sequence[str]:
    """What a call begins and ends."""
    assert callable(call)
    statements: list[str] = []
    sqlite_of(relay).read(lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    call()
    sqlite_of(relay).read(lambda connection: connection.set_trace_callback(None))
    return [text for text in statements[:-1] if text.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]


def test_the_most_devices_that_an_account_has(relay: Relay) -> None:
    numbers = [1, *range(112, 127)]
    devices = [Address(ANA.app, ANA.user, number) for number in numbers]
    tokens = {device.device: token_sha256(token(device)) for device in devices[1:]}
    relay.publish_devices(token(ANA), device_list(ANA, 1, numbers).encode(), tokens)
    for device in devices:
        relay.publish(token(device), published(device))
    for wanted in (None, numbers):
        [keys] = relay.fetch_keys(BUDI, token(BUDI), [KeysWanted(ANA.user_id, wanted)])
        assert isinstance(keys, UserKeys)
        assert [bundle.address for bundle in keys.bundles] == devices
    with pytest.raises(InvalidArgument, match="devices must be 16 numbers at most"):
        KeysWanted(ANA.user_id, [*numbers, 2])
