# SPDX-License-Identifier: Apache-2.0
"""The scene of attacks on sender keys: members of a group, each of whom has the others' keys."""

from collections.abc import Callable
from typing import Final

import pytest

from e2ecross import Address, SenderKeyGroup
from e2ecross.errors import RemoteError
from tests.attacks.support import ANA, APPS, Person, person

__all__ = ["GROUPS", "KEY_ID", "UUID", "assert_group_refused", "gather", "hand_over"]

UUID: Final = SenderKeyGroup.uuid(bytes(range(16)))
KEY_ID: Final = SenderKeyGroup.key_id(b"1234-5678@g.us")
GROUPS: Final = pytest.mark.parametrize("group", [UUID, KEY_ID], ids=["uuid", "key id"])


def gather(group: SenderKeyGroup) -> tuple[Person, Person, Person]:
    """Three people, one of each app, who were given each other's keys."""
    people = [person(address) for address in APPS]
    for sender in people:
        data = sender.device.new_sender_key_raw(group)
        for reader in people:
            if reader is not sender:
                hand_over(sender.address, reader, group, data)
    ana, budi, toko = people
    return ana, budi, toko


def hand_over(sender: Address, reader: Person, group: SenderKeyGroup, data: bytes) -> None:
    """Give a distribution message to somebody as that sender's: as if in that pairwise session."""
    reader.device.process_distribution_raw(sender, group, data)


def assert_group_refused(
    victim: Person,
    group: SenderKeyGroup,
    data: bytes,
    *expected: type[RemoteError],
    sender: Address = ANA,
    deliver: Callable[[Address, SenderKeyGroup, bytes], object] | None = None,
) -> None:
    """Deliver something bad: one of exactly these errors, and not a byte of the store changes."""
    before = victim.dump()
    with pytest.raises(RemoteError) as caught:
        (deliver or victim.device.decrypt_group_raw)(sender, group, data)
    assert type(caught.value) in expected, f"{caught.value!r} is none of {expected}"
    assert victim.dump() == before
