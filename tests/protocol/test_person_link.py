# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from e2ecross.crypto.account_kdf import person_link_message
from e2ecross.crypto.keys import PublicKey, key_pair_from_private
from e2ecross.errors import DecodeError, EnvelopeMismatch, InvalidSignature
from e2ecross.protocol.person_link import (
    MAX_PERSON_LINK_MS,
    sign_person_link,
    verify_person_link,
)
from e2ecross.wire.person_link import PersonLink, SignedPersonLink
from tests.support.entropy import ReplayedEntropy, SeededEntropy
from tests.support.points import GOOD_KEY
from tests.support.vectors import devices, unhex

VECTOR = devices("person_link")
SIGNED = SignedPersonLink.decode(unhex(VECTOR["signed"]))
LINK = SIGNED.link
ON_INSTAGRAM = key_pair_from_private(unhex(VECTOR["first_private"]))
ON_WHATSAPP = key_pair_from_private(unhex(devices("keys")["account"]["private"]))
KEYS = (ON_INSTAGRAM.public, ON_WHATSAPP.public)
NOW_MS = LINK.expires_at_ms - 1


def signed(link: PersonLink) -> SignedPersonLink:
    signatures = [
        sign_person_link(link, pair, SeededEntropy("z")) for pair in (ON_INSTAGRAM, ON_WHATSAPP)
    ]
    return SignedPersonLink(link.encode(), signatures[0], signatures[1], link)


def test_the_vector_of_a_person_link() -> None:
    assert person_link_message(SIGNED.data) == unhex(VECTOR["message"])
    first = sign_person_link(LINK, ON_INSTAGRAM, ReplayedEntropy([unhex(VECTOR["first_z"])]))
    second = sign_person_link(LINK, ON_WHATSAPP, ReplayedEntropy([unhex(VECTOR["second_z"])]))
    made = SignedPersonLink(LINK.encode(), first, second, LINK)
    assert made.encode() == unhex(VECTOR["signed"])
    verify_person_link(SIGNED, *KEYS, NOW_MS)


def test_both_have_to_sign_it() -> None:
    first, second = SIGNED.first_signature, SIGNED.second_signature
    for bad in (
        replace(SIGNED, first_signature=second),
        replace(SIGNED, second_signature=first),
        replace(SIGNED, first_signature=second, second_signature=first),
        replace(SIGNED, data=signed(replace(LINK, expires_at_ms=NOW_MS + 2)).data),
    ):
        with pytest.raises(InvalidSignature):
            verify_person_link(bad, *KEYS, NOW_MS)


@pytest.mark.parametrize(
    "keys",
    [
        (PublicKey(GOOD_KEY), KEYS[1]),
        (KEYS[0], PublicKey(GOOD_KEY)),
        KEYS[::-1],
        (None, KEYS[1]),
        (KEYS[0], None),
        (None, None),
    ],
)
def test_both_keys_have_to_be_the_accepted_ones(
    keys: tuple[PublicKey | None, PublicKey | None],
) -> None:
    with pytest.raises(EnvelopeMismatch):
        verify_person_link(SIGNED, *keys, NOW_MS)


@pytest.mark.parametrize(
    ("before_ms", "is_accepted"),
    [
        (0, False),
        (-1, False),
        (1, True),
        (400 * 86_400_000, True),
        (400 * 86_400_000 + 1, False),
    ],
)
def test_it_holds_for_400_days_at_most(before_ms: int, *, is_accepted: bool) -> None:
    now_ms = LINK.expires_at_ms - before_ms
    if is_accepted:
        verify_person_link(SIGNED, *KEYS, now_ms)
    else:
        with pytest.raises(DecodeError, match="400 days"):
            verify_person_link(SIGNED, *KEYS, now_ms)
    assert MAX_PERSON_LINK_MS == 400 * 86_400_000


def test_a_link_that_was_made_here_verifies() -> None:
    verify_person_link(signed(replace(LINK, expires_at_ms=9)), *KEYS, 8)
