# SPDX-License-Identifier: Apache-2.0
import runpy
from collections.abc import Iterator

import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto import prime_order
from e2ecross.crypto.keys import PublicKey, decode_public_key, key_pair_from_private
from e2ecross.crypto.prime_order import require_prime_order
from e2ecross.errors import InvalidKey
from tests.support.vectors import section

P = 2**255 - 19


@pytest.fixture(autouse=True, params=[True, False], ids=["libsodium's", "by a multiple"])
def check(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways to check: with a libsodium whose own check is sound, and with an older one."""
    sound: bool = request.param
    if sound and not prime_order._HAS_SOUND_CHECK:
        pytest.skip("this libsodium has no sound check")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prime_order, "_HAS_SOUND_CHECK", sound)
        yield


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


@pytest.mark.parametrize(
    ("order", "encoded"),
    [
        (2, (P - 1).to_bytes(32, "little")),
        (4, bytes(32)),  # y = 0
        (8, bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")),
    ],
    ids=["order 2", "order 4", "order 8"],
)
@given(private=st.binary(min_size=32, max_size=32).filter(any))
def test_an_honest_key_plus_a_point_of_low_order_is_refused(
    order: int, encoded: bytes, private: bytes
) -> None:
    honest = nacl.bindings.crypto_scalarmult_ed25519_base(private)
    total, times = honest, 1
    while times == 1 or total != honest:
        total, times = nacl.bindings.crypto_core_ed25519_add(total, encoded), times + 1
    assert times == order + 1
    moved = nacl.bindings.crypto_core_ed25519_add(honest, encoded)
    y = int.from_bytes(moved, "little") & (2**255 - 1)
    with pytest.raises(InvalidKey, match="prime order"):
        require_prime_order(_key((1 + y) * pow(1 - y, -1, P) % P))


_BASE = nacl.bindings.crypto_scalarmult_ed25519_base_noclamp((1).to_bytes(32, "little"))
_MOVED = nacl.bindings.crypto_core_ed25519_add(_BASE, (P - 1).to_bytes(32, "little"))


def test_libsodium_is_asked_only_if_it_refuses_a_component_of_order_2() -> None:
    fresh = runpy.run_path(prime_order.__file__)
    accepted = nacl.bindings.crypto_core_ed25519_is_valid_point(_MOVED)
    assert fresh["_HAS_SOUND_CHECK"] is not accepted


def test_an_older_libsodium_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that lets points with a component of order 2 pass, and multiplies them correctly."""
    multiple = _BASE[:31] + bytes((_BASE[31] | 0x80,))  # the same of both, with n - 1 even
    monkeypatch.setattr(prime_order, "_HAS_SOUND_CHECK", False)
    for name in ("crypto_core_ed25519_is_valid_point", "crypto_scalarmult_ed25519_noclamp"):
        monkeypatch.setattr(nacl.bindings, name, lambda *_: multiple)
    require_prime_order(_key(9))
    with pytest.raises(InvalidKey, match="prime order"):
        require_prime_order(_key(pow(9, -1, P)))
    assert not runpy.run_path(prime_order.__file__)["_HAS_SOUND_CHECK"]
