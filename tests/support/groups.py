# SPDX-License-Identifier: Apache-2.0
"""Groups for tests: accounts that sign commits, and a second implementation of what commits give.

The second one, `NaiveGroup`, is written from the text of the specification (groups.md 6.1 to 6.4)
and not from the package: sets of hashes and recursion, no bits, no indexes, every question asked
anew. It shares only the values that are decoded, and is slow.

    ana, budi = Account("whatsapp:ana"), Account("instagram:budi")
    graph = begin(ana, AddMember(budi.member))
    graph = commit(graph, ana, SetRole(budi.member, Role.ADMIN))
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from e2ecross.address import UserId
from e2ecross.crypto.group_kdf import hash_commit
from e2ecross.crypto.keys import generate_key_pair
from e2ecross.protocol.group_commit import group_of, sign_commit, take_commit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.wire.group import GroupSettings, MemberId, Role
from e2ecross.wire.group_commit import (
    AddMember,
    GroupCommit,
    GroupOp,
    RemoveMember,
    SetRole,
    SignedGroupCommit,
)
from tests.support.entropy import SeededEntropy

__all__ = ["Account", "NaiveGroup", "begin", "commit", "make_commit", "make_genesis", "unsigned"]

_NOW_MS: Final = 1_800_000_000_000


class Account:
    """Somebody with an account key, which signs."""

    def __init__(self, user: str, seed: str = "") -> None:
        self.entropy = SeededEntropy(f"account {user} {seed}")
        self.pair = generate_key_pair(self.entropy)
        self.member = MemberId(UserId.parse(user), self.pair.public)


def unsigned(data: GroupCommit) -> SignedGroupCommit:
    """A commit without a signature that verifies, for tests that check none."""
    return SignedGroupCommit(data.encode(), bytes(64), data)


def make_genesis(author: MemberId, *ops: GroupOp, nonce: bytes = bytes(32)) -> GroupCommit:
    """The first commit of a group."""
    return GroupCommit(b"", (), author, _NOW_MS, (AddMember(author), *ops), nonce)


def make_commit(
    graph: GroupGraph, author: MemberId, *ops: GroupOp, at: Iterable[bytes] | None = None
) -> GroupCommit:
    """A commit on all heads, or on those that are given."""
    parents = tuple(sorted(graph.heads if at is None else at))
    return GroupCommit(graph.group_id.value, parents, author, _NOW_MS, ops)


def begin(author: Account, *ops: GroupOp) -> GroupGraph:
    """A group with its first commit."""
    signed = sign_commit(make_genesis(author.member, *ops), author.pair, author.entropy)
    return take_commit(GroupGraph(group_of(signed)), signed)


def commit(
    graph: GroupGraph, author: Account, *ops: GroupOp, at: Iterable[bytes] | None = None
) -> GroupGraph:
    """The group with one more commit, or the error of who judges it."""
    made = make_commit(graph, author.member, *ops, at=at)
    return take_commit(graph, sign_commit(made, author.pair, author.entropy))


_Set = frozenset[bytes]
_OUT: Final = None


@dataclass(frozen=True)
class NaiveEffect:
    """6.1: what a commit does to somebody."""

    removes: bool
    lowers: bool
    role: Role | None


class NaiveGroup:
    """Section 6 as it is written. A commit is named by its hash, a set is a frozenset of hashes."""

    def __init__(self) -> None:
        self.commits: dict[bytes, GroupCommit] = {}
        self._ancestors: dict[bytes, _Set] = {}
        self._ranks: dict[bytes, tuple[Role, _Set]] = {}

    @classmethod
    def of(cls, graph: GroupGraph) -> "NaiveGroup":
        """The commits of a graph, taken in by this implementation: it has to accept all."""
        group = cls()
        for node in graph.nodes:
            assert group.accepts(node.signed)
            group.add(node.signed)
        return group

    @property
    def everything(self) -> _Set:
        """All commits."""
        return frozenset(self.commits)

    def add(self, signed: SignedGroupCommit) -> None:
        """Take a commit in, whose rank is fixed now."""
        name, made = hash_commit(signed.data), signed.commit
        ancestors = self.closure(made.parents)
        rank = (Role.OWNER, frozenset[bytes]())
        if not made.is_genesis:
            found = self.standing(made.author, ancestors)
            assert found is not None
            rank = found
        self.commits[name] = made
        self._ancestors[name] = ancestors
        self._ranks[name] = rank

    def closure(self, names: Iterable[bytes]) -> _Set:
        """These and their ancestors."""
        found: set[bytes] = set()
        for name in names:
            found |= {name} | self._ancestors[name]
        return frozenset(found)

    # --- 6.1 ---

    def crosses(self, c: bytes, d: bytes) -> bool:
        """Neither comes before the other."""
        return c != d and c not in self._ancestors[d] and d not in self._ancestors[c]

    def self_act(self, c: bytes) -> bool:
        """Leaving, or stepping down."""
        made = self.commits[c]
        return any(
            isinstance(op, RemoveMember | SetRole) and op.member == made.author for op in made.ops
        )

    def effect(self, c: bytes, x: MemberId) -> NaiveEffect | None:
        """What a commit does to a member, if anything."""
        made = self.commits[c]
        ops = [op for op in made.ops if not isinstance(op, GroupSettings) and op.member == x]
        if not ops:
            return None
        found = None if made.is_genesis else self.standing(x, self._ancestors[c])
        role = None if found is None else found[0]
        removes = lowers = False
        for op in ops:
            match op:
                case AddMember():
                    role = Role.OWNER if made.is_genesis and x == made.author else Role.MEMBER
                case RemoveMember():
                    removes, role = True, None
                case SetRole(_, given):
                    lowers = lowers or (role is not None and given > role)
                    role = given
        return NaiveEffect(removes, lowers, role)

    # --- 6.2 ---

    def void(self, c: bytes, a: _Set) -> bool:
        """Whether a commit does not count in a set."""
        if self.self_act(c):
            return False
        return self._void_1(c, a) or self._void_2(c, a) or self._void_3(c, a)

    def _void_1(self, c: bytes, a: _Set) -> bool:
        author = self.commits[c].author
        for s in a:
            if self.commits[s].author == author and self.self_act(s) and self.crosses(s, c):
                if self._ranks[s][0] is Role.OWNER:
                    return True
                if self._ranks[c][0] is not Role.OWNER and not self._void_2(s, a):
                    return True
        return False

    def _void_2(self, c: bytes, a: _Set) -> bool:
        author = self.commits[c].author
        if self._ranks[c][0] is Role.OWNER:
            return False
        for d in a:
            if self._ranks[d][0] is Role.OWNER and self.commits[d].author != author:
                effect = self.effect(d, author)
                ends = effect is not None and (effect.removes or effect.lowers)
                if ends and self.crosses(c, d) and not self.void(d, a):
                    return True
        return False

    def _void_3(self, c: bytes, a: _Set) -> bool:
        role, rests = self._ranks[c]
        if role is Role.OWNER:
            return bool(rests) and all(self.void(each, a) for each in rests)
        return role is Role.ADMIN and any(self.void(each, a) for each in rests)

    # --- 6.3 ---

    def standing(self, x: MemberId, a: _Set) -> tuple[Role, _Set] | None:
        """Role of somebody in a set, and what it rests on."""
        acts = {}
        for c in a:
            effect = self.effect(c, x)
            if effect is not None and not self.void(c, a):
                acts[c] = effect
        own = {c for c in a if self.self_act(c) and self.commits[c].author == x}
        owner = {
            c
            for c, effect in acts.items()
            if effect.role is Role.OWNER and own <= self._ancestors[c]
        }
        if owner:
            return Role.OWNER, frozenset(owner)
        weighty = {
            c
            for c, effect in acts.items()
            if (c in own or self._ranks[c][0] is Role.OWNER)
            and (effect.removes or effect.lowers or effect.role in (Role.ADMIN, Role.OWNER))
        }
        last = {c for c in weighty if not any(c in self._ancestors[d] for d in weighty)}
        if last and all(acts[c].role in (Role.OWNER, Role.ADMIN) for c in last):
            return Role.ADMIN, frozenset(last)
        removals = {c for c, effect in acts.items() if effect.removes}
        for c, effect in acts.items():
            if effect.role is not None and removals <= self._ancestors[c]:
                return Role.MEMBER, frozenset()
        return None

    def roster(self, a: _Set) -> dict[MemberId, Role]:
        """Everybody who is in."""
        named = {
            op.member
            for made in self.commits.values()
            for op in made.ops
            if not isinstance(op, GroupSettings)
        }
        found = {x: self.standing(x, a) for x in named}
        return {x: standing[0] for x, standing in found.items() if standing is not None}

    def settings(self, a: _Set) -> GroupSettings:
        """The settings of a set."""
        valid = [
            c
            for c in a
            if any(isinstance(op, GroupSettings) for op in self.commits[c].ops)
            and not self.void(c, a)
        ]
        last = [c for c in valid if not any(c in self._ancestors[d] for d in valid)]
        last.sort(key=lambda c: (self._ranks[c][0] is not Role.OWNER, c))
        for op in self.commits[last[0]].ops if last else ():
            if isinstance(op, GroupSettings):
                return op
        return GroupSettings()

    def ended(self, k: _Set, h: _Set) -> bool:
        """Whether anybody's membership or power ended between two sets."""
        for c in h - k:
            for x in {op.member for op in self.commits[c].ops if hasattr(op, "member")}:
                effect = self.effect(c, x)
                assert effect is not None
                if (effect.removes or effect.lowers) and not self.void(c, h):
                    return True
        return False

    # --- 6.4 ---

    def accepts(self, signed: SignedGroupCommit) -> bool:
        """Whether a commit of this group whose parents are here is taken in."""
        made = signed.commit
        if made.is_genesis and (self.commits or made.ops[0] != AddMember(made.author)):
            return False
        a = self.closure(made.parents)
        for p in made.parents:
            if any(p in self._ancestors[q] for q in made.parents):
                return False
        rank = Role.OWNER
        if not made.is_genesis:
            found = self.standing(made.author, a)
            if found is None:
                return False
            rank = found[0]
        roles = {} if made.is_genesis else self.roster(a)
        for number, op in enumerate(made.ops):
            others = [each for each in made.ops if each is not op]
            if made.is_genesis and number == 0:
                roles[made.author] = Role.OWNER
            elif not self._allows(op, made, rank, roles, others):
                return False
            else:
                match op:
                    case AddMember(x):
                        roles[x] = Role.MEMBER
                    case RemoveMember(x):
                        del roles[x]
                    case SetRole(x, role):
                        roles[x] = role
        return True

    def _allows(
        self,
        op: GroupOp,
        made: GroupCommit,
        rank: Role,
        roles: dict[MemberId, Role],
        others: Sequence[GroupOp],
    ) -> bool:
        """A row of the table of ops."""
        powerful = rank in (Role.OWNER, Role.ADMIN)
        about = [o for o in others if not isinstance(o, GroupSettings)]
        match op:
            case AddMember(x):
                again = any(
                    o.member == x and isinstance(o, AddMember | RemoveMember) for o in about
                )
                return powerful and x not in roles and not again
            case RemoveMember(x) if x == made.author:
                return not others
            case RemoveMember(x):
                if x not in roles or any(o.member == x for o in about):
                    return False
                may = {Role.OWNER: (Role.ADMIN, Role.MEMBER), Role.ADMIN: (Role.MEMBER,)}
                return roles[x] in may.get(rank, ())
            case SetRole(x, role) if x == made.author:
                return powerful and role > rank and not others
            case SetRole(x, role):
                again = any(o.member == x and isinstance(o, SetRole) for o in about)
                if rank is not Role.OWNER or x not in roles or again:
                    return False
                return roles[x] is not Role.OWNER and roles[x] is not role
            case GroupSettings():
                return powerful and not any(isinstance(o, GroupSettings) for o in others)
