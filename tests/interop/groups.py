# SPDX-License-Identifier: Apache-2.0
"""Members of a group that speaks sender keys: peers of real libraries, and ours."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2ecross import Address, Device, SenderKeyGroup
from e2ecross.errors import RemoteError
from e2ecross.protocol.message_chain import next_sending_key
from e2ecross.protocol.sender_key import OwnSenderKey
from e2ecross.state.sender_keys import find_own_sender_key, put_own_sender_key
from e2ecross.stores import SQLiteStore

from .peers import _NODE, _VENV_PYTHON, HERE, PYTHON_AXOLOTL, Peer, PeerKind

GROUP: Final = "1234567890-1234567890@g.us"
"""The name of a group in the key-id form, as clients of the WhatsApp type name theirs."""


@dataclass(frozen=True, slots=True)
class GroupPeerKind:
    """A library to talk to in a group, and what it cannot do.

    Attributes:
        peer: its driver.
        is_uuid_form: its messages carry a distribution id; else a chain id alone.
        reads_late: it reads a message after a later one of the same sender.
        step: by how many iterations its numbers go up with each message.
        furthest: how many iterations ahead it reads at most; None: there is no limit.
        separate: it hands out a distribution message without sending.
    """

    peer: PeerKind
    is_uuid_form: bool = False
    reads_late: bool = True
    step: int = 1
    furthest: int | None = 25_000
    separate: bool = True

    def __str__(self) -> str:
        return self.peer.name


def _node(name: str, driver: str, *package: str) -> PeerKind:
    needs = _NODE / "node_modules" / (package[0] if package else name)
    return PeerKind(name=name, command=("node", str(_NODE / driver), *package), needs=needs)


LIBSIGNAL: Final = GroupPeerKind(
    _node("libsignal-client-0.103", "groups_libsignal_client.js", "libsignal-client-0.103"),
    is_uuid_form=True,
)
RUST_BRIDGE: Final = GroupPeerKind(
    _node("whatsapp-rust-bridge", "groups_whatsapp_rust_bridge.mjs"),
)
BAILEYS_6: Final = GroupPeerKind(
    _node("baileys-6", "groups_baileys.mjs", "baileys-6"),
    reads_late=False,
    step=2,
    furthest=2_000,
    separate=False,
)
BAILEYS_7: Final = GroupPeerKind(
    _node("baileys-7", "groups_baileys.mjs", "baileys-7"),
    reads_late=False,
    step=2,
    furthest=2_000,
    separate=False,
)
AXOLOTL: Final = GroupPeerKind(
    PeerKind(
        name="python-axolotl-groups",
        command=(str(_VENV_PYTHON), str(HERE / "axolotl" / "groups.py")),
        needs=PYTHON_AXOLOTL.needs,
    ),
    furthest=None,
)
IN_ORDER: Final = (BAILEYS_6, BAILEYS_7)
IN_ANY_ORDER: Final = (LIBSIGNAL, RUST_BRIDGE, AXOLOTL)


class GroupPeer(Peer):
    """A member with a real library, in a process of its own."""

    def __init__(self, kind: GroupPeerKind, name: str, group: str) -> None:
        """Start the driver with a new device, which talks in one group."""
        super().__init__(kind.peer, "", name)
        self.abilities = kind
        self.name = name
        self._group = group

    def new_key(self) -> bytes:
        """Make a new sender key; its distribution message.

        Who hands none out without sending does so here with a message that is lost.
        """
        answer = self._ask("new_key", group=self._group)
        return self.distribution() if "data" not in answer else bytes.fromhex(answer["data"])

    def distribution(self) -> bytes:
        """The distribution message of the present key, and a lost message where it takes one."""
        if self.abilities.separate:
            return bytes.fromhex(self._ask("distribution", group=self._group)["data"])
        answer = self._ask("encrypt_group", group=self._group, data="", lost=0)
        return bytes.fromhex(answer["distribution"])

    def encrypt_in_group(self, plaintext: bytes, lost: int = 0) -> bytes:
        """Encrypt for the group; first as many that nobody gets to see."""
        answer = self._ask("encrypt_group", group=self._group, data=plaintext.hex(), lost=lost)
        return bytes.fromhex(answer["data"])

    def process_distribution(self, sender: str, data: bytes) -> None:
        """Take a distribution message in."""
        self._ask("process_distribution", group=self._group, sender=sender, data=data.hex())

    def decrypt_in_group(self, sender: str, data: bytes) -> bytes:
        """Decrypt what that member has sent."""
        answer = self._ask("decrypt_group", group=self._group, sender=sender, data=data.hex())
        return bytes.fromhex(answer["data"])


class OurMember:
    """A device of ours in the group; its store is opened anew with each `restart`."""

    refusal: type[Exception] = RemoteError

    def __init__(self, path: Path, name: str, group: SenderKeyGroup) -> None:
        """Create the device in a store at `path`."""
        self.name = name
        self._path = path
        self._group = group
        self._store = SQLiteStore(path)
        self.device = Device.create(our_address(name), self._store)

    def new_key(self) -> bytes:
        """Make a new sender key; its distribution message."""
        return self.device.new_sender_key_raw(self._group)

    def distribution(self) -> bytes:
        """The distribution message of the present key."""
        return self.device.distribution_raw(self._group)

    def encrypt_in_group(self, plaintext: bytes, lost: int = 0) -> bytes:
        """Encrypt for the group; first as many that nobody gets to see."""
        if lost:
            self._skip(lost)
        return self.device.encrypt_group_raw(self._group, plaintext)

    def _skip(self, count: int) -> None:
        """Go on as if so many messages had been sent: 25,000 commits would take ten seconds."""
        place = self._group.place
        with self._store.transaction() as tx:
            key = find_own_sender_key(tx, place)
            assert key is not None
            chain = key.chain
            for _ in range(count):
                chain, _ = next_sending_key(chain)
            put_own_sender_key(tx, place, OwnSenderKey(key.chain_id, chain))

    def process_distribution(self, sender: str, data: bytes) -> None:
        """Take a distribution message in."""
        self.device.process_distribution_raw(our_address(sender), self._group, data)

    def decrypt_in_group(self, sender: str, data: bytes) -> bytes:
        """Decrypt what that member has sent."""
        return self.device.decrypt_group_raw(our_address(sender), self._group, data)

    def restart(self) -> None:
        """Close the store and open it again."""
        self._store.close()
        self._store = SQLiteStore(self._path)
        self.device = Device.open(self._store)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


AnyMember = GroupPeer | OurMember


def our_address(name: str) -> Address:
    """Under which address of ours the keys of a member are kept."""
    user, _, device = name.partition(".")
    return Address("whatsapp", user, int(device or 0) or 1)


def name_of(kind: GroupPeerKind, number: int) -> str:
    """A member's name as all members can write it."""
    if kind in IN_ORDER or kind is AXOLOTL:
        return f"{number}"
    return f"{number}.1"


def group_name(kind: GroupPeerKind) -> str:
    """What the peers call the group."""
    return (
        str(uuid.UUID(int=0x8C78CD2A_16FF_427D_83DC_1A5E36CE713D)) if kind.is_uuid_form else GROUP
    )


def our_group(kind: GroupPeerKind) -> SenderKeyGroup:
    """What we call the group."""
    if kind.is_uuid_form:
        return SenderKeyGroup.uuid(uuid.UUID(group_name(kind)))
    return SenderKeyGroup.key_id(GROUP.encode())
