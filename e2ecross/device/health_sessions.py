# SPDX-License-Identifier: Apache-2.0
"""How the sessions with all addresses are doing."""

from collections.abc import Iterable
from dataclasses import dataclass

from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.protocol.session import can_send
from e2ecross.state.context import address_from_key
from e2ecross.state.policy import Policy
from e2ecross.state.session_store import load_sessions
from e2ecross.stores.base import Transaction

__all__ = ["SessionHealth", "judge_sessions"]


@dataclass(frozen=True, slots=True)
class SessionHealth:
    """Sessions with all addresses.

    Attributes:
        current: sessions that are sent with, one for each address.
        unacknowledged: how many of those the peer has never answered.
        stale: how many of the unanswered ones are so old that the peer may have deleted the
            prekeys that their messages need.
        without_one_time_prekey: how many of the unanswered ones began without a one-time prekey.
        oldest_unacknowledged_ms: age of the oldest unanswered one, milliseconds, or None.
        archived: sessions that only read.
        held: how many of those the stay rule holds back.
        put_away: how many of those send nothing since the store was restored.
        skipped_keys: stored keys of messages that have not arrived.
        broken: addresses whose sessions are listed but cannot be loaded: a record is damaged or
            missing, or two contradict each other.
    """

    current: int
    unacknowledged: int
    stale: int
    without_one_time_prekey: int
    oldest_unacknowledged_ms: int | None
    archived: int
    held: int
    put_away: int
    skipped_keys: int
    broken: int


def judge_sessions(
    places: Iterable[tuple[Transaction, bytes]], skipped_keys: int, policy: Policy, now_ms: int
) -> SessionHealth:
    """Load the sessions with all addresses, and count.

    Args:
        places: where their lists are: the view of the stripe, and the partition.
        skipped_keys: how many there are.
        policy: what ages are measured by.
        now_ms: milliseconds since 1970.
    """
    current = archived = held = put_away = unprotected = broken = 0
    unanswered_ms: list[int] = []
    for view, place in places:
        try:
            sessions = load_sessions(view, address_from_key(place))
        except RecordCorrupted:
            broken += 1
            continue
        except StoreTooNew:  # counted with its table
            continue
        archived += len(sessions.archived)
        held += sessions.held is not None
        put_away += sum(not can_send(session) for session in sessions.archived)
        if sessions.current is not None:
            current += 1
            if sessions.current.pending is not None:
                unprotected += sessions.current.without_one_time_prekey
                unanswered_ms.append(now_ms - sessions.current.pending.created_at_ms)
    return SessionHealth(
        current=current,
        unacknowledged=len(unanswered_ms),
        stale=sum(age_ms >= policy.signed_prekey_kept_ms for age_ms in unanswered_ms),
        without_one_time_prekey=unprotected,
        oldest_unacknowledged_ms=max(unanswered_ms, default=None),
        archived=archived,
        held=held,
        put_away=put_away,
        skipped_keys=skipped_keys,
        broken=broken,
    )
