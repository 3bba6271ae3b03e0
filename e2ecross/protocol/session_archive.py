# SPDX-License-Identifier: Apache-2.0
"""The bounds of the archive of one address: how many sessions, and how many stored message keys.

Rules:
- Sessions of other identities than the accepted one are dropped first, and so are their stored
  message keys, so that nobody can push out the genuine ones.
- Keys of the post-quantum ratchet are counted apart, and have the same bound.

Source: Double Ratchet (revision 1, 2016-11-20) section 6.4 (bounds).
"""

from collections.abc import Callable

from e2ecross.crypto.keys import PublicKey
from e2ecross.protocol.ratchet import count_skipped_keys
from e2ecross.protocol.session import Session, without_skipped_keys, without_skipped_spqr_keys
from e2ecross.protocol.spqr.state import count_skipped_spqr_keys
from e2ecross.wire.limits import MAX_ARCHIVED_SESSIONS, MAX_SKIPPED_KEYS_ARCHIVED

__all__ = ["bound_archive"]


def bound_archive(
    archived: tuple[Session, ...], accepted_identity: PublicKey
) -> tuple[Session, ...]:
    """Keep the archive within its limits, at the cost of other identities than the accepted one."""
    archived = _bound_sessions(archived, accepted_identity)
    counts = [count_skipped_keys(session.ratchet) for session in archived]
    archived = _bound_keys(archived, accepted_identity, counts, without_skipped_keys)
    counts = [count_skipped_spqr_keys(session.ratchet.spqr) for session in archived]
    return _bound_keys(archived, accepted_identity, counts, without_skipped_spqr_keys)


def _bound_sessions(
    archived: tuple[Session, ...], accepted_identity: PublicKey
) -> tuple[Session, ...]:
    """Drop one session of too many: the oldest of an identity that is not accepted, or any."""
    if len(archived) <= MAX_ARCHIVED_SESSIONS:
        return archived
    for place in range(len(archived) - 1, 0, -1):
        if archived[place].remote_identity_key != accepted_identity:
            return archived[:place] + archived[place + 1 :]
    return archived[:MAX_ARCHIVED_SESSIONS]


def _bound_keys(
    archived: tuple[Session, ...],
    accepted_identity: PublicKey,
    counts: list[int],
    without: Callable[[Session, int], Session],
) -> tuple[Session, ...]:
    """Drop stored keys of too many, of the oldest sessions; of other identities first."""
    surplus = sum(counts) - MAX_SKIPPED_KEYS_ARCHIVED
    if surplus <= 0:
        return archived
    bounded = list(archived)
    oldest_first = range(len(archived) - 1, -1, -1)
    for place in sorted(
        oldest_first, key=lambda place: archived[place].remote_identity_key == accepted_identity
    ):
        dropped = min(surplus, counts[place])
        if dropped:
            bounded[place] = without(archived[place], dropped)
            surplus -= dropped
    return tuple(bounded)
