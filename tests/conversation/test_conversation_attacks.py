# SPDX-License-Identifier: Apache-2.0
"""References across conversations, and guesses of what they name: content.md sections 4 and 13."""

from dataclasses import replace

import pytest

from e2ecross.conversation.timeline import Slots
from e2ecross.crypto.commitment_kdf import MessagePlace, commit
from e2ecross.wire.content import (
    Answer,
    Delete,
    Edit,
    Framed,
    MessageRef,
    Options,
    Reaction,
    Text,
    encode_content,
)
from tests.support.timelines import ANA, BUDI, CITA, KEY, act, post

ID, OTHER_ID, GROUP_ID = b"\x01" * 16, b"\x02" * 16, b"\x0a" * 32
PLACE = MessagePlace(str(ANA), 1, str(BUDI), b"", ID, 5)
ELSEWHERE = {
    "in a group": replace(PLACE, peer="", group_id=GROUP_ID),
    "in another group": replace(PLACE, peer="", group_id=bytes(32)),
    "with a third account": replace(PLACE, peer=str(CITA)),
    "from another device": replace(PLACE, device=2),
    "at another time": replace(PLACE, sent_at_ms=6),
}
OPTIONS = Framed(Options("who?", ("you", "me")), KEY)


def _digest(place: MessagePlace, content: Framed = OPTIONS) -> bytes:
    return commit(content.opening_key, place, *encode_content(content))


@pytest.mark.parametrize("where", ELSEWHERE)
def test_an_act_of_one_conversation_does_nothing_in_another(where: str) -> None:
    """The same message, repeated elsewhere under its id, content and key, and the act after it."""
    target = MessageRef(ANA, ID, _digest(PLACE))
    message = post(ANA, ID, _digest(ELSEWHERE[where]), OPTIONS)
    alone = Slots(ANA)
    alone.add(message)
    for content in (
        Edit(target, 1, "forged"),
        Delete(target),
        Reaction(target, 1, "+"),
        Answer(target, 1, (0,)),
    ):
        done = act(ANA, OTHER_ID, content, moderator=True)
        for order in ((message, done), (done, message)):
            slots = Slots(ANA)
            for fact in order:
                slots.add(fact)
            assert slots.to_bytes() == alone.to_bytes()
        at_home = Slots(ANA)
        for fact in (post(ANA, ID, _digest(PLACE), OPTIONS), done):
            at_home.add(fact)
        assert b"forged" in at_home.to_bytes() or not isinstance(content, Edit)
        assert (at_home.entries[0].kind == "deleted") is isinstance(content, Delete)


def test_a_short_text_is_not_guessed_from_a_reply() -> None:
    """Who sees the reference, and all about its target but the key, has nothing to test with."""
    secret = Framed(Text("4711"), b"\x77" * 32)
    seen = MessageRef(ANA, ID, _digest(PLACE, secret))
    for guess in range(10_000):
        body = Framed(Text(f"{guess:04}"), bytes(32)).content_body
        assert commit(bytes(32), PLACE, 3, body) != seen.digest
    assert _digest(PLACE, secret) == seen.digest
