# SPDX-License-Identifier: Apache-2.0
"""An address that moves to another installation: `register` with the token that it replaces."""

from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendRefused, NotRegistered
from e2ecross.relay import Relay
from e2ecross.wire.exchange import KeysWanted
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    deposit,
    device_list,
    envelope,
    epoch_of,
    file_bytes,
    published,
    take,
    token,
)

OLD, NEW, WRONG = token(ANA), token(ANA, 1), token(ANA, 99)


@pytest.fixture
def used(relay: Relay) -> Relay:
    """A relay where something waits for ana, and where she has published and told her epoch."""
    relay.publish(OLD, published(ANA, range(1, 4)), epoch=40)
    deposit(relay, token(BUDI), envelope(BUDI, ANA, 1).encode())
    return relay


def test_everything_but_the_token_stays(used: Relay) -> None:
    before = used.fetch(ANA, OLD, 10)
    used.register(ANA, NEW, replaces=OLD)
    assert used.fetch(ANA, NEW, 10) == before != []
    assert epoch_of(used, ANA, NEW) == 40
    assert used.one_time_prekey_count(ANA, NEW) == 3
    assert take(used, BUDI, ANA) == 1


def test_the_old_token_is_none_any_more(used: Relay) -> None:
    used.register(ANA, NEW, replaces=OLD)
    for call in (
        lambda: used.fetch(ANA, OLD, 10),
        lambda: used.epochs(ANA, OLD),
        lambda: used.publish(OLD, published(ANA), epoch=50, replace=True),
        lambda: used.publish_devices(OLD, device_list(ANA).encode(), {}, epoch=50),
        lambda: used.put_link(bytes(16), 0, b"offer", address=ANA, token=OLD),
        lambda: used.acknowledge(ANA, OLD, [1]),
        lambda: deposit(used, OLD, envelope(ANA, BUDI).encode(), epoch=50),
        lambda: used.fetch_keys(ANA, OLD, [KeysWanted(BUDI.user_id, None)]),
    ):
        with pytest.raises(NotRegistered):
            call()
    # Nor does it take the address back: it proves nothing now.
    for replaces in (b"", OLD, WRONG):
        with pytest.raises(BackendRefused):
            used.register(ANA, OLD, replaces=replaces)
    assert epoch_of(used, ANA, NEW) == 40
    assert len(used.waiting(ANA)) == 1


def test_it_may_be_repeated(used: Relay) -> None:
    for replaces in (OLD, OLD, b"", NEW, WRONG):
        used.register(ANA, NEW, replaces=replaces)
    assert len(used.fetch(ANA, NEW, 10)) == 1
    assert epoch_of(used, ANA, NEW) == 40


def test_a_wrong_one_counts_as_none(used: Relay) -> None:
    for replaces in (WRONG, token(BUDI), NEW):
        with pytest.raises(BackendRefused, match=r"whatsapp:ana\.1 may not be claimed"):
            used.register(ANA, NEW, replaces=replaces)
    assert len(used.fetch(ANA, OLD, 10)) == 1
    used.register(TOKO, token(TOKO), replaces=WRONG)  # a free address is claimed as always
    assert used.fetch(TOKO, token(TOKO), 10) == []


def test_the_token_of_another_device_of_the_user_proves_nothing(used: Relay) -> None:
    tablet = Address(ANA.app, ANA.user, 2)
    used.register(tablet, token(tablet))
    with pytest.raises(BackendRefused):
        used.register(ANA, NEW, replaces=token(tablet))
    with pytest.raises(BackendRefused):
        used.register(tablet, NEW, replaces=OLD)


def test_who_proves_it_is_not_asked_for(path: Path) -> None:
    asked: list[tuple[Address, bool]] = []

    def authorise(address: Address, taken: bool, credential: bytes) -> bool:
        asked.append((address, taken))
        return True

    with Relay(path, authorise=authorise) as relay:
        relay.register(ANA, OLD)
        deposit(relay, OLD, envelope(ANA, ANA).encode())
        relay.register(ANA, NEW, replaces=OLD)
        assert asked == [(ANA, False)]
        assert len(relay.waiting(ANA)) == 1
        # Without the proof it is a reset, which drops what waits.
        relay.register(ANA, token(ANA, 2), replaces=OLD)
        assert asked == [(ANA, False), (ANA, True)]
        assert relay.waiting(ANA) == []


def test_it_stays_after_a_restart_and_leaves_no_token_in_the_file(path: Path) -> None:
    with Relay(path) as relay:
        relay.register(ANA, OLD)
        relay.register(ANA, NEW, replaces=OLD)
    with Relay(path) as relay:
        assert relay.fetch(ANA, NEW, 10) == []
        with pytest.raises(NotRegistered):
            relay.fetch(ANA, OLD, 10)
    assert OLD not in file_bytes(path)
    assert NEW not in file_bytes(path)
