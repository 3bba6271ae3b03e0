# SPDX-License-Identifier: Apache-2.0
import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import UserId
from e2ecross.errors import DecodeError, InvalidArgument, RemoteError, UnsupportedVersion
from e2ecross.protocol import safety_number
from e2ecross.protocol.safety_number import (
    SafetyNumber,
    combine_fingerprints,
    compute_fingerprint,
    make_safety_number,
)
from tests.support.vectors import key_pair, public_key, section, unhex

ALICE, BOB = key_pair("alice_identity").public, key_pair("bob_identity").public
ANA, BUDI = UserId("whatsapp", "ana"), UserId("instagram", "budi")
LOCAL, REMOTE = bytes(range(64)), bytes(range(64, 128))
OURS = combine_fingerprints(LOCAL, REMOTE)
THEIRS = combine_fingerprints(REMOTE, LOCAL)
vectors = pytest.mark.parametrize("index", range(len(section("fingerprints"))))


@vectors
def test_fingerprints_of_the_vectors(index: int) -> None:
    item = section("fingerprints")[index]
    alice, bob = (
        compute_fingerprint(
            unhex(item[f"{name}_id"]), public_key(item[f"{name}_key"]), item["iterations"]
        )
        for name in ("alice", "bob")
    )
    assert (alice.hex(), bob.hex()) == (item["alice_hash"], item["bob_hash"])
    ours = combine_fingerprints(alice, bob, item["version"])
    theirs = combine_fingerprints(bob, alice, item["version"])
    assert ours.digits == theirs.digits == item["display"]
    assert ours.scannable.hex() == item["alice_scannable"]
    assert theirs.scannable.hex() == item["bob_scannable"]
    assert ours.matches(theirs.scannable)
    assert theirs.matches(ours.scannable)
    assert not ours.matches(ours.scannable)


def test_safety_number_of_accounts_has_5200_iterations_version_2_and_app_and_user() -> None:
    number = make_safety_number(ANA, ALICE, BUDI, BOB)
    assert number == combine_fingerprints(
        compute_fingerprint(b"whatsapp:ana", ALICE, 5200),
        compute_fingerprint(b"instagram:budi", BOB, 5200),
        2,
    )
    assert len(number.digits) == 60
    assert number.digits.isdecimal()
    assert len(number.scannable) == 74
    assert number.scannable[:2] == b"\x08\x02"


def test_both_ends_see_the_same_digits_and_match() -> None:
    ours = make_safety_number(ANA, ALICE, BUDI, BOB)
    theirs = make_safety_number(BUDI, BOB, ANA, ALICE)
    assert ours.digits == theirs.digits
    assert ours.matches(theirs.scannable)
    assert theirs.matches(ours.scannable)


def test_any_other_key_or_account_gives_another_number() -> None:
    eve = key_pair("bob_ratchet").public
    numbers = {
        make_safety_number(*who).digits
        for who in (
            (ANA, ALICE, BUDI, BOB),
            (ANA, ALICE, BUDI, eve),
            (ANA, eve, BUDI, BOB),
            (ANA, BOB, BUDI, ALICE),
            (UserId("whatsapp", "anb"), ALICE, BUDI, BOB),
            (UserId("instagram", "ana"), ALICE, BUDI, BOB),
        )
    }
    assert len(numbers) == 6


def test_digits_are_the_smaller_half_first_with_leading_zeros() -> None:
    low, high = bytes(64), b"\xff" * 64
    # 2^40 - 1 mod 100000
    assert combine_fingerprints(high, low).digits == "00000" * 6 + "27775" * 6
    assert combine_fingerprints(low, high).digits == "00000" * 6 + "27775" * 6


def test_only_the_first_30_bytes_show_in_the_digits_and_32_in_the_code() -> None:
    for length, digits_same, code_same in ((30, True, False), (32, True, True), (29, False, False)):
        changed = LOCAL[:length] + b"\xff" * (64 - length)
        number = combine_fingerprints(changed, REMOTE)
        assert (number.digits == OURS.digits) is digits_same
        assert (number.scannable == OURS.scannable) is code_same


def test_code_of_others_does_not_match() -> None:
    stranger = b"\x01" * 64
    for local, remote in itertools.product((LOCAL, REMOTE, stranger), repeat=2):
        number = combine_fingerprints(local, remote)
        assert OURS.matches(number.scannable) is ((local, remote) == (REMOTE, LOCAL))


@pytest.mark.parametrize("bit", range(8 * 32))
def test_any_flipped_bit_of_a_fingerprint_is_no_match(bit: int) -> None:
    for start in (6, 42):
        flipped = bytearray(THEIRS.scannable)
        flipped[start + bit // 8] ^= 1 << bit % 8
        assert not OURS.matches(bytes(flipped))


def test_both_halves_are_always_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []

    def never(left: bytes, right: bytes) -> bool:
        calls.append(left)
        return False

    monkeypatch.setattr(safety_number, "is_equal", never)
    assert not OURS.matches(THEIRS.scannable)
    assert len(calls) == 2


@pytest.mark.parametrize(("version", "older"), [(0, "their"), (1, "their"), (3, "this")])
def test_another_version_is_told_apart_from_no_match(version: int, older: str) -> None:
    code = combine_fingerprints(REMOTE, LOCAL, version).scannable
    with pytest.raises(UnsupportedVersion, match=f"version {version}, ours 2: {older} app is"):
        OURS.matches(code)


def test_code_without_version_is_version_0() -> None:
    with pytest.raises(UnsupportedVersion, match="version 0"):
        OURS.matches(THEIRS.scannable[2:])
    ours = combine_fingerprints(LOCAL, REMOTE, 0)
    assert ours.matches(THEIRS.scannable[2:])


def test_code_that_is_none_is_refused() -> None:
    for code in (b"", b"\xff", THEIRS.scannable[:-1], b"https://example.org/"):
        with pytest.raises(DecodeError):
            OURS.matches(code)


@given(st.binary(max_size=100))
def test_arbitrary_codes_do_not_match_or_are_refused(code: bytes) -> None:
    with contextlib.suppress(RemoteError):
        assert not OURS.matches(code)


def test_safety_number_is_a_value() -> None:
    assert SafetyNumber(OURS.digits, OURS.scannable) == OURS


@pytest.mark.parametrize(("iterations", "allowed"), [(1, False), (2, True), (1_000_001, False)])
def test_iterations_have_bounds(iterations: int, allowed: bool) -> None:
    with (
        contextlib.nullcontext()
        if allowed
        else pytest.raises(InvalidArgument, match=r"^iterations ")
    ):
        compute_fingerprint(b"id", ALICE, iterations)


def test_a_million_iterations_is_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def hash_in_no_time(first: bytes, each: bytes, iterations: int) -> bytes:
        asked.append(iterations)
        return bytes(64)

    monkeypatch.setattr(safety_number, "iterated_sha512", hash_in_no_time)
    compute_fingerprint(b"id", ALICE, 1_000_000)
    with pytest.raises(InvalidArgument, match=r"^iterations .* 2 to 1000000$"):
        compute_fingerprint(b"id", ALICE, 1_000_001)
    assert asked == [1_000_000]
