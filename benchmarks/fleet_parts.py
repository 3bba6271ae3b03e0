# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of fleets is made of: devices with sessions, and a back end without cost.

The devices of a fleet have met their peers through a real relay. Then workers, which are processes,
send to them and receive from them through a back end that takes everything and keeps nothing: what
is measured is the worker and its store.
"""

import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from e2ecross import Address, Client, Device, PublishedKeys, Text, UserId
from e2ecross.relay import Relay, RelayLimits
from e2ecross.state.stripe import stripe_of
from e2ecross.stores import MemoryStore, Store
from e2ecross.wire.exchange import Deposited, KeysWanted, Waiting

__all__ = ["TEXT", "Meeting", "Nowhere", "new_customers"]

TEXT: Final = Text("x" * 100)
_MANY: Final = 2**31


class Nowhere:
    """A back end that takes everything at once and keeps nothing; it hands out what it is given.

    Attributes:
        mail: envelopes to be fetched.
    """

    def __init__(self) -> None:
        self.mail: deque[bytes] = deque()
        self._told: dict[int, int] = {}
        self._number = 0

    def register(
        self, address: Address, token: bytes, *, replaces: bytes = b"", credential: bytes = b""
    ) -> None: ...

    def publish(
        self, token: bytes, published: PublishedKeys, *, epoch: int = 0, replace: bool = False
    ) -> None: ...

    def publish_devices(
        self, token: bytes, signed_list: bytes, tokens: Mapping[int, bytes], *, epoch: int = 0
    ) -> None: ...

    def epochs(self, address: Address, token: bytes) -> Mapping[int, int]:
        return self._told

    def one_time_prekey_count(self, address: Address, token: bytes) -> int:
        return _MANY

    def fetch_keys(
        self, requester: Address, token: bytes, wanted: Sequence[KeysWanted]
    ) -> list[Any]:
        raise AssertionError("everybody has met")

    def deposit_all(
        self,
        token: bytes,
        envelopes: Sequence[bytes],
        *,
        epochs: Mapping[int, int] | None = None,
        consents: Sequence[bytes] = (),
    ) -> Deposited:
        return self._deposited(epochs)

    def deposit_copies(
        self, token: bytes, copies: bytes, *, epochs: Mapping[int, int] | None = None
    ) -> Deposited:
        return self._deposited(epochs)

    def fetch(
        self,
        address: Address,
        token: bytes,
        limit: int,
        after: int = 0,
        *,
        wait_ms: int = 0,
        hold_ms: int = 0,
        holder: bytes = b"",
    ) -> list[Waiting]:
        found: list[Waiting] = []
        while self.mail and len(found) < limit:
            self._number += 1
            found.append(Waiting(self._number, self.mail.popleft()))
        return found

    def acknowledge(self, address: Address, token: bytes, numbers: Sequence[int]) -> None: ...

    def put_link(
        self,
        link_id: bytes,
        slot: int,
        data: bytes,
        *,
        address: Address | None = None,
        token: bytes = b"",
    ) -> None: ...

    def get_link(self, link_id: bytes, slot: int) -> bytes | None:
        return None

    def _deposited(self, epochs: Mapping[int, int] | None) -> Deposited:
        # Of several workers each has a back end of its own: none tells another's epochs.
        before = {stripe: self._told.get(stripe, 0) for stripe in epochs or {}}
        self._told.update(epochs or {})
        return Deposited(epochs=before)


class Meeting:
    """A relay at which businesses and customers meet.

    Args:
        folder: for the relay's file.
        customers: who they are.
        cleanup: closes what is opened.
    """

    def __init__(self, folder: Path, customers: Sequence[UserId], cleanup: ExitStack) -> None:
        limits = RelayLimits(mailbox_messages=_MANY)
        self._relay = cleanup.enter_context(Relay(folder / "relay.db", limits=limits))
        self._customers: dict[UserId, Client] = {}
        for user in customers:
            device = Device.create(Address(user.app, user.user), MemoryStore())
            self._customers[user] = Client(device, self._relay)
            self._customers[user].register()

    def meet(self, address: Address, store: Store) -> None:
        """Put a new device into a store, with a session with each customer, who have answered."""
        business = Client(Device.create(address, store), self._relay)
        business.register()
        for user, customer in self._customers.items():
            business.send(user, TEXT)
            customer.confirm(customer.receive())
            customer.send(address.user_id, TEXT)
        while items := business.receive():
            business.confirm(items)
        for user in self._customers:
            business.send(user, TEXT)
        for customer in self._customers.values():
            customer.confirm(customer.receive())

    def letters(self, address: Address, each: int) -> list[bytes]:
        """Return so many envelopes to a device of each customer, in turns."""
        return [
            customer.device.encrypt(address, TEXT).encode()
            for _ in range(each)
            for customer in self._customers.values()
        ]


def new_customers(count: int, stripes: int) -> list[UserId]:
    """Return accounts of which no two are of one stripe."""
    found: dict[int, UserId] = {}
    while len(found) < count:
        user = UserId("instagram", f"c{secrets.token_hex(4)}")
        found.setdefault(stripe_of(user, stripes), user)
    return list(found.values())
