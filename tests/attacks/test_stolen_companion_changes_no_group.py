# SPDX-License-Identifier: Apache-2.0
"""Who has a companion of an owner changes no group with it: the account key alone signs.

The attacker: has the whole store of device 2 of the owner, and so its identity key and sessions.
"""

import pytest

from e2ecross.device.group_changes import create_group, leave_group, remove_members
from e2ecross.device.posted import KeysAsked
from e2ecross.errors import InvalidGroupCommit, InvalidSignature, NotPrimary, RemoteError
from e2ecross.protocol.group_commit import sign_commit, take_commit
from e2ecross.wire.content import CommitBytes, GroupCommits
from e2ecross.wire.group import GroupSettings, MemberId
from e2ecross.wire.group_commit import AddMember, RemoveMember
from tests.attacks.support_members import gather_members, rest
from tests.support.accounts import craft, receive
from tests.support.devices import ANA, BUDI, TOKO
from tests.support.group_speaker import add_companion
from tests.support.groups import make_commit


def test_it_makes_no_change() -> None:
    world, group = gather_members()
    stolen = add_companion(world, ANA)
    world.tell(group, ANA, stolen)
    before, context = rest(world, stolen), world.context(stolen)
    with pytest.raises(NotPrimary):
        remove_members(context, group, [TOKO.user_id])
    with pytest.raises(NotPrimary):
        leave_group(context, group)
    with pytest.raises(NotPrimary):
        create_group(context, [BUDI.user_id], GroupSettings("x"), KeysAsked())
    assert rest(world, stolen) == before


@pytest.mark.parametrize("claims", ["the account key", "its own key"])
def test_nothing_that_it_signs_counts(claims: str) -> None:
    world, group = gather_members()
    stolen = add_companion(world, ANA)
    pair, entropy = world.context(stolen).identity_key_pair, world.context(stolen).entropy
    graph = world.graph(group, ANA)
    author = world.member(ANA)
    error: type[RemoteError] = InvalidSignature
    if claims == "its own key":
        author, error = MemberId(ANA.user_id, pair.public), InvalidGroupCommit
    for op in (RemoveMember(world.member(TOKO)), AddMember(MemberId(ANA.user_id, pair.public))):
        signed = sign_commit(make_commit(graph, author, op), pair, entropy)
        with pytest.raises(error):
            take_commit(graph, signed)
        told = GroupCommits(group, (CommitBytes(signed.data, signed.signature),))
        before = rest(world, BUDI)
        receive(world.devices[BUDI], craft(world.devices[stolen], BUDI, told))
        assert rest(world, BUDI) == before
