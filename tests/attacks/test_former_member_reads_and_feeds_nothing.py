# SPDX-License-Identifier: Apache-2.0
"""Who was removed reads nothing sent by who knows of it, and gets his removal's commits alone.

The attacker: a former member, with all that he ever had of the group, who gets every message that
the relay has; asks again for what he cannot read, for keys and for commits; sends commits that he
has signed as if he were in, or that an accomplice has signed; and says later that he left.
"""

import pytest

from e2ecross import Address, Device
from e2ecross.device.group_changes import change_settings, leave_group, remove_members
from e2ecross.errors import NotAllowedInGroup, UnknownSenderKey
from e2ecross.protocol.group_commit import sign_commit
from e2ecross.state.groups import load_graph
from e2ecross.stores import Table
from e2ecross.wire.content import CommitBytes, GroupCommits, GroupRetryRequest
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.group import GroupId, GroupSettings
from e2ecross.wire.group_commit import RemoveMember
from tests.attacks.support_members import (
    assert_refused,
    gather_members,
    is_silent,
    rest,
    shown,
)
from tests.support.accounts import carry, craft, receive, told
from tests.support.devices import ANA, BUDI, TOKO
from tests.support.group_sending import copies, deliver, group_key, send
from tests.support.group_speaker import Speaker, fail
from tests.support.group_world import GroupWorld
from tests.support.groups import make_commit


def _talk(world: GroupWorld, group: GroupId) -> None:
    """Everybody has said something, and so has everybody's key."""
    for each in (ANA, BUDI, TOKO):
        send(world.devices[each], group)
        deliver(world.devices[each], *world.devices.values())


def _remove(world: GroupWorld, group: GroupId) -> list[CommitBytes]:
    """Ana removes Toko, and Budi hears of it; returns the commit."""
    remove_members(world.context(ANA), group, [TOKO.user_id])
    world.tell(group, ANA, BUDI)
    return world.commits(group, ANA)[-1:]


def _steal(sender: Device, thief: Address) -> list[Envelope]:
    """What the relay would give somebody else of all that waits to be sent into groups."""
    return [
        Envelope(each.message_id, each.sender, thief, MessageKind.SENDER_KEY, each.ciphertext)
        for each in copies(sender)
    ][-1:]


@pytest.mark.parametrize("sender", [ANA, BUDI])
def test_he_reads_nothing_that_is_sent_by_who_knows(sender: Address) -> None:
    world, group = gather_members()
    _talk(world, group)
    before = shown(world, TOKO)
    _remove(world, group)
    posted = send(world.devices[sender], group, "among us")
    assert TOKO not in posted.recipients
    (stolen,) = _steal(world.devices[sender], TOKO)
    assert_refused(world, TOKO, stolen, UnknownSenderKey)
    assert shown(world, TOKO) == before


@pytest.mark.parametrize("names", ["the message", "the key", "nothing"])
def test_asking_again_brings_the_commits_of_his_removal_and_nothing_else(names: str) -> None:
    """His client does so by itself: it cannot read what the relay gives it."""
    world, group = gather_members()
    _talk(world, group)
    removal = _remove(world, group)
    posted = send(world.devices[ANA], group, "among us")
    (stolen,) = _steal(world.devices[ANA], TOKO)
    change_settings(world.context(ANA), group, name="Without him")
    if names == "the message":
        assert fail(world.devices[TOKO], stolen) is UnknownSenderKey
        assert carry(world.devices[TOKO], world.devices[ANA])
    else:
        key_id = group_key(world.devices[ANA], group).distribution_id
        heads = world.state(group, TOKO).heads
        asked = GroupRetryRequest(
            group,
            heads,
            posted.outgoing.message_id if names == "nothing" else b"",
            key_id if names == "the key" else b"",
            "invalid_signature",
        )
        receive(world.devices[ANA], craft(world.devices[TOKO], ANA, asked))
    answer = [content for address, content in told(world.devices[ANA]) if address == TOKO]
    # A request about a key that he knows nothing of names no heads: then with all before it.
    known = () if names == "the message" else world.commits(group, TOKO)
    up_to_removal = world.commits(group, ANA)[:-1]
    assert removal == up_to_removal[-1:]
    missing = tuple(each for each in up_to_removal if each not in known)
    assert answer == [GroupCommits(group, missing)]
    carry(world.devices[ANA], world.devices[TOKO])
    assert "among us" not in shown(world, TOKO)
    assert world.state(group, TOKO).settings.name != "Without him"
    # The key is not ended by him, nor is it his again.
    posted = send(world.devices[ANA], group, "still")
    assert TOKO not in posted.recipients


