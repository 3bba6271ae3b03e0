# SPDX-License-Identifier: Apache-2.0
"""Results of slow pure functions, remembered: thousands of tests make the same devices.

Rules:
- What is remembered belongs to the libraries below the package: every line of the package runs.
- The results are those that the function gives: only of equal arguments the same again.
"""

import functools
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM1024PrivateKey
from nacl.pwhash import argon2id

from e2ecross.crypto import kem

__all__ = ["remember"]

_KEM_KEYS: Final = 4_096  # some twelve kilobytes each


class _RememberedKeys:
    """Stands where a module has `MLKEM1024PrivateKey`: a seed's key is made once."""

    from_seed_bytes = staticmethod(
        functools.lru_cache(_KEM_KEYS)(MLKEM1024PrivateKey.from_seed_bytes)
    )


def remember() -> None:
    """From here on: KEM keys by their seed, and keys by passphrase, salt and work."""
    vars(kem)["MLKEM1024PrivateKey"] = _RememberedKeys
    derive = cast(Any, argon2id.kdf)
    vars(argon2id)["kdf"] = functools.lru_cache(256)(derive)
