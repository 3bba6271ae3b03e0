# SPDX-License-Identifier: Apache-2.0
"""Opening a store that was put back to an older state: what `Device.open(restored=True)` does.

Rules:
- One transaction, and a second time does no harm. Keys are generated before it.
- Nothing that the lost operations may have used is used again: sessions never send again, new ones
  take their place; all prekeys go, and new ones get ids of their own.
- Own sender keys go, and who has them: a group gets another one before the next message to it.
- What only reads stays: identity, sessions with their receiving keys, sender keys of others, inbox,
  kept messages.
- What is known of contacts stays and is marked stale: they may have changed their key since, and
  the user may have accepted or verified it.
- Lists of devices may have changed since: all are asked for again. Device 1 does not know what it
  has signed since, and signs nothing but a reset.
- Rows are collected by their keys and worked on one by one: no table is held in memory.
- A store with stripes may have more contacts than one transaction can take: what is known of them,
  their sessions and what waits for them is done stripe by stripe, each before its next use.
"""

from dataclasses import replace

from e2ecross.address import Address
from e2ecross.arguments import require_callable
from e2ecross.device.batch import Progress
from e2ecross.device.group_deposits import renew_group_outbox
from e2ecross.device.prekey_upkeep import make_kyber_prekey, make_signed_prekey
from e2ecross.device.settling import MAX_NAMED, file_in_flight, give_up
from e2ecross.errors import RecordCorrupted, RestoredStore, StoreBusy, StoreMoved
from e2ecross.protocol.prekeys import prekey_id_after_restore
from e2ecross.protocol.session_record import stop_sending_with_all
from e2ecross.state.accounts import (
    find_own_account,
    put_account,
    put_own_account,
    walk_accounts,
)
from e2ecross.state.context import (
    Context,
    address_from_key,
    address_key,
    require_device,
    save_device,
)
from e2ecross.state.epoch import WitnessedRestore, read_epoch, set_epoch, sum_epochs
from e2ecross.state.group_keys import drop_all_grants
from e2ecross.state.inbox import leave_receipts_behind, put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.outbox import BacklogName, list_backlog, replace_waiting
from e2ecross.state.outbox_repair import list_backlogs, repair_backlog
from e2ecross.state.prekey_store import LAST_RESORT, put_kyber_prekey, put_signed_prekey
from e2ecross.state.publication import forget_publication
from e2ecross.state.sender_keys import drop_own_sender_keys
from e2ecross.state.sent import find_kept
from e2ecross.state.session_store import drop_damaged_sessions, read_sessions, save_sessions
from e2ecross.state.stripe import read_stripe, save_stripe
from e2ecross.state.transactions import shuffled_stripes, stripe_transaction
from e2ecross.state.trust import find_identity, mark_stale
from e2ecross.stores.base import Table, Transaction
from e2ecross.wire.account_records import OwnAccountRecord
from e2ecross.wire.device_list import PRIMARY

__all__ = ["restore_device", "restore_stripe", "restore_stripes"]


def restore_device(
    context: Context, witness_epoch: int, progress: Progress | None = None
) -> Context:
    """Make a store usable that was put back to an older state.

    Args:
        context: of the device.
        witness_epoch: what the witness knows, 0 without one; the store goes on above it.
        progress: see `Device.open`.

    Returns:
        That of the device from now on.

    Raises:
        PrekeysExhausted: there are no prekey ids left.
        RecordCorrupted: a record that is needed does not decode; nothing was changed.
        WitnessFailed: the witness cannot be told. The store is restored.
    """
    now_ms = context.clock()
    signed_prekey = make_signed_prekey(context.identity_key_pair, context.entropy, now_ms)
    last_resort = make_kyber_prekey(
        context.identity_key_pair, context.entropy, now_ms, is_last_resort=True
    )
    with WitnessedRestore(context) as tx:
        device = forget_publication(tx, require_device(tx))
        _doubt_contacts(tx, progress)
        _doubt_accounts(tx)
        _doubt_own_account(context, tx)
        _drop_prekeys(tx)
        drop_own_sender_keys(tx)
        drop_all_grants(tx)
        epoch = max(read_epoch(tx), witness_epoch) + 1
        set_epoch(tx, epoch)
        life = device.life + 1 if context.store.stripes else 0
        prekey_id = prekey_id_after_restore(device.next_prekey_id, context.entropy)
        put_signed_prekey(tx, prekey_id, signed_prekey)
        put_kyber_prekey(tx, prekey_id + 1, last_resort)
        save_device(
            tx,
            replace(
                device,
                next_prekey_id=prekey_id + 2,
                signed_prekey_id=prekey_id,
                last_resort_kyber_prekey_id=prekey_id + 1,
                adopts_epoch=True,
                replaces_prekeys=True,
                restored_epoch=sum_epochs(tx),
                life=life,
            ),
        )
        leave_receipts_behind(context, tx)
        lost = _renew_outbox(context, tx, now_ms) + renew_group_outbox(context, tx, now_ms)
        _tell_restored(context, tx, lost)
        if life:
            save_stripe(tx, read_stripe(tx)._replace(life=life))
    return replace(context, life=life)


