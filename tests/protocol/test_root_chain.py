# SPDX-License-Identifier: Apache-2.0
import pytest

from e2ecross.crypto.kdf import RootKey, derive_root_and_chain_key
from e2ecross.crypto.keys import PublicKey, agree
from e2ecross.errors import InvalidKey
from e2ecross.protocol.root_chain import advance_root_chain
from tests.support.points import LOW_ORDER_POINTS
from tests.support.vectors import key_pair, section, unhex

ALICE, BOB = key_pair("alice_ratchet"), key_pair("bob_signed_prekey")
ROOT = RootKey(bytes(range(32)))


@pytest.mark.parametrize("index", range(len(section("sessions"))))
def test_first_step_of_the_vectors(index: int) -> None:
    item = section("sessions")[index]
    root, chain = advance_root_chain(RootKey(unhex(item["root0"])), ALICE, BOB.public)
    assert root.hex() == item["root_after_first_ratchet"]
    assert chain.hex() == item["alice_sending_chain_key_0"]


def test_both_ends_take_the_same_step() -> None:
    expected = derive_root_and_chain_key(ROOT, agree(ALICE.private, BOB.public))
    assert advance_root_chain(ROOT, ALICE, BOB.public) == expected
    assert advance_root_chain(ROOT, BOB, ALICE.public) == expected


def test_zero_agreement_is_refused() -> None:
    with pytest.raises(InvalidKey):
        advance_root_chain(ROOT, ALICE, PublicKey(LOW_ORDER_POINTS["0"]))
