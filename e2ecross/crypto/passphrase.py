# SPDX-License-Identifier: Apache-2.0
"""Keys from passphrases: Argon2id, which makes each guess cost time and memory.

Rules:
- Never less work than libsodium's interactive setting, also where a stored number asks for less.
- Never more than its sensitive setting: the numbers come from a file, which may be hostile, and
  they are checked before any work is done.
- A passphrase that is text counts as its NFC form in UTF-8 (RFC 8265, OpaqueString, for the
  normalisation): keyboards differ in how they write an accented letter.

Source: RFC 9106; libsodium's `crypto_pwhash`, algorithm Argon2id version 1.3, one lane.
"""

import enum
import unicodedata
from typing import Final, NamedTuple

import nacl.exceptions
from nacl.pwhash import argon2id

from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidArgument, LocalError

__all__ = [
    "KEY_BYTES",
    "MAX_PASSPHRASE_BYTES",
    "SALT_BYTES",
    "Argon2Work",
    "Passphrase",
    "PassphraseCost",
]

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16

MAX_PASSPHRASE_BYTES: Final = 1_024
"""Far above what anybody types; what is longer is a key, and should be used as one."""

_KIB: Final = 1_024


class Argon2Work(NamedTuple):
    """How much work one derivation is.

    Attributes:
        passes: over the memory (libsodium's opslimit).
        memory_kib: in units of 1,024 bytes (libsodium's memlimit, in bytes there).
    """

    passes: int
    memory_kib: int

    def is_within_bounds(self) -> bool:
        """Whether both numbers lie between the interactive and the sensitive setting."""
        least, most = PassphraseCost.INTERACTIVE.work, PassphraseCost.SENSITIVE.work
        return (
            least.passes <= self.passes <= most.passes
            and least.memory_kib <= self.memory_kib <= most.memory_kib
        )


class PassphraseCost(enum.StrEnum):
    """How hard a passphrase is made to guess; each is libsodium's setting of that name."""

    INTERACTIVE = "interactive"
    """2 passes over 64 MiB: the least that is accepted."""
    MODERATE = "moderate"
    """3 passes over 256 MiB."""
    SENSITIVE = "sensitive"
    """4 passes over 1 GiB."""

    @property
    def work(self) -> Argon2Work:
        """The numbers behind the name."""
        return _WORK[self]


_WORK: Final = {
    PassphraseCost.INTERACTIVE: Argon2Work(2, 64 * _KIB),
    PassphraseCost.MODERATE: Argon2Work(3, 256 * _KIB),
    PassphraseCost.SENSITIVE: Argon2Work(4, 1_024 * _KIB),
}


class Passphrase(Secret):
    """A passphrase, and the last key that was derived from it. To be dropped after use.

    Args:
        passphrase: text, or bytes as they are; 1 to `MAX_PASSPHRASE_BYTES` bytes, secret.
        cost: of keys that are newly made from it.

    Raises:
        InvalidArgument: not text or bytes, empty, too long, or no Unicode text; no such cost.
    """

    __slots__ = ("_encoded", "_last", "work")

    def __init__(
        self, passphrase: str | bytes, cost: PassphraseCost | str = PassphraseCost.MODERATE
    ) -> None:
        self._encoded = _encode(passphrase)
        self._last: tuple[bytes, Argon2Work, bytes] | None = None
        # Looked for rather than caught: who mixes up the two has the passphrase in that error.
        known = [known for known in PassphraseCost if known == cost]
        if not known:
            names = ", ".join(PassphraseCost)
            raise InvalidArgument(f"passphrase_cost must be one of {names}")
        self.work = known[0].work

    def derive_key(self, salt: bytes, work: Argon2Work) -> bytes:
        """Derive a key; the same arguments again cost nothing.

        Args:
            salt: 16 bytes, random, kept with what the key protects.
            work: how much; within the bounds of this module.

        Returns:
            32 bytes, secret.

        Raises:
            InvalidArgument: the salt has the wrong length, or `work` is out of bounds.
            LocalError: there is not enough memory.
        """
        if len(salt) != SALT_BYTES:
            raise InvalidArgument(f"salt must be {SALT_BYTES} bytes")
        if not work.is_within_bounds():
            raise InvalidArgument("work must be between the interactive and the sensitive setting")
        if self._last is None or self._last[:2] != (salt, work):
            self._last = (salt, work, self._run(salt, work))
        return self._last[2]

    def _run(self, salt: bytes, work: Argon2Work) -> bytes:
        memory_bytes = work.memory_kib * _KIB
        try:
            return argon2id.kdf(KEY_BYTES, self._encoded, salt, work.passes, memory_bytes)
        except (nacl.exceptions.CryptoError, MemoryError) as exc:
            raise LocalError(
                f"the key cannot be derived from the passphrase: {work.memory_kib // _KIB} MiB of "
                "memory are needed"
            ) from exc


def _encode(passphrase: object) -> bytes:
    if type(passphrase) is str:
        # Looked for rather than caught: that error would carry the passphrase.
        if any("\ud800" <= character <= "\udfff" for character in passphrase):
            raise InvalidArgument("passphrase must be Unicode text: it has a lone surrogate")
        encoded = unicodedata.normalize("NFC", passphrase).encode("utf-8")
    elif type(passphrase) is bytes:
        encoded = passphrase
    else:
        raise InvalidArgument(f"passphrase must be str or bytes, not {type(passphrase).__name__}")
    if not 0 < len(encoded) <= MAX_PASSPHRASE_BYTES:
        raise InvalidArgument(f"passphrase must have 1 to {MAX_PASSPHRASE_BYTES} bytes")
    return encoded
