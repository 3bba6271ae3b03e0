# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.keys import PublicKey, decode_public_key, key_pair_from_private
from e2ecross.crypto.prime_order import require_prime_order
from e2ecross.errors import InvalidKey
from tests.support.vectors import section

P = 2**255 - 19


def _key(u: int) -> PublicKey:
    return decode_public_key(b"\x05" + u.to_bytes(32, "little"))


@given(st.binary(min_size=32, max_size=32))
def test_every_honest_key_is_of_prime_order(private: bytes) -> None:
    require_prime_order(key_pair_from_private(private).public)


def test_recorded_keys_are_of_prime_order() -> None:
    for key in section("keys").values():
        require_prime_order(decode_public_key(bytes.fromhex(key["public"])))


def _is_on_curve(u: int) -> bool:
    """Euler's criterion for v^2 = u^3 + 486662 u^2 + u."""
    return pow(u**3 + 486662 * u**2 + u, (P - 1) // 2, P) == 1


@given(st.integers(2, P - 2))
def test_a_point_of_the_twist_is_refused(u: int) -> None:
    if _is_on_curve(u):
        return
    with pytest.raises(InvalidKey, match="prime order"):
        require_prime_order(_key(u))


def test_a_point_with_a_component_of_low_order_is_refused() -> None:
    # (u, v) + (0, 0) = (1/u, ...) on this curve: the base point plus the point of order 2.
    u = pow(9, -1, P)
    assert _is_on_curve(u)
    with pytest.raises(InvalidKey, match="prime order"):
        require_prime_order(_key(u))
