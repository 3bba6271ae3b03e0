# SPDX-License-Identifier: Apache-2.0
import hashlib
from unittest.mock import patch

import pytest

from e2ecross.crypto import link_kdf
from e2ecross.crypto.keys import agree, generate_key_pair
from e2ecross.crypto.link_kdf import (
    derive_link_keys,
    hash_token,
    link_digits,
    link_id,
    link_transcript,
)
from tests.support.entropy import ReplayedEntropy
from tests.support.vectors import devices, unhex

LINKING = devices("linking")
CODE = unhex(LINKING["code"])
COMPANION, SECRET = (unhex(draw) for draw in LINKING["companion_draws"][:2])
PRIMARY = unhex(LINKING["primary_draws"][0])


def test_the_vector_of_linking() -> None:
    companion, primary = (
        generate_key_pair(ReplayedEntropy([COMPANION])),
        generate_key_pair(ReplayedEntropy([PRIMARY])),
    )
    assert link_id(CODE) == unhex(LINKING["link_id"])
    transcript = link_transcript(CODE, primary.public)
    assert transcript == unhex(LINKING["transcript"])
    agreement = agree(primary.private, companion.public)
    assert agreement == agree(companion.private, primary.public) == unhex(LINKING["agreement"])
    keys = derive_link_keys(transcript, agreement, SECRET)
    assert keys.offer == unhex(LINKING["k_offer"])
    assert keys.answer == unhex(LINKING["k_answer"])
    assert keys.result == unhex(LINKING["k_result"])
    assert keys.digits == unhex(LINKING["k_digits"])
    offer, answer = unhex(LINKING["offer"]), unhex(LINKING["answer"])
    assert link_digits(keys.digits, offer, answer) == LINKING["digits"]
    assert hash_token(unhex(LINKING["token"])) == unhex(LINKING["token_hash"])


def test_what_is_hashed_is_told_apart_by_its_labels() -> None:
    """The id is no beginning of the transcript, whatever the key."""
    prefix = b"\x06e2ecross/link-id/v1\x00" + len(CODE).to_bytes(4) + CODE
    assert link_id(CODE) == hashlib.sha256(prefix).digest()[:16]
    assert link_transcript(CODE, b"")[:16] != link_id(CODE)


@pytest.mark.parametrize("at", range(3))
def test_the_keys_depend_on_everything(at: int) -> None:
    parts = [bytes(32), b"\x01" * 32, b"\x02" * 32]
    before = derive_link_keys(*parts)
    parts[at] = b"\x03" * 32
    after = derive_link_keys(*parts)
    keys = [
        key
        for each in (before, after)
        for key in (each.offer, each.answer, each.result, each.digits)
    ]
    assert len(set(keys)) == 8
    assert {len(key) for key in keys} == {32}


def test_the_digits_depend_on_everything() -> None:
    digits = {
        link_digits(key, offer, answer)
        for key in (bytes(32), b"\x01" * 32)
        for offer in (b"", b"offer")
        for answer in (b"", b"answer")
    }
    assert len(digits) == 8
    assert link_digits(bytes(32), b"a", b"b") != link_digits(bytes(32), b"b", b"a")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "000000"), (7, "000007"), (999_999, "999999"), (2**64 - 1, "551615")],
)
def test_the_digits_are_always_six(number: int, expected: str) -> None:
    mac = number.to_bytes(8) + b"\xff" * 24
    with patch.object(link_kdf, "hmac_sha256", return_value=mac):
        assert link_digits(bytes(32), b"", b"") == expected
