# SPDX-License-Identifier: Apache-2.0
"""How a device's store is doing: facts about its records, keys, sessions, accounts and queues.

Rules:
- Only read. Nothing is repaired, and nothing is changed by looking.
- Every record of every table is decoded, one by one: damage in one hides nothing of the others.
- The facts are numbers: no key, no address, no content.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from e2ecross.device.health_accounts import (
    AccountsHealth,
    OwnListHealth,
    judge_accounts,
    judge_own_list,
    read_account,
)
from e2ecross.device.health_groups import (
    GroupHealth,
    check_grant,
    judge_groups,
    read_group,
    read_group_commit,
)
from e2ecross.device.health_queues import QueueHealth, judge_queues
from e2ecross.device.health_records import (
    CONTACT_CHECKS,
    check_delivered,
    check_one_time_prekey,
    check_own_sender_key,
    check_retries,
    check_session,
    check_spqr,
    count_skipped_keys,
    read_device,
    read_inbox,
    read_kyber_prekey,
    read_outbox,
    read_seen_base_key,
    read_sent,
    read_session_list,
    read_signed_prekey,
    read_stripe_record,
    read_trust,
    read_waiting_upload,
)
from e2ecross.device.health_sender_keys import (
    SenderKeysHealth,
    judge_sender_keys,
    read_sender_key,
)
from e2ecross.device.health_sessions import SessionHealth, judge_sessions
from e2ecross.device.health_tables import TableHealth, join_tables, read_table
from e2ecross.protocol.prekeys import is_expired, rotation_is_due
from e2ecross.state.accounts import NOTHING_KNOWN, user_key
from e2ecross.state.policy import Policy
from e2ecross.state.trust import TrustState
from e2ecross.stores.base import DEVICE_TABLES, Table, Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.records import DeviceRecord, KyberPrekeyRecord, SignedPrekeyRecord
from e2ecross.wire.stripe_record import StripeRecord

__all__ = [
    "DeviceHealth",
    "PrekeyHealth",
    "SessionHealth",
    "StoreHealth",
    "TableHealth",
    "UploadHealth",
    "read_health",
]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """The device itself.

    Attributes:
        is_registered: whether a back end has accepted it.
        is_publication_unconfirmed: whether prekeys were made that may not have arrived there.
        epoch: how many sending and prekey operations the store has committed.
        is_epoch_adopted: false until a restored or imported store has heard the back end's epoch.
        are_prekeys_replaced: false until the back end has confirmed the first publication of a
            restored or imported store.
        stripes_behind: how many stripes are still as they were before the store was opened as
            restored.
    """

    is_registered: bool
    is_publication_unconfirmed: bool
    epoch: int
    is_epoch_adopted: bool
    are_prekeys_replaced: bool
    stripes_behind: int


@dataclass(frozen=True, slots=True)
class PrekeyHealth:
    """Our own prekeys.

    Attributes:
        signed_age_ms: age of the current signed prekey, milliseconds, below 0 when it is dated in
            the future; None when there is none.
        is_rotation_due: whether it is to be replaced: by age, or because it is full.
        replaced: how many replaced ones are kept; a last-resort Kyber prekey goes with each.
        expired: how many of those should have been deleted.
        one_time: how many one-time prekeys are stored, handed out by the back end or not.
        kyber_one_time: likewise of one-time Kyber prekeys.
        last_resort_age_ms: age of the current last-resort Kyber prekey, milliseconds, below 0 when
            it is dated in the future; None when there is none.
    """

    signed_age_ms: int | None
    is_rotation_due: bool
    replaced: int
    expired: int
    one_time: int
    kyber_one_time: int
    last_resort_age_ms: int | None


@dataclass(frozen=True, slots=True)
class UploadHealth:
    """Files on their way to where files are kept.

    Attributes:
        waiting: those that are not, or not all, there.
        oldest_ms: age of the oldest of them, milliseconds, below 0 when it is dated in the future;
            None when there is none.
    """

    waiting: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """All that is known of a store.

    Attributes:
        tables: each table, in the order of `Table`.
        device: the device, or None when there is none that can be read.
        prekeys: its prekeys.
        sessions: its sessions.
        identities: how many remote identities are in each state of trust.
        stale_identities: how many of them are from before a restore, and not confirmed since.
        own_list: the list of the own account's devices, or None when there is no device.
        accounts: the lists of others.
        queues: outbox and inbox.
        uploads: files on their way to where files are kept.
        groups: each group, in an order of the store's own.
        sender_keys: the sender keys of other devices.
    """

    tables: tuple[TableHealth, ...]
    device: DeviceHealth | None
    prekeys: PrekeyHealth
    sessions: SessionHealth
    identities: dict[TrustState, int]
    stale_identities: int
    own_list: OwnListHealth | None
    accounts: AccountsHealth
    queues: QueueHealth
    uploads: UploadHealth
    groups: tuple[GroupHealth, ...]
    sender_keys: SenderKeysHealth


_Reader = Callable[[bytes, bytes, bytes], _T]
_ORDER: Final = list(Table)

# Of these nothing is told but that they decode.
_CHECKS: Final[dict[Table, _Reader[object]]] = {
    **CONTACT_CHECKS,
    Table.SESSIONS: check_session,
    Table.SPQR: check_spqr,
    Table.GROUP_GRANTS: check_grant,
    Table.OWN_SENDER_KEYS: check_own_sender_key,
    Table.SENDER_KEY_SEEDS: count_skipped_keys,
    Table.DELIVERED: check_delivered,
    Table.RETRIES: check_retries,
}


def read_health(
    tx: Transaction, policy: Policy, now_ms: int, *, stripes: Sequence[int] = ()
) -> StoreHealth:
    """Read all that a store holds; of one with stripes what is the device's own, and some of them.

    Args:
        tx: on the whole store.
        policy: what ages are measured by.
        now_ms: milliseconds since 1970.
        stripes: which others are read beside stripe 0; epochs are read of all.

    Raises:
        StoreError: the store cannot be read. Damaged records are counted instead.
    """
    reading = _Reading([tx, *(tx.at(stripe) for stripe in stripes)])
    read = reading.read
    found = read(Table.DEVICE, read_device)
    signed = dict(read(Table.SIGNED_PREKEYS, read_signed_prekey))
    one_time = read(Table.ONE_TIME_PREKEYS, check_one_time_prekey)
    kyber = read(Table.KYBER_PREKEYS, read_kyber_prekey)
    known = reading.read_in(Table.REMOTE_IDENTITIES, _trust_reader)
    accounts = dict(row for row in read(Table.ACCOUNTS, read_account) if row is not None)
    uploads = read(Table.UPLOADS, read_waiting_upload)
    places = reading.read_in(Table.SESSION_RECORDS, _session_list_reader)
    skipped = read(Table.SKIPPED_KEYS, count_skipped_keys)
    groups = read(Table.GROUPS, read_group)
    commits = read(Table.GROUP_COMMITS, read_group_commit)
    sender_keys = read(Table.SENDER_KEYS, read_sender_key)
    outbox = read(Table.OUTBOX, read_outbox)
    inbox = read(Table.INBOX, read_inbox)
    sent = read(Table.SENT, read_sent)
    for table, check in _CHECKS.items():
        read(table, check)
    device = next((row for row in found if isinstance(row, DeviceRecord)), None)
    counts = reading.read_stripes(tx)
    full = read(Table.SEEN_BASE_KEYS, read_seen_base_key)
    own = next((row for row in found if isinstance(row, OwnAccountRecord)), OwnAccountRecord())
    has_publication = any(isinstance(row, PublishedKeys) for row in found)
    trust = Counter(state for state, _ in known)
    own_list, judged = None, tuple[GroupHealth, ...]()
    if device is not None:
        record = accounts.pop(user_key(device.address.user_id), NOTHING_KNOWN)
        own_list = judge_own_list(device, own, record, policy, now_ms)
        judged = judge_groups(tx, device, record, (groups, commits), policy, now_ms)
    return StoreHealth(
        tables=tuple(sorted(reading.tables, key=lambda each: _ORDER.index(each.table))),
        device=None if device is None else _device(device, counts, has_publication),
        prekeys=_prekeys(device, signed, full, len(one_time), kyber, policy, now_ms),
        sessions=judge_sessions(places, sum(skipped), policy, now_ms),
        identities={state: trust[state] for state in TrustState},
        stale_identities=sum(stale for _, stale in known),
        own_list=own_list,
        accounts=judge_accounts(accounts.values(), policy, now_ms),
        queues=judge_queues(outbox, sent, inbox, now_ms),
        uploads=_uploads(uploads, now_ms),
        groups=judged,
        sender_keys=judge_sender_keys(sender_keys),
    )


class _Reading:
    """The tables as they are read, each in all views that have rows of it."""

    def __init__(self, views: Sequence[Transaction]) -> None:
        self.tables: list[TableHealth] = []
        self._views = views

    def read_in(self, table: Table, make_reader: Callable[[Transaction], _Reader[_T]]) -> list[_T]:
        views = self._views[:1] if table in DEVICE_TABLES else self._views
        parts = [read_table(table, view.scan(table), make_reader(view)) for view in views]
        self.tables.append(join_tables(table, [part for part, _ in parts]))
        return [value for _, values in parts for value in values]

    def read(self, table: Table, reader: _Reader[_T]) -> list[_T]:
        return self.read_in(table, lambda _: reader)

    def read_stripes(self, tx: Transaction) -> list[StripeRecord]:
        """Read what is counted of every stripe."""
        rows = map(_place_in_stripe, tx.scan_all(Table.STRIPE))
        found, counts = read_table(Table.STRIPE, rows, read_stripe_record)
        self.tables.append(found)
        return counts


def _trust_reader(view: Transaction) -> _Reader[tuple[TrustState, bool]]:
    return lambda place, _, __: read_trust(view, place)


def _session_list_reader(view: Transaction) -> _Reader[tuple[Transaction, bytes]]:
    return lambda *found: (view, read_session_list(*found))


def _place_in_stripe(found: tuple[int, bytes, bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    return found[1:]


def _device(
    device: DeviceRecord, counts: Sequence[StripeRecord], has_publication: bool
) -> DeviceHealth:
    return DeviceHealth(
        is_registered=device.registered,
        is_publication_unconfirmed=has_publication,
        epoch=sum(stripe.epoch for stripe in counts),
        is_epoch_adopted=not device.adopts_epoch,
        are_prekeys_replaced=not device.replaces_prekeys,
        stripes_behind=sum(stripe.life < device.life for stripe in counts),
    )


def _prekeys(
    device: DeviceRecord | None,
    signed: dict[int, SignedPrekeyRecord],
    full: Sequence[int | None],
    one_time: int,
    kyber: list[tuple[int, KyberPrekeyRecord, bool]],
    policy: Policy,
    now_ms: int,
) -> PrekeyHealth:
    current_id = 0 if device is None else device.signed_prekey_id
    current = signed.get(current_id)
    last_resorts = {prekey_id: prekey for prekey_id, prekey, is_one in kyber if is_one}
    last_resort = None
    if device is not None:
        last_resort = last_resorts.get(device.last_resort_kyber_prekey_id)
    replaced = [prekey.replaced_at_ms for prekey in signed.values() if prekey.replaced_at_ms]
    return PrekeyHealth(
        signed_age_ms=None if current is None else now_ms - current.created_at_ms,
        is_rotation_due=current is not None
        and (
            rotation_is_due(current.created_at_ms, now_ms, policy.signed_prekey_max_age_ms)
            or current_id in full
        ),
        replaced=len(replaced),
        expired=sum(is_expired(at_ms, now_ms, policy.signed_prekey_kept_ms) for at_ms in replaced),
        one_time=one_time,
        kyber_one_time=len(kyber) - len(last_resorts),
        last_resort_age_ms=None if last_resort is None else now_ms - last_resort.created_at_ms,
    )


def _uploads(begun_ms: list[int | None], now_ms: int) -> UploadHealth:
    ages_ms = [now_ms - at_ms for at_ms in begun_ms if at_ms is not None]
    return UploadHealth(len(ages_ms), max(ages_ms, default=None))
