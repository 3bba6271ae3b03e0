# SPDX-License-Identifier: Apache-2.0
"""Contestant: the primitives of version 4 alone (benchmarks/floor_v4.py)."""

from contextlib import ExitStack
from functools import partial
from os import urandom
from typing import Final, NamedTuple

from benchmarks import floor, floor_v4
from benchmarks.contestants.floor_makers import DeviceKeys
from benchmarks.contestants.written import seal_decrypt, seal_encrypt
from benchmarks.job import Job, Maker, Step

__all__ = ["MAKERS", "KyberDeviceKeys", "first_message", "read_first_message"]

_IDS: Final = (1, 2, 3)
_KYBER_ID: Final = 4
_NONE, _HDR, _EK = 0, 1, 2  # kinds of messages of the post-quantum ratchet
_CHUNK: Final = bytes(32)
_CHUNKS: Final = 36  # of an ML-KEM-768 key

_Pair = tuple[bytes, bytes]


class KyberDeviceKeys(DeviceKeys):
    """Of one device, with a Kyber prekey and its signature."""

    __slots__ = ("kyber", "kyber_public", "kyber_signature")

    def __init__(self) -> None:
        super().__init__()
        self.kyber, self.kyber_public = floor_v4.kyber_key_pair()
        self.kyber_signature = floor.sign(self.identity[0], self.kyber_public)


class _Ends(NamedTuple):
    """Two ends in a ping-pong, by turns the sender and the receiver.

    Attributes:
        ratchet: the key pair.
        link_key: of the chain in which it sends.
    """

    ratchet: _Pair
    link_key: bytes


def _encrypt(job: Job, cleanup: ExitStack) -> Step:
    chain_key, link_key, ad = urandom(32), urandom(32), urandom(66)
    ratchet_key, number, plaintext = floor.key_pair()[1], 0, bytes(job.parameters["bytes"])

    def step() -> None:
        nonlocal chain_key, link_key, number
        chain_key, link_key, _ = _next_message(
            (chain_key, link_key), number, ratchet_key, ad, plaintext
        )
        number += 1

    return step


def _decrypt(job: Job, cleanup: ExitStack) -> Step:
    chain_key, link_key, ad = urandom(32), urandom(32), urandom(66)
    ratchet_key, plaintext = floor.key_pair()[1], bytes(job.parameters["bytes"])
    sending, messages = (chain_key, link_key), []
    for n in range(job.total):
        *advanced, message = _next_message(sending, n, ratchet_key, ad, plaintext)
        sending = (advanced[0], advanced[1])
        messages.append(message)
    arriving, number = iter(messages), 0

    def step() -> None:
        nonlocal chain_key, link_key, number
        number += 1
        message_key, chain_key = floor.chain_keys(chain_key)
        link_key, pq_key = floor_v4.link(link_key, number)
        floor_v4.decrypt((message_key, pq_key), ad, next(arriving))

    return step


def _next_message(
    chain: _Pair, number: int, ratchet_key: bytes, ad: bytes, plaintext: bytes
) -> tuple[bytes, bytes, bytes]:
    """Encrypt with both chain keys; returns the next ones and the message."""
    message_key, chain_key = floor.chain_keys(chain[0])
    link_key, pq_key = floor_v4.link(chain[1], number + 1)
    pq_ratchet = floor_v4.pq_message(1, number + 1, _NONE)
    message = floor_v4.encrypt(
        (message_key, pq_key), pq_ratchet, ratchet_key, (number, 0), ad, plaintext
    )
    return chain_key, link_key, message


def _ping_pong(job: Job, cleanup: ExitStack) -> Step:
    """In every `count` steps one epoch passes."""
    plaintext, ad = bytes(job.parameters["bytes"]), urandom(66)
    sender, receiver = (_Ends(floor.key_pair(), urandom(32)) for _ in range(2))
    root_key, auth, chain_root = urandom(32), (urandom(32), urandom(32)), urandom(32)
    chain_key = floor.next_root(root_key, floor.agree(sender.ratchet[0], receiver.ratchet[1]))[1]
    number = 0

    def step() -> None:
        nonlocal sender, receiver, root_key, chain_key, number
        if number % job.count == 0:
            floor_v4.exchange(auth, chain_root, 1)
        index, number = number // 2 + 1, number + 1
        message_key, _ = floor.chain_keys(chain_key)
        link_key, pq_key = floor_v4.link(sender.link_key, index)
        pq_ratchet = floor_v4.pq_message(1, index, _EK, index % _CHUNKS, _CHUNK)
        message = floor_v4.encrypt(
            (message_key, pq_key), pq_ratchet, sender.ratchet[1], (0, 0), ad, plaintext
        )
        _, pq_key = floor_v4.link(sender.link_key, index)
        ratchet_key = sender.ratchet[1]
        root_key = _receive(root_key, receiver.ratchet, ratchet_key, pq_key, ad, message)
        fresh = floor.key_pair()
        _, chain_key = floor.next_root(root_key, floor.agree(fresh[0], ratchet_key))
        sender, receiver = _Ends(fresh, receiver.link_key), _Ends(sender.ratchet, link_key)

    return step


