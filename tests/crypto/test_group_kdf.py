# SPDX-License-Identifier: Apache-2.0
"""What is signed and hashed of groups: the recorded values, and that every part counts."""

import pytest

from e2ecross.crypto.group_kdf import (
    commit_message,
    hash_commit,
    hash_context,
    hash_genesis,
    make_distribution_id,
)
from tests.support.vectors import groups, unhex

LIFE = groups("life")
IDS = groups("distribution_ids")


def test_recorded_commits() -> None:
    assert hash_genesis(unhex(LIFE["commits"][0]["commit"])).hex() == LIFE["group_id"]
    for item in LIFE["commits"]:
        assert commit_message(unhex(item["commit"])).hex() == item["signed_bytes"]
        assert hash_commit(unhex(item["commit"])).hex() == item["hash"]
        heads = [unhex(head) for head in item["heads"]]
        assert hash_context(unhex(LIFE["group_id"]), heads).hex() == item["context_hash"]


@pytest.mark.parametrize("item", IDS["vectors"], ids=lambda item: item["sender"])
def test_recorded_distribution_ids(item: dict[str, str]) -> None:
    group_id, heads = unhex(IDS["group_id"]), [unhex(head) for head in item["heads"]]
    key = unhex(item["identity_key"])
    assert hash_context(group_id, heads).hex() == item["context_hash"]
    assert (
        make_distribution_id(group_id, heads, item["sender"], key).hex()
        == (item["distribution_id"])
    )


def test_every_part_of_a_distribution_id_counts() -> None:
    group_id, heads, key = bytes(32), [bytes(32)], bytes(33)
    ids = {
        make_distribution_id(group_id, heads, "whatsapp:ana.1", key),
        make_distribution_id(b"\1" * 32, heads, "whatsapp:ana.1", key),
        make_distribution_id(group_id, [b"\1" * 32], "whatsapp:ana.1", key),
        make_distribution_id(group_id, [*heads, b"\1" * 32], "whatsapp:ana.1", key),
        make_distribution_id(group_id, heads, "whatsapp:ana.2", key),
        make_distribution_id(group_id, heads, "whatsapp:ana.1", b"\1" * 33),
    }
    assert len(ids) == 6


def test_a_commit_is_signed_and_hashed_under_three_labels() -> None:
    assert len({commit_message(b"x"), hash_commit(b"x"), hash_genesis(b"x")}) == 3
