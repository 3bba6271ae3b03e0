# SPDX-License-Identifier: Apache-2.0
"""The authenticator: proves that KEM keys and ciphertexts come from the peer of this session.

Its keys begin with what PQXDH agreed on, and take in the secret of every epoch. So whoever wants to
put a KEM key of their own into an epoch needs the secrets of all those before.

Source: docs/wire-format.md, post-quantum ratchet.
"""

from typing import Final, NamedTuple

from e2ecross.crypto.kdf import is_equal
from e2ecross.crypto.secret import SecretTuple
from e2ecross.crypto.spqr_kdf import (
    AuthenticatorKey,
    AuthKey,
    EpochSecret,
    authenticate_ciphertext,
    authenticate_header,
    derive_authenticator_keys,
)
from e2ecross.errors import AuthenticationFailed

__all__ = [
    "Authenticator",
    "ciphertext_mac",
    "first_authenticator",
    "header_mac",
    "next_authenticator",
    "verify_ciphertext",
    "verify_header",
]

_NO_KEY: Final = AuthenticatorKey(bytes(32))


class _Fields(NamedTuple):
    root: AuthenticatorKey
    mac_key: AuthenticatorKey


class Authenticator(SecretTuple, _Fields):
    """The keys of one epoch.

    Attributes:
        root: from which the next keys are derived, 32 bytes, secret.
        mac_key: of the MACs, 32 bytes, secret.
    """

    __slots__ = ()


def first_authenticator(auth_key: AuthKey) -> Authenticator:
    """Begin with what PQXDH has agreed on, 32 bytes, secret."""
    return Authenticator(*derive_authenticator_keys(_NO_KEY, auth_key, 1))


def next_authenticator(auth: Authenticator, epoch: int, secret: EpochSecret) -> Authenticator:
    """Take in the secret of an epoch, 32 bytes."""
    return Authenticator(*derive_authenticator_keys(auth.root, secret, epoch))


def header_mac(auth: Authenticator, epoch: int, header: bytes) -> bytes:
    """The MAC (32 bytes) of a header, 64 bytes, under the keys before the epoch's secret."""
    return authenticate_header(auth.mac_key, epoch, header)


def ciphertext_mac(auth: Authenticator, epoch: int, ciphertext: bytes) -> bytes:
    """The MAC (32 bytes) of a ciphertext, 1088 bytes, under the keys after the epoch's secret."""
    return authenticate_ciphertext(auth.mac_key, epoch, ciphertext)


def verify_header(auth: Authenticator, epoch: int, header: bytes, mac: bytes) -> None:
    """Check the MAC of a header, in constant time.

    Raises:
        AuthenticationFailed: it is another one.
    """
    if not is_equal(mac, header_mac(auth, epoch, header)):
        raise AuthenticationFailed("the header of a KEM key does not authenticate")


def verify_ciphertext(auth: Authenticator, epoch: int, ciphertext: bytes, mac: bytes) -> None:
    """Check the MAC of a ciphertext, in constant time.

    Raises:
        AuthenticationFailed: it is another one.
    """
    if not is_equal(mac, ciphertext_mac(auth, epoch, ciphertext)):
        raise AuthenticationFailed("a KEM ciphertext does not authenticate")
