# SPDX-License-Identifier: Apache-2.0
"""Every setting that a caller may change, each with its unit and its reason."""

from dataclasses import dataclass, fields
from typing import Final

from e2ecross.errors import InvalidArgument
from e2ecross.wire.arguments import require_whole_number
from e2ecross.wire.limits import MAX_ONE_TIME_PREKEYS

__all__ = ["Policy"]

_DAY_MS: Final = 24 * 60 * 60 * 1000
_MAX_MS: Final = 3650 * _DAY_MS


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

    Raises:
        InvalidArgument: a setting has the wrong type or is out of range.
    """

    refuse_changed_identity: bool = False
    signed_prekey_max_age_ms: int = 7 * _DAY_MS
    signed_prekey_kept_ms: int = 30 * _DAY_MS
    one_time_prekeys_low: int = 25
    one_time_prekeys_target: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.refuse_changed_identity, bool):
            raise InvalidArgument("refuse_changed_identity must be True or False")
        for setting in fields(self):
            if setting.name.endswith("_ms"):
                require_whole_number(setting.name, getattr(self, setting.name), 1, _MAX_MS)
        require_whole_number(
            "one_time_prekeys_target", self.one_time_prekeys_target, 0, MAX_ONE_TIME_PREKEYS
        )
        require_whole_number(
            "one_time_prekeys_low", self.one_time_prekeys_low, 0, self.one_time_prekeys_target
        )
