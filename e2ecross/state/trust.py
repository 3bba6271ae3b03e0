# SPDX-License-Identifier: Apache-2.0
"""Whose identity key is whose: trust on first use, and what happens when a key changes.

Rules:
- The first key seen of an address is accepted. A later one is never accepted silently.
- A message under a new key is delivered with a flag (or refused, by policy) and the key is kept
  as pending beside the accepted one; nothing is encrypted to the address until the caller accepts
  exactly that key.
- A bundle with another key than the accepted one starts no session.
- Of an account with a list of its devices, device 1 has the account's key, and whatever is decided
  is decided there. What the others have says the list.
- Where the policy accepts changed keys by itself, it does so for contacts that are not verified,
  and the change is reported all the same.
"""

import enum
from dataclasses import dataclass, fields, replace
from typing import Final

from e2ecross.address import Address
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.errors import (
    IdentityChangedError,
    InvalidArgument,
    NoSession,
    UntrustedIdentity,
    VersionDowngrade,
)
from e2ecross.state.accounts import NOTHING_KNOWN, find_account, primary_of, put_account
from e2ecross.state.changes import count_change
from e2ecross.state.context import address_key
from e2ecross.state.policy import Policy
from e2ecross.stores.base import Codec, Table, Transaction
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.records import RemoteIdentityRecord
from e2ecross.wire.signal_message import MessageVersion

__all__ = [
    "RemoteIdentity",
    "TrustState",
    "accept_by_policy",
    "accept_identity",
    "find_identity",
    "find_identity_record",
    "forget_identity",
    "is_downgrade",
    "mark_stale",
    "mark_verified",
    "note_asked",
    "note_offered_version",
    "observe_identity",
    "put_listed_identity",
    "reject_identity",
    "require_accepted_account",
    "require_accepted_identity",
    "require_identity",
    "require_no_downgrade",
    "require_not_refused",
    "trust_bundle_identity",
]


class TrustState(enum.StrEnum):
    """How far an identity key is trusted."""

    UNVERIFIED = "unverified"
    """Accepted on first use, or by the user without comparing."""
    VERIFIED = "verified"
    """The user has compared the safety number."""
    CHANGED = "changed"
    """Another key has been seen since and waits to be accepted."""


@dataclass(frozen=True, slots=True)
class RemoteIdentity:
    """What is known of the identity of a device.

    Attributes:
        address: whose identity.
        identity_key: the accepted key, 33 bytes.
        pending_key: a key that has been seen since and is not accepted, 33 bytes, or None.
        verified: whether the accepted key was compared by safety number.
        first_seen_at_ms: when the accepted key was first seen, milliseconds since 1970.
        stale: this is from before the store was restored, and nothing has confirmed it since: the
            contact may have another key by now, or the user may have accepted or verified one.
        asked_at_ms: nothing authentic has come from the device yet, and this is when a message was
            last asked for again of it, milliseconds since 1970; else 0.
        by_policy: the accepted key is a changed one, and the policy has accepted it, not the user.
        offered_version: 4 once the device has offered a session of version 4, else 0.
    """

    address: Address
    identity_key: PublicKey
    pending_key: PublicKey | None
    verified: bool
    first_seen_at_ms: int
    stale: bool = False
    asked_at_ms: int = 0
    by_policy: bool = False
    offered_version: int = 0

    @property
    def trust(self) -> TrustState:
        """The state in one word."""
        if self.pending_key is not None:
            return TrustState.CHANGED
        return TrustState.VERIFIED if self.verified else TrustState.UNVERIFIED


def find_identity(tx: Transaction, address: Address) -> RemoteIdentity | None:
    """Return what is known of an address's identity, for the app, or None."""
    record = find_identity_record(tx, address_key(address))
    if record is None:
        return None
    return RemoteIdentity(address, *(getattr(record, field.name) for field in fields(record)))


def find_identity_record(tx: Transaction, place: bytes) -> RemoteIdentityRecord | None:
    """Return the record of the address that this is the store's key of, or None."""
    return tx.get_value(Table.REMOTE_IDENTITIES, place, b"", _IDENTITY)


def require_identity(tx: Transaction, address: Address) -> RemoteIdentityRecord:
    """Return what is known of an address's identity.

    Raises:
        NoSession: nothing is.
    """
    record = find_identity_record(tx, address_key(address))
    if record is None:
        raise NoSession(
            f"the identity key of {address} is not known yet: start a session from a bundle, "
            f"or receive a message first"
        )
    return record


