# SPDX-License-Identifier: Apache-2.0
"""How the sender keys of other devices are doing: how many are held, how near their bounds.

Rules:
- Only read, and numbers only: no group, no address, no key.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.state.context import address_from_key
from e2ecross.state.sender_keys import sender_key_from_row
from e2ecross.wire.limits import MAX_SENDER_KEY_PLACES, MAX_SENDER_KEY_SEEDS

__all__ = ["HeldKey", "SenderKeysHealth", "judge_sender_keys", "read_sender_key"]

_CHAIN_ID_BYTES: Final = 4
_NEAR: Final = MAX_SENDER_KEY_SEEDS * 9 // 10
"""Seeds of a device in a group, from where on it is told that the oldest will soon go. Of a foreign
key the bound is the same."""


class HeldKey(NamedTuple):
    """A sender key that is held, as far as it is counted.

    Attributes:
        device: the store's key of the device that has given it.
        group: what tells one group of that device from another.
        is_ours: whether it is a group of ours, and none of the raw layer.
        seeds: how many messages of it have not arrived and can be read still.
    """

    device: bytes
    group: bytes
    is_ours: bool
    seeds: int


@dataclass(frozen=True, slots=True)
class SenderKeysHealth:
    """The sender keys of other devices.

    Attributes:
        devices: of how many devices there are some.
        keys: how many they are in groups of ours.
        places: for how many groups of ours those are, counted for each device by itself.
        raw_keys: how many they are in groups of the raw layer.
        raw_places: likewise.
        seeds: how many messages have not arrived and can be read still, of all of them.
        near_bound: in how many places so many are missing that the oldest will soon be given up.
        crowded: of how many devices keys are held for as many groups as can be, so that with the
            next one the oldest goes.
    """

    devices: int
    keys: int
    places: int
    raw_keys: int
    raw_places: int
    seeds: int
    near_bound: int
    crowded: int


def read_sender_key(partition: bytes, row: bytes, record: bytes) -> HeldKey:
    """Decode a sender key of another device."""
    address_from_key(partition)
    held = sender_key_from_row(row, record)
    seeds, origin = len(held.state.chain.skipped), held.origin
    group = row[:-_CHAIN_ID_BYTES] if origin is None else origin.made.group_id.value
    return HeldKey(partition, group, origin is not None, seeds)


def judge_sender_keys(keys: Iterable[HeldKey]) -> SenderKeysHealth:
    """Tell how the sender keys of other devices are doing."""
    held = list(keys)
    seeds: Counter[tuple[bytes, bytes, bool]] = Counter()
    for key in held:
        seeds[key.device, key.group, key.is_ours] += key.seeds
    per_device = Counter((device, is_ours) for device, _, is_ours in seeds)
    ours = sum(key.is_ours for key in held)
    places = sum(is_ours for _, _, is_ours in seeds)
    return SenderKeysHealth(
        devices=len({key.device for key in held}),
        keys=ours,
        places=places,
        raw_keys=len(held) - ours,
        raw_places=len(seeds) - places,
        seeds=sum(seeds.values()),
        near_bound=sum(count >= _NEAR for count in seeds.values()),
        crowded=sum(count >= MAX_SENDER_KEY_PLACES for count in per_device.values()),
    )
