# SPDX-License-Identifier: Apache-2.0
"""Users of three apps at one relay, who make groups.

circle = Circle(relay, clock)
ana, budi, citra = circle.join("whatsapp:ana", "instagram:budi", "messenger:citra")
group = circle.found(ana, budi, citra)  # all have heard of it and accepted
group.send(Text("halo"))
circle.settle()
assert circle.said(budi) == ["whatsapp:ana: halo"]
"""

from collections.abc import Sequence
from typing import cast

from e2ecross import Address, Client, FailedMessage, Group, GroupId, Message, Notice, Policy, Text
from e2ecross.client.backend import Backend
from e2ecross.state.inbox import InboxItem
from e2ecross.stores import Store
from tests.client.conversation import reopen
from tests.support.accounts import make_account
from tests.support.devices import FakeClock

ANA, BUDI, CITRA, DEWI = "whatsapp:ana", "instagram:budi", "messenger:citra", "whatsapp:dewi"
TRIP = "Trip"
_MAX_TURNS = 12


class Circle:
    """Clients, and what each has been handed since it was last asked."""

    def __init__(
        self, backend: Backend, clock: FakeClock | None = None, policy: Policy | None = None
    ) -> None:
        self.backend = backend
        self.clock = clock or FakeClock()
        self.policy = policy
        self.clients: list[Client] = []
        self._items: dict[Client, list[InboxItem]] = {}

    def join(self, *users: str) -> list[Client]:
        """A client for each user, on its device 1."""
        return [self.devices(user, 1)[0] for user in users]

    def devices(self, user: str, count: int, stores: Sequence[Store] = ()) -> list[Client]:
        """The clients of an account with so many devices."""
        made = make_account(
            Address.parse(f"{user}.1"),
            range(1, count + 1),
            self.backend,
            stores=None if not stores else lambda number: stores[number - 1],
            clock=self.clock,
            policy=self.policy,
        )
        # A device knows the key of its account from when it is opened.
        phone, *others = made
        found = [phone, *(reopen(each, self.backend) for each in others)]
        return [self.watch(client) for client in found]

    def watch(self, client: Client) -> Client:
        """Let a client receive whenever all do."""
        self.clients.append(client)
        self._items[client] = []
        return client

    def found(self, founder: Client, *others: Client, name: str = TRIP) -> Group:
        """A group that all know and have accepted; nothing of it is left to be said or shown."""
        group = founder.create_group(name, [each.device.address.user_id for each in others])
        self.settle()
        for client in others:
            client.group(group.id).accept()
        self.settle()
        self.forget()
        return group

    def settle(self, *clients: Client) -> None:
        """Let clients (all by default) receive until nothing comes any more."""
        quiet = 0
        for _ in range(_MAX_TURNS):
            came = False
            for client in clients or self.clients:
                items = client.receive()
                client.confirm(items)
                self._items[client] += items
                came |= bool(items)
            quiet = 0 if came else quiet + 1
            if quiet == 2:  # what none is handed may have led to something
                return
        raise AssertionError("they do not come to an end")

    def forget(self) -> None:
        """Forget what all have been handed."""
        for items in self._items.values():
            items.clear()

    def items(self, client: Client) -> list[InboxItem]:
        """What a client was handed since it was last asked."""
        items = list(self._items[client])
        self._items[client].clear()
        return items

    def said(self, client: Client) -> list[str]:
        """The same as texts: `user: text`, `!code`, `*kind author > users`."""
        return [show(item) for item in self.items(client)]


def show(item: InboxItem) -> str:
    """An item in a few words."""
    if isinstance(item, Message):
        text = cast("Text", item.content).text
        return f"{item.sender.user_id}: {text}"
    if isinstance(item, FailedMessage):
        return f"!{item.error.code}"
    users = ", ".join(map(str, item.users))
    return f"*{item.kind} {item.user}" + (f" > {users}" if users else "")


def roster(client: Client, group: GroupId | Group) -> dict[str, str]:
    """Who is in a group, by what a client knows, and their roles."""
    found = client.group(group.id if isinstance(group, Group) else group)
    return {str(each.user): each.role.name.lower() for each in found.members}


def notices(items: Sequence[InboxItem]) -> list[Notice]:
    """The notices among items."""
    return [item for item in items if isinstance(item, Notice)]
