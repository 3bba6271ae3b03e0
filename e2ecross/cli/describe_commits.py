# SPDX-License-Identifier: Apache-2.0
"""What commits of a group say: who changes what, knowing of which commits before.

Rules:
- Public values, and all of them but what the app keeps in the settings: of that its size.
- A signature is checked under the key that the commit names as its author's. Whether the author
  may do that, only the commits before it tell.
- The name of a group is told as it came: who prints it escapes it.
"""

from dataclasses import dataclass
from typing import assert_never

from e2ecross.crypto.group_kdf import hash_commit, hash_genesis
from e2ecross.errors import DecodeError, InvalidSignature, RemoteError
from e2ecross.protocol.group_commit import verify_commit
from e2ecross.wire.content import CommitBytes, GroupCommits
from e2ecross.wire.group import GroupId, GroupSettings, MemberId
from e2ecross.wire.group_commit import (
    AddMember,
    GroupCommit,
    GroupOp,
    RemoveMember,
    SetRole,
    SignedGroupCommit,
    decode_signed_commit,
)

__all__ = [
    "CommitsView",
    "GroupCommitView",
    "MemberView",
    "OpView",
    "UnreadCommitView",
    "describe_commit",
    "describe_commits",
]


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member of a group.

    Attributes:
        user: such as `whatsapp:ana`.
        account_key: 33 bytes as hex.
    """

    user: str
    account_key: str


@dataclass(frozen=True, slots=True)
class OpView:
    """One change.

    Attributes:
        op: "add", "remove", "set_role" or "settings"; of the author himself "leave", "step_down".
        member: who is changed; None of settings.
        role: "owner", "admin" or "member", where a role is given; else None.
        name: of the group, where the settings are; else None.
        app_data_bytes: size of what the app keeps there; likewise.
        only_admins_send: likewise.
    """

    op: str
    member: MemberView | None = None
    role: str | None = None
    name: str | None = None
    app_data_bytes: int | None = None
    only_admins_send: bool | None = None


@dataclass(frozen=True, slots=True)
class GroupCommitView:
    """What a commit says.

    Attributes:
        kind: "group_commit".
        size_bytes: of the commit, without its signature.
        group: `group:` and 64 hexadecimal digits; of the first commit of a group what it makes.
        hash: of the commit, 32 bytes as hex: by this later ones name it.
        parents: hashes of the commits that it follows; none: it begins the group.
        author: who made it.
        made_at_ms: by the author's clock, milliseconds since 1970.
        ops: the changes, in their order.
        nonce: 32 bytes as hex, of the first commit; else None.
        signature: 64 bytes as hex; None: it came without.
        problem: why the signature does not verify; None if it does, or there is none.
    """

    kind: str
    size_bytes: int
    group: str
    hash: str
    parents: tuple[str, ...]
    author: MemberView
    made_at_ms: int
    ops: tuple[OpView, ...]
    nonce: str | None
    signature: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class UnreadCommitView:
    """A commit among others that does not decode.

    Attributes:
        kind: "unread_commit".
        size_bytes: of the commit, without its signature.
        problem: why it does not decode.
    """

    kind: str
    size_bytes: int
    problem: str


@dataclass(frozen=True, slots=True)
class CommitsView:
    """Commits that a client tells others of.

    Attributes:
        kind: "group_commits".
        size_bytes: of the whole.
        group: which one they are said to be of.
        commits: each by itself, in the order in which they came.
    """

    kind: str
    size_bytes: int
    group: str
    commits: tuple[GroupCommitView | UnreadCommitView, ...]


def describe_commit(data: bytes) -> GroupCommitView:
    """Read a commit, with a signature or without.

    Raises:
        DecodeError: none.
        UnsupportedVersion: of a later version.
        InvalidKey: with a key that is not acceptable.
    """
    try:
        return _describe(data, GroupCommit.decode(data))
    except DecodeError:
        return _describe_signed(decode_signed_commit(data))


def describe_commits(commits: GroupCommits, size_bytes: int) -> CommitsView:
    """Tell of commits that came together; size_bytes is that of all."""
    told = tuple(_describe_bytes(each) for each in commits.commits)
    return CommitsView("group_commits", size_bytes, str(commits.group_id), told)


def _describe_bytes(came: CommitBytes) -> GroupCommitView | UnreadCommitView:
    try:
        return _describe_signed(SignedGroupCommit.decode(came.commit, came.signature))
    except RemoteError as error:
        return UnreadCommitView("unread_commit", len(came.commit), str(error))


def _describe_signed(signed: SignedGroupCommit) -> GroupCommitView:
    problem = None
    try:
        verify_commit(signed)
    except InvalidSignature:
        problem = "the signature is not that of the account key that it names as its author's"
    return _describe(signed.data, signed.commit, signed.signature.hex(), problem)


def _describe(
    data: bytes, commit: GroupCommit, signature: str | None = None, problem: str | None = None
) -> GroupCommitView:
    group = hash_genesis(data) if commit.is_genesis else commit.group_id
    return GroupCommitView(
        kind="group_commit",
        size_bytes=len(data),
        group=str(GroupId(group)),
        hash=hash_commit(data).hex(),
        parents=tuple(each.hex() for each in commit.parents),
        author=_describe_member(commit.author),
        made_at_ms=commit.made_at_ms,
        ops=tuple(_describe_op(op, commit.author) for op in commit.ops),
        nonce=commit.nonce.hex() or None,
        signature=signature,
        problem=problem,
    )


def _describe_member(member: MemberId) -> MemberView:
    return MemberView(str(member.user), member.account_key.hex())


def _describe_op(op: GroupOp, author: MemberId) -> OpView:
    match op:
        case AddMember(member):
            return OpView("add", _describe_member(member))
        case RemoveMember(member):
            return OpView("leave" if member == author else "remove", _describe_member(member))
        case SetRole(member, role):
            name = "step_down" if member == author else "set_role"
            return OpView(name, _describe_member(member), role.name.lower())
        case GroupSettings():
            return OpView(
                "settings",
                name=op.name,
                app_data_bytes=len(op.app_data),
                only_admins_send=op.only_admins_send,
            )
        case _:
            assert_never(op)
