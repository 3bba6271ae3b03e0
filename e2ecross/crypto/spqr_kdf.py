# SPDX-License-Identifier: Apache-2.0
"""Key derivation of PQXDH and of the SPQR ratchet, and every label of both.

Rules:
- As in `kdf.py`: labels stand here and nowhere else; one type per kind of key.
- A link of a chain gives the next link and a message key in one derivation. To walk over many
  links, `derive_next_link` leaves the message key out.

Sources: PQXDH (revision 3, 2024-01-23) section 2.2; docs/wire-format.md, post-quantum ratchet. The
labels are those of deployed Signal clients, one of them with two spaces.
"""

import hashlib
from typing import Final, NewType

from e2ecross.crypto.kdf import ChainKey, MessageKey, RootKey, extract_to_pads, hkdf, hmac_sha256

__all__ = [
    "AuthKey",
    "AuthenticatorKey",
    "ChainRoot",
    "EpochSecret",
    "LinkKey",
    "SpqrKey",
    "authenticate_ciphertext",
    "authenticate_header",
    "derive_authenticator_keys",
    "derive_epoch_chains",
    "derive_epoch_secret",
    "derive_first_chains",
    "derive_link",
    "derive_next_link",
    "derive_pqxdh_keys",
]

AuthKey = NewType("AuthKey", bytes)
"""What PQXDH gives to the ratchet, 32 bytes."""
EpochSecret = NewType("EpochSecret", bytes)
"""What one exchange of keys gives, 32 bytes."""
ChainRoot = NewType("ChainRoot", bytes)
"""From which the chains of the next epoch are derived, 32 bytes."""
LinkKey = NewType("LinkKey", bytes)
"""From which the next link of a chain is derived, 32 bytes."""
AuthenticatorKey = NewType("AuthenticatorKey", bytes)
"""One of the two keys of the authenticator, 32 bytes."""
SpqrKey = NewType("SpqrKey", MessageKey)
"""What the ratchet adds to one message key, 32 bytes."""

_sha256 = hashlib.sha256

_ZERO_SALT: Final = bytes(32)
_PQXDH_PREFIX: Final = b"\xff" * 32  # PQXDH section 2.2: F, for X25519
_PQXDH_INFO: Final = b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024"
_PROTOCOL: Final = b"Signal_PQCKA_V1_MLKEM768"
_UPDATE_INFO: Final = _PROTOCOL + b":Authenticator Update"
_HEADER_LABEL: Final = _PROTOCOL + b":ekheader"
_CIPHERTEXT_LABEL: Final = _PROTOCOL + b":ciphertext"
_SECRET_INFO: Final = _PROTOCOL + b":SCKA Key"
_START_INFO: Final = b"Signal PQ Ratchet V1 Chain  Start"
_EPOCH_INFO: Final = b"Signal PQ Ratchet V1 Chain Add Epoch"
_LINK_INFO: Final = b"Signal PQ Ratchet V1 Chain Next"
_LINK_BLOCK_1: Final = _LINK_INFO + b"\x01"
_LINK_BLOCK_2: Final = _LINK_INFO + b"\x02"


def _number(epoch: int) -> bytes:
    return epoch.to_bytes(8, "big")


def derive_pqxdh_keys(dh_outputs: bytes, kem_secret: bytes) -> tuple[RootKey, ChainKey, AuthKey]:
    """Turn the agreements and the secret of PQXDH into the first keys, 32 bytes each.

    Args:
        dh_outputs: DH1 || DH2 || DH3 [|| DH4], 96 or 128 bytes, secret.
        kem_secret: 32 bytes, secret.

    Source: PQXDH sections 2.2 (KDF) and 3.3.
    """
    okm = hkdf(_ZERO_SALT, _PQXDH_PREFIX + dh_outputs + kem_secret, _PQXDH_INFO, 96)
    return RootKey(okm[:32]), ChainKey(okm[32:64]), AuthKey(okm[64:])


def derive_authenticator_keys(
    root: AuthenticatorKey, secret: AuthKey | EpochSecret, epoch: int
) -> tuple[AuthenticatorKey, AuthenticatorKey]:
    """Return the next root and the next MAC key of the authenticator, 32 bytes each."""
    okm = hkdf(_ZERO_SALT, root + secret, _UPDATE_INFO + _number(epoch), 64)
    return AuthenticatorKey(okm[:32]), AuthenticatorKey(okm[32:])


def authenticate_header(mac_key: AuthenticatorKey, epoch: int, header: bytes) -> bytes:
    """The MAC (32 bytes) of the header of a KEM key, 64 bytes."""
    return hmac_sha256(mac_key, _HEADER_LABEL + _number(epoch) + header)


def authenticate_ciphertext(mac_key: AuthenticatorKey, epoch: int, ciphertext: bytes) -> bytes:
    """The MAC (32 bytes) of a whole KEM ciphertext, 1088 bytes."""
    return hmac_sha256(mac_key, _CIPHERTEXT_LABEL + _number(epoch) + ciphertext)


def derive_epoch_secret(kem_secret: bytes, epoch: int) -> EpochSecret:
    """Turn the secret of the KEM (32 bytes) into that of the epoch."""
    return EpochSecret(hkdf(_ZERO_SALT, kem_secret, _SECRET_INFO + _number(epoch), 32))


def derive_first_chains(auth_key: AuthKey) -> tuple[ChainRoot, LinkKey, LinkKey]:
    """Begin epoch 0.

    Returns:
        The next root, the initiator's sending chain, the responder's sending chain.
    """
    return _split(hkdf(_ZERO_SALT, auth_key, _START_INFO, 96))


def derive_epoch_chains(root: ChainRoot, secret: EpochSecret) -> tuple[ChainRoot, LinkKey, LinkKey]:
    """Begin the next epoch; returns the same as `derive_first_chains`."""
    return _split(hkdf(root, secret, _EPOCH_INFO, 96))


def derive_link(link_key: LinkKey, index: int) -> tuple[LinkKey, SpqrKey]:
    """Take one step along a chain, to the message key of that index.

    Returns:
        The next link key and the message key, 32 bytes each.
    """
    inner, outer = extract_to_pads(link_key)
    info = index.to_bytes(4, "big")
    first = _sha256(outer + _sha256(inner + info + _LINK_BLOCK_1).digest()).digest()
    second = _sha256(outer + _sha256(inner + first + info + _LINK_BLOCK_2).digest()).digest()
    return LinkKey(first), SpqrKey(MessageKey(second))


def derive_next_link(link_key: LinkKey, index: int) -> LinkKey:
    """Take one step along a chain without deriving the message key of that index."""
    inner, outer = extract_to_pads(link_key)
    block = inner + index.to_bytes(4, "big") + _LINK_BLOCK_1
    return LinkKey(_sha256(outer + _sha256(block).digest()).digest())


def _split(okm: bytes) -> tuple[ChainRoot, LinkKey, LinkKey]:
    return ChainRoot(okm[:32]), LinkKey(okm[32:64]), LinkKey(okm[64:])
