# SPDX-License-Identifier: Apache-2.0
"""What `e2ecross doctor` says about a store: problems, and what is worth knowing.

Rules:
- A problem is something that does not pass by itself in the ordinary course: it needs a call, the
  user, or another store. What the next messages settle is worth knowing only.
- Each finding says what is, and what to do. Its code is for programs, and stable.
"""

from collections.abc import Iterator
from typing import Final

from e2ecross.cli.doctor_finding import DAY_MS, Finding, count
from e2ecross.cli.doctor_groups import REMEDIES, find_group_notes, find_group_problems
from e2ecross.device.health import PrekeyHealth, SessionHealth, StoreHealth
from e2ecross.device.health_accounts import OwnListHealth
from e2ecross.state.policy import Policy
from e2ecross.state.trust import TrustState
from e2ecross.stores.base import Table

__all__ = ["find_notes", "find_problems"]

_MAINTAIN: Final = "call Client.maintain, or Device.publish, then confirm_published"
_DAMAGED: Final = (
    "do not go on with it: make a new device, with the identity of a backup if there is one, or "
    "open an older copy of the store as restored"
)


def find_problems(
    health: StoreHealth | None, policy: Policy, *, is_intact: bool
) -> Iterator[Finding]:
    """Say what needs something to be done.

    Args:
        health: what was read of the store, or None when its records could not be read.
        policy: what it was measured by.
        is_intact: whether file and schema are in order.
    """
    if not is_intact:
        yield Finding("file_damaged", f"The file is damaged: {_DAMAGED}.")
    if health is None:
        return
    for table in health.tables:
        if table.damaged:
            what = f"{table.damaged} of {table.records} records in {table.table} do not decode"
            remedy = REMEDIES.get(table.table, _DAMAGED)
            yield Finding("records_damaged", f"{what}: {remedy}.")
        if table.too_new:
            what = f"{table.too_new} of {table.records} records in {table.table}"
            yield Finding(
                "records_too_new",
                f"A later release wrote {what}: upgrade e2ecross. If this is the latest release, "
                f"they are damaged.",
            )
    if health.device is not None:
        if health.device.is_publication_unconfirmed:
            yield Finding(
                "publication_unconfirmed",
                f"Published keys may not have reached the back end: {_MAINTAIN}; it repeats them.",
            )
        if not health.device.are_prekeys_replaced:
            yield Finding(
                "prekeys_not_replaced",
                f"The store was restored or imported, and the back end may still hand out keys "
                f"of before: {_MAINTAIN}; it replaces them.",
            )
        yield from _prekey_problems(health.prekeys, policy)
        if health.own_list is not None:
            is_registered = health.device.is_registered
            yield from _own_list_problems(health.own_list, policy, is_registered=is_registered)
    elif not health.tables[list(Table).index(Table.DEVICE)].records:
        yield Finding("no_device", "The store holds no device yet: use Device.create.")
    yield from _session_problems(health.sessions, policy)
    changed = health.identities[TrustState.CHANGED]
    if changed:
        yield Finding(
            "identities_changed",
            f"{count(changed, 'identity key')} changed and nothing is encrypted to those "
            f"addresses: compare safety numbers, then call accept_identity or reject_identity.",
        )
    unseen = health.accounts.hosting_unseen
    if unseen:
        yield Finding(
            "hosting_unseen",
            f"More than before hold keys of {count(unseen, 'account')}: send refuses until the "
            f"app has shown that to the user and confirmed the notice.",
        )
    yield from find_group_problems(health.groups)


def find_notes(health: StoreHealth) -> Iterator[Finding]:
    """Say what may explain what an app sees, and passes by itself."""
    sessions = health.sessions
    if health.device is not None and not health.device.is_registered:
        yield Finding(
            "not_registered",
            "No back end has accepted this device yet: call Client.register, unless the app does "
            "without a Client.",
        )
    fresh = sessions.unacknowledged - sessions.stale
    if fresh:
        yield Finding(
            "unacknowledged",
            f"{count(fresh, 'session')} without an answer so far: the peer may be offline.",
        )
    if sessions.without_one_time_prekey:
        yield Finding(
            "without_one_time_prekey",
            f"{count(sessions.without_one_time_prekey, 'session')} started without a one-time "
            f"prekey of the peer: until the first answer, a thief of their keys can read it.",
        )
    if sessions.put_away:
        yield Finding(
            "put_away",
            f"{count(sessions.put_away, 'session')} put away because the store was restored: "
            f"late messages are read, and what is sent starts a new session.",
        )
    if health.stale_identities:
        yield Finding(
            "identities_stale",
            f"{count(health.stale_identities, 'contact')} known from before the store was "
            f"restored: what was accepted or verified since is forgotten. The next session "
            f"confirms each.",
        )
    yield from _list_notes(health)
    if sessions.held:
        yield Finding(
            "held",
            f"{count(sessions.held, 'session')} held back because both ends started at once: "
            f"settled by the next messages.",
        )
    yield from _queue_notes(health)
    yield from find_group_notes(health.groups, health.sender_keys)


