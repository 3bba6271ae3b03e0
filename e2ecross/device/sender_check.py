# SPDX-License-Identifier: Apache-2.0
"""Whether a message is of a device that its account lists, and what becomes of a list in it.

Rules:
- A device is a number and a key: both together stand in the newest list of its account, or the
  message is refused. Without a list a key that is verified, was told by an own device, or had a
  list before, vouches for device 1 alone.
- First everything is checked and nothing written: what a refused message carries is not kept.
- A list under another account key vouches for its own devices alone, and is a changed identity of
  the account. That of the own account is refused: its key is what this device was linked to.
- Who sends messages of the own account's users from another device says with whom they talk; nobody
  else may.
"""

from typing import NamedTuple

from e2ecross.address import Address, UserId
from e2ecross.crypto.keys import PublicKey
from e2ecross.device.accepting import accept_list, follow_identity
from e2ecross.device.device_lists import ACCEPTED, judge_list, take_list
from e2ecross.errors import EnvelopeMismatch, UnlistedDevice
from e2ecross.protocol.device_list import Verdict, is_listed, verify_list
from e2ecross.state.accounts import find_account, find_list
from e2ecross.state.context import Context, address_key
from e2ecross.state.trust import (
    find_identity_record,
    observe_identity,
    require_identity,
    require_not_refused,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import Payload, Resent
from e2ecross.wire.content.kinds import is_of_users
from e2ecross.wire.device_list import PRIMARY, DeviceList, SignedDeviceList
from e2ecross.wire.records import RemoteIdentityRecord

__all__ = ["Standing", "check_sender", "keep_carried", "require_listed"]


class Standing(NamedTuple):
    """How the sender of a message stands to its account.

    Attributes:
        trusted: whose identity the message came under: the sender's own, or that of device 1 of
            its account where the list that it carries is under another account key.
        trusted_key: that identity's key, 33 bytes.
        carried: the list that the message carries, if it is not the one that is held; verified.
        verdict: what that is.
    """

    trusted: Address
    trusted_key: PublicKey
    carried: SignedDeviceList | None = None
    verdict: Verdict | None = None

    @property
    def is_under_other_key(self) -> bool:
        """Whether another account key than the accepted one vouches for the sender."""
        return self.verdict is Verdict.OTHER_KEY


def check_sender(
    context: Context,
    tx: Transaction,
    payload: Payload,
    identity_key: PublicKey,
    *,
    starts_session: bool,
) -> Standing:
    """Check that a message may come from its sender; nothing changes.

    Args:
        context: of the device.
        tx: of the operation that reads the message.
        payload: what it holds; its sender is authentic.
        identity_key: of the session that has read it, 33 bytes.
        starts_session: whether the message made that session.

    Raises:
        EnvelopeMismatch: it carries the list of another account, or says with whom the own user
            talks although the sender may not, or does not say it although it must.
        UnlistedDevice: the newest list of its account does not have the sender.
        IdentityChangedError: it is under another account key, and the policy refuses that.
        RemoteError: the list that it carries is malformed or forged.
    """
    sender, own = payload.sender, context.address
    is_own = sender.user == own.user and sender.app == own.app
    if payload.peer is not None and not is_own:
        raise EnvelopeMismatch("a message of another user claims to be a copy of one of ours")
    if sender.device == PRIMARY and not payload.device_list and not is_own:
        return Standing(sender, identity_key)  # its account's key is its own
    user = sender.user_id
    record = find_account(tx, user)
    held = None if record is None else record.held
    carried = _read_carried(payload, user, held)
    verdict = None if carried is None else judge_list(context, tx, user, carried)
    if carried is not None and verdict is Verdict.OTHER_KEY and not is_own:
        _require_in(carried.list, sender, identity_key)
        standing = Standing(_primary(user), carried.list.account_key, carried, verdict)
        _require_not_refused(context, tx, standing, starts_session=starts_session)
        return standing
    if verdict is Verdict.OTHER_KEY:
        carried = verdict = None
    newest = None if held is None else held.list
    if carried is not None and verdict in ACCEPTED:
        newest = carried.list
    if is_own:
        _require_peer(payload, is_listed_account=newest is not None)
    if newest is not None and (sender.device != PRIMARY or is_own):
        _require_in(newest, sender, identity_key)
    elif newest is None and sender.device != PRIMARY and not is_own:
        _require_no_list(tx, sender)
    standing = Standing(sender, identity_key, carried, verdict)
    _require_not_refused(context, tx, standing, starts_session=starts_session)
    return standing


def keep_carried(
    context: Context, tx: Transaction, standing: Standing, now_ms: int, *, starts_session: bool
) -> bool:
    """Keep what follows from the list that an acceptable message carries.

    Returns:
        Whether it carries one. Then rows of the sender's identity and sessions may have changed:
        the message is to be opened anew.
    """
    trusted, key, carried, _ = standing
    if carried is None:
        return False
    user = trusted.user_id
    if not standing.is_under_other_key:
        take_list(context, tx, user, carried, now_ms)
        return True
    known = find_identity_record(tx, address_key(trusted))
    observe_identity(tx, trusted, known, key, context.policy, now_ms, starts_session=starts_session)
    if require_identity(tx, trusted).identity_key == key:  # accepted by the policy
        follow_identity(context, tx, trusted, key)
        accept_list(context, tx, user, carried, now_ms)
    return True


def require_listed(tx: Transaction, address: Address, identity_key: bytes) -> None:
    """Refuse the key (33 bytes) of a device that its account, if that has a list, does not list.

    Device 1 is judged by the account's key, as any identity. It need not be a key that is valid.

    Raises:
        UnlistedDevice: the list has not this number and key; or there is none, and the account is
            known to have one, or its key is verified.
    """
    if address.device != PRIMARY:
        device_list = find_list(tx, address.user_id)
        if device_list is None:
            _require_no_list(tx, address)
        else:
            _require_in(device_list, address, identity_key)


def _read_carried(
    payload: Payload, user: UserId, held: SignedDeviceList | None
) -> SignedDeviceList | None:
    """Return the list that a message carries, if it is not the very one that is held; verified."""
    data = payload.device_list
    if not data or (held is not None and held.encode() == data):
        return None
    carried = SignedDeviceList.decode(data)
    if carried.list.user != user:
        raise EnvelopeMismatch(f"a message of {user} carries the list of {carried.list.user}")
    verify_list(carried, held)
    return carried


def _require_peer(payload: Payload, *, is_listed_account: bool) -> None:
    content = payload.content
    is_copy = is_listed_account and (isinstance(content, Resent) or is_of_users(content))
    if is_copy and payload.peer is None:
        raise EnvelopeMismatch("a copy of another own device does not say with whom we talk")
    if payload.peer is not None and not is_copy:
        raise EnvelopeMismatch("a message that is no copy says with whom we talk")


def _require_in(device_list: DeviceList, sender: Address, identity_key: bytes) -> None:
    if not is_listed(device_list, sender.device, identity_key):
        raise UnlistedDevice(
            f"{sender}, or the key that it uses, is not in the list of its account's devices: it "
            f"is none of that user's, or not any more"
        )


def _require_no_list(tx: Transaction, sender: Address) -> None:
    """Refuse another device than 1 of an account whose list is not held, but that should have one.

    So it is where an own device has told of the key, or another key was accepted, and nothing was
    exchanged since. What a client sends first brings its list along.
    """
    record = find_account(tx, sender.user_id)
    known = find_identity_record(tx, address_key(_primary(sender.user_id)))
    if (record is not None and record.has_list) or (known is not None and known.verified):
        raise UnlistedDevice(
            f"no list of the devices of {sender.user_id} is held, and its key is known to have one "
            f"or is verified: nobody vouches for {sender}"
        )


def _require_not_refused(
    context: Context, tx: Transaction, standing: Standing, *, starts_session: bool
) -> None:
    """Refuse what would be refused once the list is kept, while nothing has been written."""
    address, key, carried, _ = standing
    if carried is None or address.device != PRIMARY:
        return  # listed under its key, or its account's list says nothing of it
    known = find_identity_record(tx, address_key(address))
    if known is None:
        known = RemoteIdentityRecord(carried.list.account_key, None, False, 0)
    require_not_refused(known, address, key, context.policy, starts_session=starts_session)


def _primary(user: UserId) -> Address:
    return Address(user.app, user.user, PRIMARY)
