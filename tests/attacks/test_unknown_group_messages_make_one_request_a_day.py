# SPDX-License-Identifier: Apache-2.0
"""Messages into groups that nobody can read make a client ask a stranger once in a day.

The attacker: a stranger, or a relay that invents one, with 1,000 messages of kind 7 that say
whatever they like.
"""

from e2ecross import Address, Device
from e2ecross.device.collecting import keep_failure, take_in
from e2ecross.errors import RemoteError
from e2ecross.wire.envelope import Envelope, MessageKind
from tests.attacks.support_members import gather_members, rest
from tests.support.accounts import told
from tests.support.devices import ANA, BUDI, DAY_MS, dump
from tests.support.group_speaker import Speaker

STRANGER = Address("messenger", "mallory")


def _flood(device: Device, template: Envelope, first: int, count: int) -> None:
    """Deliver a message under many ids, of a stranger."""
    context = device._context
    for number in range(first, first + count):
        envelope = Envelope(
            number.to_bytes(16), STRANGER, BUDI, MessageKind.SENDER_KEY, template.ciphertext
        )
        try:
            take_in(context, number, envelope.encode())
        except RemoteError as error:
            keep_failure(context, number, envelope.encode(), error)


def test_a_thousand_messages_of_a_stranger_make_one_request() -> None:
    world, group = gather_members()
    budi, template = world.devices[BUDI], Speaker(world, group, ANA).write(BUDI)
    before = rest(world, BUDI)
    _flood(budi, template, 1, 1_000)
    assert [address for address, _ in told(budi)] == [STRANGER]
    new = rest(world, BUDI).keys() - before.keys()
    assert len(new) <= 4  # the backlog of that request
    world.clock.advance(DAY_MS)
    _flood(budi, template, 2_000, 10)
    assert [address for address, _ in told(budi)] == [STRANGER, STRANGER]


def test_bytes_that_are_no_message_make_none() -> None:
    world, group = gather_members()
    budi, template = world.devices[BUDI], Speaker(world, group, ANA).write(BUDI)
    broken = Envelope(bytes(16), ANA, BUDI, MessageKind.SENDER_KEY, template.ciphertext[:70])
    before = dump(budi._context.store)
    _flood(budi, broken, 1, 20)
    assert not told(budi)
    assert before.keys() <= dump(budi._context.store).keys()
