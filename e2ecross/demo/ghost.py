# SPDX-License-Identifier: Apache-2.0
"""What the back end of the demo invents: all that who runs a back end can do for it.

It draws keys of its own, writes itself into a list of somebody's devices or into a group, and signs
that with what it has. The key that would be needed is on that person's phone.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from e2ecross.address import Address, UserId
from e2ecross.client.client import Client
from e2ecross.crypto.entropy import SYSTEM_ENTROPY
from e2ecross.demo.people import DemoFailed, Person
from e2ecross.device.device import Device, context_of
from e2ecross.device.registering import read_token
from e2ecross.device.sending import encrypt_content
from e2ecross.protocol.device_list import hash_list, sign_consent, sign_list
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.relay import Relay
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.groups import load_graph
from e2ecross.state.message import FailedMessage
from e2ecross.stores import MemoryStore, SQLiteStore
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.content import Text
from e2ecross.wire.content.group_commits import CommitBytes, GroupCommits
from e2ecross.wire.device_list import ListedDevice, SignedDeviceList
from e2ecross.wire.exchange import KeysWanted, UserKeys
from e2ecross.wire.group import GroupId, MemberId
from e2ecross.wire.group_commit import AddMember, GroupCommit
from e2ecross.wire.limits import MESSAGE_ID_BYTES, TOKEN_BYTES

__all__ = ["GhostAccount", "GhostDevice"]

_OPERATOR = Address("operator", "relay")


class GhostDevice:
    """Another device of somebody's account, which they know nothing of."""

    def __init__(self, person: Person, number: int) -> None:
        user = UserId.parse(person.user)
        self.address = Address(user.app, user.user, number)
        self._device = Device.create(self.address, MemoryStore())

    def forge_list(self, genuine: SignedDeviceList) -> SignedDeviceList:
        """Return the next list, with this device in it, and signed by it."""
        own, before = context_of(self._device).identity_key_pair, genuine.list
        number = self.address.device
        consent = sign_consent(before.user, number, own, before.account_key, SYSTEM_ENTROPY)
        forged = replace(
            before,
            seq=before.seq + 1,
            previous=hash_list(genuine),
            devices=(*before.devices, ListedDevice(number, own.public, consent)),
        )
        return sign_list(forged, own, SYSTEM_ENTROPY)

    def write(self, relay_file: Path, recipient: Person, text: str) -> bytes:
        """Return a first message of this device, encrypted to keys that the relay has.

        Raises:
            DemoFailed: there are none.
        """
        token, wanted = secrets.token_bytes(TOKEN_BYTES), Address.parse(recipient.user)
        with Relay(relay_file) as relay:
            relay.register(_OPERATOR, token)
            self._device.start_session(_bundle(relay, _OPERATOR, token, wanted))
        return self._device.encrypt(wanted, Text(text)).encode()


class GhostAccount:
    """An account of the relay's own, which nobody has added to a group; a context manager."""

    def __init__(self, relay_file: Path) -> None:
        self.address = Address("messenger", "somebody")
        self._relay = Relay(relay_file)
        device = Device.create(self.address, MemoryStore())
        self._client, self._context = Client(device, self._relay), context_of(device)

    def __enter__(self) -> Self:
        self._client.register()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._relay.close()

    def forge_change(self, member_file: Path, group_text: str, recipient: Person) -> bytes:
        """Return an envelope with a change that adds this account, in the name of a member.

        Args:
            member_file: the store of that member, from which it is told what only members know.
            group_text: what names the group.
            recipient: a member who gets it.
        """
        group = GroupId.parse(group_text)
        with SQLiteStore(member_file) as store:
            context = context_of(Device.open(store))
            with store.transaction() as tx:
                heads = load_graph(context, tx, group).heads
            member = MemberId(context.address.user_id, context.identity_key_pair.public)
        return self.forge_addition(group, heads, member, recipient)

    def forge_addition(
        self, group: GroupId, heads: Sequence[bytes], member: MemberId, recipient: Person
    ) -> bytes:
        """The same with what only members know: the newest changes of the group, and the member.

        Args:
            group: the group.
            heads: hashes of its newest commits, 32 bytes each.
            member: in whose name it is.
            recipient: a member who gets it.
        """
        wanted = Address.parse(recipient.user)
        own, token = self._context, read_token(self._context).value
        self._client.device.start_session(_bundle(self._relay, self.address, token, wanted))
        added = AddMember(MemberId(self.address.user_id, own.identity_key_pair.public))
        commit = GroupCommit(group.value, tuple(heads), member, own.clock(), (added,))
        signed = sign_commit(commit, own.identity_key_pair, own.entropy)
        content = GroupCommits(group, (CommitBytes(signed.data, signed.signature),))
        message_id = own.entropy.bytes(MESSAGE_ID_BYTES)
        with WitnessedTransaction(own) as tx:
            envelope = encrypt_content(own, tx, wanted, content, message_id, own.clock())
        return envelope.encode()

    def read(self) -> tuple[str, str]:
        """Return class and code of the error that a copy of a message into the group ends with.

        Raises:
            DemoFailed: it was read.
        """
        items = self._client.receive()
        failures = [item.error for item in items if isinstance(item, FailedMessage)]
        if len(items) != 1 or len(failures) != 1:
            raise DemoFailed(f"the relay's own app has got {items} of the group")
        return type(failures[0]).__name__, failures[0].code


def _bundle(relay: Relay, asking: Address, token: bytes, wanted: Address) -> PreKeyBundle:
    """Fetch the keys of a device.

    Raises:
        DemoFailed: there are none.
    """
    (found,) = relay.fetch_keys(asking, token, [KeysWanted(wanted.user_id, (wanted.device,))])
    if not isinstance(found, UserKeys) or not found.bundles:
        raise DemoFailed(f"the relay has no keys of {wanted}")
    return found.bundles[0]
