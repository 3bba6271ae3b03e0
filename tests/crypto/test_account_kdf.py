# SPDX-License-Identifier: Apache-2.0
import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.account_kdf import (
    HASH_BYTES,
    consent_message,
    device_list_message,
    hash_device_list,
    lp,
    prefixed,
)
from tests.support.vectors import devices, unhex

ACCOUNT = unhex(devices("keys")["account"]["public"])


@pytest.mark.parametrize("item", devices("lists"), ids=lambda item: item["name"])
def test_what_is_signed_and_hashed_of_a_list(item: dict[str, str]) -> None:
    encoded = unhex(item["list"])
    assert device_list_message(encoded).hex() == item["message"]
    assert hash_device_list(encoded).hex() == item["hash"]


@pytest.mark.parametrize(
    "item", devices("device_signatures")["vectors"], ids=lambda item: str(item["device"])
)
def test_what_a_device_signs_that_belongs_to_an_account(item: dict[str, str]) -> None:
    key = unhex(item["identity_key"])
    message = consent_message("whatsapp", "ana", int(item["device"]), key, ACCOUNT)
    assert message.hex() == item["message"]


def test_a_prefix_says_who_signs_what_and_begins_no_prekey() -> None:
    assert prefixed("device/v1") == b"\x06e2ecross/device/v1\0"
    assert prefixed("x")[:2] == b"\x06\x65"


def test_no_label_is_the_beginning_of_another_one() -> None:
    labels = ("device-list/v1", "device/v1", "device-list-hash/v1", "device-list", "device")
    for one, other in itertools.permutations(map(prefixed, labels), 2):
        assert not one.startswith(other)


@given(st.lists(st.binary(max_size=3)), st.lists(st.binary(max_size=3)))
def test_parts_with_their_lengths_stay_apart(one: list[bytes], other: list[bytes]) -> None:
    joined = [b"".join(map(lp, parts)) for parts in (one, other)]
    assert (joined[0] == joined[1]) is (one == other)


def test_a_length_is_four_bytes_big_endian() -> None:
    assert lp(b"") == bytes(4)
    assert lp(bytes(258)) == b"\0\0\x01\x02" + bytes(258)


def test_a_hash_is_sha_256_under_its_label() -> None:
    data = b"\x06e2ecross/device-list-hash/v1\0\0\0\0\x04list"
    assert hash_device_list(b"list") == hashlib.sha256(data).digest()
    assert len(hash_device_list(b"")) == HASH_BYTES
