# SPDX-License-Identifier: Apache-2.0
"""The conversations of `content.json`, in every order of their facts."""

from itertools import permutations
from typing import Any

import pytest

from e2ecross.address import Address, UserId
from e2ecross.client.timeline import Timeline
from e2ecross.conversation.timeline import Slots
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.state.message import Message
from e2ecross.wire.content import (
    Framed,
    MessageRef,
    Receipt,
    UnsupportedContent,
    decode_content,
    is_of_users,
)
from tests.support.timelines import ANA, BUDI, fact_of_vector, shown
from tests.support.vectors import content as vectors
from tests.support.vectors import unhex

TIMELINE, RECORD = vectors("timeline"), vectors("timeline_record")
CASES, IN_ORDER = TIMELINE["cases"], TIMELINE["in_this_order"]
REFUSED = vectors("timeline_record_refused")


def _entries(facts: Any) -> list[Any]:  # noqa: ANN401
    slots = Slots(ANA)
    for fact in facts:
        slots.add(fact)
    assert Slots.from_bytes(slots.to_bytes()).entries == slots.entries
    return list(slots.entries)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_any_order_of_facts_gives_the_entries_of_the_vectors(case: dict[str, Any]) -> None:
    facts = [fact_of_vector(vector, ANA) for vector in case["facts"]]
    for order in permutations(facts):
        entries = _entries([*order, order[0]])
        assert [shown(*pair) for pair in zip(entries, case["entries"], strict=True)] == (
            case["entries"]
        )


@pytest.mark.parametrize("case", IN_ORDER, ids=[case["name"] for case in IN_ORDER])
def test_floods_give_the_entries_of_the_vectors(case: dict[str, Any]) -> None:
    entries = _entries(fact_of_vector(vector, ANA) for vector in case["facts"])
    assert [shown(*pair) for pair in zip(entries, case["entries"], strict=True)] == case["entries"]


def _message(name: str) -> Message:
    """A message of the vectors as a client hands it over, to Ana's second device."""
    if name == "receipt":
        content = decode_content(8, unhex(vectors("receipts")[1]["body"]))
        assert isinstance(content, Receipt)
        return Message(Address("instagram", "budi"), bytes(16), 0, content, False, peer=BUDI)
    (vector,) = [each for each in vectors("messages") if each["name"] == name]
    author, body = UserId.parse(vector["author"]), unhex(vector["body"])
    found = decode_content(vector["kind"], body)
    assert is_of_users(found)
    framed = found if isinstance(found, Framed) else None
    frame = found.frame if isinstance(found, UnsupportedContent) else framed
    return Message(
        author.device(vector["device"]),
        unhex(vector["message_id"]),
        vector["sent_at_ms"],
        found.content if isinstance(found, Framed) else found,
        False,
        peer=BUDI,
        own_copy=author == ANA,
        ref=MessageRef(author, unhex(vector["message_id"]), unhex(vector["digest"])),
        view_once=frame is not None and frame.view_once,
        framed=framed,
    )


def test_a_conversation_is_kept_in_the_bytes_of_the_vectors() -> None:
    timeline = Timeline(ANA)
    changed = [len(timeline.add(_message(name))) for name in RECORD["messages"]]
    assert changed == RECORD["changed"]
    assert timeline.to_bytes().hex() == RECORD["record"]
    again = Timeline.from_bytes(timeline.to_bytes())
    assert again.entries == timeline.entries
    (entry,) = [each for each in again.entries if each.text == "hallo"]
    assert again.reaction(entry, "+").number == RECORD["next_own_number_for_post"]
    again.add(_message("delete"))
    assert again.to_bytes().hex() == RECORD["record_then_delete"]


@pytest.mark.parametrize("case", REFUSED, ids=[case["why"] for case in REFUSED])
def test_records_that_the_vectors_refuse_are_refused(case: dict[str, Any]) -> None:
    errors = {"DecodeError": DecodeError, "UnsupportedVersion": UnsupportedVersion}
    with pytest.raises(errors[case["error"]]):
        Timeline.from_bytes(unhex(case["record"]))
