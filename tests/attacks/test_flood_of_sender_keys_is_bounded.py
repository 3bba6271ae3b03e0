# SPDX-License-Identifier: Apache-2.0
"""A member who floods with sender keys, groups and gaps costs a bounded amount of storage.

The attacker: a member, whose distribution messages the app processes; makes key after key in
group after group, and skips as much as is allowed in each. Forged jumps cost a signature each.
"""

import pytest

from e2ecross import SenderKeyGroup
from e2ecross.errors import InvalidSignature, TooManySkipped
from e2ecross.protocol import message_chain
from e2ecross.stores import Table
from e2ecross.wire.limits import (
    MAX_SENDER_KEY_PLACES,
    MAX_SENDER_KEY_STATES,
    MAX_SKIPPED_KEYS_PER_CHAIN,
)
from e2ecross.wire.session_records import decode_skipped_keys
from tests.attacks.support import ANA, BUDI, Person, dump, person
from tests.attacks.support_groups import KEY_ID, UUID, assert_group_refused, gather
from tests.support.sender_keys import group_of, vectors_of
from tests.support.vectors import unhex


def _counts(who: Person) -> tuple[int, int]:
    """How many keys of others, and how many seeds, a store holds."""
    rows = dump(who.store)
    seeds = (decode_skipped_keys(row[3]) for row in rows if row[0] == Table.SENDER_KEY_SEEDS)
    return sum(row[0] == Table.SENDER_KEYS for row in rows), sum(map(len, seeds))


def test_keys_and_groups_of_one_sender() -> None:
    ana, budi = person(ANA), person(BUDI)
    most = MAX_SENDER_KEY_PLACES * MAX_SENDER_KEY_STATES
    for number in range(2 * MAX_SENDER_KEY_PLACES):
        group = SenderKeyGroup.uuid(number.to_bytes(16))
        for _ in range(MAX_SENDER_KEY_STATES + 1):
            data = ana.device.new_sender_key_raw(group)
            budi.device.process_distribution_raw(ANA, group, data)
            late, last = (ana.device.encrypt_group_raw(group, b"") for _ in range(2))
            budi.device.decrypt_group_raw(ANA, group, last)
        assert budi.device.decrypt_group_raw(ANA, group, late) == b""
    keys, seeds = _counts(budi)
    assert keys == most
    assert seeds <= most


def test_seeds_of_one_key() -> None:
    ana, budi, _ = gather(UUID)
    for _ in range(4):
        for _ in range(999):
            ana.device.encrypt_group_raw(UUID, b"")
        budi.device.decrypt_group_raw(ANA, UUID, ana.device.encrypt_group_raw(UUID, b""))
    assert _counts(budi)[1] == MAX_SKIPPED_KEYS_PER_CHAIN


@pytest.mark.parametrize("group", [UUID, KEY_ID], ids=["uuid", "key id"])
def test_a_forged_jump_takes_no_step_along_the_chain(
    group: SenderKeyGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, budi, _ = gather(group)
    data = ana.device.encrypt_group_raw(group, b"")
    steps = 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1

    for name in ("derive_message_and_chain_key", "derive_next_chain_key"):
        monkeypatch.setattr(message_chain, name, step)
    assert_group_refused(budi, group, data[:-1] + bytes((data[-1] ^ 1,)), InvalidSignature)
    assert steps == 0


def test_a_jump_too_far_takes_no_step_either(monkeypatch: pytest.MonkeyPatch) -> None:
    section = vectors_of("uuid")
    (item,) = [item for item in section["refusals"] if item["name"] == "jump of 25,001"]
    budi = person(BUDI)
    group = group_of(section)
    budi.device.process_distribution_raw(ANA, group, unhex(section["distribution"]))

    def step(*_: object) -> None:
        raise AssertionError("the chain was walked along")

    for name in ("derive_message_and_chain_key", "derive_next_chain_key"):
        monkeypatch.setattr(message_chain, name, step)
    assert_group_refused(budi, group, unhex(item["message"]), TooManySkipped)
