# SPDX-License-Identifier: Apache-2.0
"""What every operation works with: the system's clock, and the store's keys of addresses."""

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross import Address
from e2ecross.errors import RecordCorrupted
from e2ecross.state.context import address_from_key, address_key, system_clock
from e2ecross.wire.service_id import encode_addresses
from tests.support.devices import ANA, BUDI, TOKO, make_device

DEVICES = [Address("instagram", "budi", number) for number in (2, 127)]


def test_the_systems_clock_returns_milliseconds() -> None:
    earliest = time.time_ns()
    now_ms = system_clock()
    assert earliest // 1_000_000 <= now_ms <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("address", [ANA, BUDI, TOKO, *DEVICES], ids=str)
def test_an_address_comes_back_from_its_key(address: Address) -> None:
    assert address_from_key(address_key(address)) == address


def test_a_message_names_its_sender_first_whichever_way_it_goes() -> None:
    """As Signal's own field does, and only where both have names that fit into it."""
    mine, theirs = Address("signal", str(UUID(int=1)), 2), Address("signal", str(UUID(int=3)), 4)
    context = make_device(mine)._context
    assert context.addresses_to(theirs) == encode_addresses(mine.user, 2, theirs.user, 4)
    assert context.addresses_from(theirs) == encode_addresses(theirs.user, 4, mine.user, 2)
    assert context.addresses_to(BUDI) is context.addresses_from(BUDI) is None


@given(st.binary(max_size=40))
def test_what_is_no_address_key_is_corrupted(key: bytes) -> None:
    try:
        address = address_from_key(key)
    except RecordCorrupted:
        return
    assert address_key(address) == key