def test_what_he_sends_is_refused_and_one_who_may_tells_him() -> None:
    world, group = gather_members()
    _talk(world, group)
    toko = Speaker(world, group, TOKO)
    toko.give(ANA, BUDI)
    removal = _remove(world, group)
    assert_refused(world, BUDI, toko.write(BUDI), NotAllowedInGroup)
    assert_refused(world, ANA, toko.write(ANA), NotAllowedInGroup)
    for _ in range(3):
        assert fail(world.devices[ANA], toko.write(ANA)) is NotAllowedInGroup
    assert told(world.devices[ANA]) == [(TOKO, GroupCommits(group, tuple(removal)))]
    carry(world.devices[ANA], world.devices[TOKO])
    assert TOKO.user not in world.roles(group, TOKO)


@pytest.mark.parametrize("how", ["in his session", "in a group message"])
def test_he_feeds_no_commits_to_anybody(how: str) -> None:
    """Neither his own, signed as if he knew nothing of it, nor those of an accomplice."""
    world, group = gather_members()
    _talk(world, group)
    toko = Speaker(world, group, TOKO)
    toko.give(ANA, BUDI)
    context = world.context(TOKO)
    with context.store.transaction() as tx:
        graph = load_graph(context, tx, group)
    own = world.member(TOKO)
    leave = make_commit(graph, own, RemoveMember(own))
    power = make_commit(graph, own, GroupSettings("His"))
    signed = [
        sign_commit(each, context.identity_key_pair, context.entropy) for each in (leave, power)
    ]
    _remove(world, group)
    commits = [CommitBytes(each.data, each.signature) for each in signed]
    commits += world.commits(group, ANA)
    for victim in (ANA, BUDI):
        before, fed = rest(world, victim), GroupCommits(group, tuple(commits))
        if how == "in his session":
            toko.tell(victim, fed)
            assert rest(world, victim) == before
        else:  # there a key is used up
            receive(world.devices[victim], toko.write(victim, fed))
            after = rest(world, victim).items()
            changed = {where[0] for where, row in after if before.get(where) != row}
            assert changed <= {Table.SENDER_KEYS, Table.SENDER_KEY_SEEDS}
        assert world.state(group, victim).settings.name == "Trip"
        assert is_silent(world, victim)


def test_what_he_had_sent_before_is_recognised_and_dropped_not_asked_for() -> None:
    world, group = gather_members()
    toko = Speaker(world, group, TOKO)
    toko.give(ANA, BUDI)
    late = {each: toko.write(each, "late") for each in (ANA, BUDI)}
    _remove(world, group)
    for victim, envelope in late.items():
        assert fail(world.devices[victim], envelope) is NotAllowedInGroup
        assert not [
            content
            for _, content in told(world.devices[victim])
            if isinstance(content, GroupRetryRequest)
        ]


def test_who_has_left_is_out_like_who_was_removed() -> None:
    world, group = gather_members()
    _talk(world, group)
    leave_group(world.context(TOKO), group)
    world.tell(group, TOKO, ANA, BUDI)
    posted = send(world.devices[BUDI], group, "among us")
    assert TOKO not in posted.recipients
    (stolen,) = _steal(world.devices[BUDI], TOKO)
    assert_refused(world, TOKO, stolen, UnknownSenderKey)
    assert fail(world.devices[TOKO], stolen) is UnknownSenderKey
    carry(world.devices[TOKO], world.devices[BUDI])
    carried = carry(world.devices[BUDI], world.devices[TOKO])
    assert all(isinstance(each, GroupCommits) for each in carried)
    assert "among us" not in shown(world, TOKO)
