# SPDX-License-Identifier: Apache-2.0
"""A group message is shown once, whatever is delivered again, and in whatever order.

The attacker: keeps every message and every distribution message, and delivers them again: also
the distribution message of a key at its beginning, which would read everything once more.
"""

import pytest

from e2ecross import SenderKeyGroup
from e2ecross.errors import DuplicateMessage, UnknownSenderKey
from tests.attacks.support import ANA
from tests.attacks.support_groups import GROUPS, UUID, assert_group_refused, gather, hand_over


@GROUPS
def test_also_after_its_keys_distribution_is_delivered_again(group: SenderKeyGroup) -> None:
    ana, budi, _ = gather(group)
    beginning = ana.device.distribution_raw(group)
    sent = [ana.device.encrypt_group_raw(group, str(number).encode()) for number in range(5)]
    for number in (4, 0, 2):
        assert budi.device.decrypt_group_raw(ANA, group, sent[number]) == str(number).encode()
        for again in (beginning, ana.device.distribution_raw(group)):
            hand_over(ANA, budi, group, again)
        budi.reload()
        assert_group_refused(budi, group, sent[number], DuplicateMessage)
    for number in (1, 3):
        assert budi.device.decrypt_group_raw(ANA, group, sent[number]) == str(number).encode()


@GROUPS
def test_an_old_distribution_after_a_newer_one_winds_nothing_back(group: SenderKeyGroup) -> None:
    ana, budi, _ = gather(group)
    first = ana.device.distribution_raw(group)
    old = ana.device.encrypt_group_raw(group, b"old")
    assert budi.device.decrypt_group_raw(ANA, group, old) == b"old"
    hand_over(ANA, budi, group, ana.device.new_sender_key_raw(group))
    new = ana.device.encrypt_group_raw(group, b"new")
    assert budi.device.decrypt_group_raw(ANA, group, new) == b"new"
    hand_over(ANA, budi, group, first)
    for data in (old, new):
        assert_group_refused(budi, group, data, DuplicateMessage)


@GROUPS
def test_a_key_that_fell_out_of_the_five_reads_again_only_if_its_sender_gives_it_again(
    group: SenderKeyGroup,
) -> None:
    """What is forgotten is forgotten: the pairwise session is what lets no replay through."""
    ana, budi, _ = gather(group)
    old = ana.device.encrypt_group_raw(group, b"old")
    assert budi.device.decrypt_group_raw(ANA, group, old) == b"old"
    for _ in range(5):
        hand_over(ANA, budi, group, ana.device.new_sender_key_raw(group))
    assert_group_refused(budi, group, old, UnknownSenderKey)


@pytest.mark.parametrize("again", [0, 1, 63, 64, 1_999])
def test_a_late_message_is_read_once(again: int) -> None:
    ana, budi, _ = gather(UUID)
    sent = [ana.device.encrypt_group_raw(UUID, b"") for _ in range(2_001)]
    budi.device.decrypt_group_raw(ANA, UUID, sent[-1])
    assert budi.device.decrypt_group_raw(ANA, UUID, sent[again]) == b""
    assert_group_refused(budi, UUID, sent[again], DuplicateMessage)
