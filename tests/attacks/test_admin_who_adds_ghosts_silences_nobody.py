# SPDX-License-Identifier: Apache-2.0
"""However many an admin adds, earlier members still get what is sent, and send.

The attacker: an admin, who adds more accounts than may get keys, of which nobody is there.
"""

from e2ecross import UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.group_changes import set_role
from e2ecross.device.posted import KeysAsked
from e2ecross.wire.group import MemberId, Role
from e2ecross.wire.group_commit import AddMember
from e2ecross.wire.limits import MAX_GROUP_MEMBERS, MAX_GROUP_OPS
from tests.attacks.support_members import gather_members
from tests.support.devices import ANA, BUDI, TOKO, dump
from tests.support.group_sending import plan, send
from tests.support.points import GOOD_KEY

GHOSTS = [UserId.parse(f"messenger:ghost{number}") for number in range(MAX_GROUP_MEMBERS + 64)]


def test_more_ghosts_than_may_get_keys() -> None:
    world, group = gather_members()
    set_role(world.context(ANA), group, BUDI.user_id, Role.ADMIN)
    world.tell(group, ANA, BUDI, TOKO)
    for start in range(0, len(GHOSTS), MAX_GROUP_OPS):
        ops = [
            AddMember(MemberId(each, PublicKey(GOOD_KEY)))
            for each in GHOSTS[start : start + MAX_GROUP_OPS]
        ]
        commit = world.sign(world.graph(group, BUDI), BUDI, *ops)
        for each in (BUDI, ANA, TOKO):
            world.bring(group, BUDI, each, [commit])
    assert len(world.state(group, TOKO).members) == 3 + len(GHOSTS)
    asked = KeysAsked(users={*GHOSTS})  # the back end knows none of them
    for speaker in (ANA, TOKO):
        before = dump(world.context(speaker).store)
        posted = send(world.devices[speaker], group, asked=asked)
        assert {*posted.recipients} == {ANA, BUDI, TOKO} - {speaker}
        assert len(posted.problems) == MAX_GROUP_MEMBERS - 3
        assert {*posted.problems.values()} == {"unknown_recipient"}
        assert before != dump(world.context(speaker).store)
    assert plan(world.devices[ANA], group, asked=asked).lacking == ()
