# SPDX-License-Identifier: Apache-2.0
"""How many one-time prekeys of a device one user gets."""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import UnknownRecipient
from e2ecross.relay import Relay, RelayLimits, allowance
from e2ecross.relay.database import Connection
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    fetch_bundle,
    file_bytes,
    published,
    register,
    take,
    take_both,
    token,
)

LIMITS = RelayLimits(one_time_prekeys_per_requester=3, requester_window_ms=1000)
BUDIS_TABLET = Address(BUDI.app, BUDI.user, 2)
ANAS_TABLET = Address(ANA.app, ANA.user, 2)
OTHER_BUDI = Address(ANA.app, BUDI.user)


@pytest.fixture
def relay(path: Path, clock: FakeClock) -> Iterator[Relay]:
    """A relay where ana has published a lot, from two devices."""
    with Relay(path, clock=clock, limits=LIMITS) as relay:
        register(relay, ANA, ANAS_TABLET, BUDI, BUDIS_TABLET, OTHER_BUDI, TOKO)
        for device in (ANA, ANAS_TABLET):
            relay.publish(token(device), published(device, range(1, 101)))
        yield relay


def requests(path: Path) -> list[tuple[int, int]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT taken, forget_at_ms FROM prekey_requests").fetchall()
    connection.close()
    return found


def test_one_user_gets_so_many_and_then_bundles_without(relay: Relay) -> None:
    assert [take(relay, BUDI, ANA) for _ in range(6)] == [1, 2, 3, None, None, None]
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 97
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert (bundle.signed_prekey_id, bundle.one_time_prekey) == (7, None)


def test_all_devices_of_a_user_share_it(relay: Relay) -> None:
    assert [take(relay, BUDI, ANA) for _ in range(2)] == [1, 2]
    assert [take(relay, BUDIS_TABLET, ANA) for _ in range(2)] == [3, None]
    assert take(relay, BUDI, ANA) is None


def test_it_is_another_one_for_each_user_and_each_device(relay: Relay) -> None:
    assert [take(relay, BUDI, ANA) for _ in range(4)] == [1, 2, 3, None]
    assert [take(relay, TOKO, ANA) for _ in range(4)] == [4, 5, 6, None]
    assert [take(relay, OTHER_BUDI, ANA) for _ in range(4)] == [7, 8, 9, None]
    assert [take(relay, BUDI, ANAS_TABLET) for _ in range(4)] == [1, 2, 3, None]


def test_a_window_is_over_when_it_is_over(relay: Relay, clock: FakeClock) -> None:
    assert take(relay, BUDI, ANA) == 1
    clock.now_ms += 999  # it began with the first, whatever came after
    assert [take(relay, BUDI, ANA) for _ in range(3)] == [2, 3, None]
    clock.now_ms += 1
    assert [take(relay, BUDI, ANA) for _ in range(4)] == [4, 5, 6, None]
    clock.now_ms += 999
    assert take(relay, BUDI, ANA) is None
    clock.now_ms += 1
    assert take(relay, BUDI, ANA) == 7


def test_a_window_that_is_over_does_not_count_though_it_is_not_forgotten_yet(
    relay: Relay, clock: FakeClock
) -> None:
    for _ in range(3):
        take(relay, BUDI, ANA)

    def is_left(connection: Connection) -> list[bool]:
        return [
            allowance.is_left(connection, BUDI.user_id, ANA, LIMITS, clock.now_ms + passed)
            for passed in (0, 999, 1000, 10**9, -(10**9))  # the last by a clock that was wrong
        ]

    assert relay._database.read(is_left) == [False, False, True, True, True]


def test_a_restart_does_not_begin_a_window(relay: Relay, path: Path, clock: FakeClock) -> None:
    assert [take(relay, BUDI, ANA) for _ in range(2)] == [1, 2]
    with Relay(path, clock=clock, limits=LIMITS) as other:
        assert [take(other, BUDI, ANA) for _ in range(2)] == [3, None]


def test_only_one_time_prekeys_that_were_handed_out_count(relay: Relay, path: Path) -> None:
    relay.publish(token(TOKO), published(TOKO))
    for _ in range(5):
        assert take(relay, BUDI, TOKO) is None
        with pytest.raises(UnknownRecipient):
            take(relay, ANA, BUDI)
    assert requests(path) == []
    relay.publish(token(TOKO), published(TOKO, range(1, 10)))
    assert [take(relay, BUDI, TOKO) for _ in range(4)] == [1, 2, 3, None]
    assert [taken for taken, _ in requests(path)] == [3]


def test_both_kinds_count_once_and_then_the_last_resort_prekey_comes(
    relay: Relay, path: Path
) -> None:
    relay.publish(token(TOKO), published(TOKO, range(1, 10), kyber=range(1, 10)))
    taken = [take_both(relay, BUDI, TOKO) for _ in range(5)]
    assert taken == [(1, 1), (2, 2), (3, 3), (None, 1_000_007), (None, 1_000_007)]
    assert relay.one_time_prekey_count(TOKO, token(TOKO)) == 6
    assert requests(path)[0][0] == 3


@pytest.mark.parametrize(("ids", "kyber"), [(range(1, 10), []), ([], range(1, 10))])
def test_one_kind_alone_counts_too(
    relay: Relay, path: Path, ids: Iterable[int], kyber: Iterable[int]
) -> None:
    relay.publish(token(TOKO), published(TOKO, ids, kyber=kyber))
    bundles = [take_both(relay, BUDI, TOKO) for _ in range(4)]
    assert len(set(bundles)) == 4
    assert bundles[-1] == (None, 1_000_007)
    assert requests(path)[0][0] == 3


def test_the_last_resort_prekey_does_not_count(relay: Relay, path: Path) -> None:
    relay.publish(token(TOKO), published(TOKO, kyber=[]))
    assert [take_both(relay, BUDI, TOKO) for _ in range(5)] == [(None, 1_000_007)] * 5
    assert requests(path) == []


def test_a_window_of_a_clock_that_was_wrong_does_not_last(relay: Relay, clock: FakeClock) -> None:
    clock.now_ms += 10**12
    assert [take(relay, BUDI, ANA) for _ in range(4)] == [1, 2, 3, None]
    clock.now_ms -= 10**12
    assert [take(relay, BUDI, ANA) for _ in range(4)] == [4, 5, 6, None]


def test_windows_of_a_clock_that_was_wrong_are_forgotten_by_calls_of_others(
    relay: Relay, path: Path, clock: FakeClock
) -> None:
    clock.now_ms += 10**12
    for user in range(150):
        requester = Address("messenger", f"user-{user}")
        relay.register(requester, token(requester))
        assert take(relay, requester, ANA if user < 100 else ANAS_TABLET) is not None
    clock.now_ms -= 10**12
    take(relay, BUDI, ANAS_TABLET)
    assert len(requests(path)) == 51  # a bounded number at once
    take(relay, BUDI, ANAS_TABLET)
    assert requests(path) == [(2, clock.now_ms + 1000)]


def test_expired_windows_are_forgotten_by_calls_of_others(
    relay: Relay, path: Path, clock: FakeClock
) -> None:
    for user in range(150):
        requester = Address("messenger", f"user-{user}")
        relay.register(requester, token(requester))
        assert take(relay, requester, ANA if user < 100 else ANAS_TABLET) is not None
    assert len(requests(path)) == 150
    clock.now_ms += 999
    take(relay, BUDI, ANAS_TABLET)
    assert len(requests(path)) == 151
    clock.now_ms += 1
    take(relay, BUDI, ANAS_TABLET)
    assert len(requests(path)) == 51  # a bounded number at once
    take(relay, BUDI, ANAS_TABLET)
    assert requests(path) == [(3, clock.now_ms + 999)]


def test_the_file_does_not_list_who_asked_for_whom(relay: Relay, path: Path) -> None:
    assert take(relay, OTHER_BUDI, ANAS_TABLET) == 1
    relay.close()
    content = file_bytes(path)
    assert f"{OTHER_BUDI.user_id} {ANAS_TABLET}".encode() not in content
    connection = sqlite3.connect(path)
    (row,) = connection.execute("SELECT * FROM prekey_requests").fetchall()
    connection.close()
    assert [type(value) for value in row] == [bytes, int, int]
    assert len(row[0]) == 32
