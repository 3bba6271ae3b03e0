# SPDX-License-Identifier: Apache-2.0
"""Who may register: credentials of the app's own log-in service."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address
from e2ecross.errors import BackendRefused, InvalidArgument
from e2ecross.relay import Relay
from e2ecross.service import CredentialCheck, make_credential
from tests.relay.support import ANA, BUDI, FakeClock, token

KEY = bytes(range(32))
DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = FakeClock().now_ms


def check(address: Address, taken: bool, credential: bytes, now_ms: int = NOW_MS) -> bool:
    return CredentialCheck(KEY, clock=lambda: now_ms)(address, taken, credential)


def test_the_form_is_that_of_the_text() -> None:
    named = b"whatsapp:ana.1"
    expires = (NOW_MS + 1).to_bytes(8, "big")
    message = b"e2ecross registration 1" + len(named).to_bytes(4, "big") + named + expires
    expected = expires + hmac.new(KEY, message, hashlib.sha256).digest()
    assert make_credential(KEY, ANA, NOW_MS + 1) == expected


def test_it_is_good_until_its_time_and_a_day_at_most() -> None:
    credential = make_credential(KEY, ANA, NOW_MS + DAY_MS)
    assert check(ANA, False, credential)
    assert check(ANA, False, credential, NOW_MS + DAY_MS - 1)
    assert not check(ANA, False, credential, NOW_MS + DAY_MS)
    assert not check(ANA, False, credential, NOW_MS - 1)


def test_it_is_good_for_one_address_and_one_end() -> None:
    first, reset = (make_credential(KEY, ANA, NOW_MS + 1, reset=reset) for reset in (False, True))
    second = Address(ANA.app, ANA.user, 2)
    assert check(ANA, False, first)
    assert check(ANA, True, reset)
    assert not check(ANA, True, first)
    assert not check(ANA, False, reset)
    assert not check(BUDI, False, first)
    assert not check(second, False, first)
    assert not CredentialCheck(bytes(32), clock=lambda: NOW_MS)(ANA, False, first)


@given(st.binary(max_size=60))
def test_anything_else_is_none(credential: bytes) -> None:
    assert not check(ANA, False, credential)


@given(st.integers(0, 40 * 8 - 1))
def test_no_bit_may_be_another(bit: int) -> None:
    credential = bytearray(make_credential(KEY, ANA, NOW_MS + 1))
    credential[bit // 8] ^= 1 << bit % 8
    assert not check(ANA, False, bytes(credential))
    assert not check(ANA, False, bytes(credential) + b"\0")


def test_a_relay_that_asks_for_it(path: Path, clock: FakeClock) -> None:
    with Relay(path, clock=clock, authorise=CredentialCheck(KEY, clock=clock)) as relay:
        with pytest.raises(BackendRefused):
            relay.register(ANA, token(ANA))
        relay.register(ANA, token(ANA), credential=make_credential(KEY, ANA, NOW_MS + 1))
        relay.register(ANA, token(ANA))  # the same again asks for nothing
        again = make_credential(KEY, ANA, NOW_MS + 1)
        with pytest.raises(BackendRefused):
            relay.register(ANA, token(ANA, 1), credential=again)
        reset = make_credential(KEY, ANA, NOW_MS + 1, reset=True)
        relay.register(ANA, token(ANA, 1), credential=reset)
        relay.register(ANA, token(ANA, 2), replaces=token(ANA, 1))  # nobody is asked


@pytest.mark.parametrize(
    ("key", "address", "expires_at_ms", "reset"),
    [
        (KEY[:-1], ANA, 1, False),
        (KEY, "whatsapp:ana.1", 1, False),
        (KEY, ANA, -1, False),
        (KEY, ANA, 2**63, False),
        (KEY, ANA, 1.5, False),
        (KEY, ANA, 1, 1),
    ],
)
def test_wrong_arguments(key: Any, address: Any, expires_at_ms: Any, reset: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        make_credential(key, address, expires_at_ms, reset=reset)


def test_a_check_shows_no_key() -> None:
    assert repr(CredentialCheck(KEY)) == "<CredentialCheck>"
    with pytest.raises(InvalidArgument):
        CredentialCheck(KEY, clock=5)  # type: ignore[arg-type]
