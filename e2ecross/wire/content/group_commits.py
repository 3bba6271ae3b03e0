# SPDX-License-Identifier: Apache-2.0
"""`GroupCommits`, content kind 2^31 + 33: changes of a group, for whoever may lack them."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.arguments import require_type
from e2ecross.wire._pb.e2ecross.v1 import group_pb2
from e2ecross.wire.content.kind import ContentKind, parse_body, require_body_size, require_length
from e2ecross.wire.encoding import serialize
from e2ecross.wire.group import GroupId
from e2ecross.wire.limits import MAX_GROUP_COMMITS_BYTES

__all__ = ["GROUP_COMMITS", "CommitBytes", "GroupCommits"]


class CommitBytes(NamedTuple):
    """A commit as it came, not read: one that is not acceptable spoils no other.

    Attributes:
        commit: as it was signed.
        signature: over it.
    """

    commit: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class GroupCommits:
    """Commits of one group; whoever reads them judges each by itself.

    Attributes:
        group_id: the group.
        commits: at least 1, parents first; together at most 61,440 bytes encoded.

    Raises:
        InvalidArgument: a field has the wrong type, or they are too long together.
    """

    group_id: GroupId
    commits: tuple[CommitBytes, ...]

    def __post_init__(self) -> None:
        require_type("group_id", self.group_id, GroupId)
        require_length("commits", self.commits)
        require_body_size("commits", len(_encode(self)), MAX_GROUP_COMMITS_BYTES)


def _encode(content: GroupCommits) -> bytes:
    fields = group_pb2.GroupCommits(group_id=content.group_id.value)
    for commit, signature in content.commits:
        fields.commits.add(commit=commit, signature=signature)
    return serialize(fields)


def _decode(body: bytes) -> GroupCommits:
    what = "a message of group commits"
    fields = parse_body(group_pb2.GroupCommits, body, what, MAX_GROUP_COMMITS_BYTES)
    commits = tuple(CommitBytes(each.commit, each.signature) for each in fields.commits)
    return GroupCommits(GroupId(fields.group_id), commits)


GROUP_COMMITS: Final = ContentKind(2**31 + 33, (GroupCommits,), _encode, _decode)
