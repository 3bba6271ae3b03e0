# SPDX-License-Identifier: Apache-2.0
"""The floor of version 4: PQXDH, and the post-quantum ratchet beside the Double Ratchet.

The rules are those of `floor.py`. The KEM is that of `cryptography`, an encapsulation in one step
too. What has no primitive in any library is left out: the code that makes further chunks of a key
when all of its own have been sent.
"""

from hashlib import sha3_256, shake_256
from hmac import compare_digest
from os import urandom
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)

from benchmarks import floor
from e2ecross.wire._pb.signal import wire_pb2

__all__ = [
    "Keys",
    "Kyber",
    "ciphertext_mac",
    "decapsulate",
    "decrypt",
    "encapsulate",
    "encrypt",
    "epoch_secret",
    "exchange",
    "first_keys",
    "kem_header",
    "kyber_key_pair",
    "link",
    "next_authenticator",
    "next_chains",
    "pq_message",
    "start_ratchet",
    "unwrap",
    "wrap",
]

Keys = tuple[bytes, bytes]
"""A message key, and the key of the post-quantum ratchet that is mixed into it."""

_VERSION: Final = b"\x44"
_KYBER_1024: Final = b"\x08"
_PROTOCOL: Final = b"Signal_PQCKA_V1_MLKEM768"
_CHAINS: Final = b"Signal PQ Ratchet V1 Chain "


class Kyber(NamedTuple):
    """What a first message says of a Kyber prekey."""

    prekey_id: int
    ciphertext: bytes


def encrypt(
    keys: Keys,
    pq_ratchet: bytes,
    ratchet_key: bytes,
    counters: tuple[int, int],
    ad: bytes,
    plaintext: bytes,
) -> bytes:
    """A complete Signal message with a message of the post-quantum ratchet."""
    message_key, pq_key = keys
    cipher_key, mac_key, iv = floor.message_keys(floor.mac(pq_key, message_key))
    body = (
        _VERSION
        + wire_pb2.SignalMessage(
            ratchet_key=ratchet_key,
            counter=counters[0],
            previous_counter=counters[1],
            ciphertext=floor.cbc_encrypt(cipher_key, iv, plaintext),
            pq_ratchet=pq_ratchet,
        ).SerializeToString()
    )
    return body + floor.mac_of_parts(mac_key, ad, body)[:8]


def decrypt(keys: Keys, ad: bytes, message: bytes) -> bytes:
    """The plaintext of a complete Signal message, whose MAC is checked."""
    message_key, pq_key = keys
    cipher_key, mac_key, iv = floor.message_keys(floor.mac(pq_key, message_key))
    body = message[:-8]
    ciphertext = wire_pb2.SignalMessage.FromString(body[1:]).ciphertext
    if not compare_digest(floor.mac_of_parts(mac_key, ad, body)[:8], message[-8:]):
        raise ValueError("the MAC is wrong")
    return floor.cbc_decrypt(cipher_key, iv, ciphertext)


def link(link_key: bytes, index: int) -> tuple[bytes, bytes]:
    """A step along a chain of the post-quantum ratchet: next link key, and the key for mixing."""
    return floor.two_keys(floor.extract(link_key), index.to_bytes(4, "big") + _CHAINS + b"Next")


def pq_message(
    epoch: int, index: int, kind: int, chunk_index: int = 0, chunk: bytes = b""
) -> bytes:
    """A message of the post-quantum ratchet; with a chunk if it is given one."""
    start = b"\x01" + _number(epoch) + _number(index) + bytes((kind,))
    return start + _number(chunk_index) + chunk if chunk else start


# --- The start of a session -------------------------------------------------------------------


def kyber_key_pair() -> tuple[MLKEM1024PrivateKey, bytes]:
    """A fresh Kyber-1024 key, and its public key (1569 bytes)."""
    private = MLKEM1024PrivateKey.from_seed_bytes(urandom(64))
    return private, _KYBER_1024 + private.public_key().public_bytes_raw()


def encapsulate(public: bytes) -> tuple[bytes, bytes]:
    """A secret (32 bytes) and its ciphertext (1569 bytes) for a Kyber-1024 key."""
    secret, ciphertext = MLKEM1024PublicKey.from_public_bytes(public[1:]).encapsulate()
    return _round_3(secret, ciphertext), _KYBER_1024 + ciphertext


def decapsulate(private: MLKEM1024PrivateKey, ciphertext: bytes) -> bytes:
    """The secret (32 bytes) of a ciphertext (1569 bytes)."""
    return _round_3(private.decapsulate(ciphertext[1:]), ciphertext[1:])


