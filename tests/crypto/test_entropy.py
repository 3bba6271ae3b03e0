# SPDX-License-Identifier: Apache-2.0
import pytest

from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from tests.support.entropy import NO_ENTROPY, ReplayedEntropy, SeededEntropy


@pytest.mark.parametrize("n", [0, 1, 32, 64, 100])
def test_system_entropy_has_the_length_asked_for(n: int) -> None:
    assert len(SYSTEM_ENTROPY.bytes(n)) == n


def test_system_entropy_does_not_repeat() -> None:
    assert len({SYSTEM_ENTROPY.bytes(32) for _ in range(100)}) == 100


def test_system_entropy_holds_no_state() -> None:
    assert not hasattr(SYSTEM_ENTROPY, "__dict__")


def test_seeded_entropy_repeats_by_seed_and_never_within_one() -> None:
    first, again, other = SeededEntropy(1), SeededEntropy(1), SeededEntropy("1")
    drawn = [first.bytes(n) for n in (32, 64, 7, 100, 32)]
    assert drawn == [again.bytes(n) for n in (32, 64, 7, 100, 32)]
    assert list(map(len, drawn)) == [32, 64, 7, 100, 32]
    assert drawn[0] != drawn[4]
    assert other.bytes(32) != drawn[0]


def test_replayed_entropy_fails_loudly() -> None:
    entropy = ReplayedEntropy([b"ab", b"c"])
    with pytest.raises(AssertionError, match="3 bytes drawn, but value 0 has 2"):
        entropy.bytes(3)
    assert entropy.bytes(2) == b"ab"
    assert entropy.left == 1
    assert entropy.bytes(1) == b"c"
    with pytest.raises(AssertionError, match="all 2 recorded values are used"):
        entropy.bytes(1)
    with pytest.raises(AssertionError):
        NO_ENTROPY.bytes(0)
