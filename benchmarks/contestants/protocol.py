# SPDX-License-Identifier: Apache-2.0
"""Contestant: e2ecross's protocol layer alone, pure states in memory."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Final

from benchmarks.contestants.chain import byte_measures, chain_makers, chain_makers_v4
from benchmarks.job import Job, Maker, Step
from e2ecross import Address, PreKeyBundle
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.crypto.kem import generate_kem_key_pair
from e2ecross.crypto.keys import KeyPair, generate_key_pair
from e2ecross.crypto.xeddsa import sign
from e2ecross.protocol.session import Session, session_decrypt, session_encrypt
from e2ecross.protocol.session_start import OwnPrekeys, initiate_session, respond_to_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.wire.limits import MAX_FORWARD_JUMP
from e2ecross.wire.signal_message import (
    VERSION_3,
    VERSION_4,
    decode_prekey_signal_message,
    decode_signal_message,
)

__all__ = [
    "MAKERS",
    "MEASURES",
    "KyberParty",
    "Party",
    "ProtocolEnd",
    "connect",
    "connect_v4",
    "hold",
]

_REGISTRATION_ID: Final = 1234
_NOW_MS: Final = 1_700_000_000_000
_PLAINTEXT: Final = bytes(100)


class Party:
    """A device's keys, and the bundle that offers them."""

    __slots__ = ("bundle", "identity", "one_time", "prekeys", "signed")

    versions = (VERSION_3,)

    def __init__(self, name: str) -> None:
        self.identity = _fresh()
        self.signed = _fresh()
        self.one_time = _fresh()
        self.bundle = PreKeyBundle(
            address=Address("whatsapp", name),
            registration_id=_REGISTRATION_ID,
            identity_key=self.identity.public,
            signed_prekey_id=2,
            signed_prekey=self.signed.public,
            signed_prekey_signature=sign(self.identity, self.signed.public, SYSTEM_ENTROPY),
            one_time_prekey_id=1,
            one_time_prekey=self.one_time.public,
        )
        self.prekeys = OwnPrekeys(self.signed, self.one_time)

    def start(self, bundle: PreKeyBundle) -> Session:
        """Start a session from a bundle as it came from the back end."""
        return initiate_session(self.identity, verify_bundle(bundle), SYSTEM_ENTROPY, _NOW_MS)

    def accept(self, data: bytes) -> tuple[Session, bytes]:
        """Read a first message."""
        first = decode_prekey_signal_message(data, self.versions)
        session = respond_to_session(self.identity, self.prekeys, first)
        return session_decrypt(session, first.message, MAX_FORWARD_JUMP)


class KyberParty(Party):
    """A device with a Kyber prekey: its sessions are of version 4."""

    __slots__ = ()

    versions = (VERSION_4,)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        kyber = generate_kem_key_pair(SYSTEM_ENTROPY)
        self.bundle = replace(
            self.bundle,
            kyber_prekey_id=3,
            kyber_prekey=kyber.public,
            kyber_prekey_signature=sign(self.identity, kyber.public, SYSTEM_ENTROPY),
        )
        self.prekeys = replace(self.prekeys, kyber_prekey=kyber)


class ProtocolEnd:
    """One end; the only thing that changes is which state it has."""

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    def encrypt(self, plaintext: bytes) -> bytes:
        self.session, _, data = session_encrypt(
            self.session, plaintext, _REGISTRATION_ID, SYSTEM_ENTROPY
        )
        return data

    def decrypt(self, data: bytes) -> bytes:
        message = decode_signal_message(data, (self.session.version,))
        self.session, plaintext = session_decrypt(self.session, message, MAX_FORWARD_JUMP)
        return plaintext


def connect(job: Job, cleanup: ExitStack) -> tuple[ProtocolEnd, ProtocolEnd]:
    """Two ends that have heard from each other."""
    return _connected(Party("ana"), Party("budi"))


def connect_v4(job: Job, cleanup: ExitStack) -> tuple[ProtocolEnd, ProtocolEnd]:
    """The same with a session of version 4."""
    return _connected(KyberParty("ana"), KyberParty("budi"))


def hold(count: int) -> object:
    """That many sessions, both ends of each."""
    ana, budi = Party("ana"), Party("budi")
    return [_connected(ana, budi) for _ in range(count)]


def _connected(ana: Party, budi: Party) -> tuple[ProtocolEnd, ProtocolEnd]:
    first = ProtocolEnd(ana.start(budi.bundle))
    second = ProtocolEnd(budi.accept(first.encrypt(_PLAINTEXT))[0])
    first.decrypt(second.encrypt(_PLAINTEXT))
    return first, second


def _fresh() -> KeyPair:
    return generate_key_pair(SYSTEM_ENTROPY)


def _bundle(job: Job, cleanup: ExitStack) -> Step:
    identity = _fresh()

    def step() -> None:
        _fresh()
        sign(identity, _fresh().public, SYSTEM_ENTROPY)

    return step


def _bundle_v4(job: Job, cleanup: ExitStack) -> Step:
    identity = _fresh()

    def step() -> None:
        _fresh()
        sign(identity, _fresh().public, SYSTEM_ENTROPY)
        for _ in range(2):  # a one-time key, and the one of last resort
            sign(identity, generate_kem_key_pair(SYSTEM_ENTROPY).public, SYSTEM_ENTROPY)

    return step


def _set_up(job: Job, cleanup: ExitStack, party: type[Party] = Party) -> Step:
    ana, budi = party("ana"), party("budi")
    return lambda: budi.accept(_first_message(ana, budi.bundle))


def _first_contact(job: Job, cleanup: ExitStack) -> Step:
    ana, bundles = Party("ana"), iter([Party("budi").bundle for _ in range(job.total)])
    return lambda: _first_message(ana, next(bundles))


def _first_message(party: Party, bundle: PreKeyBundle) -> bytes:
    return session_encrypt(party.start(bundle), _PLAINTEXT, _REGISTRATION_ID, SYSTEM_ENTROPY)[2]


def _fan_out(job: Job, cleanup: ExitStack) -> Step:
    ana, budi = Party("ana"), Party("budi")
    ends = [_connected(ana, budi)[0] for _ in range(job.total)]
    for end in ends:
        end.encrypt(_PLAINTEXT)
    recipients = iter(ends)
    return lambda: next(recipients).encrypt(_PLAINTEXT)


MAKERS: Final[dict[str, Maker]] = {
    **chain_makers(connect),
    **chain_makers_v4(connect_v4),
    "bundle": _bundle,
    "bundle_v4": _bundle_v4,
    "set_up": _set_up,
    "set_up_v4": partial(_set_up, party=KyberParty),
    "first_contact": _first_contact,
    "fan_out": _fan_out,
}

MEASURES: Final = byte_measures(connect_v4)
