# SPDX-License-Identifier: Apache-2.0
"""Lists of the devices of accounts: judged against what is held, and who is sent to.

Rules:
- Whether a list is true is told by signatures, and whether it may take the place of the one that
  is held by what both say. Where it came from is never evidence.
- A contradiction under one key is told the app once for each list that is held.
- The own account's list at device 1 is never taken in from outside.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.accepting import accept_list, follow_identity, keys_by_number
from e2ecross.device.foreign_lists import note_conflict, note_hosting
from e2ecross.errors import RecordCorrupted, UntrustedIdentity
from e2ecross.protocol.device_list import (
    Verdict,
    is_expired,
    judge,
    judge_own,
    targets,
    verify_list,
)
from e2ecross.state.accounts import (
    NOTHING_KNOWN,
    find_account,
    find_own_account,
    put_account,
    was_checked,
)
from e2ecross.state.changes import count_change
from e2ecross.state.context import Context, address_key
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.session_store import has_session
from e2ecross.state.transactions import (
    group_by_stripe,
    peer_transaction,
    peer_view,
    stripe_transaction,
)
from e2ecross.state.trust import accept_by_policy, find_identity_record
from e2ecross.stores.base import Transaction
from e2ecross.wire.account_records import AccountRecord
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList

__all__ = [
    "ACCEPTED",
    "FetchedList",
    "Targets",
    "accept_list",
    "find_behind",
    "find_devices",
    "find_replaced",
    "find_without_session",
    "held_seqs",
    "judge_list",
    "read_fetched_list",
    "take_list",
    "targets_by",
    "targets_of",
    "would_remove",
]

ACCEPTED = frozenset((Verdict.NEWER, Verdict.RESET))
"""What lets a list take the place of the one that is held."""
_NOT_OF_A_LOST_LIFE: Final = frozenset(
    (Verdict.OLDER, Verdict.BROKEN_CHAIN, Verdict.HOSTING_LOWERED)
)
"""What a restored device 1 has not signed itself after the copy was made: it takes no such list."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Which devices of an account are sent to.

    Attributes:
        devices: their identity keys, 33 bytes, as they are listed, by address; ascending.
        is_expired: whether the list is too old, so that only device 1 is sent to.
    """

    devices: Mapping[Address, PublicKey]
    is_expired: bool


class FetchedList(NamedTuple):
    """What has become of a list that the back end has handed out.

    Attributes:
        verdict: what it is; see `take_list`.
        identity_changed: it is under another account key than the accepted one, and the policy has
            accepted that.
    """

    verdict: Verdict
    identity_changed: bool = False


def judge_list(
    context: Context, tx: Transaction, user: UserId, signed: SignedDeviceList
) -> Verdict:
    """Judge a verified list against what is held of an account; nothing changes.

    Raises:
        EnvelopeMismatch: it is of another account.
    """
    record = find_account(tx, user) or NOTHING_KNOWN
    if _signs_own(context, user):
        key, own = context.identity_key_pair.public, find_own_account(tx)
        if own is not None and own.must_reset:
            verdict = judge(signed, user, key, record.held, record.rival)
            if verdict not in _NOT_OF_A_LOST_LIFE:
                return verdict
        return judge_own(signed, user, key, record.held)
    known = find_identity_record(tx, address_key(_primary(user)))
    pinned = None if known is None else known.identity_key
    return judge(signed, user, pinned, record.held, record.rival)


def take_list(
    context: Context, tx: Transaction, user: UserId, signed: SignedDeviceList, now_ms: int
) -> Verdict:
    """Judge a verified list of an account, and keep what follows from it.

    Args:
        context: of the device.
        tx: the operation's transaction.
        user: the account that was asked for, or that it is sent as the list of.
        signed: the list; verified.
        now_ms: milliseconds since 1970.

    Returns:
        What it is. One under another account key, or that contradicts what is held, changes nothing
        but what is noted of it.

    Raises:
        EnvelopeMismatch: it is of another account.
    """
    verdict = judge_list(context, tx, user, signed)
    if verdict in ACCEPTED:
        accept_list(context, tx, user, signed, now_ms)
    elif verdict is Verdict.FORK:
        _note_fork(context, tx, user, signed)
        if _signs_own(context, user):
            note_hosting(tx, signed)
    elif verdict is Verdict.BROKEN_CHAIN:
        _note_fork(context, tx, user)
    elif verdict is Verdict.CONFLICT:
        note_conflict(context, tx, signed)
    return verdict


def would_remove(context: Context, user: UserId, data: bytes) -> bool:
    """Tell whether accepting a list would take a device from an account.

    Then what waits in the own mailbox is to be taken in first: the device may have sent it before
    it was removed. No signature is checked yet.

    Args:
        context: of the device.
        user: the account.
        data: the list, encoded, as the back end has handed it out.

    Raises:
        RemoteError: it is none, or of another account.
    """
    signed = SignedDeviceList.decode(data)
    with peer_transaction(context, user) as tx:
        record = find_account(tx, user)
        if judge_list(context, tx, user, signed) not in ACCEPTED:
            return False
    if record is None or record.held is None:
        return False
    after = keys_by_number(signed.list)
    before = keys_by_number(record.held.list)
    return any(after.get(number) != key for number, key in before.items())


def read_fetched_list(
    context: Context, user: UserId, data: bytes, member_key: PublicKey | None = None
) -> FetchedList:
    """Take in a list that the back end has handed out. It is verified before the transaction.

    Args:
        context: of the device.
        user: the account that was asked for.
        data: the list, encoded.
        member_key: the account key (33 bytes) that the user is a member of a group by: under
            another one nobody is taken in who is not known. None: asked for by the user's wish.

    Returns:
        What it is. The own account's is never one of a changed identity.

    Raises:
        RemoteError: it is malformed or forged, or of another account.
        UntrustedIdentity: of device 1; it is signed with another account key, and the policy does
            not accept that; or the account is not known, and that is not the member's. Nothing has
            changed.
    """
    signed, now_ms = SignedDeviceList.decode(data), context.clock()
    with peer_transaction(context, user) as tx:
        record = find_account(tx, user) or NOTHING_KNOWN
        known = find_identity_record(tx, address_key(_primary(user)))
    if known is None and member_key not in (None, signed.list.account_key):
        raise UntrustedIdentity(_primary(user), signed.list.account_key)
    verify_list(signed, record.held)
    with peer_transaction(context, user) as tx:
        verdict = take_list(context, tx, user, signed, now_ms)
        if verdict is Verdict.OTHER_KEY and user != context.address.user_id:
            _accept_key_by_policy(context, tx, user, signed.list.account_key, now_ms)
            return FetchedList(take_list(context, tx, user, signed, now_ms), identity_changed=True)
    return FetchedList(verdict)


def targets_of(context: Context, tx: Transaction, user: UserId, now_ms: int) -> Targets | None:
    """Return which devices of an account are sent to, or None if no list of it is held.

    This device is never among them.
    """
    return targets_by(context, user, find_account(peer_view(context, tx, user), user), now_ms)


def targets_by(
    context: Context, user: UserId, record: AccountRecord | None, now_ms: int
) -> Targets | None:
    """Return the same by what is known of the account, as it was read in the transaction."""
    if record is None or record.held is None:
        return None
    max_age_ms = context.policy.device_list_max_age_ms
    expired = is_expired(record.held, record.accepted_at_ms, now_ms, max_age_ms)
    # Device 1 knows what it has signed itself.
    rival = None if _signs_own(context, user) else record.rival
    devices = {
        user.device(each.device): each.identity_key
        for each in targets(record.held, rival, expired=expired)
    }
    if user == context.address.user_id:
        devices.pop(context.address, None)
    return Targets(devices, expired)


def find_without_session(
    context: Context, users: Iterable[UserId]
) -> dict[UserId, list[Address] | None]:
    """Return for each account which devices a message would go to without a session with them.

    None: it has no list of its devices.
    """
    found: dict[UserId, list[Address] | None] = {}
    for stripe, of_stripe in group_by_stripe(context, users).items():
        with stripe_transaction(context, stripe) as tx:
            for user in of_stripe:
                targets = targets_of(context, tx, user, context.clock())
                found[user] = None
                if targets is not None:
                    found[user] = [each for each in targets.devices if not has_session(tx, each)]
    return found


def find_devices(context: Context, address: Address) -> list[Address]:
    """Return all devices that a message for an account goes to, as far as they are known."""
    with peer_transaction(context, address.user_id) as tx:
        devices = [address]
        for user in (address.user_id, context.address.user_id):
            with suppress(RecordCorrupted):
                targets = targets_of(context, tx, user, context.clock())
                devices += [] if targets is None else targets.devices
        return list(dict.fromkeys(devices))


def find_behind(
    context: Context, seqs: Mapping[UserId, int], gone: Collection[UserId]
) -> list[UserId]:
    """Return the accounts of whose lists the back end says that there are newer ones.

    Not those that it was asked for within ten minutes, and had nothing newer of.

    Args:
        context: of the device.
        seqs: the newest by what the back end says.
        gone: accounts with devices that it does not know.
    """
    behind: list[UserId] = []
    for stripe, users in group_by_stripe(context, (*seqs, *gone)).items():
        with stripe_transaction(context, stripe) as tx:
            for user in users:
                record = find_account(tx, user) or NOTHING_KNOWN
                seq = _seq(record)
                is_behind = seqs.get(user, 0) > seq or (user in gone and seq > 0)
                if is_behind and not was_checked(record, context.clock()):
                    behind.append(user)
    return behind


def held_seqs(context: Context, users: Iterable[UserId]) -> dict[UserId, int]:
    """Return the numbers of the lists that are held of accounts, 0: none."""
    seqs: dict[UserId, int] = {}
    for stripe, of_stripe in group_by_stripe(context, users).items():
        with stripe_transaction(context, stripe) as tx:
            seqs.update({user: _seq(find_account(tx, user) or NOTHING_KNOWN) for user in of_stripe})
    return seqs


def find_replaced(context: Context, seqs: Mapping[UserId, int]) -> set[UserId]:
    """Return the accounts of which another list is held by now, whoever has brought it.

    Args:
        context: of the device.
        seqs: of the lists that were held when something was sent, 0: none.
    """
    return {user for user, seq in held_seqs(context, seqs).items() if seq != seqs[user]}


def _seq(record: AccountRecord) -> int:
    return 0 if record.held is None else record.held.list.seq


def _signs_own(context: Context, user: UserId) -> bool:
    return context.address.device == PRIMARY and user == context.address.user_id


def _primary(user: UserId) -> Address:
    return Address(user.app, user.user, PRIMARY)


def _note_fork(
    context: Context, tx: Transaction, user: UserId, rival: SignedDeviceList | None = None
) -> None:
    """Note a contradiction to the list that is held, and tell the app if it was not told yet."""
    record = find_account(tx, user) or NOTHING_KNOWN
    noted = replace(record, rival=record.rival or rival, fork_noted=True)
    if noted != record:
        put_account(tx, user, noted)
        count_change(tx)  # devices of which both do not say the same are not sent to
    if not record.fork_noted:
        put_notice(context, tx, Notice(NoticeKind.LIST_FORK, user))


def _accept_key_by_policy(
    context: Context, tx: Transaction, user: UserId, account_key: PublicKey, now_ms: int
) -> None:
    primary = _primary(user)
    if not accept_by_policy(tx, context.policy, primary, account_key, now_ms):
        raise UntrustedIdentity(primary, account_key)
    follow_identity(context, tx, primary, account_key)
    put_notice(context, tx, Notice(NoticeKind.IDENTITY_CHANGED, user, (PRIMARY,), account_key))
