# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import pytest

from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import DecodeError, InvalidKey, UnsupportedVersion
from e2ecross.wire.device_list import MAX_SEQ, DeviceList, ListedDevice, SignedDeviceList
from e2ecross.wire.limits import (
    MAX_DEVICE_LIST_BYTES,
    MAX_LISTED_DEVICES,
    MAX_SIGNED_DEVICE_LIST_BYTES,
)
from tests.support import protobuf
from tests.support.device_lists import Household, recorded_list
from tests.support.formats import ADDRESS, DEVICE_LIST, SIGNED_LIST
from tests.support.points import BAD_KEYS
from tests.support.vectors import devices, unhex

USER = ADDRESS.user_id
HOME = Household(USER)
FIRST = HOME.list(1)
SECOND = HOME.list(2, previous=bytes(32), devices=(1, 2))
SIGNATURE = bytes(64)


def refuse(bad: DeviceList) -> None:
    with pytest.raises(DecodeError):
        DeviceList.decode(bad.encode())
    with pytest.raises(DecodeError):
        SignedDeviceList.decode(SignedDeviceList(bad.encode(), SIGNATURE, bad).encode())


@pytest.mark.parametrize("item", devices("lists"), ids=lambda item: item["name"])
def test_lists_of_the_vectors(item: dict[str, Any]) -> None:
    signed = SignedDeviceList.decode(unhex(item["signed"]))
    assert signed.data == signed.list.encode() == unhex(item["list"])
    assert signed.signature.hex() == item["signature"]
    assert signed.encode().hex() == item["signed"]
    found = signed.list
    assert found == DeviceList.decode(signed.data)
    assert str(found.user) == "whatsapp:ana"
    assert found.seq == item["seq"]
    assert found.previous.hex() == item["previous"]
    assert found.signed_at_ms == item["signed_at_ms"]
    assert [each.device for each in found.devices] == item["devices"]
    assert (found.hosting, found.vendor) == (item["hosting"], item["vendor"])
    assert found.account_key == found.devices[0].identity_key


def test_a_device_is_found_by_its_number() -> None:
    found = recorded_list("tablet linked").list
    assert found.find(3) is found.devices[2]
    assert found.find(4) is None


@pytest.mark.parametrize(
    "good",
    [
        FIRST,
        SECOND,
        replace(FIRST, seq=2),
        replace(SECOND, seq=MAX_SEQ, signed_at_ms=2**63 - 1),
        replace(FIRST, signed_at_ms=0),
        replace(FIRST, hosting=2),
        replace(FIRST, hosting=1, vendor="v"),
        replace(FIRST, hosting=1, vendor="é" * 32),
        HOME.list(2, devices=(1, 127)),
        HOME.list(2, devices=range(1, MAX_LISTED_DEVICES + 1)),
        replace(FIRST, devices=(HOME.entry(1, bytes(256)),)),
    ],
)
def test_what_lists_may_say(good: DeviceList) -> None:
    assert DeviceList.decode(good.encode()) == good


@pytest.mark.parametrize(
    "bad",
    [
        replace(FIRST, devices=()),
        replace(SECOND, devices=SECOND.devices[1:]),
        replace(SECOND, devices=SECOND.devices[::-1]),
        replace(SECOND, devices=(*SECOND.devices, SECOND.devices[1])),
        replace(SECOND, devices=(*SECOND.devices, replace(SECOND.devices[1], device=3))),
        HOME.list(2, devices=(1, 3, 2)),
        HOME.list(2, devices=(1, 128)),
        HOME.list(2, devices=range(1, MAX_LISTED_DEVICES + 2)),
        replace(FIRST, devices=(ListedDevice(0, HOME.pair(1).public, b""),)),
        replace(FIRST, devices=(replace(FIRST.devices[0], device_signature=SIGNATURE),)),
        replace(FIRST, devices=(replace(FIRST.devices[0], capabilities=bytes(257)),)),
        replace(FIRST, seq=0),
        replace(FIRST, seq=MAX_SEQ + 1),
        replace(FIRST, signed_at_ms=2**63),
        replace(FIRST, previous=bytes(32)),
        replace(SECOND, previous=bytes(31)),
        replace(SECOND, previous=bytes(33)),
        replace(FIRST, hosting=3),
        replace(FIRST, hosting=1),
        replace(FIRST, vendor="v"),
        replace(FIRST, hosting=2, vendor="v"),
        replace(FIRST, hosting=1, vendor="v" * 65),
        replace(FIRST, hosting=1, vendor="é" * 33),
    ],
)
def test_what_no_list_says(bad: DeviceList) -> None:
    refuse(bad)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_consent_has_the_length_of_a_signature(length: int) -> None:
    companion = replace(SECOND.devices[1], device_signature=bytes(length))
    refuse(replace(SECOND, devices=(SECOND.devices[0], companion)))


@pytest.mark.parametrize("field", [2, 3])
def test_a_list_is_of_an_account_that_can_be(field: int) -> None:
    for text in (b"", b"Ana", b"a b", bytes(3)):
        items = [(n, text if n == field else v) for n, v in protobuf.fields(FIRST.encode())]
        with pytest.raises(DecodeError):
            DeviceList.decode(protobuf.message([item for item in items if item[1] != b""]))


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_bad_keys_are_refused(key: bytes) -> None:
    companion = replace(SECOND.devices[1], identity_key=PublicKey(key))
    for bad in (
        replace(SECOND, devices=(SECOND.devices[0], companion)),
        replace(FIRST, devices=(replace(companion, device=1, device_signature=b""),)),
    ):
        with pytest.raises(InvalidKey):
            DeviceList.decode(bad.encode())


def with_version(version: int, *, unknown: bool = False) -> bytes:
    items = [(n, version if n == 1 else v) for n, v in protobuf.fields(FIRST.encode())]
    return protobuf.message([item for item in items if item[1]] + [(15, 1)] * unknown)


def test_a_later_version_is_told_before_anything_that_is_not_known_of_it() -> None:
    for unknown in (True, False):
        with pytest.raises(UnsupportedVersion, match="version 2"):
            DeviceList.decode(with_version(2, unknown=unknown))
    for other in (with_version(0), with_version(1, unknown=True)):
        with pytest.raises(DecodeError):
            DeviceList.decode(other)


def test_lengths_are_checked_before_anything_is_parsed() -> None:
    for decode, limit in (
        (DeviceList.decode, MAX_DEVICE_LIST_BYTES),
        (SignedDeviceList.decode, MAX_SIGNED_DEVICE_LIST_BYTES),
    ):
        with pytest.raises(DecodeError, match="more than"):
            decode(bytes(limit + 1))
        with pytest.raises(DecodeError) as caught:
            decode(bytes(limit))
        assert "more than" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signed_list_has_a_signature(length: int) -> None:
    with pytest.raises(DecodeError, match="64 bytes"):
        SignedDeviceList.decode(replace(SIGNED_LIST, signature=bytes(length)).encode())


def test_the_largest_list_fits() -> None:
    entries = tuple(HOME.entry(n, bytes(256)) for n in range(112, 128))[1:]
    largest = replace(
        DEVICE_LIST,
        user=replace(USER, app="a" * 32, user="u" * 64),
        devices=(HOME.entry(1, bytes(256)), *entries),
    )
    assert len(largest.encode()) == 5_998
    signed = SignedDeviceList(largest.encode(), SIGNATURE, largest)
    assert SignedDeviceList.decode(signed.encode()) == signed
