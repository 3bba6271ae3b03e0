# SPDX-License-Identifier: Apache-2.0
"""Contestant: DoubleRatchet and X3DH, the Python libraries under python-omemo.

They have no wire format, so messages and bundles are handed over as their objects. Their methods
are coroutines that never wait: they are driven without an event loop, which would cost more than
they do. Each responder has one prekey at a time, since the cost of X3DH grows with their number.
"""

from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, Final, TypeVar

from doubleratchet import DoubleRatchet, EncryptedMessage, Header
from doubleratchet.recommended import (
    HashFunction,
    aead_aes_hmac,
    diffie_hellman_ratchet_curve25519,
    kdf_hkdf,
    kdf_separate_hmacs,
)
from x3dh import BaseState, Bundle, IdentityKeyFormat
from x3dh import HashFunction as AgreementHashFunction

from benchmarks.contestants.chain import chain_makers
from benchmarks.implementation import Implementation, measure_memory
from benchmarks.job import Job, Maker, Step

__all__ = ["IMPLEMENTATIONS"]

_PACKAGES: Final = ("DoubleRatchet", "X3DH", "XEdDSA")

_PLAINTEXT: Final = bytes(100)
_INFO: Final = b"e2ecross benchmark"

_T = TypeVar("_T")


class _RootKDF(kdf_hkdf.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return _INFO + b" root"


class _MessageKDF(kdf_separate_hmacs.KDF):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256


class _AEAD(aead_aes_hmac.AEAD):
    @staticmethod
    def _get_hash_function() -> HashFunction:
        return HashFunction.SHA_256

    @staticmethod
    def _get_info() -> bytes:
        return _INFO + b" message"


class _Ratchet(DoubleRatchet):
    @staticmethod
    def _build_associated_data(associated_data: bytes, header: Header) -> bytes:
        return b"".join(
            (
                associated_data,
                header.ratchet_pub,
                header.sending_chain_length.to_bytes(4),
                header.previous_sending_chain_length.to_bytes(4),
            )
        )


class _State(BaseState):
    @staticmethod
    def _encode_public_key(key_format: IdentityKeyFormat, pub: bytes) -> bytes:
        return b"\x05" + pub


_CONFIGURATION: Final[dict[str, Any]] = {
    "diffie_hellman_ratchet_class": diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet,
    "root_chain_kdf": _RootKDF,
    "message_chain_kdf": _MessageKDF,
    "message_chain_constant": b"\x01\x02",
    "dos_protection_threshold": 2_000,
    "max_num_skipped_message_keys": 2_000,
    "aead": _AEAD,
}


class _End:
    """One end; the ratchet is an object of the library, changed in place."""

    __slots__ = ("associated_data", "ratchet")

    def __init__(self, ratchet: DoubleRatchet, associated_data: bytes) -> None:
        self.ratchet = ratchet
        self.associated_data = associated_data

    def encrypt(self, plaintext: bytes) -> EncryptedMessage:
        return _run(self.ratchet.encrypt_message(plaintext, self.associated_data))

    def decrypt(self, message: EncryptedMessage) -> bytes:
        plaintext: bytes = _run(self.ratchet.decrypt_message(message, self.associated_data))
        return plaintext


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as result:
        value: _T = result.value
        return value
    raise RuntimeError("the coroutine waits for something")


def _party() -> _State:
    state: _State = _State.create(
        IdentityKeyFormat.CURVE_25519, AgreementHashFunction.SHA_256, _INFO
    )
    state.generate_pre_keys(1)
    return state


def _start(ana: _State, bundle: Bundle) -> tuple[_End, tuple[Any, EncryptedMessage]]:
    """Start a session; returns the first message with the header of the agreement."""
    secret, associated_data, header = _run(ana.get_shared_secret_active(bundle))
    ratchet, message = _run(
        _Ratchet.encrypt_initial_message(
            **_CONFIGURATION,
            shared_secret=secret,
            recipient_ratchet_pub=bundle.signed_pre_key,
            message=_PLAINTEXT,
            associated_data=associated_data,
        )
    )
    return _End(ratchet, associated_data), (header, message)


def _accept(budi: _State, first: tuple[Any, EncryptedMessage]) -> _End:
    header, message = first
    secret, associated_data, signed = _run(budi.get_shared_secret_passive(header))
    ratchet, _ = _run(
        _Ratchet.decrypt_initial_message(
            **_CONFIGURATION,
            shared_secret=secret,
            own_ratchet_priv=signed.priv,
            message=message,
            associated_data=associated_data,
        )
    )
    budi.delete_pre_key(header.pre_key)
    return _End(ratchet, associated_data)


def _connected(ana: _State, budi: _State) -> tuple[_End, _End]:
    end, first = _start(ana, budi.bundle)
    other = _accept(budi, first)
    end.decrypt(other.encrypt(_PLAINTEXT))
    return end, other


def _connect(job: Job, cleanup: ExitStack) -> tuple[_End, _End]:
    return _connected(_party(), _party())


def _hold(number: int) -> object:
    """That many sessions, both ends of each."""
    ana, budi, held = _party(), _party(), []
    for _ in range(number):
        held.append(_connected(ana, budi))
        budi.generate_pre_keys(1)
    return held


def _bundle(job: Job, cleanup: ExitStack) -> Step:
    state = _party()

    def step() -> None:
        for key in state.bundle.pre_keys:
            state.delete_pre_key(key)
        state.rotate_signed_pre_key()
        state.generate_pre_keys(1)

    return step


def _set_up(job: Job, cleanup: ExitStack) -> Step:
    ana, parties = _party(), [_party() for _ in range(job.total)]
    meetings = iter([(budi, budi.bundle) for budi in parties])

    def step() -> None:
        budi, bundle = next(meetings)
        _accept(budi, _start(ana, bundle)[1])

    return step


def _first_contact(job: Job, cleanup: ExitStack) -> Step:
    ana, bundles = _party(), iter([_party().bundle for _ in range(job.total)])
    return lambda: _start(ana, next(bundles))


def _fan_out(job: Job, cleanup: ExitStack) -> Step:
    ends = [_connect(job, cleanup)[0] for _ in range(job.total)]
    for end in ends:
        end.encrypt(_PLAINTEXT)
    recipients = iter(ends)
    return lambda: next(recipients).encrypt(_PLAINTEXT)


_MAKERS: Final[dict[str, Maker]] = {
    **chain_makers(_connect),
    "bundle": _bundle,
    "set_up": _set_up,
    "first_contact": _first_contact,
    "fan_out": _fan_out,
}

IMPLEMENTATIONS: Final = {
    "doubleratchet": Implementation(_MAKERS, {"memory": measure_memory(_hold)}, _PACKAGES),
}
