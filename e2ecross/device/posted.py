# SPDX-License-Identifier: Apache-2.0
"""A message on its way into the outbox: what it needs, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.composing import Composed
from e2ecross.errors import BackendError, E2ECrossError
from e2ecross.state.outbox import Waiting
from e2ecross.wire.device_list import PRIMARY

__all__ = ["Copy", "KeysAsked", "KeysNeeded", "Posted", "Unready"]


class Copy(NamedTuple):
    """A copy of a message that is in the outbox.

    Attributes:
        waiting: where, and its envelope.
        is_alone: nothing else stands in its backlog.
        data: the envelope's encoding, if it stands alone; empty where it is still to be encrypted.
    """

    waiting: Waiting
    is_alone: bool
    data: bytes


class Posted(NamedTuple):
    """A message that is in the outbox, or has been there.

    Attributes:
        conversation: with whom: device 1, which stands for its account; or the device that was
            named.
        devices: all that it is for, those of the own account last.
        copies: which of them the back end may not have.
        is_new: they were put there now, and not promised before.
        list_expired: the list of the recipient's devices is too old: only device 1 is sent to.
        seqs: the numbers of the lists by which that was decided, by account; 0: it has none.
        message: what it is, and what the recipient's devices show of it; None: it is not kept any
            more.
    """

    conversation: Address
    devices: tuple[Address, ...]
    copies: tuple[Copy, ...]
    is_new: bool
    list_expired: bool
    seqs: Mapping[UserId, int]
    message: Composed | None


class KeysNeeded(NamedTuple):
    """What has to be asked of the back end before a message can be encrypted.

    Attributes:
        wanted: by account, the devices without a session; None: whichever it has. With each comes
            the list of the account's devices.
        members: of those who are asked for as members of a group: the account key (33 bytes) that
            each is a member by. Who is not known yet is taken in under that key alone.
    """

    wanted: Mapping[UserId, frozenset[int] | None]
    members: Mapping[UserId, PublicKey] = MappingProxyType({})


@dataclass(slots=True)
class KeysAsked:
    """What the back end was asked in one call of an app, so that it is not asked again.

    Attributes:
        users: accounts whose lists it was asked for.
        refused: accounts that nothing is sent to, and why.
        differing: accounts that are not known, and have another key than the member of a group.
        unreachable: devices with whom no session could be started, and why.
        lost: why the back end could not be asked for some of them, if it could not.
    """

    users: set[UserId] = field(default_factory=set)
    refused: dict[UserId, E2ECrossError] = field(default_factory=dict)
    differing: set[UserId] = field(default_factory=set)
    unreachable: dict[Address, E2ECrossError] = field(default_factory=dict)
    lost: BackendError | None = None

    def note_failure(self, needed: KeysNeeded, error: E2ECrossError) -> None:
        """Note that the back end cannot be asked."""
        self.users.update(needed.wanted)
        self.refused.update(dict.fromkeys(needed.members, error))
        for user, devices in needed.wanted.items():
            for number in (PRIMARY,) if devices is None else devices:
                self.unreachable[Address(user.app, user.user, number)] = error


class Unready(Exception):
    """Undoes what was encrypted of a message for which keys are needed."""

    def __init__(self, needed: KeysNeeded) -> None:
        """Carry what is needed."""
        super().__init__()
        self.needed = needed
