# SPDX-License-Identifier: Apache-2.0
"""Groups simulated: partitions, lost deliveries, restored stores, and members who forge.

    python -m tests.simulation.groups --groups 10000 --seed 1

Each group has 5 to 8 accounts, 2 or 3 of them hostile. Every account has a graph of its own, which
only deliveries change. Honest ones act as the specification says, on all that they have; hostile
ones sign from any earlier place too, and send under keys that they ought to have changed. What has
to hold is asserted as it happens and at the end, when all have told each other everything.

Commits are not signed here: who judges them is told that they were. That signatures count is shown
elsewhere.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from e2ecross.errors import (
    InvalidGroupCommit,
    NotAllowedInGroup,
    StaleSenderKey,
    UnknownGroupState,
)
from e2ecross.protocol.group_commit import group_of, take_commit
from e2ecross.protocol.group_graph import GroupGraph, places_in
from e2ecross.protocol.group_state import GroupView, ended_between
from e2ecross.protocol.group_verdict import require_current_key, require_member
from e2ecross.wire.group import MemberId, Role
from e2ecross.wire.group_commit import AddMember, GroupOp, RemoveMember, SetRole, SignedGroupCommit
from tests.support.groups import Account, make_commit, make_genesis, unsigned

__all__ = ["main", "parse", "simulate"]

_ACCOUNTS: Final = tuple(
    Account(f"{app}:user{number}").member
    for number, app in enumerate(("whatsapp", "instagram", "messenger") * 3)
)
_STEPS: Final = 60
_LOST: Final = 0.1


@dataclass
class Key:
    """A sender key: where it was made, and who was given it, at which heads."""

    heads: tuple[bytes, ...]
    holders: dict[MemberId, tuple[bytes, ...]]


@dataclass
class Client:
    """What one account has."""

    member: MemberId
    is_hostile: bool
    graph: GroupGraph
    saved: GroupGraph
    key: Key | None = None
    old_keys: list[Key] = field(default_factory=list)

    @property
    def roster(self) -> dict[MemberId, Role]:
        """Who is in, as this account knows."""
        return dict(GroupView(self.graph, self.graph.all).state().members)


class World:
    """One group and what happens to it."""

    def __init__(self, seed: int, counts: Counter[str]) -> None:
        self.random = random.Random(seed)
        self.counts = counts
        members = list(_ACCOUNTS[: self.random.randint(5, 8)])
        hostile = self.random.sample(members, self.random.randint(2, 3))
        founder = self.random.choice([each for each in members if each not in hostile])
        ops: list[GroupOp] = [AddMember(each) for each in members[:4] if each != founder]
        first = unsigned(make_genesis(founder, *ops, nonce=seed.to_bytes(32)))
        graph = take_commit(GroupGraph(group_of(first)), first, verified=True)
        self.clients = {each: Client(each, each in hostile, graph, graph) for each in members}
        self.parts = [set(members)]
        for _ in range(self.random.randint(1, 2)):  # somebody has power, mostly a hostile one
            strong = self.random.choice(members[:4])
            if strong != founder:
                self._try(self.clients[founder], SetRole(strong, Role(self.random.randint(1, 2))))
        self.heal()

    # --- Commits on their way ---

    def _try(self, client: Client, op: GroupOp, at: tuple[bytes, ...] | None = None) -> None:
        signed = unsigned(make_commit(client.graph, client.member, op, at=at))
        before = client.graph
        client.graph = _taken(before, signed)
        if client.graph is not before:
            self.counts["commits"] += 1
            self.counts["forged from earlier places"] += at is not None
            for other in self._reached(client):
                self.deliver(client, other)

    def _reached(self, client: Client) -> list[Client]:
        part = next(part for part in self.parts if client.member in part)
        others = [self.clients[each] for each in sorted(part) if each != client.member]
        return [each for each in others if self.random.random() >= _LOST]

    def deliver(self, sender: Client, receiver: Client) -> None:
        """All that a sender has, of a hostile one some; parents first.

        Nothing of it is kept if the sender is in neither before nor after.
        """
        nodes = sender.graph.nodes
        if sender.is_hostile:
            nodes = nodes[: self.random.randint(1, len(nodes))]
        after = receiver.graph
        for node in nodes:
            after = _taken(after, node.signed)
        is_in = receiver.member in receiver.roster
        views = [GroupView(each, each.all) for each in (receiver.graph, after)]
        if not is_in or any(view.role(sender.member) is not None for view in views):
            receiver.graph = after
        else:
            self.counts["batches ignored"] += 1

    def heal(self) -> None:
        """Everybody tells everybody, until nothing changes."""
        self.parts = [set(self.clients)]
        size = -1
        while size != (size := sum(len(each.graph.nodes) for each in self.clients.values())):
            for sender in self.clients.values():
                for receiver in self.clients.values():
                    if sender is not receiver:
                        self.deliver(sender, receiver)

    # --- What happens ---

    def step(self) -> None:
        """One account does something, or the network does."""
        client = self.random.choice(list(self.clients.values()))
        kind = self.random.random()
        if kind < 0.05:
            everybody = list(self.clients)
            self.random.shuffle(everybody)
            cut = self.random.randrange(len(everybody))
            self.parts = [part for part in (set(everybody[:cut]), set(everybody[cut:])) if part]
        elif kind < 0.1:
            self.parts = [set(self.clients)]
        elif kind < 0.13:
            client.graph, client.key = client.saved, None  # restored: own keys are dropped
            self.counts["restored stores"] += 1
        elif kind < 0.16:
            client.saved = client.graph
        elif kind < 0.6:
            self._act(client)
        else:
            self._send(client)

    def _act(self, client: Client) -> None:
        graph, is_forged = client.graph, client.is_hostile and self.random.random() < 0.6
        for _ in range(5):  # most of what somebody thinks of is not allowed
            at, roster = None, client.roster
            if is_forged:
                at = (self.random.choice(graph.nodes).hash,)
                roster = dict(GroupView(graph, graph.behind(at)).state().members)
            if client.member in roster:
                self._try(client, self._op(client, roster), at)
            if client.graph is not graph:
                return

    def _op(self, client: Client, roster: Mapping[MemberId, Role | None]) -> GroupOp:
        member = self.random.choice(list(self.clients))
        if member == client.member:
            if self.random.random() < 0.3 or client.is_hostile:
                return RemoveMember(member)
            return SetRole(member, Role(self.random.randint(2, 3)))
        kind = self.random.random()
        if roster.get(member) is None and kind < 0.7:
            return AddMember(member)
        return RemoveMember(member) if kind < 0.5 else SetRole(member, self.random.choice([*Role]))

    def _send(self, client: Client) -> None:
        graph, roster = client.graph, client.roster
        if client.member not in roster:
            return
        self.counts["messages"] += 1
        key = client.key
        if key is not None and client.is_hostile and client.old_keys and self.random.random() < 0.5:
            key = self.random.choice(client.old_keys)
        elif (
            key is None
            or not key.holders.keys() <= roster.keys()
            or ended_between(graph, graph.behind(key.heads), graph.all)
        ):
            key = client.key = Key(graph.heads, {})
            client.old_keys.append(key)
        if key is client.key:
            key.holders = dict.fromkeys(roster, graph.heads) | key.holders
        for receiver in self._reached(client):
            if receiver.member in key.holders:
                self._receive(receiver, client, key, graph.heads)

    def _receive(
        self, receiver: Client, sender: Client, key: Key, heads: tuple[bytes, ...]
    ) -> None:
        if receiver.member not in receiver.roster:
            return
        try:
            require_member(receiver.graph, heads, sender.member)
            require_current_key(receiver.graph, key.heads, heads)
        except UnknownGroupState:
            self.counts["asked for commits"] += 1
            self.deliver(sender, receiver)
        except NotAllowedInGroup:
            self.counts["refused: not in the group"] += 1
            now = GroupView(receiver.graph, receiver.graph.all)
            then = GroupView(receiver.graph, receiver.graph.behind(heads))
            assert sender.is_hostile or None in (now.role(sender.member), then.role(sender.member))
        except StaleSenderKey:
            self.counts["refused: stale key"] += 1
            assert sender.is_hostile, "an honest sender is refused"
        else:
            self.counts["shown"] += 1
            out = [
                each for each, at in key.holders.items() if self._is_out(receiver, heads, each, at)
            ]
            assert not out, "a message is shown where a holder of its key is out"

    def _is_out(
        self,
        receiver: Client,
        heads: tuple[bytes, ...],
        holder: MemberId,
        given: tuple[bytes, ...],
    ) -> bool:
        """Whether who was given a key is out at some heads, which know of why it was given.

        Of others nobody can tell: a hostile sender may hand its key to anybody.
        """
        graph = receiver.graph
        if any(graph.find(each) is None for each in given):
            return False
        named = graph.behind(heads)
        knows = not graph.behind(given) & ~named
        return knows and GroupView(graph, named).role(holder) is None

    # --- What holds in the end ---

    def check(self) -> None:
        """All who hold each other as members have one state, and it is that of any order."""
        self.heal()
        rosters = {each: client.roster for each, client in self.clients.items()}
        for one in self.clients.values():
            for other in self.clients.values():
                mutual = one.member in rosters[other.member] and other.member in rosters[one.member]
                if mutual and not one.is_hostile and not other.is_hostile:
                    assert rosters[one.member] == rosters[other.member], "two states"
            self._check_order(one.graph)
            self._check_adds(one.graph, rosters[one.member])

    def _check_order(self, graph: GroupGraph) -> None:
        waiting, placed = list(graph.nodes), 0
        again = GroupGraph(graph.group_id)
        while waiting:
            node = self.random.choice([n for n in waiting if not n.ancestors & ~placed])
            waiting.remove(node)
            placed |= 1 << node.place
            again = take_commit(again, node.signed, verified=True)
        one, other = GroupView(graph, graph.all).state(), GroupView(again, again.all).state()
        assert one == other, "the order of arrival counts"

    def _check_adds(self, graph: GroupGraph, roster: dict[MemberId, Role]) -> None:
        """No add is lost unless somebody has removed that account, or it is void."""
        view = GroupView(graph, graph.all)
        for node in graph.nodes:
            for member in node.effects:
                removed = graph.deeds_of(member).removes
                if not removed and not view.is_void(node.place):
                    assert member in roster, "an add is lost"
        self.counts["void in the end"] += sum(view.is_void(p) for p in places_in(graph.all))


def _taken(graph: GroupGraph, signed: SignedGroupCommit) -> GroupGraph:
    try:
        return take_commit(graph, signed, verified=True)
    except (InvalidGroupCommit, UnknownGroupState):
        return graph


def simulate(seed: int, counts: Counter[str]) -> None:
    """Let one group live, and check what has to hold.

    Raises:
        AssertionError: something does not.
    """
    world = World(seed, counts)
    for _ in range(_STEPS):
        world.step()
    world.check()
    counts["groups"] += 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.groups")
    parser.add_argument("--groups", type=int, default=10_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the number of the first one")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Simulate as many groups as are asked for; the number of one that fails is told."""
    asked = parse(arguments)
    counts: Counter[str] = Counter()
    for seed in range(asked.seed, asked.seed + asked.groups):
        try:
            simulate(seed, counts)
        except AssertionError as error:
            raise SystemExit(f"group {seed}: {error}") from error
        if counts["groups"] % 500 == 0:
            print(dict(counts), flush=True)
    print(dict(counts))


if __name__ == "__main__":
    main(sys.argv[1:])
