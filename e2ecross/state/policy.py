# SPDX-License-Identifier: Apache-2.0
"""Every setting that a caller may change, each with its unit and its reason."""

from dataclasses import dataclass, fields
from typing import Final

from e2ecross.arguments import require_whole_number
from e2ecross.errors import InvalidArgument
from e2ecross.wire.attachment import MAX_ATTACHMENT_SIZE
from e2ecross.wire.capabilities import check_capabilities
from e2ecross.wire.limits import (
    MAX_FORWARD_JUMP,
    MAX_FORWARD_JUMP_PQ,
    MAX_LISTED_DEVICES,
    MAX_ONE_TIME_PREKEYS,
)

__all__ = ["Policy"]

_DAY_MS: Final = 24 * 60 * 60 * 1000
_MAX_MS: Final = 3650 * _DAY_MS
_MAX_RESEND_MS: Final = 30 * _DAY_MS
_RANGES_MS: Final = {
    "resend_kept_ms": (1, _MAX_RESEND_MS),
    "device_list_max_age_ms": (8 * _DAY_MS, 365 * _DAY_MS),
    "device_list_renew_ms": (_DAY_MS, 30 * _DAY_MS),
    "sender_key_max_age_ms": (_DAY_MS // 24, 30 * _DAY_MS),
    "delivered_kept_ms": (_MAX_RESEND_MS + _DAY_MS, _MAX_MS),
}
_MAX_COUNT: Final = 1_000_000
_SWITCHES: Final = (
    "refuse_changed_identity",
    "accept_changed_identity",
    "accept_version_downgrade",
    "require_spqr",
    "send_delivered_receipts",
    "send_read_receipts",
)
_MAX_KEPT: Final = 1_000_000_000
_MAX_REQUEST_MESSAGES: Final = 1_000
_MAX_PENDING_GROUPS: Final = 1_000
_COUNTS: Final = (
    "retry_requests_per_peer",
    "retry_requests",
    "resends_per_peer",
    "resends",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a device behaves where the protocol leaves a choice.

    Attributes:
        refuse_changed_identity: refuse messages under a new identity key with
            `IdentityChangedError`, instead of delivering them flagged. For apps whose users verify.
        signed_prekey_max_age_ms: when the signed prekey is replaced, milliseconds. It bounds how
            long a thief of it can read first messages that used no one-time prekey.
        signed_prekey_kept_ms: how long a replaced one is kept, milliseconds: for first messages
            that are on their way, for as long as a phone may be off.
        one_time_prekeys_low: refill when fewer are left at the back end: enough for the first
            contacts of a busy day.
        one_time_prekeys_target: how many there are after a refill, at most 1000.
        accept_changed_identity: accept a changed identity key of a contact who is not verified
            without asking, as most messengers do: what came or went under it is flagged. For a
            verified contact it takes `Device.accept_identity` all the same.
        resend_kept_ms: how long a sent message is kept at most, in the store, in case the
            recipient's device could not read it, milliseconds, up to 30 days: a phone that is off
            over a holiday. A thief of the unsealed store reads what is kept.
        resend_kept_messages: how many are kept at most, up to 10^9, a message and each copy
            of it counted as one; 0 keeps none, and then nothing is sent again.
        delivered_kept_ms: how long a received message is remembered by its id at least, so that a
            second copy is not shown, milliseconds; more than the 30 days in which any sender may
            send again.
        retry_requests_per_peer: how many messages of one device are asked for again in a day.
        retry_requests: how many in all in a day. What a back end damages it can make us ask for.
        resends_per_peer: how many messages are sent again to one device in a day.
        resends: how many in all in a day.
        minimum_version: what `Client` demands of new sessions: 4, or 3 to also write to clients
            without post-quantum keys, and hear from them; `Device.start_session` takes either.
        accept_version_downgrade: accept a session of version 3 with a device that has offered
            version 4 before; without this it is refused with `VersionDowngrade`.
        require_spqr: refuse peers of version 4 that do not run the post-quantum ratchet. False
            also accepts libsignal's releases before that ratchet, 0.72 and older.
        max_forward_jump: how many messages one message may skip in a session of version 4, up to
            25,000, as deployed clients have it. What a forged message can cost grows with it: at
            4,000 about 20 ms, at 25,000 five times that.
        max_devices: how many devices the own account may have, device 1 with them, up to 16:
            linking one more is refused. Five is what most messengers allow.
        device_list_max_age_ms: how old a list of an account's devices may be, milliseconds, 8 to
            365 days; of an older one only device 1 is sent to. It bounds how long a back end can
            hide that a device was removed.
        device_list_renew_ms: when device 1 signs the list of its own account anew, milliseconds, 1
            to 30 days: with room to spare before others take it for old.
        capabilities: what the app shows and obeys beside plain text, by number: 10 mentions and
            replies, which all others need; 13 media, 14 polls and choices, 15 reactions, 16
            edits, 17 deletes, 18 answers, 19 receipts, 20 typing, 32 expiry, 33 view once. Others
            read them in the signed list, and are told before sending what would be lost.
        send_delivered_receipts: device 1 tells accepted contacts which messages have come.
        send_read_receipts: accepted contacts are told which messages the user has read.
        request_messages: how many messages of one stranger are handed over before the user answers
            or accepts them, 0 to 1,000; those that come then count as received, and are not shown,
            later neither.
        sender_key_max_age_ms: when the own sender key of a group is replaced, milliseconds, an hour
            to 30 days. It bounds how long a thief of a device can read what is sent to it.
        pending_groups: how many groups are known that the user has not accepted, 0 to 1,000; what
            strangers add the user to beyond that is ignored.
        attachment_bytes: how large a file is at most that `Client.download` fetches, bytes, up to
            2^36, 64 GiB: a disk is filled soon.

    Raises:
        InvalidArgument: a setting has the wrong type or is out of range.
    """

    refuse_changed_identity: bool = False
    signed_prekey_max_age_ms: int = 7 * _DAY_MS
    signed_prekey_kept_ms: int = 30 * _DAY_MS
    one_time_prekeys_low: int = 25
    one_time_prekeys_target: int = 100
    accept_changed_identity: bool = False
    resend_kept_ms: int = 7 * _DAY_MS
    resend_kept_messages: int = 20_000
    delivered_kept_ms: int = 45 * _DAY_MS
    retry_requests_per_peer: int = 1_000
    retry_requests: int = 5_000
    resends_per_peer: int = 1_000
    resends: int = 5_000
    minimum_version: int = 4
    accept_version_downgrade: bool = False
    require_spqr: bool = True
    max_forward_jump: int = MAX_FORWARD_JUMP_PQ
    max_devices: int = 5
    device_list_max_age_ms: int = 35 * _DAY_MS
    device_list_renew_ms: int = 7 * _DAY_MS
    capabilities: frozenset[int] = frozenset({10})
    send_delivered_receipts: bool = True
    send_read_receipts: bool = True
    request_messages: int = 50
    sender_key_max_age_ms: int = 7 * _DAY_MS
    pending_groups: int = 64
    attachment_bytes: int = 2**31

    def __post_init__(self) -> None:
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise InvalidArgument(f"{name} must be True or False")
        if self.refuse_changed_identity and self.accept_changed_identity:
            raise InvalidArgument("a changed identity cannot be both refused and accepted")
        require_whole_number("request_messages", self.request_messages, 0, _MAX_REQUEST_MESSAGES)
        require_whole_number("pending_groups", self.pending_groups, 0, _MAX_PENDING_GROUPS)
        require_whole_number("minimum_version", self.minimum_version, 3, 4)
        require_whole_number("max_devices", self.max_devices, 1, MAX_LISTED_DEVICES)
        require_whole_number("max_forward_jump", self.max_forward_jump, 1, MAX_FORWARD_JUMP)
        check_capabilities(self.capabilities)
        most = MAX_ATTACHMENT_SIZE
        require_whole_number("attachment_bytes", self.attachment_bytes, 0, most)
        for setting in fields(self):
            if setting.name.endswith("_ms"):
                low, high = _RANGES_MS.get(setting.name, (1, _MAX_MS))
                require_whole_number(setting.name, getattr(self, setting.name), low, high)
        require_whole_number("resend_kept_messages", self.resend_kept_messages, 0, _MAX_KEPT)
        for name in _COUNTS:
            require_whole_number(name, getattr(self, name), 0, _MAX_COUNT)
        require_whole_number(
            "one_time_prekeys_target", self.one_time_prekeys_target, 0, MAX_ONE_TIME_PREKEYS
        )
        require_whole_number(
            "one_time_prekeys_low", self.one_time_prekeys_low, 0, self.one_time_prekeys_target
        )