def first_keys(agreements: bytes, kem_secret: bytes) -> tuple[bytes, bytes]:
    """What PQXDH gives: the root key, and the key with which the post-quantum ratchet begins."""
    prk = floor.extract(b"\xff" * 32 + agreements + kem_secret)
    keys = _three_keys(prk, b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024")
    return keys[0], keys[2]


def start_ratchet(auth_key: bytes) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes, bytes]]:
    """Its first keys: see `next_authenticator` and `next_chains`."""
    chains = _three_keys(floor.extract(auth_key), _CHAINS + b" Start")
    return next_authenticator(bytes(32), auth_key, 1), chains


def kem_header(mac_key: bytes, epoch: int) -> tuple[MLKEM768PrivateKey, bytes, bytes]:
    """A fresh key of the ratchet, its public key, and what is said of it first (96 bytes)."""
    private = MLKEM768PrivateKey.from_seed_bytes(urandom(64))
    public = private.public_key().public_bytes_raw()
    header = public[1152:] + sha3_256(public).digest()
    return private, public, header + _authenticate(mac_key, b":ekheader", epoch, header)


def wrap(
    ids: tuple[int, int, int], base_key: bytes, identity_key: bytes, kyber: Kyber, message: bytes
) -> bytes:
    """A first message; ids of one-time prekey, signed prekey and registration."""
    return (
        _VERSION
        + wire_pb2.PreKeySignalMessage(
            pre_key_id=ids[0],
            signed_pre_key_id=ids[1],
            registration_id=ids[2],
            base_key=base_key,
            identity_key=identity_key,
            message=message,
            kyber_pre_key_id=kyber.prekey_id,
            kyber_ciphertext=kyber.ciphertext,
        ).SerializeToString()
    )


def unwrap(data: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Base key, identity key, Kyber ciphertext and message of a first message."""
    fields = wire_pb2.PreKeySignalMessage.FromString(data[1:])
    return fields.base_key, fields.identity_key, fields.kyber_ciphertext, fields.message


# --- An epoch of the ratchet ------------------------------------------------------------------


def exchange(auth: tuple[bytes, bytes], chain_root: bytes, epoch: int) -> tuple[bytes, bytes]:
    """All that both sides compute once in an epoch.

    Returns:
        The next root of the authenticator, and that of the chains.
    """
    root, mac_key = auth
    private, public, whole = kem_header(mac_key, epoch)
    header, mac = whole[:64], whole[64:]
    if not compare_digest(mac, _authenticate(mac_key, b":ekheader", epoch, header)):
        raise ValueError("the MAC is wrong")
    kem_secret, ciphertext = MLKEM768PublicKey.from_public_bytes(public).encapsulate()
    next_root = tag = next_chain_root = b""
    for found in (kem_secret, private.decapsulate(ciphertext)):
        secret = epoch_secret(found, epoch)
        next_root, next_mac_key = next_authenticator(root, secret, epoch)
        next_chain_root = next_chains(chain_root, secret)[0]
        expected, tag = tag, ciphertext_mac(next_mac_key, epoch, ciphertext)
        if expected and not compare_digest(expected, tag):
            raise ValueError("the MAC is wrong")
    return next_root, next_chain_root


def epoch_secret(kem_secret: bytes, epoch: int) -> bytes:
    """The secret of an epoch from that of the KEM."""
    info = _PROTOCOL + b":SCKA Key" + epoch.to_bytes(8, "big")
    return floor.mac(floor.extract(kem_secret), info + b"\x01")


def next_authenticator(root: bytes, secret: bytes, epoch: int) -> tuple[bytes, bytes]:
    """The next root of the authenticator, and the key of its MACs."""
    info = _PROTOCOL + b":Authenticator Update" + epoch.to_bytes(8, "big")
    return floor.two_keys(floor.extract(root + secret), info)


def next_chains(root: bytes, secret: bytes) -> tuple[bytes, bytes, bytes]:
    """The next root of the chains, and the first link keys of initiator and responder."""
    return _three_keys(floor.mac(root, secret), _CHAINS + b"Add Epoch")


def ciphertext_mac(mac_key: bytes, epoch: int, ciphertext: bytes) -> bytes:
    """The MAC of a ciphertext."""
    return _authenticate(mac_key, b":ciphertext", epoch, ciphertext)


def _authenticate(mac_key: bytes, label: bytes, epoch: int, data: bytes) -> bytes:
    return floor.mac(mac_key, _PROTOCOL + label + epoch.to_bytes(8, "big") + data)


def _three_keys(prk: bytes, info: bytes) -> tuple[bytes, bytes, bytes]:
    first, second = floor.two_keys(prk, info)
    return first, second, floor.mac(prk, second + info + b"\x03")


def _round_3(secret: bytes, ciphertext: bytes) -> bytes:
    return shake_256(secret + sha3_256(ciphertext).digest()).digest(32)


def _number(number: int) -> bytes:
    """As protobuf writes it."""
    if number < 0x80:
        return bytes((number,))
    return bytes((number & 0x7F | 0x80,)) + _number(number >> 7)
