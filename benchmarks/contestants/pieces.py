# SPDX-License-Identifier: Apache-2.0
"""The primitives of an operation one by one, as `benchmarks/floor.py` calls them.

`benchmarks/breakdown.py` says how many of each an operation takes.
"""

from contextlib import ExitStack
from os import urandom
from typing import Final

from benchmarks import floor
from benchmarks.job import Job, Maker, Step
from e2ecross.wire._pb.signal import wire_pb2

__all__ = ["MAKERS"]

_AD_BYTES: Final = 66
_MAC_BYTES: Final = 8
_IDS: Final = (1, 2, 3)


def _key_pair(job: Job, cleanup: ExitStack) -> Step:
    return floor.key_pair


def _agree(job: Job, cleanup: ExitStack) -> Step:
    private, public = floor.key_pair()[0], floor.key_pair()[1]
    return lambda: floor.agree(private, public)


def _verify(job: Job, cleanup: ExitStack) -> Step:
    (private, public), message = floor.key_pair(), floor.key_pair()[1]
    signature = floor.sign(private, message)
    return lambda: floor.verify(public, message, signature)


def _initial_root(job: Job, cleanup: ExitStack) -> Step:
    agreements = urandom(5 * 32)
    return lambda: floor.two_keys(floor.extract(agreements), b"WhisperText")


def _next_root(job: Job, cleanup: ExitStack) -> Step:
    root_key, agreement = urandom(32), urandom(32)
    return lambda: floor.next_root(root_key, agreement)


def _chain_keys(job: Job, cleanup: ExitStack) -> Step:
    chain_key = urandom(32)
    return lambda: floor.chain_keys(chain_key)


def _message_keys(job: Job, cleanup: ExitStack) -> Step:
    message_key = urandom(32)
    return lambda: floor.message_keys(floor.extract(message_key))


def _cbc_encrypt(job: Job, cleanup: ExitStack) -> Step:
    key, iv, plaintext = urandom(32), urandom(16), bytes(job.parameters["bytes"])
    return lambda: floor.cbc_encrypt(key, iv, plaintext)


def _cbc_decrypt(job: Job, cleanup: ExitStack) -> Step:
    key, iv = urandom(32), urandom(16)
    ciphertext = floor.cbc_encrypt(key, iv, bytes(job.parameters["bytes"]))
    return lambda: floor.cbc_decrypt(key, iv, ciphertext)


def _mac(job: Job, cleanup: ExitStack) -> Step:
    key, ad, body = urandom(32), urandom(_AD_BYTES), _message(job)[:-_MAC_BYTES]
    return lambda: floor.mac_of_parts(key, ad, body)


def _encode(job: Job, cleanup: ExitStack) -> Step:
    whole = wire_pb2.SignalMessage.FromString(_message(job)[1:-_MAC_BYTES])
    ratchet_key, ciphertext = whole.ratchet_key, whole.ciphertext
    return lambda: wire_pb2.SignalMessage(
        ratchet_key=ratchet_key, counter=1, previous_counter=1, ciphertext=ciphertext
    ).SerializeToString()


def _decode(job: Job, cleanup: ExitStack) -> Step:
    body = _message(job)[1:-_MAC_BYTES]
    return lambda: wire_pb2.SignalMessage.FromString(body).ciphertext


def _wrap(job: Job, cleanup: ExitStack) -> Step:
    base_key, identity_key, message = floor.key_pair()[1], floor.key_pair()[1], _message(job)
    return lambda: floor.wrap(_IDS, base_key, identity_key, message)


def _unwrap(job: Job, cleanup: ExitStack) -> Step:
    data = floor.wrap(_IDS, floor.key_pair()[1], floor.key_pair()[1], _message(job))
    return lambda: floor.unwrap(data)


def _message(job: Job) -> bytes:
    plaintext = bytes(job.parameters["bytes"])
    return floor.encrypt(urandom(32), floor.key_pair()[1], (1, 1), bytes(_AD_BYTES), plaintext)


MAKERS: Final[dict[str, Maker]] = {
    "piece_key_pair": _key_pair,
    "piece_agree": _agree,
    "piece_verify": _verify,
    "piece_initial_root": _initial_root,
    "piece_next_root": _next_root,
    "piece_chain_keys": _chain_keys,
    "piece_message_keys": _message_keys,
    "piece_cbc_encrypt": _cbc_encrypt,
    "piece_cbc_decrypt": _cbc_decrypt,
    "piece_mac": _mac,
    "piece_encode": _encode,
    "piece_decode": _decode,
    "piece_wrap": _wrap,
    "piece_unwrap": _unwrap,
}
