# SPDX-License-Identifier: Apache-2.0
"""Driver for python-axolotl, through its public API; runs in an environment of its own.

One JSON object per line comes in, one goes out: {"ok": true, ...} or {"ok": false, "error": "..."}.
Between two requests the device's state exists only as one JSON text, so every operation starts
from what was saved, as after a restart.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")

from axolotl.ecc.curve import Curve
from axolotl.identitykey import IdentityKey
from axolotl.identitykeypair import IdentityKeyPair
from axolotl.invalidkeyidexception import InvalidKeyIdException
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

PREKEY = 3
DEVICE_ID = 1
FIRST_ID = 0x0A0B01  # needs three bytes, so that a truncated id would show

State = dict[str, Any]
Request = dict[str, Any]
Create = Callable[[Request], State]
Commands = dict[str, Callable[[State, Request], dict[str, Any]]]


class Store(AxolotlStore):
    """The library's store interface over the plain state; every value is kept serialised."""

    def __init__(self, state: State) -> None:
        self.state = state

    def getIdentityKeyPair(self) -> IdentityKeyPair:
        return IdentityKeyPair(serialized=bytes.fromhex(self.state["identity"]))

    def getLocalRegistrationId(self) -> int:
        return int(self.state["registration_id"])

    def saveIdentity(self, recepientId: str, identityKey: IdentityKey) -> None:
        self.state["identities"][recepientId] = identityKey.serialize().hex()

    def isTrustedIdentity(self, recepientId: str, identityKey: IdentityKey) -> bool:
        key = identityKey.serialize().hex()
        return bool(self.state["identities"].get(recepientId, key) == key)

    def containsPreKey(self, preKeyId: int) -> bool:
        return str(preKeyId) in self.state["prekeys"]

    def loadPreKey(self, preKeyId: int) -> PreKeyRecord:
        if not self.containsPreKey(preKeyId):
            raise InvalidKeyIdException(f"no prekey {preKeyId}")
        return PreKeyRecord(serialized=bytes.fromhex(self.state["prekeys"][str(preKeyId)]))

    def storePreKey(self, preKeyId: int, preKeyRecord: PreKeyRecord) -> None:
        self.state["prekeys"][str(preKeyId)] = preKeyRecord.serialize().hex()

    def removePreKey(self, preKeyId: int) -> None:
        self.state["prekeys"].pop(str(preKeyId), None)

    def loadSignedPreKey(self, signedPreKeyId: int) -> SignedPreKeyRecord:
        if str(signedPreKeyId) not in self.state["signed_prekeys"]:
            raise InvalidKeyIdException(f"no signed prekey {signedPreKeyId}")
        serialized = bytes.fromhex(self.state["signed_prekeys"][str(signedPreKeyId)])
        return SignedPreKeyRecord(serialized=serialized)

    def storeSignedPreKey(self, signedPreKeyId: int, record: SignedPreKeyRecord) -> None:
        self.state["signed_prekeys"][str(signedPreKeyId)] = record.serialize().hex()

    def loadSession(self, recepientId: str, deviceId: int) -> SessionRecord:
        if not self.containsSession(recepientId, deviceId):
            return SessionRecord()
        return SessionRecord(serialized=bytes.fromhex(self.state["sessions"][recepientId]))

    def storeSession(self, recepientId: str, deviceId: int, record: SessionRecord) -> None:
        self.state["sessions"][recepientId] = record.serialize().hex()

    def containsSession(self, recepientId: str, deviceId: int) -> bool:
        return recepientId in self.state["sessions"]


def create(request: Request) -> State:
    return {
        "identity": KeyHelper.generateIdentityKeyPair().serialize().hex(),
        "registration_id": request["registration_id"],
        "next_id": FIRST_ID,
        "prekeys": {},
        "signed_prekeys": {},
        "sessions": {},
        "identities": {},
    }


def _next_id(state: State) -> int:
    state["next_id"] += 1
    return int(state["next_id"])