def restore_stripe(context: Context, view: Transaction) -> None:
    """Make a stripe usable of a store that was opened as restored; see `Context.restore_stripe`.

    Args:
        context: of the device.
        view: of the stripe, in the transaction of who needs it first.

    Raises:
        RecordCorrupted: a record that is needed does not decode; nothing was changed.
    """
    _doubt_contacts(view, None)
    _doubt_accounts(view)
    leave_receipts_behind(context, view)
    lost = _renew_outbox(context, view, context.clock())
    if lost:
        _tell_restored(context, view, lost)


def restore_stripes(context: Context, progress: Progress | None = None) -> None:
    """See `Device.restore_stripes`."""
    if progress is not None:
        require_callable("progress", progress)
    stripes, failure = context.store.stripes, None
    for done, stripe in enumerate(shuffled_stripes(context), start=1):
        try:
            with stripe_transaction(context, stripe):
                pass  # to begin one is all that it takes
        except (StoreMoved, RestoredStore):
            raise
        except (StoreBusy, RecordCorrupted) as error:  # of this stripe alone
            failure = failure or error
        if progress is not None:
            progress(done, stripes)
    if failure is not None:
        raise failure


def _partitions(tx: Transaction, table: Table) -> list[bytes]:
    """Collect the partitions of a table, which must not change while it is walked over."""
    return list(dict.fromkeys(partition for partition, _, _ in tx.scan(table)))


def _doubt_contacts(tx: Transaction, progress: Progress | None) -> None:
    with_sessions = dict.fromkeys(_partitions(tx, Table.SESSION_RECORDS))
    places = with_sessions | dict.fromkeys(_partitions(tx, Table.REMOTE_IDENTITIES))
    for done, place in enumerate(places, start=1):
        address = address_from_key(place)
        if place in with_sessions:
            _stop_sessions(tx, address)
        mark_stale(tx, address)
        if progress is not None:
            progress(done, len(places))


def _stop_sessions(tx: Transaction, address: Address) -> None:
    identity = find_identity(tx, address)
    if identity is None:
        raise RecordCorrupted(f"the identity of {address} is missing: the store is damaged")
    drop_damaged_sessions(tx, address, identity.identity_key)
    place = address_key(address)
    before = read_sessions(tx, place)
    save_sessions(tx, place, before, stop_sending_with_all(before, identity.identity_key))


def _doubt_accounts(tx: Transaction) -> None:
    for _, user, record in walk_accounts(tx):
        put_account(tx, user, replace(record, check_wanted=True))


def _doubt_own_account(context: Context, tx: Transaction) -> None:
    if context.address.device == PRIMARY:
        own = find_own_account(tx) or OwnAccountRecord()
        put_own_account(tx, replace(own, must_reset=True))


def _drop_prekeys(tx: Transaction) -> None:
    tx.clear(Table.ONE_TIME_PREKEYS, b"")
    tx.clear(Table.SIGNED_PREKEYS, b"")
    tx.clear(Table.KYBER_PREKEYS, b"")
    tx.clear(Table.KYBER_PREKEYS, LAST_RESORT)
    for place in _partitions(tx, Table.SEEN_BASE_KEYS):
        tx.clear(Table.SEEN_BASE_KEYS, place)


def _renew_outbox(context: Context, tx: Transaction, now_ms: int) -> list[bytes]:
    """Have what waits encrypted anew, where the content is kept; returns the ids of the rest.

    It was encrypted with sessions that the recipient may have left behind since.
    """
    lost: list[bytes] = []
    file_in_flight(context, tx)
    for backlog in list_backlogs(tx):
        repair_backlog(
            tx, backlog
        )  # else one damaged row would keep all the device from being restored
        for waiting in list_backlog(tx, backlog):
            if waiting.envelope is None:
                continue
            if waiting.control is not None:
                replace_waiting(tx, waiting, None)
                continue
            message_id = waiting.message_id
            kept = find_kept(tx, context.policy, backlog.recipient, message_id, now_ms)
            if kept is not None:
                replace_waiting(tx, waiting, None)
            else:
                give_up(context, tx, waiting, RestoredStore.code)
                if backlog.name is BacklogName.MESSAGES:
                    lost.append(message_id)
    return lost


def _tell_restored(context: Context, tx: Transaction, lost: list[bytes]) -> None:
    user = context.address.user_id
    put_notice(context, tx, Notice(NoticeKind.RESTORED, user, messages=tuple(lost[:MAX_NAMED])))
