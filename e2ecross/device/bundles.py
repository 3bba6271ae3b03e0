# SPDX-License-Identifier: Apache-2.0
"""Sessions for a `Client`: started from what the back end hands out, repaired when damaged.

Rules:
- What a bundle brings that only the policy accepts is told the app in the transaction that accepts
  it (`Notice`), whoever needed the bundle: a message, an answer, a request.
- A key that is not the listed one is told as that, whatever it has signed: nobody need verify it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.crypto.secret import without_frames
from e2ecross.device.accepting import follow_identity
from e2ecross.device.sender_check import require_listed
from e2ecross.device.sending import keep_initiated_session
from e2ecross.errors import (
    E2ECrossError,
    RecordCorrupted,
    RemoteError,
    StoreTooNew,
    UnlistedDevice,
    UntrustedIdentity,
    VersionDowngrade,
)
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.state.context import Context, address_key
from e2ecross.state.epoch import WitnessedTransaction
from e2ecross.state.inbox import put_notice
from e2ecross.state.notice import Notice, NoticeKind
from e2ecross.state.session_store import drop_damaged_sessions
from e2ecross.state.transactions import group_by_stripe, peer_transaction, stripe_transaction
from e2ecross.state.trust import (
    accept_by_policy,
    find_identity,
    find_identity_record,
    is_downgrade,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.signal_message import VERSION_3, VERSION_4, MessageVersion

__all__ = [
    "NO_NEWS",
    "BundleNews",
    "repair_sessions",
    "require_minimum_version",
    "start_from_bundles",
]


@dataclass(frozen=True, slots=True)
class BundleNews:
    """What a bundle has brought that the policy accepts but the app should hear of.

    Attributes:
        identity_changed: another identity key than the accepted one.
        version_downgraded: no post-quantum keys, although the device has offered them before.
    """

    identity_changed: bool = False
    version_downgraded: bool = False


NO_NEWS: Final = BundleNews()


def start_from_bundles(
    context: Context, bundles: Sequence[PreKeyBundle | E2ECrossError]
) -> list[BundleNews | E2ECrossError]:
    """Start sessions with the devices that bundles are of; one transaction for each stripe.

    Args:
        context: of the device.
        bundles: or errors, which are handed on.

    Returns:
        For each what it has brought, or:
        UntrustedIdentity: it has another identity key than the accepted one, and the policy does
        not accept that.
        UnlistedDevice: its account has a list that has not its number and key.
        VersionDowngrade: it has no post-quantum keys, and the policy demands them.
        RemoteError: it is not acceptable.
        RecordCorrupted: a record of the device is damaged.
    """
    now_ms = context.clock()
    begun = [
        bundle if isinstance(bundle, E2ECrossError) else _begin(context, bundle, now_ms)
        for bundle in _without_unlisted(context, bundles)
    ]
    results: dict[int, BundleNews | E2ECrossError] = {}
    sessions: dict[int, tuple[Address, Session]] = {}
    for place, session in enumerate(begun):
        if isinstance(session, E2ECrossError):
            results[place] = session
        else:
            sessions[place] = session
    users = [address.user_id for address, _ in sessions.values()]
    for stripe in group_by_stripe(context, users):
        with WitnessedTransaction(context, stripe) as tx:
            for place, begun_with in sessions.items():
                if context.stripe_of(begun_with[0].user_id) != stripe:
                    continue
                try:
                    with tx.savepoint():
                        results[place] = _keep(context, tx, *begun_with, now_ms)
                except (UntrustedIdentity, RemoteError, RecordCorrupted, StoreTooNew) as error:
                    results[place] = without_frames(error)
    return [results[place] for place in range(len(begun))]


def _without_unlisted(
    context: Context, bundles: Sequence[PreKeyBundle | E2ECrossError]
) -> list[PreKeyBundle | E2ECrossError]:
    """Put errors in the place of bundles with other keys than those that are listed."""
    found = list(bundles)
    users = [bundle.address.user_id for bundle in bundles if isinstance(bundle, PreKeyBundle)]
    for stripe in group_by_stripe(context, users):
        with stripe_transaction(context, stripe) as tx:
            for place, bundle in enumerate(bundles):
                if not isinstance(bundle, PreKeyBundle):
                    continue
                if context.stripe_of(bundle.address.user_id) != stripe:
                    continue
                try:
                    require_listed(tx, bundle.address, bundle.identity_key)
                except (UnlistedDevice, RecordCorrupted, StoreTooNew) as error:
                    found[place] = without_frames(error)
    return found


def _begin(
    context: Context, bundle: PreKeyBundle, now_ms: int
) -> tuple[Address, Session] | RemoteError:
    try:
        require_minimum_version(context, VERSION_3 if bundle.kyber_prekey is None else VERSION_4)
        verified = verify_bundle(bundle)
        session = initiate_session(
            context.identity_key_pair,
            verified,
            context.entropy,
            now_ms,
            require_spqr=context.policy.require_spqr,
        )
    except RemoteError as error:
        return without_frames(error)
    return bundle.address, session


def _keep(
    context: Context, tx: Transaction, address: Address, session: Session, now_ms: int
) -> BundleNews:
    key, version, policy = session.remote_identity_key, session.version, context.policy
    require_listed(tx, address, key)
    known = find_identity(tx, address)
    changed = known is not None and known.identity_key != key
    user, devices = address.user_id, (address.device,)
    if changed:
        if user == context.address.user_id or not accept_by_policy(
            tx, policy, address, key, now_ms
        ):
            raise UntrustedIdentity(address, key)
        follow_identity(context, tx, address, key)
        put_notice(context, tx, Notice(NoticeKind.IDENTITY_CHANGED, user, devices, key))
    downgraded = is_downgrade(find_identity_record(tx, address_key(address)), version)
    keep_initiated_session(context, tx, address, session, now_ms)
    if downgraded:
        put_notice(context, tx, Notice(NoticeKind.VERSION_DOWNGRADED, user, devices))
    return BundleNews(identity_changed=changed, version_downgraded=downgraded)


def require_minimum_version(context: Context, version: MessageVersion) -> None:
    """Refuse a new session of an older version than the policy demands.

    A back end could strip bundles of the keys that only the newer version has, and nobody else is
    there to say at first contact that they were published.

    Raises:
        VersionDowngrade: it is one.
    """
    minimum = context.policy.minimum_version
    if version.number < minimum:
        raise VersionDowngrade(
            f"version {minimum} of the protocol is demanded, and this is version "
            f"{version.number}: somebody may have taken out the post-quantum keys"
        )


def repair_sessions(context: Context, address: Address) -> bool:
    """Forget damaged sessions with an address, so that new ones can take their place.

    The identity key stays, and with it the trust in it.

    Returns:
        Whether there were any.
    """
    with peer_transaction(context, address.user_id) as tx:
        identity = find_identity(tx, address)
        accepted = None if identity is None else identity.identity_key
        return drop_damaged_sessions(tx, address, accepted)
