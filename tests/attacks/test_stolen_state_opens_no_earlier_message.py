# SPDX-License-Identifier: Apache-2.0
"""Forward secrecy: who steals a device's complete state opens no message that it has dealt with.

The attacker: has recorded every envelope from the beginning and then copies the store (of one
end, or of both), and tries every key in it in every place. See `thief.py`.
"""

from e2ecross.stores import Table
from tests.attacks.support import ANA, BUDI, NOW_MS, Person, Rows, person
from tests.attacks.thief import Recording, Thief

MONTH_MS = 31 * 24 * 60 * 60 * 1000


def _talk(*, one_time: bool = True) -> Recording:
    """Six turns, each of several messages, some of them late within and across chains."""
    ana, budi = person(ANA, one_time=2), person(BUDI, one_time=2)
    ana.start(budi, one_time=one_time)
    recording = Recording(ana, budi)
    late = None
    for turn in range(3):
        for sender, reader in ((ana, budi), (budi, ana)):
            batch = [recording.send(sender, f"{sender.address} {turn}.{n}") for n in range(4)]
            for number in (1, 0, 3):
                reader.read(batch[number])
            if late is not None:
                late[0].read(late[1])
            late = (reader, batch[2])
    assert late is not None
    late[0].read(late[1])
    return recording


def _steal(*people: Person) -> Rows:
    return tuple(row for person in people for row in person.dump())


def test_nothing_that_was_read_opens() -> None:
    recording = _talk()
    assert len(recording.sent) == 24
    for loot in (
        _steal(recording.left),
        _steal(recording.right),
        _steal(recording.left, recording.right),
    ):
        assert Thief(loot, recording).open() == set()


def test_messages_that_are_still_on_their_way_open_and_no_others() -> None:
    """Also shows that the thief knows the trade: the keys of those are there and are found."""
    recording = _talk()
    ana, budi = recording.left, recording.right
    recording.say(ana, "read")
    skipped = recording.send(ana, "skipped in its chain")
    recording.say(ana, "read too")
    assert Thief(_steal(budi), recording).open() == {"skipped in its chain"}
    # The chain is closed, the key of what is missing stays, and nothing else of the chain.
    recording.say(budi, "turn")
    recording.say(ana, "turned")
    assert Thief(_steal(budi), recording).open() == {"skipped in its chain"}
    recording.send(ana, "not delivered yet")
    assert Thief(_steal(budi), recording).open() == {"skipped in its chain", "not delivered yet"}
    assert Thief(_steal(ana), recording).open() == set()
    assert budi.read(skipped) == "skipped in its chain"
    assert Thief(_steal(budi), recording).open() == {"not delivered yet"}


def test_the_sender_keeps_no_key_of_what_it_has_sent() -> None:
    recording = _talk()
    for number in range(5):
        recording.send(recording.left, f"on its way {number}")
    assert Thief(_steal(recording.left), recording).open() == set()


def test_a_first_message_opens_no_more_once_its_one_time_prekey_is_deleted() -> None:
    ana, budi = person(ANA, one_time=2), person(BUDI, one_time=2)
    ana.start(budi)
    recording = Recording(ana, budi)
    first = recording.send(ana, "first")
    before = _steal(budi)
    assert budi.read(first) == "first"
    assert Thief(before, recording).open() == {"first"}
    assert Thief(_steal(budi), recording).open() == set()
    assert Thief(_steal(ana, budi), recording).open() == set()


def test_without_one_time_prekey_the_first_chain_opens_until_the_signed_prekey_goes() -> None:
    """The known limit of X3DH, and its bound: the life of the signed prekey."""
    recording = _talk(one_time=False)
    ana, budi = recording.left, recording.right
    first_chain = {f"{ana.address} 0.{number}" for number in range(4)}
    assert Thief(_steal(budi), recording).open() == first_chain
    assert Thief(_steal(ana), recording).open() == set()
    for days in (8, 40):
        budi.clock.now_ms = NOW_MS + days * MONTH_MS // 31
        budi.device.confirm_published(budi.device.publish(0))
        if days == 8:  # replaced, but kept for first messages that are late
            assert Thief(_steal(budi), recording).open() == first_chain
    assert Thief(_steal(budi), recording).open() == set()
    with budi.store.transaction() as tx:
        kept = {int.from_bytes(row) for row, _ in tx.list(Table.SIGNED_PREKEYS)}
    assert budi.published.signed_prekey.id not in kept


def test_archived_sessions_open_nothing_either() -> None:
    recording = _talk()
    ana, budi = recording.left, recording.right
    ana.start(budi)
    recording.say(ana, "new session")
    recording.say(budi, "new session, too")
    assert Thief(_steal(ana, budi), recording).open() == set()
