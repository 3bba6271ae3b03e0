# SPDX-License-Identifier: Apache-2.0
"""Key derivation of linking, and every label of it.

Rules:
- The secret of the code goes into every key, and never through a back end: whoever has not seen the
  picture of the code can neither open nor make a message, also if X25519 falls one day.
- Each message has a key of its own, which is used once.

Source: docs/wire-format.md, linking.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from e2ecross.crypto.account_kdf import lp, prefixed
from e2ecross.crypto.kdf import hkdf, hmac_sha256
from e2ecross.crypto.secret import Secret

__all__ = [
    "LINK_DIGITS",
    "LINK_ID_BYTES",
    "LinkKeys",
    "derive_link_keys",
    "hash_token",
    "link_digits",
    "link_id",
    "link_transcript",
]

LINK_ID_BYTES: Final = 16
LINK_DIGITS: Final = 6
_KEY_BYTES: Final = 32
_KEYS_INFO: Final = b"e2ecross link keys 1"
_DIGITS_LABEL: Final = b"e2ecross link digits 1"
_DIGITS_BYTES: Final = 8


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LinkKeys(Secret):
    """The keys of one attempt, 32 bytes each, secret.

    Attributes:
        offer: seals what device 1 offers.
        answer: seals what the new device answers.
        result: seals the signed list.
        digits: makes what the user compares.
    """

    offer: bytes
    answer: bytes
    result: bytes
    digits: bytes


def link_id(code: bytes) -> bytes:
    """The name of the back end's box for an attempt, 16 bytes.

    Args:
        code: the encoded `LinkCode`, secret.
    """
    return hashlib.sha256(prefixed("link-id/v1") + lp(code)).digest()[:LINK_ID_BYTES]


def link_transcript(code: bytes, ephemeral_key: bytes) -> bytes:
    """What both ends of an attempt have seen before anything is sealed, hashed, 32 bytes.

    Args:
        code: the encoded `LinkCode`, secret.
        ephemeral_key: device 1's, 33 bytes.
    """
    return hashlib.sha256(prefixed("link-transcript/v1") + lp(code) + ephemeral_key).digest()


def derive_link_keys(transcript: bytes, agreement: bytes, secret: bytes) -> LinkKeys:
    """Derive the keys of an attempt.

    Args:
        transcript: 32 bytes.
        agreement: of both ephemeral keys, 32 bytes, secret.
        secret: that of the code, 32 bytes, secret.
    """
    okm = hkdf(transcript, agreement + secret, _KEYS_INFO, 4 * _KEY_BYTES)
    return LinkKeys(*(okm[at : at + _KEY_BYTES] for at in range(0, len(okm), _KEY_BYTES)))


def link_digits(key: bytes, offer: bytes, answer: bytes) -> str:
    """What device 1 shows and the user types into the new device: six digits.

    Args:
        key: `LinkKeys.digits`, 32 bytes, secret.
        offer: the encoded message.
        answer: the encoded message.
    """
    sent = hashlib.sha256(offer).digest() + hashlib.sha256(answer).digest()
    number = int.from_bytes(hmac_sha256(key, _DIGITS_LABEL + sent)[:_DIGITS_BYTES])
    return f"{number % 10**LINK_DIGITS:0{LINK_DIGITS}d}"


def hash_token(token: bytes) -> bytes:
    """What a back end is told of the token of a new device (32 bytes, secret): 32 bytes."""
    return hashlib.sha256(token).digest()
