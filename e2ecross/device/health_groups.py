# SPDX-License-Identifier: Apache-2.0
"""How records of groups are doing: each is decoded, and stands in its row."""

from e2ecross.crypto.group_kdf import hash_commit
from e2ecross.errors import RecordCorrupted
from e2ecross.state.context import address_from_key
from e2ecross.state.groups import GROUP_STATE_ROW, group_from_key
from e2ecross.wire.group_records import GroupCommitRecord, GroupRecord, GroupState, decode_grant

__all__ = ["check_grant", "check_group", "check_group_commit"]


def check_group(partition: bytes, row: bytes, record: bytes) -> None:
    """Decode how it stands with a group, or what its commits give."""
    group_from_key(partition)
    if row == GROUP_STATE_ROW:
        GroupState.decode(record)
    else:
        GroupRecord.decode(record)


def check_grant(partition: bytes, row: bytes, record: bytes) -> None:
    """Decode that a device has the present own key of a group."""
    group_from_key(partition)
    address_from_key(row)
    decode_grant(record)


def check_group_commit(partition: bytes, row: bytes, record: bytes) -> None:
    """Decode a commit of a group."""
    group_from_key(partition)
    if hash_commit(GroupCommitRecord.decode(record).signed.data) != row:
        raise RecordCorrupted("a commit of a group stands in the wrong row: the store is damaged")
