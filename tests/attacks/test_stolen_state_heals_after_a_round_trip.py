# SPDX-License-Identifier: Apache-2.0
"""Healing: after one round trip a stolen state opens nothing that is sent from then on.

The attacker: copies a store, and from then on records the network without interfering.
"""

import pytest

from e2ecross import Device, Text
from e2ecross.errors import MessageTooOld
from e2ecross.stores import MemoryStore, Table
from tests.attacks.support import ANA, BUDI, TOKO, FakeClock, assert_refused, meet, person
from tests.attacks.thief import Recording, Thief
from tests.support.entropy import SeededEntropy


def _acquainted() -> Recording:
    ana, budi = person(ANA, one_time=2), person(BUDI, one_time=2)
    meet(ana, budi)
    return Recording(ana, budi)


@pytest.mark.parametrize("victim", ["left", "right"])
def test_what_the_thief_reads_ends_with_the_round_trip(victim: str) -> None:
    recording = _acquainted()
    ana, budi = recording.left, recording.right
    owner, peer = (ana, budi) if victim == "left" else (budi, ana)
    recording.say(peer, "to have read something")
    recording.say(owner, "to have a chain")
    recording.sent.clear()
    loot = owner.dump()
    recording.say(owner, "before the round trip")
    recording.say(peer, "the way there")
    recording.say(owner, "the way back")
    recording.say(peer, "healed 1")
    recording.say(owner, "healed 2")
    recording.say(owner, "healed 3")
    opened = Thief(loot, recording).open()
    # The thief follows the peer's answer to the stolen ratchet key, and then loses the track.
    assert "before the round trip" in opened
    assert opened <= {"before the round trip", "the way there"}


@pytest.mark.parametrize("victim", ["left", "right"])
def test_a_state_stolen_before_the_answer_opens_no_answer(victim: str) -> None:
    """Its key pair is drawn when it is sent, and what the peer answers to that is secret, too."""
    recording = _acquainted()
    ana, budi = recording.left, recording.right
    owner, peer = (ana, budi) if victim == "left" else (budi, ana)
    recording.say(owner, "to be answered")
    recording.say(peer, "a turn")
    recording.sent.clear()
    loot = owner.dump()
    recording.say(peer, "of the chain that was stolen")
    recording.say(owner, "answer")
    recording.say(owner, "answer, too")
    recording.say(peer, "healed 1")
    recording.say(owner, "healed 2")
    assert Thief(loot, recording).open() == {"of the chain that was stolen"}


def test_both_stores_stolen_at_once_heal_too() -> None:
    recording = _acquainted()
    ana, budi = recording.left, recording.right
    loot = ana.dump() + budi.dump()
    recording.say(ana, "before 1")
    recording.say(budi, "before 2")
    recording.say(ana, "the way there")
    recording.say(budi, "the way back")
    recording.say(ana, "healed 1")
    recording.say(budi, "healed 2")
    opened = Thief(loot, recording).open()
    assert "before 1" in opened
    assert not opened & {"healed 1", "healed 2"}


def test_a_monologue_does_not_heal_and_one_answer_begins_it() -> None:
    """Nothing new comes in as long as only one side talks: that is what a round trip is for."""
    recording = _acquainted()
    ana, budi = recording.left, recording.right
    recording.say(ana, "turn")
    recording.sent.clear()
    loot = ana.dump()
    monologue = {f"monologue {number}" for number in range(5)}
    for text in sorted(monologue):
        recording.say(ana, text)
    assert Thief(loot, recording).open() == monologue
    recording.say(budi, "answer")
    recording.say(ana, "healed")
    assert Thief(loot, recording).open() == monologue | {"answer"}


def test_two_people_who_both_started_heal_too() -> None:
    """The stay rule ends: a pair that keeps two unanswered sessions would never step."""
    ana, budi = person(ANA, one_time=2), person(BUDI, one_time=2)
    ana.start(budi)
    budi.start(ana)
    recording = Recording(ana, budi)
    crossing = [recording.send(ana, "crossing 1"), recording.send(budi, "crossing 2")]
    assert budi.read(crossing[0]) == "crossing 1"
    assert ana.read(crossing[1]) == "crossing 2"
    for number in range(10):
        recording.say(ana, f"ana {number}")
        recording.say(budi, f"budi {number}")
    loot = ana.dump() + budi.dump()
    recording.sent.clear()
    for number in range(2):
        recording.say(ana, f"round {number} ana")
        recording.say(budi, f"round {number} budi")
    recording.say(ana, "healed 1")
    recording.say(budi, "healed 2")
    assert not Thief(loot, recording).open() & {"healed 1", "healed 2"}


def test_a_session_that_was_stolen_with_its_store_does_not_open_those_of_others() -> None:
    ana, budi, toko = person(ANA, one_time=2), person(BUDI, one_time=2), person(TOKO, one_time=2)
    meet(ana, budi)
    meet(budi, toko)
    recording = Recording(budi, toko)
    recording.say(toko, "between the two of us")
    recording.say(budi, "yes")
    assert Thief(ana.dump(), recording).open() == set()


def test_who_has_stolen_a_state_cannot_go_on_with_a_chain_that_is_finished() -> None:
    """The receiver has closed it: its key is erased, at the number that its owner announced."""
    recording = _acquainted()
    ana, budi = recording.left, recording.right
    recording.say(ana, "first of the chain")
    stolen = MemoryStore()
    with stolen.transaction() as tx:
        for table, *place in ana.dump():
            tx.put(Table(table), *place)
    thief = Device.open(stolen, clock=FakeClock(), entropy=SeededEntropy("thief"))
    in_her_name = [thief.encrypt(BUDI, Text("send me money")) for _ in range(3)]
    recording.say(budi, "turn")
    recording.say(ana, "turned")
    for envelope in in_her_name:
        assert_refused(budi, envelope, MessageTooOld)
