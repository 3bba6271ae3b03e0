# SPDX-License-Identifier: Apache-2.0
"""Published keys, and one-time prekeys that are handed out once."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from e2ecross.errors import BackendError, BackendRefused, InvalidKey
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.bundle import PreKeyBundle
from tests.relay.support import (
    ANA,
    BUDI,
    deposit,
    envelope,
    epoch_of,
    fetch_bundle,
    public_key,
    published,
    register,
    take,
    take_both,
    token,
)

LAST = 1_000_007
"""The id of the last-resort Kyber prekey that goes with the usual signed prekey."""
SMALL = RelayLimits(one_time_prekeys=3, handed_out_prekeys=4, one_time_prekeys_per_requester=100)


def test_a_bundle_is_what_was_published(relay: Relay) -> None:
    keys = published(ANA, range(5, 6))
    relay.publish(token(ANA), keys)
    expected = PreKeyBundle(
        address=ANA,
        registration_id=keys.registration_id,
        identity_key=keys.identity_key,
        signed_prekey_id=keys.signed_prekey.id,
        signed_prekey=keys.signed_prekey.public_key,
        signed_prekey_signature=keys.signed_prekey.signature,
        one_time_prekey_id=5,
        one_time_prekey=keys.one_time_prekeys[0].public_key,
    )
    assert fetch_bundle(relay, BUDI, token(BUDI), ANA) == expected
    without = replace(expected, one_time_prekey_id=None, one_time_prekey=None)
    for _ in range(2):
        assert fetch_bundle(relay, BUDI, token(BUDI), ANA) == without


def test_one_time_prekeys_go_out_once_in_the_order_of_publication(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(10, 12)))
    relay.publish(token(ANA), published(ANA, range(1, 3)))
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 4
    assert [take(relay, BUDI, ANA) for _ in range(6)] == [10, 11, 1, 2, None, None]
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 0


def test_each_device_has_prekeys_of_its_own(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 3)))
    relay.publish(token(BUDI), published(BUDI, range(1, 3)))
    assert take(relay, BUDI, ANA) == 1
    assert relay.one_time_prekey_count(BUDI, token(BUDI)) == 2
    assert fetch_bundle(relay, ANA, token(ANA), BUDI).one_time_prekey == public_key(
        f"{BUDI} identity one-time 1"
    )


def test_publishing_replaces_the_signed_prekey_and_keeps_the_one_time_prekeys(
    relay: Relay,
) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 3)))
    relay.publish(token(ANA), published(ANA, signed_id=8))
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert (bundle.signed_prekey_id, bundle.one_time_prekey_id) == (8, 1)


def test_a_repeated_publication_revives_no_handed_out_prekey(relay: Relay) -> None:
    batch = published(ANA, range(1, 5))
    relay.publish(token(ANA), batch)
    assert [take(relay, BUDI, ANA) for _ in range(2)] == [1, 2]
    relay.publish(token(ANA), batch)
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 2
    assert [take(relay, BUDI, ANA) for _ in range(3)] == [3, 4, None]
    relay.publish(token(ANA), batch)
    assert take(relay, BUDI, ANA) is None


def test_an_unused_prekey_is_not_exchanged_under_its_id(relay: Relay) -> None:
    first, other = published(ANA, range(1, 2)), published(ANA, range(2, 3))
    renamed = replace(other, one_time_prekeys=(replace(other.one_time_prekeys[0], id=1),))
    relay.publish(token(ANA), first)
    relay.publish(token(ANA), renamed)
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert bundle.one_time_prekey == first.one_time_prekeys[0].public_key
    assert take(relay, BUDI, ANA) is None


def test_a_new_identity_key_drops_the_prekeys_of_the_old_one(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 5)))
    assert take(relay, BUDI, ANA) == 1
    fresh = published(ANA, range(1, 3), "fresh")
    relay.publish(token(ANA), fresh)
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 2
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert bundle.identity_key == fresh.identity_key
    assert bundle.one_time_prekey == fresh.one_time_prekeys[0].public_key
    assert [take(relay, BUDI, ANA) for _ in range(2)] == [2, None]


def test_unused_prekeys_are_bounded(path: Path) -> None:
    with Relay(path, limits=SMALL) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 4)))
        relay.publish(token(ANA), published(ANA, range(1, 4)))  # nothing new in it
        with pytest.raises(
            BackendRefused, match="4 unused one-time prekeys, this back end keeps 3"
        ):
            relay.publish(token(ANA), published(ANA, range(4, 5), signed_id=8))
        # Nothing of the refused publication was kept.
        bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
        assert (bundle.signed_prekey_id, bundle.one_time_prekey_id) == (7, 1)
        relay.publish(token(ANA), published(ANA, range(4, 5), signed_id=8))
        assert relay.one_time_prekey_count(ANA, token(ANA)) == 3


def test_the_memory_of_handed_out_prekeys_is_bounded(path: Path) -> None:
    with Relay(path, limits=SMALL) as relay:
        register(relay, ANA, BUDI)
        for start in range(1, 31, 3):
            relay.publish(token(ANA), published(ANA, range(start, start + 3)))
            assert [take(relay, BUDI, ANA) for _ in range(3)] == [start, start + 1, start + 2]
            relay.publish(token(ANA), published(ANA, range(start, start + 3)))
            assert take(relay, BUDI, ANA) is None
        connection = sqlite3.connect(path)
        rows = connection.execute("SELECT id FROM one_time_prekeys ORDER BY number").fetchall()
        connection.close()
        assert rows == [(27,), (28,), (29,), (30,)]


def test_a_key_that_is_none_is_refused(relay: Relay) -> None:
    with pytest.raises(InvalidKey):
        relay.publish(token(ANA), replace(published(ANA), identity_key=b"\x05" + bytes(32)))


def test_the_largest_publication_fits(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 1001), kyber=range(1, 1001)))
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 1000
    relay.publish(token(ANA), published(ANA, range(1001, 2001), kyber=range(1001, 2001)))
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 2000


# --- Kyber prekeys --------------------------------------------------------------------------


def test_a_bundle_has_one_prekey_of_each_kind_as_they_were_published(relay: Relay) -> None:
    keys = published(ANA, [5], kyber=[9])
    relay.publish(token(ANA), keys)
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    [kyber], last_resort = keys.kyber_prekeys, keys.last_resort_kyber_prekey
    assert last_resort is not None
    assert (bundle.one_time_prekey_id, bundle.one_time_prekey) == (
        5,
        keys.one_time_prekeys[0].public_key,
    )
    given = (bundle.kyber_prekey_id, bundle.kyber_prekey, bundle.kyber_prekey_signature)
    assert given == (9, kyber.public_key, kyber.signature)
    for _ in range(2):
        bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
        assert bundle.one_time_prekey_id is None
        given = (bundle.kyber_prekey_id, bundle.kyber_prekey, bundle.kyber_prekey_signature)
        assert given == (last_resort.id, last_resort.public_key, last_resort.signature)


def test_kinds_run_out_apart_and_the_lower_number_counts(relay: Relay) -> None:
    def left() -> int:
        return relay.one_time_prekey_count(ANA, token(ANA))

    relay.publish(token(ANA), published(ANA, [1, 2, 3]))
    assert left() == 3  # it offers no Kyber prekeys
    relay.publish(token(ANA), published(ANA, kyber=[]))
    assert left() == 0
    relay.publish(token(ANA), published(ANA, kyber=[1, 2]))
    assert left() == 2
    assert [take_both(relay, BUDI, ANA) for _ in range(3)] == [(1, 1), (2, 2), (3, LAST)]
    relay.publish(token(ANA), published(ANA, [4], kyber=[3, 4, 5]))
    assert left() == 1
    taken = [take_both(relay, BUDI, ANA) for _ in range(4)]
    assert taken == [(4, 3), (None, 4), (None, 5), (None, LAST)]
    assert left() == 0


def test_an_id_of_one_kind_says_nothing_of_the_other(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, [1, 2], kyber=[2, 1]))
    assert [take_both(relay, BUDI, ANA) for _ in range(3)] == [(1, 2), (2, 1), (None, LAST)]


def test_publishing_replaces_the_last_resort_prekey_and_keeps_the_one_time_ones(
    relay: Relay,
) -> None:
    relay.publish(token(ANA), published(ANA, kyber=[1]))
    relay.publish(token(ANA), published(ANA, signed_id=8, kyber=[2]))
    assert [take_both(relay, BUDI, ANA)[1] for _ in range(3)] == [1, 2, LAST + 1]


def test_a_device_that_offers_no_kyber_prekeys_any_more_gets_none_handed_out(
    relay: Relay,
) -> None:
    relay.publish(token(ANA), published(ANA, [1, 2], kyber=[1, 2]))
    relay.publish(token(ANA), published(ANA, [3]))
    assert take_both(relay, BUDI, ANA) == (1, None)
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 2
    relay.publish(token(ANA), published(ANA, kyber=[]))
    assert take_both(relay, BUDI, ANA) == (2, 1)


def test_a_repeated_publication_revives_no_handed_out_kyber_prekey(relay: Relay) -> None:
    batch = published(ANA, kyber=range(1, 4))
    for expected in (1, 2, 3, LAST, LAST):
        relay.publish(token(ANA), batch)
        assert take_both(relay, BUDI, ANA) == (None, expected)


def test_an_unused_kyber_prekey_is_not_exchanged_under_its_id(relay: Relay) -> None:
    first, other = published(ANA, kyber=[1]), published(ANA, kyber=[2])
    renamed = replace(other, kyber_prekeys=(replace(other.kyber_prekeys[0], id=1),))
    relay.publish(token(ANA), first)
    relay.publish(token(ANA), renamed)
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert bundle.kyber_prekey == first.kyber_prekeys[0].public_key
    assert take_both(relay, BUDI, ANA) == (None, LAST)


def test_a_new_identity_key_drops_the_kyber_prekeys_of_the_old_one(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, kyber=[1, 2]))
    relay.publish(token(ANA), published(ANA, identity="fresh"))
    assert take_both(relay, BUDI, ANA) == (None, None)
    fresh = published(ANA, identity="fresh", kyber=[1])
    relay.publish(token(ANA), fresh)
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert bundle.kyber_prekey == fresh.kyber_prekeys[0].public_key
    assert take_both(relay, BUDI, ANA) == (None, LAST)


def test_a_reset_drops_the_kyber_prekeys(path: Path) -> None:
    with Relay(path, authorise=lambda address, taken, credential: True) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, kyber=[1, 2]))
        relay.register(ANA, token(ANA, 1))
        relay.publish(token(ANA, 1), published(ANA))
        assert take_both(relay, BUDI, ANA) == (None, None)


def test_a_late_publication_puts_no_older_last_resort_prekey_back(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, signed_id=8, kyber=[]), epoch=20)
    relay.publish(token(ANA), published(ANA, signed_id=7, kyber=[1]), epoch=19)
    relay.publish(token(ANA), published(ANA, signed_id=6), epoch=18)
    assert [take_both(relay, BUDI, ANA)[1] for _ in range(2)] == [1, LAST + 1]


def test_replacing_withdraws_the_kyber_prekeys_of_before(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, kyber=range(1, 6)), epoch=10)
    assert take_both(relay, BUDI, ANA) == (None, 1)
    again = published(ANA, signed_id=8, kyber=[1, 4, 20])
    for expected in (4, 20, LAST + 1):
        relay.publish(token(ANA), again, epoch=50, replace=True)
        assert take_both(relay, BUDI, ANA) == (None, expected)
    relay.publish(token(ANA), published(ANA, kyber=range(1, 6)), epoch=10)
    relay.publish(token(ANA), published(ANA, signed_id=9, kyber=range(1, 6)), epoch=60)
    assert take_both(relay, BUDI, ANA) == (None, LAST + 2)


def test_unused_kyber_prekeys_are_bounded(path: Path) -> None:
    with Relay(path, limits=SMALL) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 4), kyber=range(1, 4)))
        with pytest.raises(
            BackendRefused, match="4 unused one-time Kyber prekeys, this back end keeps 3"
        ):
            relay.publish(token(ANA), published(ANA, signed_id=8, kyber=[4]))
        assert take_both(relay, BUDI, ANA) == (1, 1)
        relay.publish(token(ANA), published(ANA, signed_id=8, kyber=[4]))
        assert [take_both(relay, BUDI, ANA)[1] for _ in range(4)] == [2, 3, 4, LAST + 1]


def test_the_memory_of_handed_out_kyber_prekeys_is_bounded(path: Path) -> None:
    with Relay(path, limits=SMALL) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, [1], kyber=[]))
        assert take_both(relay, BUDI, ANA) == (1, LAST)
        for start in range(1, 31, 3):
            relay.publish(token(ANA), published(ANA, kyber=range(start, start + 3)))
            taken = [take_both(relay, BUDI, ANA)[1] for _ in range(4)]
            assert taken == [start, start + 1, start + 2, LAST]
            relay.publish(token(ANA), published(ANA, kyber=range(start, start + 3)))
            assert take_both(relay, BUDI, ANA) == (None, LAST)
        connection = sqlite3.connect(path)
        query = "SELECT kind, id, public_key, signature FROM one_time_prekeys ORDER BY number"
        rows = connection.execute(query).fetchall()
        connection.close()
        # Of the other kind nothing is forgotten; and of what was handed out no key is kept.
        assert rows == [(0, 1, None, b""), *((1, n, None, b"") for n in (27, 28, 29, 30))]


def test_a_kem_key_that_is_none_is_refused(relay: Relay) -> None:
    keys = published(ANA, kyber=[1])
    bad = replace(keys.kyber_prekeys[0], public_key=b"\x0a" + bytes(1568))
    for wrong in (
        replace(keys, kyber_prekeys=(bad,)),
        replace(keys, last_resort_kyber_prekey=replace(bad, id=2)),
    ):
        with pytest.raises(InvalidKey, match="KEM"):
            relay.publish(token(ANA), wrong)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE one_time_prekeys SET public_key = x'08' WHERE kind = 1",
        "UPDATE one_time_prekeys SET signature = 'text' WHERE kind = 1",
        "UPDATE one_time_prekeys SET signature = x'' WHERE kind = 1",
        "UPDATE one_time_prekeys SET id = 0 WHERE kind = 1",
        "UPDATE accounts SET kyber_prekey = NULL",
        "UPDATE accounts SET kyber_prekey_signature = 7",
        "UPDATE accounts SET kyber_prekey_id = 'text'",
        "DELETE FROM one_time_prekeys; UPDATE accounts SET kyber_prekey = x'08'",
    ],
)
def test_kyber_keys_that_somebody_damaged_in_the_file(
    relay: Relay, path: Path, damage: str
) -> None:
    relay.publish(token(ANA), published(ANA, kyber=[1]))
    connection = sqlite3.connect(path)
    connection.executescript(damage)
    connection.close()
    with pytest.raises(BackendError, match=r"relay file (are damaged|holds something)"):
        take_both(relay, BUDI, ANA)


# --- Publications that are late, or that replace --------------------------------------------


def signed_prekey_id(relay: Relay) -> int:
    return fetch_bundle(relay, BUDI, token(BUDI), ANA).signed_prekey_id


def test_a_late_publication_puts_no_older_signed_prekey_back(relay: Relay) -> None:
    early = published(ANA, range(1, 3), signed_id=7)
    relay.publish(token(ANA), published(ANA, range(3, 5), signed_id=8), epoch=20)
    relay.publish(token(ANA), early, epoch=19)
    assert signed_prekey_id(relay) == 8
    # Its one-time prekeys are as good as others.
    assert [take(relay, BUDI, ANA) for _ in range(4)] == [4, 1, 2, None]
    relay.publish(token(ANA), published(ANA, signed_id=9), epoch=20)  # as high: not late
    assert signed_prekey_id(relay) == 9
    relay.publish(token(ANA), published(ANA, signed_id=10), epoch=21)
    assert signed_prekey_id(relay) == 10


def test_two_late_publications_do_not_make_each_other_the_latest(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, signed_id=8), epoch=20)
    relay.publish(token(ANA), published(ANA, signed_id=6), epoch=10)
    relay.publish(token(ANA), published(ANA, signed_id=7), epoch=15)
    assert signed_prekey_id(relay) == 8


def test_late_is_what_came_after_a_later_publication_not_after_a_deposit(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, signed_id=7), epoch=1)
    deposit(relay, token(ANA), envelope(ANA, BUDI).encode(), epoch=30)
    relay.publish(token(ANA), published(ANA, signed_id=8), epoch=20)
    assert signed_prekey_id(relay) == 8


def test_a_publication_without_epoch_is_the_latest(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, signed_id=8), epoch=20)
    relay.publish(token(ANA), published(ANA, range(1, 2), signed_id=7))
    assert signed_prekey_id(relay) == 7
    relay.publish(token(ANA), published(ANA, signed_id=6), epoch=19)  # still late
    assert signed_prekey_id(relay) == 7


def test_the_order_of_another_identity_key_does_not_count(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 3), signed_id=8), epoch=20, replace=True)
    relay.publish(token(ANA), published(ANA, range(1, 3), "fresh", signed_id=3), epoch=5)
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert (bundle.signed_prekey_id, bundle.one_time_prekey_id) == (3, 1)
    assert epoch_of(relay, ANA, token(ANA)) == 20
    relay.publish(token(ANA), published(ANA, identity="fresh", signed_id=2), epoch=4)
    assert signed_prekey_id(relay) == 3


def test_replacing_withdraws_what_was_published_before(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 6)), epoch=10)
    relay.publish(token(ANA), published(ANA, range(6, 8)))
    assert take(relay, BUDI, ANA) == 1
    again = published(ANA, [1, 4, 20], signed_id=8)
    relay.publish(token(ANA), again, epoch=50, replace=True)
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 2
    assert signed_prekey_id(relay) == 8  # and 4, with it
    # A repetition changes nothing, whatever was handed out meanwhile.
    for _ in range(3):
        relay.publish(token(ANA), again, epoch=50, replace=True)
        assert relay.one_time_prekey_count(ANA, token(ANA)) == 1
    assert [take(relay, BUDI, ANA) for _ in range(2)] == [20, None]
    relay.publish(token(ANA), again, epoch=50, replace=True)
    # Ids stay known, so nothing of before comes back: neither late nor anew.
    relay.publish(token(ANA), published(ANA, range(1, 6)), epoch=10)
    relay.publish(token(ANA), published(ANA, range(1, 8)))
    relay.publish(token(ANA), published(ANA, range(1, 8)), epoch=60)
    assert take(relay, BUDI, ANA) is None


def test_after_a_replacement_nothing_of_an_earlier_publication_counts(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 2), signed_id=8), epoch=50, replace=True)
    late = published(ANA, range(5, 9), signed_id=7)
    relay.publish(token(ANA), late, epoch=49)
    relay.publish(token(ANA), late, epoch=49, replace=True)
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 1
    assert signed_prekey_id(relay) == 8
    relay.publish(token(ANA), published(ANA, range(9, 11)), epoch=50)
    relay.publish(token(ANA), published(ANA, range(11, 12)), epoch=51)
    relay.publish(token(ANA), published(ANA, range(12, 13)))
    assert [take(relay, BUDI, ANA) for _ in range(5)] == [9, 10, 11, 12, None]


def test_a_late_replacement_leaves_later_publications_alone(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 3)), epoch=10)
    relay.publish(token(ANA), published(ANA, range(30, 32), signed_id=9), epoch=60)
    replacement = published(ANA, [2, 20], signed_id=8)
    for _ in range(2):
        relay.publish(token(ANA), replacement, epoch=50, replace=True)
        assert relay.one_time_prekey_count(ANA, token(ANA)) == 4
    assert signed_prekey_id(relay) == 9  # and 30, with it
    relay.publish(token(ANA), published(ANA, range(40, 42)), epoch=49)
    assert sorted(take(relay, BUDI, ANA) or 0 for _ in range(4)) == [0, 2, 20, 31]


def test_a_replacement_withdraws_also_what_came_with_its_own_epoch(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 3)), epoch=50)
    relay.publish(token(ANA), published(ANA, [2, 3]), epoch=50, replace=True)
    assert [take(relay, BUDI, ANA) for _ in range(3)] == [2, 3, None]


def test_without_an_epoch_a_replacement_withdraws_all(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 3)), epoch=10)
    relay.publish(token(ANA), published(ANA, range(3, 5)))
    relay.publish(token(ANA), published(ANA, [4, 5]), replace=True)
    assert [take(relay, BUDI, ANA) for _ in range(3)] == [4, 5, None]


def test_a_replacement_with_another_key_under_a_known_id_withdraws_both(relay: Relay) -> None:
    """A restored store counts its ids from an earlier number; the relay hands out neither key."""
    relay.publish(token(ANA), published(ANA, range(1, 3)), epoch=10)
    other = published(ANA, [3, 4])
    renamed = tuple(
        replace(prekey, id=number)
        for prekey, number in zip(other.one_time_prekeys, (2, 4), strict=True)
    )
    keys = replace(other, one_time_prekeys=renamed)
    relay.publish(token(ANA), keys, epoch=50, replace=True)
    bundle = fetch_bundle(relay, BUDI, token(BUDI), ANA)
    assert (bundle.one_time_prekey_id, bundle.one_time_prekey) == (4, renamed[1].public_key)
    assert take(relay, BUDI, ANA) is None


def test_a_repeated_replacement_is_remembered_also_by_the_smallest_memory(path: Path) -> None:
    limits = RelayLimits(one_time_prekeys=3, handed_out_prekeys=3)
    with Relay(path, limits=limits) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 4)), epoch=1)
        again = published(ANA, [1, 4, 5])
        relay.publish(token(ANA), again, epoch=2, replace=True)
        assert [take(relay, BUDI, ANA) for _ in range(4)] == [1, 4, 5, None]
        for _ in range(3):
            relay.publish(token(ANA), again, epoch=2, replace=True)
            assert take(relay, BUDI, ANA) is None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE accounts SET identity_key = 'text'",
        "UPDATE accounts SET registration_id = NULL",
        "UPDATE one_time_prekeys SET public_key = x'05'",
    ],
)
def test_keys_that_somebody_damaged_in_the_file(relay: Relay, path: Path, damage: str) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 2)))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(BackendError, match=r"relay file (are damaged|holds something)"):
        take(relay, BUDI, ANA)


@pytest.mark.parametrize("value", ["7", "7.5", "'text'", "NULL", "x'05'"])
@pytest.mark.parametrize(
    "column",
    [
        "mailboxes.waiting",
        "mailboxes.acknowledged",
        "epochs.epoch",
        "accounts.published_epoch",
        "accounts.replaced_epoch",
    ],
)
def test_numbers_that_somebody_damaged_in_the_file(
    relay: Relay, path: Path, column: str, value: str
) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 2)), epoch=1)
    connection = sqlite3.connect(path)
    table, _, name = column.partition(".")
    try:
        with connection:
            connection.execute(f"UPDATE {table} SET {name} = {value}")  # noqa: S608
    except sqlite3.IntegrityError:
        return  # SQLite itself would not have it
    finally:
        connection.close()
    calls = (
        lambda: deposit(relay, token(BUDI), envelope(BUDI, ANA).encode()),
        lambda: relay.acknowledge(ANA, token(ANA), [1]),
        lambda: epoch_of(relay, ANA, token(ANA)),
        lambda: relay.publish(token(ANA), published(ANA, range(1, 2))),
    )
    failures = 0
    for call in calls:
        try:
            call()
        except BackendError:
            failures += 1
    assert failures or value == "7"


def test_a_token_that_somebody_damaged_in_the_file(relay: Relay, path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE accounts SET token_sha256 = 7")
    connection.close()
    with pytest.raises(BackendError, match="no relay wrote"):
        relay.fetch(ANA, token(ANA), 10)
