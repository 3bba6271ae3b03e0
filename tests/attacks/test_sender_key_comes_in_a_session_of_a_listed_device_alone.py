# SPDX-License-Identifier: Apache-2.0
"""A sender key is taken from a listed device, in its own session, and from nowhere else.

The attacker: a member, who puts a key into a group message or into a message that is sent again;
and who has a device, or a number, that its account's list does not have.
"""

import pytest

from e2ecross.errors import DecodeError, InvalidArgument, UnlistedDevice
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content import EncodedContent, GroupResent, Resent, decode_content
from e2ecross.wire.content.resent import encode_content
from tests.attacks.support_members import assert_refused, gather_members, rest, shown
from tests.support.accounts import craft, hold_list
from tests.support.devices import ANA, BUDI, MESSAGE_ID, start
from tests.support.group_speaker import Speaker, add_companion
from tests.support.group_world import list_with_groups


def test_in_a_group_message_it_counts_as_received() -> None:
    world, group = gather_members()
    ana, other = Speaker(world, group, ANA), Speaker(world, group, ANA)
    ana.give(BUDI)
    before = rest(world, BUDI)
    assert not shown(world, BUDI, ana.write(BUDI, other.grant))
    after = rest(world, BUDI)
    assert before.keys() == after.keys()  # its own key is used up, and no other there


def test_no_message_that_is_sent_again_can_hold_one() -> None:
    world, group = gather_members()
    ana = Speaker(world, group, ANA)
    for make in (
        lambda: Resent(MESSAGE_ID, 0, ana.grant),  # type: ignore[arg-type]
        lambda: GroupResent(ana.made, MESSAGE_ID, 0, ana.grant),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidArgument):
            make()
    kind, body = encode_content(ana.grant)
    again = content_pb2.Resent(message_id=MESSAGE_ID, content_kind=kind, content_body=body)
    data = again.SerializeToString(deterministic=True)
    with pytest.raises(DecodeError):
        decode_content(2**31 + 2, data)
    envelope = craft(ana.device, BUDI, EncodedContent(2**31 + 2, data))  # type: ignore[arg-type]
    assert_refused(world, BUDI, envelope, DecodeError)


def test_of_a_device_that_the_list_does_not_have_none_is_taken() -> None:
    world, group = gather_members()
    tablet = add_companion(world, ANA)
    world.tell(group, ANA, tablet)
    speaker = Speaker(world, group, tablet)
    hold_list(world.devices[BUDI], list_with_groups(world.devices[ANA], seq=9))
    start(speaker.device, world.devices[BUDI], kyber=True)
    envelope = craft(speaker.device, BUDI, speaker.grant)
    assert_refused(world, BUDI, envelope, UnlistedDevice)
