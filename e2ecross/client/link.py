# SPDX-License-Identifier: Apache-2.0
"""The way from a device to its back end, and what has to be there before something is sent.

Rules:
- Nothing is asked of the back end inside a store transaction.
- Nothing leaves before the back end was asked for the epoch: a store that was put back to an older
  state must not send.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.client.backend import Backend
from e2ecross.crypto.keys import decode_public_key
from e2ecross.crypto.secret import Secret
from e2ecross.device.messages import has_session, start_session
from e2ecross.device.sending import send_to_identity
from e2ecross.errors import BackendError, EnvelopeMismatch, UntrustedIdentity, VersionDowngrade
from e2ecross.state.context import Context, address_key
from e2ecross.state.session_store import drop_damaged_sessions
from e2ecross.state.trust import (
    accept_by_policy,
    find_identity,
    find_identity_record,
    is_downgrade,
)
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.signal_message import VERSION_3, VERSION_4, MessageVersion

__all__ = [
    "NO_NEWS",
    "BundleNews",
    "Link",
    "ensure_session",
    "repair_sessions",
    "require_minimum_version",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Link(Secret):
    """A device and the back end that it is registered at.

    Attributes:
        context: what the operations of the device work with.
        backend: where it is registered.
        token: under which, 32 bytes, secret.
    """

    context: Context
    backend: Backend
    token: bytes


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


def ensure_session(link: Link, address: Address, *, fresh: bool) -> BundleNews:
    """Start a session from a new bundle, unless there is one to send with.

    Args:
        link: to the back end.
        address: the peer.
        fresh: start one in any case: the peer, or this device, may have lost the others.

    Returns:
        What the bundle has brought; nothing if none was needed.

    Raises:
        UntrustedIdentity: the bundle has another identity key than the accepted one.
        EnvelopeMismatch: the bundle is of somebody else.
        VersionDowngrade: the bundle has no post-quantum keys, and the policy demands them.
        RemoteError: the bundle is not acceptable.
        BackendError: the back end has no bundle, or cannot be reached.
    """
    context = link.context
    if not fresh and has_session(context, address):
        return NO_NEWS
    bundle = link.backend.fetch_bundle(context.address, link.token, address)
    if not isinstance(bundle, PreKeyBundle):
        raise BackendError("the back end answered with something that is no bundle")
    if bundle.address != address:
        raise EnvelopeMismatch(f"the back end answered with a bundle of {bundle.address}")
    version = VERSION_3 if bundle.kyber_prekey is None else VERSION_4
    require_minimum_version(context, version)
    with context.store.transaction() as tx:
        downgraded = is_downgrade(find_identity_record(tx, address_key(address)), version)
    try:
        start_session(context, bundle)
    except UntrustedIdentity as error:
        with context.store.transaction() as tx:
            now_ms = context.clock()
            if not accept_by_policy(tx, context.policy, address, error.identity_key, now_ms):
                raise
            # The old sessions read late messages, and are not sent with any more.
            send_to_identity(tx, address, decode_public_key(error.identity_key))
        start_session(context, bundle)
        return BundleNews(identity_changed=True, version_downgraded=downgraded)
    return BundleNews(version_downgraded=downgraded)


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
    with context.store.transaction() as tx:
        identity = find_identity(tx, address)
        accepted = None if identity is None else identity.identity_key
        return drop_damaged_sessions(tx, address, accepted)
