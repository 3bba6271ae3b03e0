# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import pytest

from e2ecross.crypto.commitment_kdf import MessagePlace, commit
from tests.support.vectors import content, unhex

MESSAGES = content("messages")
KEY, BODY = b"\x07" * 32, b"content"
PLACE = MessagePlace("whatsapp:ana", 1, "instagram:budi", b"", bytes(16), 1_764_350_000_000)


@pytest.mark.parametrize("vector", MESSAGES, ids=[vector["name"] for vector in MESSAGES])
def test_digests_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    place = MessagePlace(
        vector["author"],
        vector["device"],
        vector["peer"],
        unhex(vector["group_id"]),
        unhex(vector["message_id"]),
        vector["sent_at_ms"],
    )
    key, body = unhex(vector["opening_key"]), unhex(vector["body"])
    assert commit(key, place, vector["kind"], body).hex() == vector["digest"]


@pytest.mark.parametrize(
    "changed",
    [
        {"author": "whatsapp:an"},
        {"device": 2},
        {"peer": "whatsapp:budi"},
        {"group_id": bytes(32)},
        {"message_id": b"\x01" * 16},
        {"sent_at_ms": 1_764_350_000_001},
        {"author": "whatsapp:anai", "peer": "nstagram:budi"},
        {"peer": "", "group_id": b"instagram:budi"},
    ],
)
def test_a_digest_binds_where_the_message_stands(changed: dict[str, Any]) -> None:
    assert commit(KEY, replace(PLACE, **changed), 3, BODY) != commit(KEY, PLACE, 3, BODY)


def test_a_digest_binds_the_content_its_kind_and_the_key() -> None:
    digests = [
        commit(KEY, PLACE, 3, BODY),
        commit(KEY, PLACE, 4, BODY),
        commit(KEY, PLACE, 3, BODY + b"\0"),
        commit(bytes(32), PLACE, 3, BODY),
    ]
    assert len({*digests}) == len(digests)
    assert {len(digest) for digest in digests} == {32}


def test_who_lacks_the_key_cannot_test_guesses() -> None:
    """Whoever joins later sees the reference in a reply, and no more of its target."""
    digest = commit(KEY, PLACE, 3, b"4711")
    guesses = [str(number).encode() for number in range(10_000)]
    assert digest not in {commit(bytes(32), PLACE, 3, guess) for guess in guesses}
