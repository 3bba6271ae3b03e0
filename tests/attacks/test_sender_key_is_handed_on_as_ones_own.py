# SPDX-License-Identifier: Apache-2.0
"""On the raw layer a member can hand on another's sender key as its own; the plaintext has to say.

The attacker: a member, who was given Ana's distribution message like everybody, and gives it to
Budi in his own pairwise session. This works, with every plain peer of sender keys: nothing in the
bytes says whose key it is. docs/security-model.md and docs/how-to.md tell the caller so; what the
attacker does not get is a word that Ana has not said.
"""

import pytest

from e2ecross import SenderKeyGroup
from e2ecross.errors import DuplicateMessage, InvalidSignature, UnknownSenderKey
from tests.attacks.support import ANA, TOKO
from tests.attacks.support_groups import GROUPS, assert_group_refused, gather, hand_over
from tests.support.documents import ROOT, section


@GROUPS
def test_it_works_and_shows_anas_words_as_his(group: SenderKeyGroup) -> None:
    ana, budi, toko = gather(group)
    anas = ana.device.distribution_raw(group)
    hand_over(TOKO, budi, group, anas)
    data = ana.device.encrypt_group_raw(group, b"I am for it")
    assert budi.device.decrypt_group_raw(TOKO, group, data) == b"I am for it"
    # And as hers once more: two senders, each with a state of its own.
    assert budi.device.decrypt_group_raw(ANA, group, data) == b"I am for it"
    for sender in (ANA, TOKO):
        assert_group_refused(budi, group, data, DuplicateMessage, sender=sender)
    # His own key still reads what he says himself.
    his = toko.device.encrypt_group_raw(group, b"so am I")
    assert budi.device.decrypt_group_raw(TOKO, group, his) == b"so am I"


@GROUPS
def test_a_sender_in_the_plaintext_shows_it(group: SenderKeyGroup) -> None:
    """What the how-to tells the caller to do."""
    ana, budi, _ = gather(group)
    hand_over(TOKO, budi, group, ana.device.distribution_raw(group))
    data = ana.device.encrypt_group_raw(group, str(ANA).encode() + b" I am for it")
    claimed, _, _ = budi.device.decrypt_group_raw(TOKO, group, data).partition(b" ")
    assert claimed != str(TOKO).encode()


@GROUPS
def test_he_puts_no_words_into_her_mouth(group: SenderKeyGroup) -> None:
    """The other way he would need her pairwise session; without it her name has only her key."""
    ana, budi, toko = gather(group)
    his = toko.device.encrypt_group_raw(group, b"Ana owes me money")
    assert_group_refused(budi, group, his, UnknownSenderKey, sender=ANA)
    chain_id_of_hers = ana.device.encrypt_group_raw(group, b"")
    changed = chain_id_of_hers[:-64] + his[-64:]
    assert_group_refused(budi, group, changed, InvalidSignature, sender=ANA)


@pytest.mark.parametrize("page", ["security-model.md", "how-to.md"])
def test_the_documents_say_so(page: str) -> None:
    title = (
        "Sender keys" if page == "security-model.md" else "Talk to a plain group of Signal peers"
    )
    text = section(ROOT / "docs" / page, title)
    assert "hand on another's distribution message as its own" in " ".join(text.split())