def require_accepted_identity(tx: Transaction, address: Address) -> PublicKey:
    """Return the identity key (33 bytes) that may be encrypted to.

    Raises:
        NoSession: the address is not known.
        UntrustedIdentity: another key waits to be accepted.
    """
    record = require_identity(tx, address)
    if record.pending_key is not None:
        raise UntrustedIdentity(address, record.pending_key)
    return record.identity_key


def require_accepted_account(tx: Transaction, address: Address) -> None:
    """Refuse to send to any device of an account whose changed key the user has to decide about.

    Raises:
        UntrustedIdentity: of device 1; another key waits to be accepted.
    """
    primary = primary_of(tx, address)
    record = find_identity_record(tx, address_key(primary))
    if record is not None and record.pending_key is not None:
        raise UntrustedIdentity(primary, record.pending_key)


def put_listed_identity(
    tx: Transaction, address: Address, identity_key: PublicKey, now_ms: int
) -> None:
    """Accept the identity key (33 bytes) of a device because its account lists it."""
    _put(tx, address, _first_seen(identity_key, now_ms))


def forget_identity(tx: Transaction, address: Address) -> None:
    """Forget the identity of an address: it is none of its account any more."""
    count_change(tx)
    tx.delete(Table.REMOTE_IDENTITIES, address_key(address))


def trust_bundle_identity(
    tx: Transaction, address: Address, identity_key: PublicKey, now_ms: int
) -> None:
    """Accept the identity key of a bundle on first use.

    Raises:
        UntrustedIdentity: it is not the accepted one, or another one waits to be accepted.
    """
    known = find_identity_record(tx, address_key(address))
    if known is None:
        _trust_first(tx, address, identity_key, now_ms)
    elif known.pending_key is not None:
        raise UntrustedIdentity(address, known.pending_key)
    elif known.identity_key != identity_key:
        raise UntrustedIdentity(address, identity_key)
    elif known.stale:
        _put(tx, address, replace(known, stale=False))


def observe_identity(
    tx: Transaction,
    address: Address,
    known: RemoteIdentityRecord | None,
    identity_key: PublicKey,
    policy: Policy,
    now_ms: int,
    *,
    starts_session: bool,
) -> bool:
    """Take note of the identity key under which an authenticated message came.

    Args:
        tx: of the operation that receives the message.
        address: the sender.
        known: what the store has of the sender.
        identity_key: of the session that read the message, 33 bytes.
        policy: decides whether a changed key is refused.
        now_ms: milliseconds since 1970.
        starts_session: whether the message made a new session. Only that can bring up a new key:
            a late message of an older session is no change.

    Returns:
        Whether the key is not the accepted one.

    Raises:
        IdentityChangedError: a new key, and the policy refuses it.
    """
    if known is None:
        _trust_first(tx, address, identity_key, now_ms)
        return False
    if known.identity_key == identity_key:
        # A late message of an old session does not show that the key is still the right one.
        stale = known.stale and not starts_session
        if stale is not known.stale or known.asked_at_ms:
            _put(tx, address, replace(known, stale=stale, asked_at_ms=0))
        return False
    require_not_refused(known, address, identity_key, policy, starts_session=starts_session)
    if not starts_session or primary_of(tx, address) != address:
        return True  # a late message; or one of a device whose key is what its account's list says
    if policy.accept_changed_identity and not known.verified:
        _put(tx, address, _changed(known, identity_key, now_ms, by_policy=True))
    else:
        _put(tx, address, replace(known, pending_key=identity_key))
    return True


def require_not_refused(
    known: RemoteIdentityRecord,
    address: Address,
    identity_key: PublicKey,
    policy: Policy,
    *,
    starts_session: bool,
) -> None:
    """Refuse a message under another identity key (33 bytes) than the accepted one, by policy.

    Raises:
        IdentityChangedError: a new key, and the policy refuses it.
    """
    if known.identity_key == identity_key or not policy.refuse_changed_identity:
        return
    if starts_session or identity_key == known.pending_key:
        raise IdentityChangedError(
            f"a message from {address} came under a new identity key and was refused: "
            f"compare the safety number, then accept the key",
            address,
            identity_key,
        )


def accept_identity(
    tx: Transaction, address: Address, identity_key: PublicKey, now_ms: int
) -> None:
    """Accept a changed identity key.

    Raises:
        NoSession: the address is not known.
        InvalidArgument: another key is the one that waits to be accepted.
    """
    known = require_identity(tx, address)
    if known.pending_key not in (None, identity_key):
        raise InvalidArgument(f"identity_key is not the key of {address} that waits to be accepted")
    if known.identity_key != identity_key:
        _put(tx, address, _changed(known, identity_key, now_ms))
    elif known.by_policy or known.stale:
        _put(tx, address, replace(known, by_policy=False, stale=False))


