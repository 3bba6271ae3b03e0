# SPDX-License-Identifier: Apache-2.0
"""Messages into a group as conversations: replies, reactions, edits, deletes by whoever may."""

from dataclasses import replace

import pytest

from e2ecross import Client, Entry, Message, Policy, Role, Sent, Text, Timeline
from e2ecross.conversation.entry import EntryKind
from tests.client.circle import ANA, BUDI, CITRA, Circle
from tests.support.devices import BackendSimulator

POLICY = Policy(capabilities=frozenset({10, 15, 16, 17}))


class Talk:
    """Ana (with two devices), Budi and Citra, each with a timeline of their group."""

    def __init__(self) -> None:
        self.circle = Circle(BackendSimulator(), policy=POLICY)
        self.ana, self.laptop = self.circle.devices(ANA, 2)
        self.budi, self.citra = self.circle.join(BUDI, CITRA)
        self.group = self.circle.found(self.ana, self.budi, self.citra)
        self.lines = {each: Timeline(each.device.address.user_id) for each in self.circle.clients}

    def say(self, client: Client, content: object) -> Sent:
        sent = client.group(self.group.id).send(content)  # type: ignore[arg-type]
        self.lines[client].add(sent)
        self.run()
        self.circle.clock.advance(1)
        return sent

    def run(self) -> None:
        self.circle.settle()
        for client, line in self.lines.items():
            for item in self.circle.items(client):
                if isinstance(item, Message):
                    assert item.group == self.group.id
                    line.add(item)

    def entry(self, client: Client) -> Entry:
        return self.lines[client].entries[0]

    def agreed(self) -> Entry:
        """The first entry, the same for everybody."""
        entries = [self.entry(client) for client in self.lines]
        assert entries == [entries[0]] * len(entries)
        return entries[0]


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_all_see_the_same_of_replies_reactions_and_edits(talk: Talk) -> None:
    first = talk.say(talk.ana, Text("Monday?"))
    assert talk.agreed().ref == first.ref
    assert first.ref is not None
    talk.say(talk.budi, Text("yes", reply_to=first.ref))
    assert talk.lines[talk.citra].entries[1].reply_to == first.ref
    talk.say(talk.citra, talk.lines[talk.citra].reaction(talk.entry(talk.citra), "+"))
    talk.say(talk.budi, talk.lines[talk.budi].reaction(talk.entry(talk.budi), "!"))
    talk.say(talk.laptop, talk.lines[talk.laptop].edit(talk.entry(talk.laptop), "Tuesday?"))
    entry = talk.agreed()
    assert (entry.text, entry.first_text) == ("Tuesday?", "Monday?")
    assert {str(user): emoji for user, emoji in entry.reactions} == {BUDI: "!", CITRA: "+"}


def test_owners_and_admins_delete_what_others_have_written(talk: Talk) -> None:
    talk.say(talk.citra, Text("something bad"))
    talk.say(talk.budi, talk.lines[talk.budi].delete(talk.entry(talk.budi)))  # he may not
    assert talk.entry(talk.citra).kind is EntryKind.POST
    talk.group.set_role(BUDI, Role.ADMIN)
    talk.run()
    sent = talk.say(talk.budi, talk.lines[talk.budi].delete(talk.entry(talk.ana)))
    assert sent.moderator
    assert talk.agreed().deleted_by == "moderator"


def test_what_is_said_in_a_group_has_no_reference_elsewhere(talk: Talk) -> None:
    """The digest binds the group: the same words to one account are another message."""
    in_group = talk.say(talk.ana, Text("halo"))
    alone = talk.ana.send(BUDI, Text("halo", reply_to=in_group.ref))
    assert in_group.ref is not None
    assert alone.ref is not None
    assert in_group.ref.digest != alone.ref.digest
    assert replace(in_group, group=None).ref != in_group.ref
