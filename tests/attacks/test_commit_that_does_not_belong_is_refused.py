# SPDX-License-Identifier: Apache-2.0
"""A commit counts in the group, at the place and for the author that it was signed for.

The attacker: a relay or a member who has every commit there is. It shows those of other groups, a
second beginning, commits with parents that contradict themselves, and what others have signed as
its own.
"""

from dataclasses import replace

import pytest

from e2ecross.errors import (
    DecodeError,
    InvalidArgument,
    InvalidGroupCommit,
    InvalidSignature,
    RemoteError,
    UnknownGroupState,
)
from e2ecross.wire.group import GroupSettings, MemberId
from e2ecross.wire.group_commit import AddMember, GroupCommit, RemoveMember, SignedGroupCommit
from tests.attacks.groups import (
    ANA,
    BUDI,
    CITRA,
    EKO,
    MALLORY,
    assert_refused,
    dump,
    family,
    signed,
)
from tests.support.groups import begin, commit, make_commit, make_genesis


def test_of_another_group() -> None:
    graph, other = family(), begin(ANA, AddMember(BUDI.member))
    other = commit(other, ANA, AddMember(MALLORY.member))
    assert_refused(graph, [node.signed for node in other.nodes], InvalidGroupCommit)
    moved = replace(other.nodes[1].signed.commit, group_id=graph.group_id.value)
    assert_refused(graph, [signed(moved, ANA)], UnknownGroupState)


def test_a_second_beginning() -> None:
    graph = family()
    again = replace(graph.nodes[0].signed.commit, nonce=b"\1" * 32)
    mine = make_genesis(MALLORY.member, AddMember(ANA.member))
    assert_refused(graph, [signed(again, ANA), signed(mine, MALLORY)], InvalidGroupCommit)
    assert commit(graph, ANA, GroupSettings()).nodes[0] is graph.nodes[0]


def test_a_parent_twice_or_not_in_order_is_no_commit() -> None:
    graph = commit(family(), ANA, AddMember(EKO.member))
    made = make_commit(graph, ANA.member, GroupSettings())
    before = dump(graph)
    for parents in (made.parents * 2, tuple(sorted([graph.nodes[0].hash, bytes(32)]))[::-1]):
        with pytest.raises(InvalidArgument):
            replace(made, parents=parents)
    double = made.encode().replace(
        b"\x1a\x20" + made.parents[0], (b"\x1a\x20" + made.parents[0]) * 2
    )
    with pytest.raises(DecodeError):
        GroupCommit.decode(double)
    assert dump(graph) == before


def test_an_ancestor_of_a_parent_is_no_parent() -> None:
    graph = commit(family(), ANA, AddMember(EKO.member))
    both = [node.hash for node in graph.nodes]
    made = make_commit(graph, ANA.member, GroupSettings(), at=both)
    assert_refused(graph, [signed(made, ANA)], InvalidGroupCommit)


def test_of_another_author() -> None:
    graph = commit(family(), ANA, AddMember(EKO.member))
    genuine = signed(make_commit(graph, ANA.member, RemoveMember(CITRA.member)), ANA)
    renamed = replace(genuine.commit, author=MALLORY.member)
    same_user = replace(
        genuine.commit, author=MemberId(ANA.member.user, MALLORY.member.account_key)
    )
    forged: list[tuple[SignedGroupCommit, type[RemoteError]]] = [
        (SignedGroupCommit(renamed.encode(), genuine.signature, renamed), InvalidSignature),
        (signed(renamed, MALLORY), InvalidGroupCommit),
        (signed(same_user, MALLORY), InvalidGroupCommit),
        (replace(genuine, signature=bytes(64)), InvalidSignature),
        (signed(genuine.commit, MALLORY), InvalidSignature),
    ]
    for each, error in forged:
        assert_refused(graph, [each], error)


def test_with_any_bit_changed() -> None:
    graph = commit(family(), ANA, AddMember(EKO.member))
    genuine = signed(make_commit(graph, ANA.member, RemoveMember(CITRA.member)), ANA)
    before = dump(graph)
    for bit in range(8 * len(genuine.data)):
        data = bytearray(genuine.data)
        data[bit // 8] ^= 1 << bit % 8
        try:
            changed = SignedGroupCommit.decode(bytes(data), genuine.signature)
        except RemoteError:
            continue
        assert_refused(graph, [changed], RemoteError)
    assert dump(graph) == before
