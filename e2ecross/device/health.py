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
from e2ecross.device.health_records import (
    CONTACT_CHECKS,
    check_delivered,
    check_one_time_prekey,
    check_own_sender_key,
    check_retries,
    check_sent,
    check_session,
    check_spqr,
    count_skipped_keys,
    read_device,
    read_inbox,
    read_kyber_prekey,
    read_outbox,
    read_seen_base_key,
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
from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.protocol.prekeys import is_expired, rotation_is_due
from e2ecross.protocol.session import can_send
from e2ecross.state.accounts import NOTHING_KNOWN, user_key
from e2ecross.state.context import address_from_key
from e2ecross.state.policy import Policy
from e2ecross.state.session_store import load_sessions
from e2ecross.state.trust import TrustState
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.bundle import PublishedKeys
from e2ecross.wire.records import DeviceRecord, KyberPrekeyRecord, SignedPrekeyRecord

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
class TableHealth:
    """The records of one table.

    Attributes:
        table: which one.
        records: how many there are.
        damaged: how many of them do not decode.
        too_new: how many of them a later release wrote.
    """

    table: Table
    records: int
    damaged: int
    too_new: int


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
    """

    is_registered: bool
    is_publication_unconfirmed: bool
    epoch: int
    is_epoch_adopted: bool
    are_prekeys_replaced: bool


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
        outbox: envelopes that the back end may not have yet.
        inbox: items that the app has not confirmed.
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
    outbox: int
    inbox: int
    uploads: UploadHealth
    groups: tuple[GroupHealth, ...]
    sender_keys: SenderKeysHealth


_Check = Callable[[bytes, bytes, bytes], object]
_ORDER: Final = list(Table)

# Of these nothing is told but that they decode.
_CHECKS: Final[dict[Table, _Check]] = {
    **CONTACT_CHECKS,
    Table.SESSIONS: check_session,
    Table.SPQR: check_spqr,
    Table.GROUP_GRANTS: check_grant,
    Table.OWN_SENDER_KEYS: check_own_sender_key,
    Table.SENDER_KEY_SEEDS: count_skipped_keys,
    Table.SENT: check_sent,
    Table.DELIVERED: check_delivered,
    Table.RETRIES: check_retries,
}


def read_health(tx: Transaction, policy: Policy, now_ms: int) -> StoreHealth:
    """Read all that a store holds.

    Args:
        tx: on the store.
        policy: what ages are measured by.
        now_ms: milliseconds since 1970.

    Raises:
        StoreError: the store cannot be read. Damaged records are counted instead.
    """
    tables: list[TableHealth] = []

    def read(table: Table, reader: Callable[[bytes, bytes, bytes], _T]) -> list[_T]:
        found, values = _read_table(tx, table, reader)
        tables.append(found)
        return values

    found = read(Table.DEVICE, read_device)
    signed = dict(read(Table.SIGNED_PREKEYS, read_signed_prekey))
    one_time = read(Table.ONE_TIME_PREKEYS, check_one_time_prekey)
    kyber = read(Table.KYBER_PREKEYS, read_kyber_prekey)
    known = read(Table.REMOTE_IDENTITIES, lambda place, _, __: read_trust(tx, place))
    accounts = dict(row for row in read(Table.ACCOUNTS, read_account) if row is not None)
    uploads = read(Table.UPLOADS, read_waiting_upload)
    places = read(Table.SESSION_RECORDS, read_session_list)
    skipped = read(Table.SKIPPED_KEYS, count_skipped_keys)
    groups = read(Table.GROUPS, read_group)
    commits = read(Table.GROUP_COMMITS, read_group_commit)
    sender_keys = read(Table.SENDER_KEYS, read_sender_key)
    outbox = read(Table.OUTBOX, read_outbox)
    inbox = read(Table.INBOX, read_inbox)
    for table, check in _CHECKS.items():
        read(table, check)
    device = next((row for row in found if isinstance(row, DeviceRecord)), None)
    epoch = next((each.epoch for each in read(Table.STRIPE, read_stripe_record)), 0)
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
        tables=tuple(sorted(tables, key=lambda each: _ORDER.index(each.table))),
        device=None if device is None else _device(device, epoch, has_publication),
        prekeys=_prekeys(device, signed, full, len(one_time), kyber, policy, now_ms),
        sessions=_sessions(tx, places, sum(skipped), policy, now_ms),
        identities={state: trust[state] for state in TrustState},
        stale_identities=sum(stale for _, stale in known),
        own_list=own_list,
        accounts=judge_accounts(accounts.values(), policy, now_ms),
        outbox=sum(outbox),
        inbox=sum(inbox),
        uploads=_uploads(uploads, now_ms),
        groups=judged,
        sender_keys=judge_sender_keys(sender_keys),
    )


def _read_table(
    tx: Transaction, table: Table, reader: Callable[[bytes, bytes, bytes], _T]
) -> tuple[TableHealth, list[_T]]:
    """Give every (partition, row, record) to the reader; count what it refuses."""
    values: list[_T] = []
    damaged = too_new = 0
    rows = tx.scan(table)
    while True:
        try:
            values.append(reader(*next(rows)))
        except StopIteration:
            return TableHealth(table, len(values) + damaged + too_new, damaged, too_new), values
        except RecordCorrupted:  # of the walk, when the store is sealed, or of the reader
            damaged += 1
        except StoreTooNew:
            too_new += 1


def _device(device: DeviceRecord, epoch: int, has_publication: bool) -> DeviceHealth:
    return DeviceHealth(
        is_registered=device.registered,
        is_publication_unconfirmed=has_publication,
        epoch=epoch,
        is_epoch_adopted=not device.adopts_epoch,
        are_prekeys_replaced=not device.replaces_prekeys,
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


def _sessions(
    tx: Transaction, places: list[bytes], skipped_keys: int, policy: Policy, now_ms: int
) -> SessionHealth:
    current = archived = held = put_away = unprotected = broken = 0
    unanswered_ms: list[int] = []
    for place in places:
        try:
            sessions = load_sessions(tx, address_from_key(place))
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


def _uploads(begun_ms: list[int | None], now_ms: int) -> UploadHealth:
    ages_ms = [now_ms - at_ms for at_ms in begun_ms if at_ms is not None]
    return UploadHealth(len(ages_ms), max(ages_ms, default=None))
