# SPDX-License-Identifier: Apache-2.0
"""What a contact says of device lists is never believed, and costs one question and one answer.

The attacker: a contact whose client writes whatever it likes into the hints of its messages, so
that the victim's client takes it for granted that lists have changed, bothers its user, or asks
and answers without end.
"""

from itertools import product

import pytest

from e2ecross import Client, Message, UserId
from e2ecross.device.conversations import note_sent_to
from e2ecross.protocol.device_list import hint_of
from e2ecross.stores import Table
from e2ecross.wire.content import DeviceHints, DeviceListPush, Text
from e2ecross.wire.device_list import SignedDeviceList
from tests.attacks.support import ANA, BUDI, FakeClock
from tests.support.accounts import (
    account,
    craft,
    device_of,
    hold_list,
    sign_devices,
)
from tests.support.devices import BackendSimulator, dump, introduce, make_client, make_device

GARBAGE = bytes(range(16))
DAY_MS = 24 * 60 * 60 * 1000
BELIEVED = (Table.REMOTE_IDENTITIES, Table.SENT)


class Victim:
    """Ana, who has written to Budi, and holds lists 3 of both accounts."""

    def __init__(self) -> None:
        self.clock, self.backend = FakeClock(), BackendSimulator()
        self.ana: Client = make_client(ANA, self.backend, clock=self.clock)
        self.mallory = make_client(BUDI, self.backend, clock=self.clock).device
        introduce(self.mallory, self.ana.device, kyber=True)
        self.lists = {}
        for phone in (self.ana.device, self.mallory):
            signed = sign_devices(phone, seq=100)
            hold_list(self.ana.device, signed)
            for number in (2, 3):
                other = make_device(device_of(phone.address, number))
                signed = sign_devices(phone, other, after=signed)
                hold_list(self.ana.device, signed)
            self.lists[phone.address.user_id] = signed
            self.backend.lists[phone.address.user_id] = signed.encode()
        with self.ana.device._context.store.transaction() as tx:
            note_sent_to(self.ana.device._context, tx, BUDI.user_id)
        self.ana.confirm(self.ana.receive())  # what was made up here
        self.backend.calls.clear()

    def hear(self, hints: DeviceHints, sent_at_ms: int) -> None:
        envelope = craft(self.mallory, ANA, Text("halo"), hints=hints, sent_at_ms=sent_at_ms)
        self.backend.inject(ANA, envelope.encode())

    def take_answers(self) -> list[UserId]:
        """Whose lists Ana has sent."""
        found: list[UserId] = []
        while self.backend.mailbox(BUDI):
            message = self.mallory.decrypt(self.backend.mailbox(BUDI)[0])
            assert isinstance(message.content, DeviceListPush)
            lists = map(SignedDeviceList.decode, message.content.device_lists)
            found += [signed.list.user for signed in lists]
            self.backend.drop(BUDI, 0)
        return found

    def rows(self, user: UserId) -> list[tuple[int, bytes]]:
        """The six rows of the table of one account: what is said of its list."""
        newest = self.lists[user]
        return [
            (0, b""),
            (newest.list.seq, hint_of(newest)),
            (newest.list.seq + 1, GARBAGE),
            (2**63 - 1, GARBAGE),
            (newest.list.seq, GARBAGE),
            (1, GARBAGE),
        ]


@pytest.fixture
def victim() -> Victim:
    return Victim()


def believed(victim: Victim) -> dict[object, bytes]:
    """What Ana holds true of others, and what her user is told."""
    rows = dump(victim.ana.device._context.store).items()
    return {where: row for where, row in rows if where[0] in BELIEVED}


def all_hints(victim: Victim) -> list[DeviceHints]:
    rows = product(victim.rows(BUDI.user_id), victim.rows(ANA.user_id))
    return [DeviceHints(*one, *other) for one, other in rows if one[0] or other[0]]


def test_all_hints_together_cost_one_question_and_a_list_of_each_account(victim: Victim) -> None:
    before = believed(victim)
    for hints in all_hints(victim):
        for sent_at_ms in (0, victim.clock(), 2**63):
            victim.hear(hints, sent_at_ms)
            items = victim.ana.receive()
            assert all(isinstance(item, Message) for item in items), items
            victim.ana.confirm(items)
    assert victim.backend.calls.count("fetch_keys") <= 2, "one for either account"
    assert sorted(victim.take_answers(), key=str) == sorted(victim.lists, key=str), "each list once"
    for user, newest in victim.lists.items():
        record = account(victim.ana.device, user)
        assert (record.held, record.rival, record.fork_noted) == (newest, None, False)
    assert believed(victim) == before


@pytest.mark.parametrize("place", range(35))
def test_each_costs_at_most_one_question_and_one_answer_alone(victim: Victim, place: int) -> None:
    hints = all_hints(victim)[place]
    for _ in range(5):
        victim.hear(hints, victim.clock())
        victim.ana.receive()
    assert victim.backend.calls.count("fetch_keys") <= 1
    assert len(victim.backend.deposits) <= 1
    answers = victim.take_answers()
    assert len(answers) == len(set(answers))


def test_days_of_it_cost_a_list_a_day_and_six_questions_an_hour(victim: Victim) -> None:
    hints = DeviceHints(2**62, GARBAGE, 1, GARBAGE)
    begin_ms = victim.clock()
    while victim.clock() < begin_ms + 2 * DAY_MS:
        victim.hear(hints, victim.clock())
        victim.ana.confirm(victim.ana.receive())
        victim.clock.now_ms += 5 * 60 * 1000
    assert victim.backend.calls.count("fetch_keys") == 2 * 24 * 6
    assert victim.take_answers() == [ANA.user_id] * 2