def _queue_notes(health: StoreHealth) -> Iterator[Finding]:
    queues = health.queues
    if queues.outbox:
        yield Finding(
            "outbox",
            f"{count(queues.outbox, 'envelope')} waiting for the back end: call Client.maintain "
            f"when it can be reached.",
        )
    if queues.inbox:
        yield Finding(
            "inbox",
            f"{count(queues.inbox, 'item')} not confirmed by the app: call Client.receive, then "
            f"Client.confirm.",
        )
    if health.uploads.waiting:
        yield Finding(
            "uploads",
            f"{count(health.uploads.waiting, 'file')} not uploaded to the end: call Upload.run "
            f"for those of Client.uploads that are not complete. Client.maintain gives an upload "
            f"up a week after it was begun.",
        )


def _prekey_problems(prekeys: PrekeyHealth, policy: Policy) -> Iterator[Finding]:
    age_ms = prekeys.signed_age_ms
    if age_ms is None:
        yield Finding("signed_prekey_missing", f"The current signed prekey is missing: {_DAMAGED}.")
    elif age_ms < 0:
        yield Finding(
            "signed_prekey_in_the_future",
            "The signed prekey is dated in the future and will be replaced late: set the clock.",
        )
    elif prekeys.is_rotation_due:
        limit = policy.signed_prekey_max_age_ms // DAY_MS
        yield Finding(
            "signed_prekey_old",
            f"The signed prekey is due to be replaced (every {limit} days, or when it has taken "
            f"all it can): {_MAINTAIN}.",
        )
    if prekeys.expired:
        limit = policy.signed_prekey_kept_ms // DAY_MS
        yield Finding(
            "signed_prekeys_expired",
            f"{count(prekeys.expired, 'replaced signed prekey')} kept for more than {limit} days, "
            f"which helps only a thief of the store: call Client.maintain or Device.publish.",
        )
    if prekeys.last_resort_age_ms is None:
        yield Finding(
            "last_resort_prekey_missing",
            f"The current last-resort Kyber prekey is missing: {_DAMAGED}.",
        )
    fewest = min(prekeys.one_time, prekeys.kyber_one_time)
    if fewest < policy.one_time_prekeys_low:
        yield Finding(
            "one_time_prekeys_low",
            f"Only {fewest} one-time prekeys of a kind are stored (refilled below "
            f"{policy.one_time_prekeys_low}): {_MAINTAIN}.",
        )


def _own_list_problems(
    own_list: OwnListHealth, policy: Policy, *, is_registered: bool
) -> Iterator[Finding]:
    if own_list.must_reset and is_registered:  # else it has no back end, or is told to register
        yield Finding(
            "own_list_must_reset",
            "The store was restored or imported, so the list of the account's devices has to be "
            "made anew: call Client.maintain; where it has other devices, show the user "
            "Client.devices, then call restore_devices with those that the user confirms.",
        )
    if own_list.has_conflict:
        yield Finding(
            "own_list_conflict",
            "Somebody else has signed a list of the account's devices: an old phone, or a thief "
            "of the identity key. Show the user Client.devices, then call restore_devices with "
            "those that the user knows; with no old phone in use, the user needs a new identity.",
        )
    if not (own_list.is_published or own_list.must_reset or own_list.has_conflict):
        yield Finding(
            "own_list_unpublished",
            "The newest list of the account's devices may not have reached the back end: call "
            "Client.maintain; it repeats it.",
        )
    if own_list.is_expired:
        limit = policy.device_list_max_age_ms // DAY_MS
        yield Finding(
            "own_list_expired",
            f"The list of the account's devices was not renewed for more than {limit} days, and "
            f"others write to device 1 alone: call Client.maintain on device 1.",
        )
    elif own_list.is_renewal_due:
        limit = policy.device_list_renew_ms // DAY_MS
        yield Finding(
            "own_list_old",
            f"The list of the account's devices is due to be signed anew (every {limit} days): "
            f"call Client.maintain.",
        )


def _list_notes(health: StoreHealth) -> Iterator[Finding]:
    if health.own_list is not None and health.own_list.without_keys:
        yield Finding(
            "devices_without_keys",
            f"{count(health.own_list.without_keys, 'device')} linked that may not have published "
            f"keys yet: open the app there. After a day Client.maintain takes those out again.",
        )
    if health.accounts.expired:
        yield Finding(
            "lists_expired",
            f"{count(health.accounts.expired, 'account')} whose list of devices is too old: only "
            f"device 1 is written to, until that renews it.",
        )
    if health.accounts.forked:
        yield Finding(
            "lists_forked",
            f"{count(health.accounts.forked, 'account')} with two lists of devices that "
            f"contradict each other: only devices that stand in both are written to, until the "
            f"next list. Let the user ask whether an old phone is in use there.",
        )


def _session_problems(sessions: SessionHealth, policy: Policy) -> Iterator[Finding]:
    if sessions.broken:
        yield Finding(
            "sessions_broken",
            f"The sessions with {count(sessions.broken, 'address')} cannot be loaded: {_DAMAGED}.",
        )
    if sessions.stale:
        limit = policy.signed_prekey_kept_ms // DAY_MS
        yield Finding(
            "sessions_stale",
            f"{count(sessions.stale, 'session')} without an answer for more than {limit} days: "
            f"the peer may have deleted the prekey that they need; call start_session with a new "
            f"bundle.",
        )
