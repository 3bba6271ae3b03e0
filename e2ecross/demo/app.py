# SPDX-License-Identifier: Apache-2.0
"""What runs in a process of the demo: a store, the back end, and what its app has chosen to show.

What an app shows is its own choice: the library assumes nothing of its name. Receipts go out a few
seconds later, when chance has it: the demo does without, so that all of its mail is in the script.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from e2ecross.address import Address
from e2ecross.client.backend import Backend
from e2ecross.client.client import Client
from e2ecross.client.device_link import DeviceLink
from e2ecross.client.pairing import Pairing
from e2ecross.errors import LocalError
from e2ecross.relay import Relay
from e2ecross.state.policy import Policy
from e2ecross.stores.base import Store
from e2ecross.wire.attachment import Attachment
from e2ecross.wire.capabilities import Capability

__all__ = ["App", "Direction", "choose_policy", "reach", "require"]

Direction = dict[str, Any]
_T = TypeVar("_T")

_ALL: Final = frozenset(
    {
        *(Capability.POST, Capability.MEDIA, Capability.OPTIONS, Capability.REACTION),
        *(Capability.EDIT, Capability.DELETE, Capability.ANSWER, Capability.RECEIPTS),
        *(Capability.TYPING, Capability.EXPIRY, Capability.VIEW_ONCE),
    }
)
_POLLS: Final = frozenset({Capability.OPTIONS, Capability.ANSWER})
_DISAPPEARING: Final = frozenset({Capability.EXPIRY, Capability.VIEW_ONCE})
_CAPABILITIES: Final[Mapping[str, frozenset[int]]] = {
    "whatsapp": _ALL,
    "messenger": _ALL - _POLLS,
    "instagram": _ALL - _POLLS - _DISAPPEARING,
}


@dataclass
class App:
    """What runs in this process.

    Attributes:
        own: the address of the device.
        store: where the device is, or will be.
        ways: closes what leads to the back end.
        relay: the back end.
        folder: where the device's files are.
        found: the device with its back end; None before it is linked.
        device_link: the attempt to link it.
        pairing: the attempt to link another one.
        attachments: what messages that were read have carried, by their ids in hexadecimal.
    """

    own: Address
    store: Store
    ways: ExitStack
    relay: Backend
    folder: str
    found: Client | None = None
    device_link: DeviceLink | None = None
    pairing: Pairing | None = None
    attachments: dict[str, Attachment] = field(default_factory=dict)

    @property
    def client(self) -> Client:
        """The device with its back end."""
        return require(self.found)


def reach(ways: ExitStack, back_end: str, blob_folder: str) -> Backend:
    """Open the relay's file, or the way to its service.

    Args:
        ways: closes it.
        back_end: the file, or the URL of the service.
        blob_folder: where the relay keeps files beside its own; unless it is a service.
    """
    if not back_end.startswith("http://"):
        return ways.enter_context(Relay(back_end, blob_dir=blob_folder))
    from e2ecross.service.http_backend import HTTPBackend

    return ways.enter_context(HTTPBackend(back_end))


def choose_policy(app: str) -> Policy:
    """What the app of that name has chosen."""
    return Policy(
        capabilities=_CAPABILITIES[app],
        send_delivered_receipts=False,
        send_read_receipts=False,
    )


def require(value: _T | None) -> _T:
    """Return what must be there by now.

    Raises:
        LocalError: it is not.
    """
    if value is None:
        raise LocalError("it is not yet time for that")
    return value
