# SPDX-License-Identifier: Apache-2.0
"""The sealing header: what a store keeps to recognise its key or its passphrase.

Rules:
- Its first byte is its kind: 0 a store that is not sealed, 1 one that is sealed with a key, 2 one
  that is sealed with a key that Argon2id makes from a passphrase.
- The numbers of kind 2 are checked before they cost anything: a hostile file gets neither a key
  that is cheap to guess nor gigabytes of memory.
- Whether a key is right is told by a block that is sealed with it; nothing else of the store is
  touched before.
"""

import struct
from typing import Final

from e2ecross.arguments import forgets_secrets
from e2ecross.crypto.aead import KEY_BYTES, NONCE_BYTES, TAG_BYTES, open_sealed, seal
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import hkdf
from e2ecross.crypto.passphrase import SALT_BYTES as PASSPHRASE_SALT_BYTES
from e2ecross.crypto.passphrase import Argon2Work, Passphrase, PassphraseCost
from e2ecross.crypto.secret import Secret
from e2ecross.errors import (
    AuthenticationFailed,
    InvalidArgument,
    StoreCorrupted,
    StoreTooNew,
    WrongStoreKey,
)
from e2ecross.stores.sealing import Sealer

# `PassphraseCost` is handed on for the stores, which may not import from crypto themselves.
__all__ = [
    "PassphraseCost",
    "StoreKey",
    "StoreOpener",
    "check_store_key",
    "create_sealing",
    "open_sealing",
]

StoreKey = bytes | Passphrase | None
"""32 bytes, a passphrase, or None for a store that is not sealed."""

_UNSEALED: Final = b"\x00"
_BY_KEY: Final = b"\x01"
_BY_PASSPHRASE: Final = b"\x02"
_LAST_KIND: Final = 2
_WORK: Final = struct.Struct(">II")
_SALT_BYTES: Final = 32
_CHECK_VALUE: Final = bytes(32)
_COMMON_BYTES: Final = _SALT_BYTES + NONCE_BYTES + len(_CHECK_VALUE) + TAG_BYTES
_HEADER_BYTES: Final = 1 + _COMMON_BYTES
_PASSPHRASE_HEADER_BYTES: Final = _HEADER_BYTES + _WORK.size + PASSPHRASE_SALT_BYTES

_WRONG_KEY: Final = "the key does not open this store"
_WRONG_WORDS: Final = (
    "the passphrase does not open this store. It counts character by character: capitals, spaces, "
    "and letters of another keyboard that look the same make another one. Text counts in the "
    "Unicode form NFC, bytes count as they are"
)

_SEALING_INFO: Final = b"e2ecross store 1 sealing"
_BLINDING_INFO: Final = b"e2ecross store 1 blinding"
_CHECK_DATA: Final = b"e2ecross store 1 check"


@forgets_secrets
def check_store_key(
    key: object,
    passphrase: str | bytes | None = None,
    passphrase_cost: PassphraseCost | str = PassphraseCost.MODERATE,
) -> StoreKey:
    """Return what the caller handed in to open a store with.

    Args:
        key: None or 32 bytes, secret.
        passphrase: None or text or bytes, secret.
        passphrase_cost: for a header that is newly made from the passphrase.

    Raises:
        InvalidArgument: of the wrong type or length, or both were given.
    """
    if key is not None and (type(key) is not bytes or len(key) != KEY_BYTES):
        raise InvalidArgument(f"key must be None or exactly {KEY_BYTES} bytes")
    if passphrase is None:
        return key
    if key is not None:
        raise InvalidArgument("key and passphrase exclude each other: give one of them")
    return Passphrase(passphrase, passphrase_cost)


