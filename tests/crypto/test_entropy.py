# SPDX-License-Identifier: Apache-2.0
import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey

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


def test_encapsulations_are_fresh_repeated_or_replayed() -> None:
    private = MLKEM1024PrivateKey.from_seed_bytes(bytes(64))
    key = private.public_key().public_bytes_raw()
    for entropy in (SYSTEM_ENTROPY, SeededEntropy(1)):
        first, second = entropy.encapsulate(key), entropy.encapsulate(key)
        assert first != second
        assert private.decapsulate(first[1]) == first[0]
    assert SeededEntropy(1).encapsulate(key) == SeededEntropy(1).encapsulate(key)
    recorded = ReplayedEntropy([(b"secret", b"ciphertext"), b"ab"])
    with pytest.raises(AssertionError, match="2 bytes drawn, but value 0 is an encapsulation"):
        recorded.bytes(2)
    assert recorded.encapsulate(key) == (b"secret", b"ciphertext")
    with pytest.raises(AssertionError, match="an encapsulation drawn, but value 1 is none"):
        recorded.encapsulate(key)
    assert recorded.bytes(2) == b"ab"
    with pytest.raises(AssertionError, match="all 2 recorded values are used"):
        recorded.encapsulate(key)
