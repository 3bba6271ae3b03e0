# SPDX-License-Identifier: Apache-2.0
"""How lists of devices are doing: that of the own account, and those of others.

Rules:
- Only read, and numbers only: no name of a device, no address, no key.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from e2ecross.protocol.device_list import is_expired
from e2ecross.state.policy import Policy
from e2ecross.wire.account_records import AccountRecord, OwnAccountRecord, decode_push
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.records import DeviceRecord

__all__ = [
    "AccountsHealth",
    "OwnListHealth",
    "judge_accounts",
    "judge_own_list",
    "read_account",
]

_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class OwnListHealth:
    """The list of the own account's devices.

    Attributes:
        is_primary: whether this is device 1, which signs it; of others the rest says what they see.
        seq: its number, 0 when there is none.
        age_ms: since it was signed, milliseconds, below 0 when it is dated in the future; None when
            there is none.
        devices: how many are in it.
        is_published: whether the back end is known to have it; true of other devices than 1.
        is_renewal_due: whether it is to be signed anew, and may be.
        is_expired: whether others send to device 1 alone, because it is too old.
        must_reset: whether the store was restored or imported, and the list waits for that.
        has_conflict: whether somebody else has signed a list with the account's key.
        without_keys: devices that were linked, and are not known to have published keys.
    """

    is_primary: bool
    seq: int
    age_ms: int | None
    devices: int
    is_published: bool
    is_renewal_due: bool
    is_expired: bool
    must_reset: bool
    has_conflict: bool
    without_keys: int


@dataclass(frozen=True, slots=True)
class AccountsHealth:
    """Lists of the devices of other accounts.

    Attributes:
        known: how many accounts a list is held of.
        expired: of how many it is so old that only device 1 is sent to.
        forked: of how many there are two that contradict each other.
        hosting_unseen: of how many the user has to be told that more hold their keys now.
    """

    known: int
    expired: int
    forked: int
    hosting_unseen: int


def read_account(partition: bytes, row: bytes, record: bytes) -> tuple[bytes, AccountRecord] | None:
    """Decode a row of accounts.

    Returns:
        Key and record of an account; None for a row that says when somebody was sent its list.
    """
    if row:
        decode_push(record)
        return None
    return partition, AccountRecord.decode(record)


def judge_own_list(
    device: DeviceRecord,
    own: OwnAccountRecord,
    record: AccountRecord,
    policy: Policy,
    now_ms: int,
) -> OwnListHealth:
    """Tell how the list of the own account is doing.

    Args:
        device: the device's record.
        own: what it alone knows of its own account.
        record: what is known of the account as of any other.
        policy: what ages are measured by.
        now_ms: milliseconds since 1970.
    """
    is_primary = device.address.device == PRIMARY
    may_sign = is_primary and not own.must_reset and not own.conflict
    held = record.held
    age_ms = None if held is None else now_ms - held.list.signed_at_ms
    is_fresh = age_ms is None or -_DAY_MS <= age_ms < policy.device_list_renew_ms
    return OwnListHealth(
        is_primary=is_primary,
        seq=0 if held is None else held.list.seq,
        age_ms=age_ms,
        devices=0 if held is None else len(held.list.devices),
        is_published=held is None or own.published or not is_primary,
        is_renewal_due=may_sign and not is_fresh,
        is_expired=_is_expired(record, policy, now_ms),
        must_reset=own.must_reset,
        has_conflict=own.conflict,
        without_keys=len(own.new_devices),
    )


def judge_accounts(records: Iterable[AccountRecord], policy: Policy, now_ms: int) -> AccountsHealth:
    """Tell how the lists of others are doing; the arguments are as above."""
    held = [record for record in records if record.held is not None]
    return AccountsHealth(
        known=len(held),
        expired=sum(_is_expired(record, policy, now_ms) for record in held),
        forked=sum(record.rival is not None for record in held),
        hosting_unseen=sum(record.hosting_unseen for record in held),
    )


def _is_expired(record: AccountRecord, policy: Policy, now_ms: int) -> bool:
    if record.held is None:
        return False
    max_age_ms = policy.device_list_max_age_ms
    return is_expired(record.held, record.accepted_at_ms, now_ms, max_age_ms)
