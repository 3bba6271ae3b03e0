# SPDX-License-Identifier: Apache-2.0
"""Credentials for registering: the app's own log-in service says who may claim which address.

Rules:
- Whoever has the key may make a credential; a relay checks it with the same key, and asks nobody.
- It is good for one address, until a time, at most a day ahead. It may be used more than once.
- One that resets an address, which is taken under another token, is good for nothing else.

A credential is `expires_at_ms (8 bytes, big-endian) || HMAC-SHA-256(key, "e2ecross registration 1"
|| length (4 bytes, big-endian) || address || expires_at_ms)`; with " reset" after the address for
a reset.

Source: docs/service.md, who may register.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_callable, require_type, require_whole_number

__all__ = ["KEY_BYTES", "CredentialCheck", "make_credential"]

KEY_BYTES: Final = 32
_DAY_MS: Final = 24 * 60 * 60 * 1000
_TIME_BYTES: Final = 8
_BYTES: Final = _TIME_BYTES + 32
_LABEL: Final = b"e2ecross registration 1"
_MAX_MS: Final = 2**63 - 1


def make_credential(
    key: bytes, address: Address, expires_at_ms: int, *, reset: bool = False
) -> bytes:
    """Return a credential, 40 bytes, secret; for the app's own log-in service to hand out.

    Args:
        key: that of the relay, 32 bytes, secret.
        address: which device may be registered.
        expires_at_ms: until when, milliseconds since 1970; a relay takes none that is good for
            more than a day.
        reset: whether it may be taken from whoever has it: what waits for them is dropped.

    Raises:
        InvalidArgument: an argument has the wrong type, length or range.
    """
    require_bytes("key", key, KEY_BYTES)
    require_type("address", address, Address)
    require_whole_number("expires_at_ms", expires_at_ms, 0, _MAX_MS)
    require_type("reset", reset, bool)
    expires = expires_at_ms.to_bytes(_TIME_BYTES, "big")
    return expires + _tag(key, address, expires, reset)


class CredentialCheck:
    """Says whether a device may register: `Relay(path, authorise=CredentialCheck(key))`.

    Args:
        key: 32 bytes, secret.
        clock: returns the time, milliseconds since 1970.
    """

    def __init__(
        self, key: bytes, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        require_bytes("key", key, KEY_BYTES)
        require_callable("clock", clock)
        self._key = key
        self._clock = clock

    def __repr__(self) -> str:
        return "<CredentialCheck>"

    def __call__(self, address: Address, taken: bool, credential: bytes) -> bool:
        """Say whether the credential lets its holder claim the address."""
        expires, tag = credential[:_TIME_BYTES], credential[_TIME_BYTES:]
        is_right = hmac.compare_digest(tag, _tag(self._key, address, expires, taken))
        left_ms = int.from_bytes(expires, "big") - self._clock()
        return is_right and len(credential) == _BYTES and 0 < left_ms <= _DAY_MS


def _tag(key: bytes, address: Address, expires: bytes, reset: bool) -> bytes:
    text = f"{address} reset" if reset else str(address)
    named = text.encode("ascii")
    message = _LABEL + len(named).to_bytes(4, "big") + named + expires
    return hmac.new(key, message, hashlib.sha256).digest()
