# SPDX-License-Identifier: Apache-2.0
"""Results of slow pure functions, remembered: thousands of tests make the same devices.

Rules:
- What is remembered belongs to the libraries below the package: every line of the package runs.
- The results are those that the function gives: only of equal arguments the same again.
- What a function refuses is not remembered.
"""

import functools
from types import SimpleNamespace
from typing import Any, Final

import nacl.bindings
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey
from nacl.pwhash import argon2id

from e2ecross.crypto import kem

__all__ = ["remember"]

_KEM_KEYS: Final = 4_096  # some twelve kilobytes each
_POINTS: Final = 32_768  # some hundreds of bytes each


class _Key:
    """A private key that makes its public one once; all else is the genuine one's."""

    def __init__(self, private: MLKEM1024PrivateKey) -> None:
        self.decapsulate = private.decapsulate
        encoded = private.public_key().public_bytes_raw()
        self._public = SimpleNamespace(public_bytes_raw=lambda: encoded)

    def public_key(self) -> SimpleNamespace:
        return self._public


class _RememberedKeys:
    """Stands where a module has `MLKEM1024PrivateKey`: a seed's key is made once."""

    @staticmethod
    @functools.lru_cache(_KEM_KEYS)
    def from_seed_bytes(seed: bytes) -> _Key:
        return _Key(MLKEM1024PrivateKey.from_seed_bytes(seed))


def remember() -> None:
    """From here on: KEM keys by seed, keys by passphrase and salt, points by scalar and point."""
    vars(kem)["MLKEM1024PrivateKey"] = _RememberedKeys
    _wrap(argon2id, "kdf", 256)
    _wrap(nacl.bindings, "crypto_scalarmult", _POINTS)
    _wrap(nacl.bindings, "crypto_scalarmult_base", _POINTS)
    _wrap(nacl.bindings, "crypto_scalarmult_ed25519_base_noclamp", _POINTS)
    _wrap(nacl.bindings, "crypto_scalarmult_ed25519_noclamp", _POINTS)


def _wrap(module: Any, name: str, results: int) -> None:  # noqa: ANN401
    genuine = vars(module)[name]
    if not hasattr(genuine, "cache_info"):  # once, however often it is imported
        vars(module)[name] = functools.lru_cache(results)(genuine)
