# SPDX-License-Identifier: Apache-2.0
"""Tokens in headers, and under what somebody is counted."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.service.doorkeeper import Doorkeeper, network_of, read_token
from e2ecross.service.limits import Rates, ServiceLimits
from tests.relay.support import ANA, BUDI

TOKEN = bytes(range(32))
TEXT = base64.urlsafe_b64encode(TOKEN).rstrip(b"=")


@given(st.binary(min_size=32, max_size=32))
def test_a_token_is_read(token: bytes) -> None:
    assert read_token(b"Bearer " + base64.urlsafe_b64encode(token).rstrip(b"=")) == token


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        TEXT,
        b"bearer " + TEXT,
        b"Basic " + TEXT,
        b"Bearer  " + TEXT,
        b"Bearer " + TEXT + b"=",
        b"Bearer " + TEXT[:-1],
        b"Bearer " + TEXT + b"A",
        b"Bearer " + TEXT[:-1] + b"9",  # another spelling of the same bytes
        b"Bearer " + TEXT[:-1] + b" ",
        b"Bearer " + TEXT[:-1] + b"+",
        b"Bearer " + TEXT[:-1] + b"\xff",
        b"Bearer " + b"=" * 43,
    ],
)
def test_what_is_none_is_not(header: bytes | None) -> None:
    assert read_token(header) is None


@given(st.binary(max_size=60))
def test_anything_is_a_token_or_none(header: bytes) -> None:
    token = read_token(b"Bearer " + header)
    assert token is None or len(token) == 32


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", "local"),
        (None, "local"),
        ("nonsense", "local"),
    ],
)
def test_under_what_somebody_is_counted(host: str | None, network: str) -> None:
    assert network_of(host) == network


def test_devices_are_known_and_forgotten() -> None:
    door = Doorkeeper(ServiceLimits(buckets=1), lambda address: Rates())
    assert door.known(TOKEN) is None
    device = door.welcome(TOKEN, ANA)
    assert door.known(TOKEN) is device
    door.forget(TOKEN)
    assert door.known(TOKEN) is None
    door.welcome(TOKEN, ANA)
    door.welcome(bytes(32), BUDI)
    assert door.known(TOKEN) is None


def test_a_business_may_have_more() -> None:
    rates = {ANA: Rates(requests_burst=1), BUDI: Rates(requests_burst=2)}
    door = Doorkeeper(ServiceLimits(), lambda address: rates[address])
    ana, budi = door.welcome(TOKEN, ANA), door.welcome(bytes(32), BUDI)
    assert [ana.requests.take(0.0) > 0 for _ in range(2)] == [False, True]
    assert [budi.requests.take(0.0) > 0 for _ in range(3)] == [False, False, True]
