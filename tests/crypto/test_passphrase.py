# SPDX-License-Identifier: Apache-2.0
import pickle
from typing import Any

import nacl.exceptions
import pytest
from nacl.pwhash import argon2id

from e2ecross.crypto.passphrase import (
    MAX_PASSPHRASE_BYTES,
    Argon2Work,
    Passphrase,
    PassphraseCost,
)
from e2ecross.errors import InvalidArgument, LocalError

SALT = bytes(range(16))
LEAST, MOST = PassphraseCost.INTERACTIVE.work, PassphraseCost.SENSITIVE.work
PLANTED = "a planted passphrase"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every derivation that would have been made; none is."""
    calls: list[tuple[Any, ...]] = []

    def kdf(*arguments: Any) -> bytes:  # noqa: ANN401
        calls.append(arguments)
        return bytes([len(calls)]) * 32

    monkeypatch.setattr(argon2id, "kdf", kdf)
    return calls


def test_the_costs_are_those_of_libsodium() -> None:
    for cost in PassphraseCost:
        passes = getattr(argon2id, f"OPSLIMIT_{cost.name}")
        memory_bytes = getattr(argon2id, f"MEMLIMIT_{cost.name}")
        assert (*cost.work,) == (passes, memory_bytes // 1_024)
        assert cost.work.is_within_bounds()


def test_argon2id_as_another_implementation_computes_it() -> None:
    # By OpenSSL 3.2 and later: `cryptography.hazmat.primitives.kdf.argon2.Argon2id(salt=SALT,
    # length=32, iterations=2, lanes=1, memory_cost=65536).derive(b"correct horse")`.
    key = Passphrase("correct horse").derive_key(SALT, LEAST)
    assert key.hex() == "9aab5a81db651bf866ff7b6169794d2ad9bb00f3d95177925a5fca692a34dbd1"
    assert Passphrase(b"correct horse").derive_key(SALT, LEAST) == key


def test_moderate_is_the_default(runs: list[tuple[Any, ...]]) -> None:
    assert Passphrase("x").work == PassphraseCost.MODERATE.work == (3, 262_144)
    assert Passphrase("x", "sensitive").work == MOST
    assert Passphrase("x", PassphraseCost.INTERACTIVE).work == LEAST
    Passphrase("x").derive_key(SALT, Passphrase("x").work)
    assert runs == [(32, b"x", SALT, 3, 256 * 1024 * 1024)]


@pytest.mark.parametrize("cost", ["", "min", "MODERATE", 3, None])
def test_another_cost_is_refused(cost: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match="passphrase_cost must be one of interactive, mod"):
        Passphrase("x", cost)


@pytest.mark.parametrize(
    "work",
    [
        (LEAST.passes - 1, LEAST.memory_kib),
        (LEAST.passes, LEAST.memory_kib - 1),
        (MOST.passes + 1, LEAST.memory_kib),
        (LEAST.passes, MOST.memory_kib + 1),
        (0, 0),
        (2**32 - 1, 2**32 - 1),
    ],
)
def test_work_out_of_bounds_is_refused_before_it_is_done(
    work: tuple[int, int], runs: list[tuple[Any, ...]]
) -> None:
    assert not Argon2Work(*work).is_within_bounds()
    with pytest.raises(InvalidArgument, match=r"^work must be between"):
        Passphrase("x").derive_key(SALT, Argon2Work(*work))
    assert not runs


def test_work_at_the_bounds_is_done(runs: list[tuple[Any, ...]]) -> None:
    corners = [
        Argon2Work(passes, memory)
        for passes in (LEAST.passes, MOST.passes)
        for memory in (LEAST.memory_kib, MOST.memory_kib)
    ]
    for work in corners:
        Passphrase("x").derive_key(SALT, work)
    assert [call[3:] for call in runs] == [(w.passes, w.memory_kib * 1_024) for w in corners]


def test_the_same_derivation_is_made_once(runs: list[tuple[Any, ...]]) -> None:
    passphrase = Passphrase("x")
    first = passphrase.derive_key(SALT, LEAST)
    assert passphrase.derive_key(SALT, LEAST) == first
    assert len(runs) == 1
    assert passphrase.derive_key(SALT[::-1], LEAST) != first
    assert passphrase.derive_key(SALT[::-1], MOST) != first
    assert len(runs) == 3


@pytest.mark.parametrize("salt", [b"", bytes(15), bytes(17)])
def test_the_salt_has_16_bytes(salt: bytes, runs: list[tuple[Any, ...]]) -> None:
    with pytest.raises(InvalidArgument, match="salt must be 16 bytes"):
        Passphrase("x").derive_key(salt, LEAST)
    assert not runs


def test_text_counts_in_one_normal_form(runs: list[tuple[Any, ...]]) -> None:
    for passphrase in ("\u00e9", "e\u0301", b"\xc3\xa9", b"e\xcc\x81"):
        Passphrase(passphrase).derive_key(SALT, LEAST)
    assert [call[1] for call in runs] == [b"\xc3\xa9"] * 3 + [b"e\xcc\x81"]


@pytest.mark.parametrize("passphrase", [b"", "", "x" * (MAX_PASSPHRASE_BYTES + 1)])
def test_the_length_is_checked(passphrase: str | bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"^passphrase must have 1 to 1024 bytes"):
        Passphrase(passphrase)


def test_the_longest_passphrase() -> None:
    Passphrase("x" * MAX_PASSPHRASE_BYTES)
    with pytest.raises(InvalidArgument, match="1 to 1024 bytes"):
        Passphrase("\u00e9" * (MAX_PASSPHRASE_BYTES // 2) + "x")


@pytest.mark.parametrize("passphrase", [None, 7, True, bytearray(b"x"), ["x"]])
def test_the_type_is_checked(passphrase: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=f"not {type(passphrase).__name__}$"):
        Passphrase(passphrase)


@pytest.mark.parametrize("surrogate", [0xD800, 0xDFFF])
def test_what_is_no_text_is_refused_without_being_shown(surrogate: int) -> None:
    with pytest.raises(InvalidArgument, match=r"^passphrase .* lone surrogate") as caught:
        Passphrase(PLANTED + chr(surrogate))
    assert caught.value.__context__ is None
    assert PLANTED not in str(caught.value)


def test_characters_beside_the_surrogates_are_text(runs: list[tuple[Any, ...]]) -> None:
    Passphrase("\ud7ff\ue000\U0001f600").derive_key(SALT, LEAST)
    assert runs[0][1] == "\ud7ff\ue000\U0001f600".encode()


@pytest.mark.parametrize("error", [nacl.exceptions.RuntimeError, MemoryError])
def test_too_little_memory_is_explained(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kdf(*_: Any) -> bytes:  # noqa: ANN401
        raise error

    monkeypatch.setattr(argon2id, "kdf", kdf)
    with pytest.raises(LocalError, match="64 MiB of memory are needed") as caught:
        Passphrase(PLANTED).derive_key(SALT, LEAST)
    assert PLANTED not in str(caught.value)


def test_it_shows_nothing() -> None:
    passphrase = Passphrase(PLANTED)
    assert repr(passphrase) == "<Passphrase: secret>"
    with pytest.raises(TypeError):
        pickle.dumps(passphrase)
