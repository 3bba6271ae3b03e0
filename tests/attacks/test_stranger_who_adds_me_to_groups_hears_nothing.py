# SPDX-License-Identifier: Apache-2.0
"""Whoever puts me into groups hears nothing of me before I accept one, and fills 64 rows at most.

The attacker: strangers, who put a user into 1,000 groups, write into them, ask for messages and
send commits of which others are missing.
"""

from e2ecross import Address
from e2ecross.device.collecting import keep_failure, take_in
from e2ecross.errors import RemoteError
from e2ecross.state.groups import list_groups
from e2ecross.wire.content import CommitBytes, GroupCommits, GroupRetryRequest
from e2ecross.wire.group import GroupId, GroupSettings
from e2ecross.wire.group_commit import AddMember
from tests.attacks.support_members import is_silent
from tests.support.accounts import craft, receive
from tests.support.devices import BUDI, dump
from tests.support.group_speaker import Speaker
from tests.support.group_world import GroupWorld
from tests.support.groups import Account, begin, commit

STRANGERS = [Address("messenger", f"stranger-{number}") for number in range(9)]


def test_a_thousand_groups_are_64_rows_and_nothing_is_sent() -> None:
    world = GroupWorld((BUDI, *STRANGERS[:1]), sessions=True)
    for each in STRANGERS[1:]:
        world.join(each)
    budi = world.devices[BUDI]
    founder = Account("messenger:founder")
    me = AddMember(world.member(BUDI))
    for number in range(1_000):
        stranger = world.devices[STRANGERS[number % len(STRANGERS)]]
        graph = begin(founder, me, GroupSettings(str(number)))
        signed = graph.nodes[0].signed
        told = GroupCommits(graph.group_id, (CommitBytes(signed.data, signed.signature),))
        receive(budi, craft(stranger, BUDI, told))
    with budi._context.store.transaction() as tx:
        assert len(list_groups(tx)) == 64
    assert is_silent(world, BUDI)
    assert dump(budi._context.store)


def test_in_a_group_that_is_not_accepted_nothing_makes_me_speak() -> None:
    world = GroupWorld((BUDI, STRANGERS[0]), sessions=True)
    budi, context = world.devices[BUDI], world.context(BUDI)
    group = world.create(STRANGERS[0], BUDI)
    world.tell(group, STRANGERS[0], BUDI)
    speaker = Speaker(world, group, STRANGERS[0])
    speaker.give(BUDI)
    missing = world.commits(group, STRANGERS[0])
    account = Account("messenger:founder")
    graph = commit(begin(account, AddMember(world.member(BUDI))), account, GroupSettings("x"))
    orphan = graph.nodes[1].signed
    for told in (
        GroupCommits(GroupId(bytes(32)), tuple(missing)),
        GroupCommits(group, (CommitBytes(orphan.data, orphan.signature),)),
        GroupRetryRequest(group, (), bytes(16), b"", "unknown_sender_key"),
        GroupRetryRequest(group, (bytes(32),), b"", b"", "unknown_group_state"),
    ):
        speaker.tell(BUDI, told)
    speaker.skip(1_000)
    for number in range(5):
        envelope = speaker.write(BUDI, heads=(bytes([number]) * 32,))
        try:
            take_in(context, number + 1, envelope.encode())
        except RemoteError as error:
            keep_failure(context, number + 1, envelope.encode(), error)
    assert is_silent(world, BUDI)
    assert dump(budi._context.store)
