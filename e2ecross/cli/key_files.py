# SPDX-License-Identifier: Apache-2.0
"""Files with a secret: a key, or a passphrase.

Rules:
- No error shows what was in one.
"""

import re
from typing import Final

from e2ecross.crypto.passphrase import MAX_PASSPHRASE_BYTES

__all__ = ["BadKeyFile", "read_key", "read_passphrase"]

_KEY_BYTES: Final = 32
_HEX_KEY: Final = re.compile(rb"([0-9A-Fa-f]{64})(?:\r?\n)?")
_LONGEST_KEY_FILE: Final = 66


class BadKeyFile(Exception):
    """What is wrong with the key file, for the user."""


def read_key(name: str) -> bytes:
    """Return the key in a file, 32 bytes, secret.

    Raises:
        BadKeyFile: it cannot be read, or holds none.
    """
    data = _read_file(name, _LONGEST_KEY_FILE)
    if len(data) == _KEY_BYTES:
        return data
    digits = _HEX_KEY.fullmatch(data)
    if digits is None:
        raise BadKeyFile("holds no key: exactly 32 bytes, or 64 hexadecimal digits")
    return bytes.fromhex(digits[1].decode())


def read_passphrase(name: str) -> bytes:
    """Return the passphrase in a file, secret.

    Raises:
        BadKeyFile: it cannot be read, or holds none.
    """
    data = _read_file(name, MAX_PASSPHRASE_BYTES + len(b"\r\n"))
    passphrase = data.removesuffix(b"\n").removesuffix(b"\r")
    if not 0 < len(passphrase) <= MAX_PASSPHRASE_BYTES:
        raise BadKeyFile(f"holds no passphrase: one line of 1 to {MAX_PASSPHRASE_BYTES} bytes")
    return passphrase


def _read_file(name: str, most: int) -> bytes:
    """Read at most one byte more than may be there."""
    try:
        with open(name, "rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise BadKeyFile(f"cannot be read: {error.strerror or 'unknown reason'}") from error
    except ValueError as error:  # a name with a null character
        raise BadKeyFile("cannot be read: not the name of a file") from error