def accept_by_policy(
    tx: Transaction, policy: Policy, address: Address, identity_key: bytes, now_ms: int
) -> bool:
    """Accept a changed identity key (33 bytes) if the policy does so; tells whether it did."""
    known = require_identity(tx, address)
    if not policy.accept_changed_identity or known.verified or known.pending_key is not None:
        return False
    key = decode_public_key(identity_key)
    _put(tx, address, _changed(known, key, now_ms, by_policy=True))
    return True


def reject_identity(tx: Transaction, address: Address, identity_key: bytes) -> PublicKey:
    """Stay with the accepted identity key, and forget the one (33 bytes) that waits.

    Returns:
        The accepted key.

    Raises:
        NoSession: the address is not known.
        InvalidArgument: that key is not the one that waits to be accepted.
    """
    known = require_identity(tx, address)
    if known.pending_key != identity_key:
        raise InvalidArgument(f"identity_key is not the key of {address} that waits to be accepted")
    _put(tx, address, replace(known, pending_key=None))
    return known.identity_key


def note_asked(tx: Transaction, address: Address, now_ms: int) -> None:
    """Note that a device was asked for a message that nothing authentic has come from yet."""
    _put(tx, address, replace(require_identity(tx, address), asked_at_ms=now_ms))


def is_downgrade(record: RemoteIdentityRecord | None, version: MessageVersion) -> bool:
    """Whether a new session of this version is older than what the device has offered before."""
    return record is not None and version.number < record.offered_version


def require_no_downgrade(
    record: RemoteIdentityRecord | None, address: Address, version: MessageVersion, policy: Policy
) -> None:
    """Refuse a session of an older version than the device has offered before.

    Whoever hands out its bundles may have stripped them of the keys that only the newer one has.

    Raises:
        VersionDowngrade: it is one, and the policy does not accept it.
    """
    if is_downgrade(record, version) and not policy.accept_version_downgrade:
        raise VersionDowngrade(
            f"{address} has offered a newer version of the protocol before, and this is version "
            f"{version.number}: somebody may have taken out its post-quantum keys"
        )


def note_offered_version(tx: Transaction, address: Address, version: MessageVersion) -> None:
    """Note that a device has offered a session of this version; only post-quantum ones count."""
    record = find_identity_record(tx, address_key(address))
    if version.is_post_quantum and record is not None and record.offered_version < version.number:
        _put(tx, address, replace(record, offered_version=version.number))


def mark_stale(tx: Transaction, address: Address) -> None:
    """Note that what is known of an address is from before the store was restored."""
    _put(tx, address, replace(require_identity(tx, address), stale=True))


def mark_verified(tx: Transaction, address: Address, identity_key: bytes) -> None:
    """Note that the user has compared the safety number for the accepted key.

    Raises:
        NoSession: the address is not known.
        InvalidArgument: that key (33 bytes) is not the accepted one, or another one is pending.
    """
    known = require_identity(tx, address)
    if known.pending_key is not None or known.identity_key != identity_key:
        raise InvalidArgument(f"identity_key is not the accepted key of {address}")
    _put(tx, address, replace(known, verified=True, stale=False, by_policy=False))


def _trust_first(tx: Transaction, address: Address, key: PublicKey, now_ms: int) -> None:
    """Accept the first key that is seen of an address.

    Of another device than 1, which no list vouches for, an account's record says that there is
    something to be looked for when a list comes.
    """
    _put(tx, address, _first_seen(key, now_ms))
    if address.device != PRIMARY and find_account(tx, address.user_id) is None:
        put_account(tx, address.user_id, NOTHING_KNOWN)


def _first_seen(key: PublicKey, now_ms: int) -> RemoteIdentityRecord:
    return RemoteIdentityRecord(key, None, verified=False, first_seen_at_ms=now_ms)


def _changed(
    known: RemoteIdentityRecord, key: PublicKey, now_ms: int, *, by_policy: bool = False
) -> RemoteIdentityRecord:
    """What is known of an address from now on, with another key."""
    offered = known.offered_version
    return replace(_first_seen(key, now_ms), by_policy=by_policy, offered_version=offered)


def _put(tx: Transaction, address: Address, record: RemoteIdentityRecord) -> None:
    before = find_identity_record(tx, address_key(address))
    keys = (record.identity_key, record.pending_key)
    if before is None or (before.identity_key, before.pending_key) != keys:
        count_change(tx)
    tx.put_value(Table.REMOTE_IDENTITIES, address_key(address), b"", record, _IDENTITY)


_IDENTITY: Final = Codec(RemoteIdentityRecord.encode, RemoteIdentityRecord.decode)
