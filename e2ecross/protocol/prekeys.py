# SPDX-License-Identifier: Apache-2.0
"""The life of prekeys: when to make new ones, and when old ones go.

Rules:
- Prekeys of all kinds share one ascending sequence of 24-bit ids; no id is used twice.
- A replaced signed or last-resort prekey is kept for a while, because first messages that used it
  may be late.
- Times are milliseconds since 1970; a clock that went back makes nothing older than it is.

Source: X3DH (revision 1, 2016-11-04) sections 3.2 and 4.6 (signed prekey rotation).
"""

from e2ecross.crypto.entropy import EntropySource
from e2ecross.errors import PrekeysExhausted
from e2ecross.wire.limits import MAX_PREKEY_ID

__all__ = [
    "first_prekey_id",
    "is_expired",
    "new_registration_id",
    "one_time_prekeys_to_add",
    "prekey_id_after_restore",
    "require_free_ids",
    "rotation_is_due",
]

_MAX_REGISTRATION_ID = 16380
_MAX_LOST_IDS = 2**16


def new_registration_id(entropy: EntropySource) -> int:
    """Draw a registration id, 1 to 16380 (7 bytes of entropy, so that no value is favoured)."""
    return int.from_bytes(entropy.bytes(7)) % _MAX_REGISTRATION_ID + 1


def first_prekey_id(entropy: EntropySource) -> int:
    """Draw where the sequence of prekey ids begins, in the lower half of 24 bits, not 0.

    A random beginning keeps the ids of a device apart from those of one that had its address
    before (3 bytes of entropy).
    """
    return (int.from_bytes(entropy.bytes(3)) >> 1) or 1


def prekey_id_after_restore(next_id: int, entropy: EntropySource) -> int:
    """Draw where the sequence goes on in a store that was put back to an older state.

    Ids from `next_id` on may have been given out after the copy was made, and after earlier
    restores of the same copy. So 65,536 ids are left out (320 refills of 100 keys of either
    kind), and of the rest a random one of the lower half is taken (7 bytes of entropy). If one
    copy is restored twice and each time k ids are given out, some are given twice with a
    probability of 2k by half the ids left: about 1 in 2000 for k = 1000 at first. Then the back
    end ignores those keys, or a late first message fails its MAC where it would have failed to
    find its prekey; the keys themselves are always fresh. Each restore costs a quarter of the ids
    left on average.

    Raises:
        PrekeysExhausted: none are left.
    """
    first = next_id + _MAX_LOST_IDS
    choices = (MAX_PREKEY_ID - first) // 2
    if choices < 1:
        raise PrekeysExhausted("this device has used all its prekey ids: create a new device")
    return first + int.from_bytes(entropy.bytes(7)) % choices


def require_free_ids(next_id: int, count: int) -> None:
    """Check that `count` ids from `next_id` on are left.

    Raises:
        PrekeysExhausted: they are not.
    """
    if next_id + count - 1 > MAX_PREKEY_ID:
        raise PrekeysExhausted("this device has used all its prekey ids: create a new device")


def rotation_is_due(created_at_ms: int, now_ms: int, max_age_ms: int) -> bool:
    """Tell whether the current signed prekey is to be replaced; one dated in the future is."""
    return not 0 <= now_ms - created_at_ms < max_age_ms


def is_expired(replaced_at_ms: int, now_ms: int, kept_for_ms: int) -> bool:
    """Tell whether a prekey that was replaced (0: was not) is to be deleted."""
    return replaced_at_ms != 0 and now_ms - replaced_at_ms >= kept_for_ms


def one_time_prekeys_to_add(left: int, low: int, target: int) -> int:
    """How many one-time prekeys to publish when `left` are left at the back end."""
    return target - left if left < low else 0
