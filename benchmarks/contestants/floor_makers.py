# SPDX-License-Identifier: Apache-2.0
"""Contestant: the primitives alone (benchmarks/floor.py).

A message that comes late, behind stored keys or as one of many needs the same primitives as any
other of its chain, so these rows have the same floor.
"""

from contextlib import ExitStack
from os import urandom
from typing import Final

from benchmarks import floor
from benchmarks.contestants.commit import commit
from benchmarks.contestants.written import seal_decrypt, seal_encrypt
from benchmarks.job import Job, Maker, Step

__all__ = ["MAKERS", "DeviceKeys"]

_IDS: Final = (1, 2, 3)
_NAMES: Final = (b"whatsapp:ana", b"instagram:budi")

_Pair = tuple[bytes, bytes]


class DeviceKeys:
    """Of one device: identity, signed prekey with its signature, one-time prekey."""

    __slots__ = ("identity", "one_time", "signature", "signed")

    def __init__(self) -> None:
        self.identity = floor.key_pair()
        self.signed = floor.key_pair()
        self.one_time = floor.key_pair()
        self.signature = floor.sign(self.identity[0], self.signed[1])


def _encrypt(job: Job, cleanup: ExitStack) -> Step:
    chain_key, ratchet_key, ad, number = urandom(32), floor.key_pair()[1], urandom(66), 0
    plaintext = bytes(job.parameters["bytes"])

    def step() -> None:
        nonlocal chain_key, number
        message_key, chain_key = floor.chain_keys(chain_key)
        floor.encrypt(message_key, ratchet_key, (number, 0), ad, plaintext)
        number += 1

    return step


def _decrypt(job: Job, cleanup: ExitStack) -> Step:
    chain_key, ratchet_key, ad = urandom(32), floor.key_pair()[1], urandom(66)
    plaintext = bytes(job.parameters["bytes"])
    sending, messages = chain_key, []
    for number in range(job.total):
        message_key, sending = floor.chain_keys(sending)
        messages.append(floor.encrypt(message_key, ratchet_key, (number, 0), ad, plaintext))
    arriving = iter(messages)

    def step() -> None:
        nonlocal chain_key
        message_key, chain_key = floor.chain_keys(chain_key)
        floor.decrypt(message_key, ad, next(arriving))

    return step


def _ping_pong(job: Job, cleanup: ExitStack) -> Step:
    plaintext, ad = bytes(job.parameters["bytes"]), urandom(66)
    sender, receiver, root_key = floor.key_pair(), floor.key_pair(), urandom(32)
    chain_key = floor.next_root(root_key, floor.agree(sender[0], receiver[1]))[1]

    def step() -> None:
        nonlocal sender, receiver, root_key, chain_key
        message_key, _ = floor.chain_keys(chain_key)
        message = floor.encrypt(message_key, sender[1], (0, 0), ad, plaintext)
        root_key = _receive(root_key, receiver, sender[1], ad, message)
        fresh = floor.key_pair()
        _, chain_key = floor.next_root(root_key, floor.agree(fresh[0], sender[1]))
        sender, receiver = fresh, sender

    return step


def _receive(root_key: bytes, ours: _Pair, ratchet_key: bytes, ad: bytes, message: bytes) -> bytes:
    """Read the first message of a chain; returns the root key. The answer is not made yet."""
    root_key, receiving = floor.next_root(root_key, floor.agree(ours[0], ratchet_key))
    message_key, _ = floor.chain_keys(receiving)
    floor.decrypt(message_key, ad, message)
    return root_key


def _first_message(ours: DeviceKeys, theirs: DeviceKeys, plaintext: bytes) -> bytes:
    floor.verify(theirs.identity[1], theirs.signed[1], theirs.signature)
    base, ratchet = floor.key_pair(), floor.key_pair()
    root_key = floor.initiate(
        *(ours.identity[0], base[0]), theirs.identity[1], theirs.signed[1], theirs.one_time[1]
    )
    _, chain_key = floor.next_root(root_key, floor.agree(ratchet[0], theirs.signed[1]))
    message_key, _ = floor.chain_keys(chain_key)
    ad = ours.identity[1] + theirs.identity[1]
    message = floor.encrypt(message_key, ratchet[1], (0, 0), ad, plaintext)
    return floor.wrap(_IDS, base[1], ours.identity[1], message)


def _read_first_message(ours: DeviceKeys, data: bytes) -> None:
    base_key, identity_key, message = floor.unwrap(data)
    root_key = floor.respond(
        *(ours.identity[0], ours.signed[0], ours.one_time[0]), identity_key, base_key
    )
    ratchet_key = floor.ratchet_key(message)
    _receive(root_key, ours.signed, ratchet_key, identity_key + ours.identity[1], message)


def _set_up(job: Job, cleanup: ExitStack) -> Step:
    ours, theirs, plaintext = DeviceKeys(), DeviceKeys(), bytes(100)
    return lambda: _read_first_message(theirs, _first_message(ours, theirs, plaintext))


def _first_contact(job: Job, cleanup: ExitStack) -> Step:
    ours, theirs, plaintext = DeviceKeys(), DeviceKeys(), bytes(100)
    return lambda: _first_message(ours, theirs, plaintext)


def _bundle(job: Job, cleanup: ExitStack) -> Step:
    identity = floor.key_pair()[0]

    def step() -> None:
        floor.key_pair()
        floor.sign(identity, floor.key_pair()[1])

    return step


def _safety_number(job: Job, cleanup: ExitStack) -> Step:
    keys = [floor.key_pair()[1] for _ in _NAMES]

    def step() -> None:
        for name, key in zip(_NAMES, keys, strict=True):
            floor.fingerprint(name, key)

    return step


MAKERS: Final[dict[str, Maker]] = {
    "bundle": _bundle,
    "set_up": _set_up,
    "encrypt": _encrypt,
    "decrypt": _decrypt,
    "out_of_order": _decrypt,
    "backlog": _decrypt,
    "ping_pong": _ping_pong,
    "fan_out": _encrypt,
    "first_contact": _first_contact,
    "safety_number": _safety_number,
    "commit": commit,
    "seal_encrypt": seal_encrypt,
    "seal_decrypt": seal_decrypt,
}