@forgets_secrets
def create_sealing(key: StoreKey, entropy: EntropySource) -> bytes:
    """Make what a new store keeps to recognise its key.

    Args:
        key: see `StoreKey`; secret.
        entropy: source of the salts and the nonce.

    Returns:
        For `open_sealing`; 1 byte, or 93 (kind, salt, nonce, sealed check value), or 117
        (kind, passes, KiB, salt of the passphrase, then as before).

    Raises:
        LocalError: there is not enough memory for the passphrase.
    """
    if key is None:
        return _UNSEALED
    prefix = _BY_KEY
    if isinstance(key, Passphrase):
        prefix = _BY_PASSPHRASE + _WORK.pack(*key.work) + entropy.bytes(PASSPHRASE_SALT_BYTES)
        key = key.derive_key(prefix[-PASSPHRASE_SALT_BYTES:], key.work)
    salt = entropy.bytes(_SALT_BYTES)
    nonce = entropy.bytes(NONCE_BYTES)
    sealing_key = hkdf(salt, key, _SEALING_INFO, KEY_BYTES)
    check = seal(sealing_key, nonce, _CHECK_VALUE, _CHECK_DATA + prefix)
    return prefix + salt + nonce + check


@forgets_secrets
def open_sealing(key: StoreKey, header: bytes, entropy: EntropySource) -> Sealer | None:
    """Check the key against what `create_sealing` made.

    Args:
        key: see `StoreKey`; secret.
        header: what the store kept.
        entropy: source of the nonces to come.

    Returns:
        The sealer of this store, or None when it is not sealed.

    Raises:
        WrongStoreKey: another key, or one too many, or none where one is needed.
        StoreTooNew: a newer release sealed the store.
        StoreCorrupted: these are no such bytes.
        LocalError: there is not enough memory for the passphrase.
    """
    prefix, rest = _split(header)
    if prefix == _UNSEALED:
        if key is not None:
            raise WrongStoreKey("the store is not encrypted: open it without key or passphrase")
        return None
    store_key = _store_key(key, prefix)
    salt, rest = rest[:_SALT_BYTES], rest[_SALT_BYTES:]
    sealing_key = hkdf(salt, store_key, _SEALING_INFO, KEY_BYTES)
    try:
        open_sealed(sealing_key, rest[:NONCE_BYTES], rest[NONCE_BYTES:], _CHECK_DATA + prefix)
    except AuthenticationFailed as exc:
        raise WrongStoreKey(_WRONG_KEY if prefix == _BY_KEY else _WRONG_WORDS) from exc
    return Sealer(sealing_key, hkdf(salt, store_key, _BLINDING_INFO, KEY_BYTES), entropy)


def _split(header: bytes) -> tuple[bytes, bytes]:
    """Kind, with what the passphrase needs, and the rest; of the right lengths."""
    kind = header[:1]
    if kind > _BY_PASSPHRASE:
        raise StoreTooNew("the encryption of the store", header[0], _LAST_KIND)
    expected = {_UNSEALED: 1, _BY_KEY: _HEADER_BYTES, _BY_PASSPHRASE: _PASSPHRASE_HEADER_BYTES}
    if len(header) != expected.get(kind):
        raise StoreCorrupted("what the store keeps about its encryption is damaged")
    end = 1 if kind != _BY_PASSPHRASE else _PASSPHRASE_HEADER_BYTES - _COMMON_BYTES
    return header[:end], header[end:]


def _store_key(key: StoreKey, prefix: bytes) -> bytes:
    if prefix == _BY_KEY:
        if not isinstance(key, bytes):
            raise WrongStoreKey("the store is encrypted with a key: open it with its key")
        return key
    work = Argon2Work(*_WORK.unpack_from(prefix, 1))
    if not work.is_within_bounds():
        raise StoreCorrupted("the store asks for too little or too much work for its passphrase")
    if not isinstance(key, Passphrase):
        raise WrongStoreKey("the store is encrypted with a passphrase: open it with that")
    return key.derive_key(prefix[-PASSPHRASE_SALT_BYTES:], work)


class StoreOpener(Secret):
    """A store's key, where no traceback shows it."""

    __slots__ = ("_key",)

    def __init__(self, key: StoreKey) -> None:
        """Keep the key."""
        self._key = key

    def open(self, header: bytes, entropy: EntropySource) -> Sealer | None:
        """See `open_sealing`."""
        return open_sealing(self._key, header, entropy)
