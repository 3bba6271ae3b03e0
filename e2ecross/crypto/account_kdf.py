# SPDX-License-Identifier: Apache-2.0
"""What accounts sign and hash: every label of it.

Rules:
- What is signed begins with a prefix that says what it is, and starts with a byte that begins no
  prekey (05 curve, 08 Kyber) and no signature of deployed clients (06 00 to 06 06, FF): a signature
  in the place of another does not verify.
- Parts of variable length go with their length: no two lists of parts are the same bytes.

Source: docs/wire-format.md, device lists.
"""

import hashlib
from typing import Final

__all__ = [
    "HASH_BYTES",
    "consent_message",
    "device_list_message",
    "hash_device_list",
    "lp",
    "person_link_message",
    "prefixed",
]

HASH_BYTES: Final = 32


def prefixed(label: str) -> bytes:
    """The prefix of something that is signed or hashed under a label."""
    return b"\x06e2ecross/" + label.encode("ascii") + b"\0"


def lp(data: bytes) -> bytes:
    """The bytes behind their length, 4 bytes big-endian."""
    return len(data).to_bytes(4) + data


def device_list_message(encoded: bytes) -> bytes:
    """What the account key signs: an encoded device list."""
    return prefixed("device-list/v1") + lp(encoded)


def consent_message(
    app: str, user: str, device: int, identity_key: bytes, account_key: bytes
) -> bytes:
    """What a device signs that belongs to an account under a number.

    Args:
        app: of the account.
        user: of the account.
        device: its number, 1 to 127.
        identity_key: its own, 33 bytes.
        account_key: the account's, 33 bytes.
    """
    who = lp(app.encode("ascii")) + lp(user.encode("ascii")) + bytes((device,))
    return prefixed("device/v1") + who + identity_key + account_key


def hash_device_list(encoded: bytes) -> bytes:
    """The hash of an encoded device list, 32 bytes: what the next one names, and hints."""
    return hashlib.sha256(prefixed("device-list-hash/v1") + lp(encoded)).digest()


def person_link_message(encoded: bytes) -> bytes:
    """What the keys of two accounts sign that are one person's: an encoded person link."""
    return prefixed("person-link/v1") + lp(encoded)
