# SPDX-License-Identifier: Apache-2.0
"""However often members say that they cannot read a key, it ends once in an hour at most.

The attacker: a member, who sends 100 requests; and who asks about a key that he was not given, or
that is not the present one.
"""

from e2ecross.state.group_keys import find_group_key
from e2ecross.wire.content import GroupRetryRequest
from tests.attacks.support_members import gather_members
from tests.support.accounts import craft, receive
from tests.support.devices import ANA, BUDI, TOKO, dump
from tests.support.group_sending import group_key, send


def test_a_hundred_requests_end_one_key() -> None:
    world, group = gather_members()
    ana, ended = world.devices[ANA], 0
    for _ in range(100):
        send(ana, group)
        key = group_key(ana, group)
        asked = GroupRetryRequest(group, (), b"", key.distribution_id, "invalid_signature")
        receive(ana, craft(world.devices[BUDI], ANA, asked))
        with ana._context.store.transaction() as tx:
            ended += find_group_key(tx, group) is None
    assert ended == 1


def test_nobody_ends_a_key_that_he_was_not_given() -> None:
    world, group = gather_members()
    ana = world.devices[ANA]
    send(ana, group)
    key = group_key(ana, group)
    before = dump(ana._context.store)
    for key_id in (bytes(16), b""):
        asked = GroupRetryRequest(group, (), b"", key_id, "invalid_signature")
        receive(ana, craft(world.devices[TOKO], ANA, asked))
    assert group_key(ana, group).distribution_id == key.distribution_id
    assert before != dump(ana._context.store)  # it was answered
