# SPDX-License-Identifier: Apache-2.0
"""References to messages: the same at both ends, and those of the vectors."""

from typing import Any

import pytest

from e2ecross import Address, MessageRef, UserId
from e2ecross.state.message_refs import expiry_of, ref_of
from e2ecross.wire.content import (
    AnyContent,
    Bytes,
    Expiry,
    Framed,
    Receipt,
    Text,
    UnsupportedContent,
    decode_content,
)
from tests.support.devices import ANA, BUDI, MESSAGE_ID
from tests.support.vectors import content as vectors
from tests.support.vectors import unhex

FRAMED = Framed(Text("halo"), bytes(range(32)), Expiry(60))


@pytest.mark.parametrize(
    "vector",
    [each for each in vectors("messages") if not each["group_id"]],
    ids=lambda vector: vector["name"],
)
def test_references_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    author, peer = UserId.parse(vector["author"]), UserId.parse(vector["peer"])
    content = decode_content(vector["kind"], unhex(vector["body"]))
    assert isinstance(content, AnyContent)
    message_id = unhex(vector["message_id"])
    ref = ref_of(author.device(vector["device"]), peer, message_id, vector["sent_at_ms"], content)
    assert ref == MessageRef(author, message_id, unhex(vector["digest"]))


@pytest.mark.parametrize(
    ("content", "expiry"),
    [
        (Text("halo"), None),
        (Bytes(b"halo"), None),
        (FRAMED, Expiry(60)),
        (UnsupportedContent(17, FRAMED.content_body), Expiry(60)),
        (Framed(Text("halo"), bytes(32)), None),
    ],
    ids=repr,
)
def test_a_reference_has_the_expiry_of_its_message(
    content: AnyContent, expiry: Expiry | None
) -> None:
    ref = ref_of(ANA, BUDI.user_id, MESSAGE_ID, 1, content)
    assert ref is not None
    assert ref.expiry == expiry_of(content) == expiry


@pytest.mark.parametrize("content", [Receipt(1, (MESSAGE_ID,)), UnsupportedContent(9, b"x")])
def test_what_has_no_key_has_no_reference(content: AnyContent) -> None:
    assert ref_of(ANA, BUDI.user_id, MESSAGE_ID, 1, content) is None
    assert expiry_of(content) is None


def test_another_device_or_conversation_gives_another_reference() -> None:
    refs = [
        ref_of(sender, peer, message_id, sent_at_ms, FRAMED)
        for sender, peer, message_id, sent_at_ms in [
            (ANA, BUDI.user_id, MESSAGE_ID, 1),
            (Address(ANA.app, ANA.user, 2), BUDI.user_id, MESSAGE_ID, 1),
            (ANA, ANA.user_id, MESSAGE_ID, 1),
            (ANA, BUDI.user_id, bytes(16), 1),
            (ANA, BUDI.user_id, MESSAGE_ID, 2),
        ]
    ]
    assert len({ref.digest for ref in refs if ref is not None}) == len(refs)
