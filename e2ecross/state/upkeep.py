# SPDX-License-Identifier: Apache-2.0
"""How many prekeys may be made, whatever a back end counts.

Rules:
- In an hour as many one-time prekeys of each kind as the policy wants there to be at all; in a day
  2,500 ids. All 2^24 ids last 18 years then, also at a back end that always counts none.
- The signed prekey is replaced whether or not there is room for one-time prekeys. Two ids of each
  day are kept for that.
- After a publication was refused no one-time prekeys are made for an hour.
"""

from typing import Final

from e2ecross.state.policy import Policy
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.records import UpkeepRecord

__all__ = [
    "MAX_STORED_PREKEYS",
    "UPKEEP_ROW",
    "note_made",
    "note_refused",
    "note_taken",
    "prekeys_allowed",
    "was_refused_lately",
]

UPKEEP_ROW: Final = b"upkeep"
MAX_STORED_PREKEYS: Final = 1_000
"""Unused one-time prekeys of either kind: the largest publication; then the oldest go."""
_UPKEEP: Final = Codec(UpkeepRecord.encode, UpkeepRecord.decode)
_MAX_IDS_A_DAY: Final = 2_500
_IDS_OF_ROTATION: Final = 2
_HOUR_MS: Final = 60 * 60 * 1000
_DAY_MS: Final = 24 * _HOUR_MS


def prekeys_allowed(tx: Transaction, policy: Policy, now_ms: int) -> int:
    """Return how many one-time prekeys of each kind may be made now."""
    record = _load(tx, now_ms)
    if _is_within(record.refused_at_ms, now_ms, _HOUR_MS):
        return 0
    in_hour = policy.one_time_prekeys_target - record.made
    in_day = _MAX_IDS_A_DAY - _IDS_OF_ROTATION - record.ids
    return max(0, min(in_hour, in_day // 2))


def note_made(tx: Transaction, one_time: int, ids: int, now_ms: int) -> None:
    """Note that so many one-time prekeys of each kind were made, and so many ids used in all."""
    record = _load(tx, now_ms)
    _save(tx, record._replace(made=record.made + one_time, ids=record.ids + ids))


def note_refused(tx: Transaction, now_ms: int) -> None:
    """Note that the back end has refused a publication."""
    _save(tx, _load(tx, now_ms)._replace(refused_at_ms=now_ms))


def note_taken(tx: Transaction, now_ms: int) -> None:
    """Note that the back end has taken one."""
    record = _load(tx, now_ms)
    if record.refused_at_ms:
        _save(tx, record._replace(refused_at_ms=0))


def was_refused_lately(tx: Transaction, now_ms: int) -> bool:
    """Tell whether a publication was refused in the last hour, and none taken since."""
    return _is_within(_load(tx, now_ms).refused_at_ms, now_ms, _HOUR_MS)


def _load(tx: Transaction, now_ms: int) -> UpkeepRecord:
    record = tx.get_value(Table.DEVICE, b"", UPKEEP_ROW, _UPKEEP) or UpkeepRecord()
    if not _is_within(record.hour_started_at_ms, now_ms, _HOUR_MS):
        record = record._replace(hour_started_at_ms=now_ms, made=0)
    if not _is_within(record.day_started_at_ms, now_ms, _DAY_MS):
        record = record._replace(day_started_at_ms=now_ms, ids=0)
    return record


def _save(tx: Transaction, record: UpkeepRecord) -> None:
    tx.put_value(Table.DEVICE, b"", UPKEEP_ROW, record, _UPKEEP)


def _is_within(since_ms: int, now_ms: int, period_ms: int) -> bool:
    """Whether a time is not over; one after now, of a clock that was wrong, is."""
    return 0 <= now_ms - since_ms < period_ms
