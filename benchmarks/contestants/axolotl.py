# SPDX-License-Identifier: Apache-2.0
"""Contestant: python-axolotl, in an environment of its own (tests/interop/install.sh).

Its store interface is over dicts. Records are kept as objects, and serialised by nobody: the
library's own way with its store in memory.
"""

import os

os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")

from contextlib import ExitStack
from typing import Final

from axolotl.ecc.curve import Curve
from axolotl.identitykey import IdentityKey
from axolotl.identitykeypair import IdentityKeyPair
from axolotl.protocol.prekeywhispermessage import PreKeyWhisperMessage
from axolotl.protocol.whispermessage import WhisperMessage
from axolotl.sessionbuilder import SessionBuilder
from axolotl.sessioncipher import SessionCipher
from axolotl.state.axolotlstore import AxolotlStore
from axolotl.state.prekeybundle import PreKeyBundle
from axolotl.state.prekeyrecord import PreKeyRecord
from axolotl.state.sessionrecord import SessionRecord
from axolotl.state.signedprekeyrecord import SignedPreKeyRecord
from axolotl.util.keyhelper import KeyHelper

from benchmarks.contestants.chain import chain_makers
from benchmarks.implementation import Implementation, measure_memory
from benchmarks.job import Job, Maker, Step

__all__ = ["IMPLEMENTATIONS"]

_PACKAGES: Final = ("python-axolotl", "python-axolotl-curve25519", "protobuf")

_PLAINTEXT: Final = bytes(100)
_PREKEY: Final = 3
_DEVICE_ID: Final = 1

_Message = tuple[int, bytes]


class _Store(AxolotlStore):
    """A device's state in memory, in the form in which the library hands it over."""

    def __init__(self) -> None:
        self.identity = KeyHelper.generateIdentityKeyPair()
        self.registration_id = KeyHelper.generateRegistrationId()
        self.identities: dict[str, IdentityKey] = {}
        self.prekeys: dict[int, PreKeyRecord] = {}
        self.signed_prekeys: dict[int, SignedPreKeyRecord] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self.next_id = 1

    def getIdentityKeyPair(self) -> IdentityKeyPair:
        return self.identity

    def getLocalRegistrationId(self) -> int:
        return int(self.registration_id)

    def saveIdentity(self, recepientId: str, identityKey: IdentityKey) -> None:
        self.identities[recepientId] = identityKey

    def isTrustedIdentity(self, recepientId: str, identityKey: IdentityKey) -> bool:
        return bool(self.identities.get(recepientId, identityKey) == identityKey)

    def containsPreKey(self, preKeyId: int) -> bool:
        return preKeyId in self.prekeys

    def loadPreKey(self, preKeyId: int) -> PreKeyRecord:
        return self.prekeys[preKeyId]

    def storePreKey(self, preKeyId: int, preKeyRecord: PreKeyRecord) -> None:
        self.prekeys[preKeyId] = preKeyRecord

    def removePreKey(self, preKeyId: int) -> None:
        self.prekeys.pop(preKeyId, None)

    def loadSignedPreKey(self, signedPreKeyId: int) -> SignedPreKeyRecord:
        return self.signed_prekeys[signedPreKeyId]

    def storeSignedPreKey(self, signedPreKeyId: int, record: SignedPreKeyRecord) -> None:
        self.signed_prekeys[signedPreKeyId] = record

    def loadSession(self, recepientId: str, deviceId: int) -> SessionRecord:
        return self.sessions.get(recepientId) or SessionRecord()

    def storeSession(self, recepientId: str, deviceId: int, record: SessionRecord) -> None:
        self.sessions[recepientId] = record

    def containsSession(self, recepientId: str, deviceId: int) -> bool:
        return recepientId in self.sessions


class _End:
    """One end of a session, by the name of the other one."""

    __slots__ = ("cipher", "name", "store")

    def __init__(self, store: _Store, name: str) -> None:
        self.store = store
        self.name = name
        self.cipher = SessionCipher(store, store, store, store, name, _DEVICE_ID)

    def encrypt(self, plaintext: bytes) -> _Message:
        message = self.cipher.encrypt(plaintext)
        return message.getType(), bytes(message.serialize())

    def decrypt(self, message: _Message) -> bytes:
        kind, data = message
        if kind == _PREKEY:
            opened = self.cipher.decryptPkmsg(PreKeyWhisperMessage(serialized=data), textMsg=False)
        else:
            opened = self.cipher.decryptMsg(WhisperMessage(serialized=data), textMsg=False)
        return bytes(opened)


def _bundle_of(store: _Store) -> PreKeyBundle:
    """Fresh keys, in the store and as a bundle."""
    signed = KeyHelper.generateSignedPreKey(store.identity, store.next_id)
    once = PreKeyRecord(store.next_id, Curve.generateKeyPair())
    store.storeSignedPreKey(signed.getId(), signed)
    store.storePreKey(once.getId(), once)
    store.next_id += 1
    return PreKeyBundle(
        store.registration_id,
        _DEVICE_ID,
        once.getId(),
        once.getKeyPair().getPublicKey(),
        signed.getId(),
        signed.getKeyPair().getPublicKey(),
        signed.getSignature(),
        store.identity.getPublicKey(),
    )


def _start(store: _Store, name: str, bundle: PreKeyBundle) -> _End:
    SessionBuilder(store, store, store, store, name, _DEVICE_ID).processPreKeyBundle(bundle)
    return _End(store, name)


def _connected(ana: _Store, budi: _Store, number: int = 0) -> tuple[_End, _End]:
    end = _start(ana, f"budi{number}", _bundle_of(budi))
    other = _End(budi, f"ana{number}")
    other.decrypt(end.encrypt(_PLAINTEXT))
    end.decrypt(other.encrypt(_PLAINTEXT))
    return end, other


def _connect(job: Job, cleanup: ExitStack) -> tuple[_End, _End]:
    return _connected(_Store(), _Store())


def _hold(number: int) -> object:
    """That many sessions, both ends of each."""
    ana, budi = _Store(), _Store()
    for index in range(number):
        _connected(ana, budi, index)
    return ana, budi


def _bundle(job: Job, cleanup: ExitStack) -> Step:
    store = _Store()
    return lambda: _bundle_of(store)


def _set_up(job: Job, cleanup: ExitStack) -> Step:
    ana, budi = _Store(), _Store()
    meetings = enumerate([_bundle_of(budi) for _ in range(job.total)])

    def step() -> None:
        number, bundle = next(meetings)
        message = _start(ana, f"budi{number}", bundle).encrypt(_PLAINTEXT)
        _End(budi, f"ana{number}").decrypt(message)

    return step


def _first_contact(job: Job, cleanup: ExitStack) -> Step:
    ana, bundles = _Store(), enumerate([_bundle_of(_Store()) for _ in range(job.total)])

    def step() -> None:
        number, bundle = next(bundles)
        _start(ana, f"budi{number}", bundle).encrypt(_PLAINTEXT)

    return step


def _fan_out(job: Job, cleanup: ExitStack) -> Step:
    ana, budi = _Store(), _Store()
    ends = [_connected(ana, budi, number)[0] for number in range(job.total)]
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
    "axolotl": Implementation(_MAKERS, {"memory": measure_memory(_hold)}, _PACKAGES),
}
