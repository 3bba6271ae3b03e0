# SPDX-License-Identifier: Apache-2.0
"""Replayed, shuffled or dropped, a message of a group is shown at most once, and is as it was sent.

The attacker: the relay, which delivers what it likes, as often as it likes, in any order; and a
member, who repeats a message under a new number of the key, or under another key.
"""

import random

import pytest

from e2ecross.device.collecting import keep_failure, take_in
from e2ecross.errors import DuplicateMessage
from tests.attacks.support_members import assert_refused, gather_members, shown
from tests.support.devices import ANA, BUDI
from tests.support.group_speaker import Speaker


@pytest.mark.parametrize("seed", range(4))
def test_any_delivery(seed: int) -> None:
    world, group = gather_members()
    ana, context = Speaker(world, group, ANA), world.context(BUDI)
    ana.give(BUDI)
    sent = [ana.write(BUDI, str(number)) for number in range(12)]
    chance = random.Random(seed)
    deliveries = [each for each in sent for _ in range(chance.randrange(4))]
    chance.shuffle(deliveries)
    for number, envelope in enumerate(deliveries, 1):
        try:
            take_in(context, number, envelope.encode())
        except DuplicateMessage as error:
            keep_failure(context, number, envelope.encode(), error)
    texts = shown(world, BUDI)
    assert len(texts) == len(set(texts)) == len({id(each) for each in deliveries})
    for each in deliveries:
        assert_refused(world, BUDI, each, DuplicateMessage)


def test_a_repeated_message_id_is_shown_once() -> None:
    world, group = gather_members()
    ana, other = Speaker(world, group, ANA), Speaker(world, group, ANA)
    ana.give(BUDI)
    other.give(BUDI)
    first = ana.write(BUDI, "one")
    again = [each.write(BUDI, "other", message_id=first.message_id) for each in (ana, other)]
    assert shown(world, BUDI, first, *again) == ["one"]
    assert_refused(world, BUDI, again[0], DuplicateMessage)