def bundle(state: State, request: Request) -> dict[str, Any]:
    store = Store(state)
    identity = store.getIdentityKeyPair()
    signed = KeyHelper.generateSignedPreKey(identity, _next_id(state))
    store.storeSignedPreKey(signed.getId(), signed)
    made = {
        "registration_id": store.getLocalRegistrationId(),
        "identity_key": identity.getPublicKey().serialize().hex(),
        "signed_prekey_id": signed.getId(),
        "signed_prekey": signed.getKeyPair().getPublicKey().serialize().hex(),
        "signed_prekey_signature": signed.getSignature().hex(),
    }
    if request["one_time"]:
        once = PreKeyRecord(_next_id(state), Curve.generateKeyPair())
        store.storePreKey(once.getId(), once)
        made["one_time_prekey_id"] = once.getId()
        made["one_time_prekey"] = once.getKeyPair().getPublicKey().serialize().hex()
    return {"bundle": made}


def process_bundle(state: State, request: Request) -> dict[str, Any]:
    def point(name: str) -> Any:  # noqa: ANN401
        return Curve.decodePoint(bytearray.fromhex(theirs[name]), 0)

    theirs = request["bundle"]
    has_one_time = "one_time_prekey" in theirs
    made = PreKeyBundle(
        theirs["registration_id"],
        DEVICE_ID,
        theirs["one_time_prekey_id"] if has_one_time else None,
        point("one_time_prekey") if has_one_time else None,
        theirs["signed_prekey_id"],
        point("signed_prekey"),
        bytes.fromhex(theirs["signed_prekey_signature"]),
        IdentityKey(point("identity_key")),
    )
    store = Store(state)
    SessionBuilder(store, store, store, store, request["address"], DEVICE_ID).processPreKeyBundle(
        made
    )
    return {}


def _cipher(state: State, request: Request) -> SessionCipher:
    store = Store(state)
    return SessionCipher(store, store, store, store, request["address"], DEVICE_ID)


def encrypt(state: State, request: Request) -> dict[str, Any]:
    message = _cipher(state, request).encrypt(bytes.fromhex(request["data"]))
    return {"kind": message.getType(), "data": bytes(message.serialize()).hex()}


def decrypt(state: State, request: Request) -> dict[str, Any]:
    data = bytes.fromhex(request["data"])
    cipher = _cipher(state, request)
    if request["kind"] == PREKEY:
        plaintext = cipher.decryptPkmsg(PreKeyWhisperMessage(serialized=data), textMsg=False)
    else:
        plaintext = cipher.decryptMsg(WhisperMessage(serialized=data), textMsg=False)
    return {"data": bytes(plaintext).hex()}


def prekeys(state: State, request: Request) -> dict[str, Any]:
    return {"ids": [int(name) for name in state["prekeys"]]}


COMMANDS: Commands = {
    "bundle": bundle,
    "process_bundle": process_bundle,
    "encrypt": encrypt,
    "decrypt": decrypt,
    "prekeys": prekeys,
}


class Driver:
    """Holds the saved state and runs one request at a time."""

    def __init__(self, create: Create, commands: Commands) -> None:
        self.create = create
        self.commands = commands
        self.saved: str | None = None

    def handle(self, request: Request) -> dict[str, Any]:
        if request["cmd"] == "create":
            self.saved = json.dumps(self.create(request))
            return {}
        if request["cmd"] == "load":
            self.saved = bytes.fromhex(request["state"]).decode()
            return {}
        if self.saved is None:
            raise LookupError("no device: create or load one first")
        if request["cmd"] == "save":
            return {"state": self.saved.encode().hex()}
        state = json.loads(self.saved)
        try:
            return self.commands[request["cmd"]](state, request)
        finally:  # also after a failure: what the library stored, it stored
            self.saved = json.dumps(state)


def main(create: Create, commands: Commands) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may talk into our answers
    driver = Driver(create, commands)
    for line in sys.stdin:
        try:
            answer = {"ok": True, **driver.handle(json.loads(line))}
        except Exception as error:  # the peer's errors are of many kinds, all of them a refusal
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(create, COMMANDS)
