# SPDX-License-Identifier: Apache-2.0
"""Contestant: the primitives of sender keys alone (benchmarks/floor_groups.py)."""

from contextlib import ExitStack
from os import urandom
from typing import Final

from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from benchmarks import floor, floor_groups
from benchmarks.contestants.group_graphs import changed_group
from benchmarks.job import Job, Maker, Step
from e2ecross.crypto.edwards import edwards_y
from e2ecross.crypto.group_kdf import commit_message
from e2ecross.wire._pb.signal import wire_pb2

__all__ = ["MAKERS"]

_ID: Final = bytes(range(16))
_CHAIN_ID: Final = 0x01020304


def _encrypt(job: Job, cleanup: ExitStack) -> Step:
    chain_key, iteration = urandom(32), 0
    key, plaintext = floor_groups.ready(floor.key_pair()[0]), bytes(job.parameters["bytes"])

    def step() -> None:
        nonlocal chain_key, iteration
        seed, chain_key = floor.chain_keys(chain_key)
        floor_groups.encrypt(seed, key, _ID, (_CHAIN_ID, iteration), plaintext)
        iteration += 1

    return step


def _decrypt(job: Job, cleanup: ExitStack) -> Step:
    chain_key = sending = urandom(32)
    key, plaintext = floor_groups.ready(floor.key_pair()[0]), bytes(job.parameters["bytes"])
    messages = []
    for iteration in range(job.total):
        seed, sending = floor.chain_keys(sending)
        messages.append(floor_groups.encrypt(seed, key, _ID, (_CHAIN_ID, iteration), plaintext))
    arriving = iter(messages)

    def step() -> None:
        nonlocal chain_key
        seed, chain_key = floor.chain_keys(chain_key)
        floor_groups.decrypt(seed, key.point, next(arriving))

    return step


def _distribution(job: Job, cleanup: ExitStack) -> Step:
    data = (
        b"\x33"
        + wire_pb2.SenderKeyDistributionMessage(
            distribution_id=_ID,
            chain_id=_CHAIN_ID,
            iteration=0,
            chain_key=urandom(32),
            signing_key=floor.key_pair()[1],
        ).SerializeToString()
    )
    return lambda: floor_groups.take_in(data)


def _base_point(job: Job, cleanup: ExitStack) -> Step:
    nonce = floor_groups.ready(floor.key_pair()[0]).scalar
    return lambda: crypto_scalarmult_ed25519_base_noclamp(nonce)


def _sign(job: Job, cleanup: ExitStack) -> Step:
    key, body = floor_groups.ready(floor.key_pair()[0]), urandom(150)
    return lambda: floor_groups.sign(key, body)


def _join(job: Job, cleanup: ExitStack) -> Step:
    """The signatures of all commits alone; a key is converted once."""
    commits = [
        (
            node.signed.signature,
            edwards_y(node.author.account_key),
            commit_message(node.signed.data),
        )
        for node in changed_group(job).nodes
    ]

    def step() -> None:
        for signature, y, message in commits:
            point = (y | (signature[63] & 0x80) << 248).to_bytes(32, "little")
            floor_groups.verify(point, message, signature)

    return step


MAKERS: Final[dict[str, Maker]] = {
    "group_encrypt": _encrypt,
    "group_decrypt": _decrypt,
    "group_distribution": _distribution,
    "group_join": _join,
    "piece_base_point": _base_point,
    "piece_sign": _sign,
}
