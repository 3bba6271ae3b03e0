# SPDX-License-Identifier: Apache-2.0
"""What a relay carries and keeps: bounds that its operator may change.

Rules:
- Whoever is registered can make the relay store something; each such thing has a bound here.
- What no envelope may exceed anywhere stands in `wire/limits.py` and can only be lowered here.
"""

from dataclasses import dataclass, fields
from typing import Final

from e2ecross.arguments import require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.relay.rows import MAX_NUMBER
from e2ecross.wire.exchange import HIGHEST_STRIPE
from e2ecross.wire.limits import MAX_ENVELOPE_BYTES

__all__ = ["RelayLimits"]

_DAY_MS: Final = 24 * 60 * 60 * 1000
# A time of more than 10,000 years is a mistake, and added to a clock it would not fit into a row.
_MAX_MS: Final = 10_000 * 366 * _DAY_MS

_GIB: Final = 1024**3
_MAX_BLOB_BYTES: Final = 1024 * _GIB
"""Larger than any attachment, and small enough that offsets and sums always fit into a row."""

_RESERVE_DIVISOR: Final = 10
"""A tenth: by default room for 100 users, and a file that is hardly larger."""


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """The bounds of one relay; all processes on one file should use the same.

    Attributes:
        envelope_bytes: one encoded envelope, bytes; at most 128 KiB, the largest there is.
        mailbox_messages: envelopes that wait for one device, also if one user sent them all; the
            newest is refused, but for the reserve. A device that is offline for weeks fits; with
            the reserve at most 1.5 GB.
        mailbox_reserve_per_sender: beyond `mailbox_messages`, a tenth more (rounded down, so none
            below 10) is reserved for users of whom fewer than this wait for the device, from all
            their devices together: who floods a mailbox does not shut out the others. Not more
            than `mailbox_messages` where there is a reserve. Whoever has more users fills the
            reserve, too: with the defaults 100, besides the one that floods. Who gets accounts is
            for the service around the relay to decide.
        fetch_messages: envelopes returned by one `fetch`; bounds the memory of one call (125 MiB).
        one_time_prekeys: unused one-time prekeys of one device, of each kind: twenty of the usual
            batches of 100, or two of the largest. Of Kyber they take 3.3 MB.
        handed_out_prekeys: ids of handed-out and withdrawn one-time prekeys remembered per device
            and kind, newest first, so that a publication that is repeated does not revive one. At
            least `one_time_prekeys`: no more can be handed out between a publication and its
            repetition.
        one_time_prekeys_per_requester: how often one user gets one-time prekeys of one device in
            `requester_window_ms`, with all devices together: each time one of each kind. After
            that, bundles come without any. A session takes one of each, so ten are plenty; and a
            batch of 100 outlives nine such users. There is no such limit for all users together:
            an attacker with many accounts would use it up, and with it lock out everybody else
            sooner than without.
        requester_window_ms: the time over which those are counted, milliseconds: a day, which
            begins with the first of them.
        remembered_messages: acknowledged envelopes remembered per recipient, newest first, so that
            a deposit that is repeated is not delivered again: one mailbox without its reserve.
        remembered_ms: how long each of them is remembered, milliseconds: 30 days, longer than a
            sender can be expected to repeat itself.
        stripes: of how many stripes a device may tell its epochs: those of the usual store that
            many workers share, 4,096, and that of the device itself.
        blob_bytes: one file, bytes: 4 GiB; at most 1 TiB.
        blobs_per_user_bytes: all files of one user, bytes, complete or not, each as large as it was
            begun: 16 GiB.
        blobs_per_user: how many those are at most, whatever they hold: a thousand a day.
        blob_kept_ms: how long a file is kept once it is complete, milliseconds: 45 days.
        blob_part_kept_ms: how long one that is begun has to get complete, milliseconds: 2 days.
        waiting_ms: how long an envelope waits before it is dropped, milliseconds: 45 days, longer
            than any sender may repeat itself. It goes with later deposits, 100 with each.

    Raises:
        InvalidArgument: a limit is not a whole number, is below 1, or contradicts the above.
    """

    envelope_bytes: int = MAX_ENVELOPE_BYTES
    mailbox_messages: int = 10_000
    mailbox_reserve_per_sender: int = 10
    fetch_messages: int = 1_000
    one_time_prekeys: int = 2_000
    handed_out_prekeys: int = 10_000
    one_time_prekeys_per_requester: int = 10
    requester_window_ms: int = _DAY_MS
    remembered_messages: int = 10_000
    remembered_ms: int = 30 * _DAY_MS
    stripes: int = 4_097
    blob_bytes: int = 4 * _GIB
    blobs_per_user_bytes: int = 16 * _GIB
    blobs_per_user: int = 45_000
    blob_kept_ms: int = 45 * _DAY_MS
    blob_part_kept_ms: int = 2 * _DAY_MS
    waiting_ms: int = 45 * _DAY_MS

    def __post_init__(self) -> None:
        highest = {
            "envelope_bytes": MAX_ENVELOPE_BYTES,
            "requester_window_ms": _MAX_MS,
            "remembered_ms": _MAX_MS,
            "stripes": HIGHEST_STRIPE + 1,
            "blob_bytes": _MAX_BLOB_BYTES,
            "blob_kept_ms": _MAX_MS,
            "blob_part_kept_ms": _MAX_MS,
            "waiting_ms": _MAX_MS,
        }
        for field in fields(self):
            high = highest.get(field.name, MAX_NUMBER)
            require_whole_number(field.name, getattr(self, field.name), 1, high)
        if self.handed_out_prekeys < self.one_time_prekeys:
            raise InvalidArgument("handed_out_prekeys must not be less than one_time_prekeys")
        # Otherwise one user alone would get into the reserve.
        if self.mailbox_reserve and self.mailbox_reserve_per_sender > self.mailbox_messages:
            raise InvalidArgument(
                f"mailbox_reserve_per_sender must not be more than mailbox_messages: it is "
                f"{self.mailbox_reserve_per_sender}, lower it too"
            )

    @property
    def mailbox_reserve(self) -> int:
        """Envelopes that wait for one device beyond `mailbox_messages`, of users with few there."""
        return self.mailbox_messages // _RESERVE_DIVISOR
