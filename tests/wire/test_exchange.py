# SPDX-License-Identifier: Apache-2.0
"""What a client and its back end exchange beside envelopes and keys."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from e2ecross.address import Address, UserId
from e2ecross.errors import InvalidArgument
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys, Waiting

ANA = UserId("whatsapp", "ana")


def test_devices_are_kept_as_a_set() -> None:
    for devices in ([2, 1, 2], (1, 2), {1, 2}, frozenset((1, 2)), range(1, 3), {1: "", 2: ""}):
        wanted = KeysWanted(ANA, devices)
        assert wanted.devices == frozenset((1, 2))
        assert hash(wanted) == hash(KeysWanted(ANA, {1, 2}))
    assert KeysWanted(ANA, []).devices == frozenset()
    assert KeysWanted(ANA, None).devices is None


def test_the_bounds_of_devices() -> None:
    assert KeysWanted(ANA, range(112, 128)).devices == frozenset(range(112, 128))
    for devices in (range(1, 18), [1] * 17, [0], [128], [-1]):
        with pytest.raises(InvalidArgument, match=r"^devices must be "):
            KeysWanted(ANA, devices)


@pytest.mark.parametrize("user", ["whatsapp:ana", Address("whatsapp", "ana"), None])
def test_a_user_that_is_none_is_refused(user: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=r"^user must be "):
        KeysWanted(user, None)


@pytest.mark.parametrize("devices", [1, "1", b"\x01", [True], ["1"], [1.0], iter([1]), [None]])
def test_devices_that_are_none_are_refused(devices: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=r"^devices must be "):
        KeysWanted(ANA, devices)


def test_what_waits_is_a_pair_that_does_not_show_its_bytes() -> None:
    item = Waiting(7, b"secret enough")
    number, envelope = item
    assert (number, envelope) == (item.number, item.envelope) == (7, b"secret enough") == item
    assert repr([item]) == "[<Waiting 7, 13 bytes>]"
    assert str(item) == "<Waiting 7, 13 bytes>"


def test_answers_do_not_change() -> None:
    for value, name in ((UserKeys(b"", ()), "bundles"), (Deposited(), "refused")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
    assert Deposited() == Deposited({}, {}, {})