def _receive(
    root_key: bytes, ours: _Pair, ratchet_key: bytes, pq_key: bytes, ad: bytes, message: bytes
) -> bytes:
    """Read the first message of a chain; returns the root key. The answer is not made yet."""
    root_key, receiving = floor.next_root(root_key, floor.agree(ours[0], ratchet_key))
    message_key, _ = floor.chain_keys(receiving)
    floor_v4.decrypt((message_key, pq_key), ad, message)
    return root_key


def first_message(ours: DeviceKeys, theirs: KyberDeviceKeys, plaintext: bytes) -> bytes:
    """Start a session, and encrypt its first message."""
    floor.verify(theirs.identity[1], theirs.signed[1], theirs.signature)
    floor.verify(theirs.identity[1], theirs.kyber_public, theirs.kyber_signature)
    base, ratchet = floor.key_pair(), floor.key_pair()
    agreements = floor.initiator_agreements(
        *(ours.identity[0], base[0]), theirs.identity[1], theirs.signed[1], theirs.one_time[1]
    )
    kem_secret, ciphertext = floor_v4.encapsulate(theirs.kyber_public)
    root_key, auth_key = floor_v4.first_keys(agreements, kem_secret)
    (_, mac_key), (_, link_key, _) = floor_v4.start_ratchet(auth_key)
    _, _, header = floor_v4.kem_header(mac_key, 1)
    _, chain_key = floor.next_root(root_key, floor.agree(ratchet[0], theirs.signed[1]))
    message = floor_v4.encrypt(
        (floor.chain_keys(chain_key)[0], floor_v4.link(link_key, 1)[1]),
        floor_v4.pq_message(1, 1, _HDR, 0, header[:32]),
        *(ratchet[1], (0, 0)),
        ours.identity[1] + theirs.identity[1],
        plaintext,
    )
    kyber = floor_v4.Kyber(_KYBER_ID, ciphertext)
    return floor_v4.wrap(_IDS, base[1], ours.identity[1], kyber, message)


def read_first_message(ours: KyberDeviceKeys, data: bytes) -> None:
    """Read a first message, whose session then exists."""
    base_key, identity_key, ciphertext, message = floor_v4.unwrap(data)
    agreements = floor.responder_agreements(
        *(ours.identity[0], ours.signed[0], ours.one_time[0]), identity_key, base_key
    )
    root_key, auth_key = floor_v4.first_keys(
        agreements, floor_v4.decapsulate(ours.kyber, ciphertext)
    )
    _, (_, link_key, _) = floor_v4.start_ratchet(auth_key)
    ratchet_key, ad = floor.ratchet_key(message), identity_key + ours.identity[1]
    _receive(root_key, ours.signed, ratchet_key, floor_v4.link(link_key, 1)[1], ad, message)


def _set_up(job: Job, cleanup: ExitStack) -> Step:
    ours, theirs, plaintext = DeviceKeys(), KyberDeviceKeys(), bytes(100)
    return lambda: read_first_message(theirs, first_message(ours, theirs, plaintext))


def _bundle(job: Job, cleanup: ExitStack) -> Step:
    identity = floor.key_pair()[0]

    def step() -> None:
        floor.key_pair()
        for public in (floor.key_pair()[1], *(floor_v4.kyber_key_pair()[1] for _ in range(2))):
            floor.sign(identity, public)

    return step


MAKERS: Final[dict[str, Maker]] = {
    "bundle_v4": _bundle,
    "set_up_v4": _set_up,
    "encrypt_v4": _encrypt,
    "decrypt_v4": _decrypt,
    "out_of_order_v4": _decrypt,
    "backlog_v4": _decrypt,
    "ping_pong_v4": _ping_pong,
    "seal_encrypt_v4": partial(seal_encrypt, with_kyber=True),
    "seal_decrypt_v4": partial(seal_decrypt, with_kyber=True),
}
