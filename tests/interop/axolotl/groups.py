# SPDX-License-Identifier: Apache-2.0
"""Driver for the sender keys of python-axolotl, through its public API; see `driver.py`."""

import os
from typing import Any

os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")

from axolotl.axolotladdress import AxolotlAddress
from axolotl.groups.groupcipher import GroupCipher
from axolotl.groups.groupsessionbuilder import GroupSessionBuilder
from axolotl.groups.senderkeyname import SenderKeyName
from axolotl.groups.state.senderkeyrecord import SenderKeyRecord
from axolotl.groups.state.senderkeystore import SenderKeyStore
from axolotl.protocol.senderkeydistributionmessage import SenderKeyDistributionMessage
from driver import Request, State, main

DEVICE_ID = 1


class Store(SenderKeyStore):
    """The library's store interface over the plain state; every value is kept serialised."""

    def __init__(self, state: State) -> None:
        self.state = state

    def storeSenderKey(
        self, senderKeyName: SenderKeyName, senderKeyRecord: SenderKeyRecord
    ) -> None:
        self.state["sender_keys"][senderKeyName.serialize()] = senderKeyRecord.serialize().hex()

    def loadSenderKey(self, senderKeyName: SenderKeyName) -> SenderKeyRecord:
        record = self.state["sender_keys"].get(senderKeyName.serialize())
        if record is None:
            return SenderKeyRecord()
        return SenderKeyRecord(serialized=bytes.fromhex(record))


def create(request: Request) -> State:
    return {"address": request["address"], "sender_keys": {}}


def _name(request: Request, member: str) -> SenderKeyName:
    return SenderKeyName(request["group"], AxolotlAddress(member, DEVICE_ID))


def distribution(state: State, request: Request) -> dict[str, Any]:
    made = GroupSessionBuilder(Store(state)).create(_name(request, state["address"]))
    return {"data": bytes(made.serialize()).hex()}


def new_key(state: State, request: Request) -> dict[str, Any]:
    state["sender_keys"].pop(_name(request, state["address"]).serialize(), None)
    return distribution(state, request)


def encrypt_group(state: State, request: Request) -> dict[str, Any]:
    cipher = GroupCipher(Store(state), _name(request, state["address"]))
    data = bytes.fromhex(request["data"])
    for _ in range(request["lost"]):
        cipher.encrypt(data)
    return {"data": bytes(cipher.encrypt(data)).hex()}


def process_distribution(state: State, request: Request) -> dict[str, Any]:
    message = SenderKeyDistributionMessage(serialized=bytes.fromhex(request["data"]))
    GroupSessionBuilder(Store(state)).process(_name(request, request["sender"]), message)
    return {}


def decrypt_group(state: State, request: Request) -> dict[str, Any]:
    cipher = GroupCipher(Store(state), _name(request, request["sender"]))
    return {"data": bytes(cipher.decrypt(bytes.fromhex(request["data"]))).hex()}


if __name__ == "__main__":
    commands = (distribution, new_key, encrypt_group, process_distribution, decrypt_group)
    main(create, {command.__name__: command for command in commands})
