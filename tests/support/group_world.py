# SPDX-License-Identifier: Apache-2.0
"""Real devices in groups: accounts with lists that announce groups, and sessions with each other.

world = GroupWorld()
group = world.create(ANA, BUDI, TOKO)
world.tell(group, ANA, BUDI)  # Budi takes in what Ana has
remove_members(world.context(ANA), group, [TOKO.user_id])
"""

from collections.abc import Callable, Iterable, Sequence

from e2ecross import Address, Device, Policy, UserId
from e2ecross.device.collecting import HandedOver, confirm, hand_over
from e2ecross.device.group_changes import create_group
from e2ecross.device.group_members import member_of, own_member
from e2ecross.device.group_taking import Taken, take_commits
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.state.context import Context
from e2ecross.state.groups import find_group, find_state, list_commits, load_graph
from e2ecross.state.notice import Notice
from e2ecross.stores import MemoryStore, Store
from e2ecross.wire.capabilities import encode_capabilities
from e2ecross.wire.content.group_commits import CommitBytes
from e2ecross.wire.device_list import SignedDeviceList
from e2ecross.wire.group import GroupId, GroupSettings, MemberId
from e2ecross.wire.group_commit import GroupOp
from e2ecross.wire.group_records import GroupRecord, GroupState
from tests.support.accounts import hold_list
from tests.support.device_lists import Household
from tests.support.devices import ANA, BUDI, TOKO, FakeClock, introduce, make_device
from tests.support.groups import make_commit

__all__ = ["GROUPS", "GroupWorld", "list_with_groups"]

GROUPS = encode_capabilities({10, 35})
"""What a device announces that takes part in groups."""


def list_with_groups(
    device: Device, *companions: Device, capabilities: bytes = GROUPS, seq: int = 1
) -> SignedDeviceList:
    """A list of an account's devices, signed by the first, that announces groups."""
    home = Household(device.address.user_id)
    for each in (device, *companions):
        pair = each._context.identity_key_pair
        home.move_in(each.address.device, pair, capabilities)
    numbers = sorted(each.address.device for each in (device, *companions))
    return home.sign(seq, devices=numbers, signed_at_ms=device._context.clock())


class GroupWorld:
    """Accounts of one device each that know each other: lists, keys and sessions.

    Args:
        addresses: whose; three of them by default.
        stores: makes the store of each; in memory by default.
        policy: of all of them.
        sessions: whether they have sessions with each other; without they are made faster.
    """

    def __init__(
        self,
        addresses: Iterable[Address] = (ANA, BUDI, TOKO),
        *,
        stores: Callable[[str], Store] | None = None,
        policy: Policy | None = None,
        sessions: bool = False,
    ) -> None:
        self.clock = FakeClock()
        self.devices: dict[Address, Device] = {}
        self.lists: dict[UserId, SignedDeviceList] = {}
        self._policy = policy
        self._stores = stores
        self._sessions = sessions
        for address in addresses:
            self.join(address)

    def join(self, address: Address, *, seed: str = "", capabilities: bytes = GROUPS) -> Device:
        """One more account, which all others know and which knows all others."""
        store = MemoryStore() if self._stores is None else self._stores(address.user)
        device = make_device(address, store, clock=self.clock, policy=self._policy, seed=seed)
        signed = list_with_groups(device, capabilities=capabilities)
        hold_list(device, signed)
        for other, others in zip(
            list(self.devices.values()), list(self.lists.values()), strict=True
        ):
            if self._sessions:
                introduce(device, other)
            hold_list(device, others)
            hold_list(other, signed)
        self.devices[address] = device
        self.lists[address.user_id] = signed
        return device

    def context(self, address: Address) -> Context:
        """What the operations of a device work with."""
        return self.devices[address]._context

    def member(self, address: Address) -> MemberId:
        """What an account is in groups."""
        return own_member(self.context(address))

    def create(self, owner: Address, *others: Address, name: str = "Trip") -> GroupId:
        """A group that only its owner knows of yet."""
        users = [each.user_id for each in others]
        made = create_group(self.context(owner), users, GroupSettings(name), KeysAsked())
        assert isinstance(made, GroupId)
        return made

    # --- Commits on their way ---

    def commits(self, group: GroupId, address: Address) -> list[CommitBytes]:
        """All commits that an account holds, as they go through a message."""
        with self.context(address).store.transaction() as tx:
            held = list_commits(tx, group)
        return [CommitBytes(each.signed.data, each.signed.signature) for _, each in held]

    def graph(self, group: GroupId, address: Address) -> GroupGraph:
        """The graph that an account holds."""
        context = self.context(address)
        with context.store.transaction() as tx:
            return load_graph(context, tx, group)

    def sign(
        self,
        graph: GroupGraph,
        author: Address,
        *ops: GroupOp,
        at: Iterable[bytes] | None = None,
    ) -> CommitBytes:
        """A commit that an account signs at any heads, allowed or not, and does not take in."""
        context = self.context(author)
        made = make_commit(graph, self.member(author), *ops, at=at)
        signed = sign_commit(made, context.identity_key_pair, context.entropy)
        return CommitBytes(signed.data, signed.signature)

    def bring(
        self, group: GroupId, sender: Address, receiver: Address, commits: Sequence[CommitBytes]
    ) -> Taken:
        """Let an account take in commits that another one has sent."""
        context = self.context(receiver)
        with context.store.transaction() as tx:
            member = member_of(context, tx, sender.user_id)
            assert member is not None
            return take_commits(context, tx, group, commits, member, self.clock())

    def tell(self, group: GroupId, sender: Address, *receivers: Address) -> None:
        """Let accounts take in all that another one has of a group."""
        for receiver in receivers:
            self.bring(group, sender, receiver, self.commits(group, sender))

    # --- What is there ---

    def record(self, group: GroupId, address: Address) -> GroupRecord | None:
        """How it stands with a group at an account."""
        with self.context(address).store.transaction() as tx:
            return find_group(tx, group)

    def state(self, group: GroupId, address: Address) -> GroupState:
        """What a group is at an account that knows it."""
        with self.context(address).store.transaction() as tx:
            found = find_state(tx, group)
        assert found is not None
        return found

    def roles(self, group: GroupId, address: Address) -> dict[str, int]:
        """Who is in at an account, by name, with which role."""
        members = self.state(group, address).members
        return {member.user.user: int(role) for member, role in members.items()}

    def notices(self, address: Address) -> list[Notice]:
        """What an account's app hears, which confirms it."""
        context = self.context(address)
        items = list(hand_over(context, HandedOver(), 10_000))
        confirm(context, Leftovers(), items)
        return [item for item in items if isinstance(item, Notice)]
