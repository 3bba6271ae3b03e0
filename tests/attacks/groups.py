# SPDX-License-Identifier: Apache-2.0
"""The scene of attacks on groups: who is in one, and what is compared before and after."""

from collections.abc import Iterable
from typing import Final

import pytest

from e2ecross.errors import RemoteError
from e2ecross.protocol.group_commit import sign_commit, take_commit
from e2ecross.protocol.group_graph import GroupGraph
from e2ecross.protocol.group_state import GroupView
from e2ecross.wire.group import Role
from e2ecross.wire.group_commit import AddMember, GroupCommit, SetRole, SignedGroupCommit
from tests.support.groups import Account, begin

__all__ = [
    "ANA",
    "BUDI",
    "CITRA",
    "DEWI",
    "EKO",
    "MALLORY",
    "assert_refused",
    "dump",
    "family",
    "roles",
    "signed",
]

ANA: Final = Account("whatsapp:ana")
BUDI: Final = Account("instagram:budi")
CITRA: Final = Account("messenger:citra")
DEWI: Final = Account("whatsapp:dewi")
EKO: Final = Account("instagram:eko")
MALLORY: Final = Account("messenger:mallory")


def family() -> GroupGraph:
    """Ana's group: Budi and Dewi are admins, Citra is a member."""
    admins = (BUDI.member, DEWI.member)
    return begin(
        ANA,
        *(AddMember(each) for each in (*admins, CITRA.member)),
        *(SetRole(each, Role.ADMIN) for each in admins),
    )


def signed(made: GroupCommit, author: Account) -> SignedGroupCommit:
    """A commit with a signature of somebody, whoever it names."""
    return sign_commit(made, author.pair, author.entropy)


def roles(graph: GroupGraph) -> dict[Account, Role | None]:
    """What everybody is."""
    view = GroupView(graph, graph.all)
    return {each: view.role(each.member) for each in (ANA, BUDI, CITRA, DEWI, EKO, MALLORY)}


def dump(graph: GroupGraph) -> bytes:
    """All that a graph holds, and what it gives."""
    commits = b"".join(node.signed.data + node.signed.signature for node in graph.nodes)
    return commits + GroupView(graph, graph.all).state().encode()


def assert_refused(
    graph: GroupGraph, commits: Iterable[SignedGroupCommit], error: type[RemoteError]
) -> None:
    """Each of the commits is refused, and nothing of it is kept."""
    before = dump(graph)
    for each in commits:
        with pytest.raises(error):
            take_commit(graph, each)
        assert dump(graph) == before
