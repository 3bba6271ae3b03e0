# SPDX-License-Identifier: Apache-2.0
"""The way from a device to its back end, and what has to be there before something is sent.

Rules:
- Nothing is asked of the back end inside a store transaction.
- Nothing leaves before the back end was asked for the epoch: a store that was put back to an older
  state must not send.
"""

from dataclasses import dataclass

from e2ecross.address import Address
from e2ecross.client.answers import CheckedBackend
from e2ecross.crypto.secret import Secret
from e2ecross.device.bundles import NO_NEWS, BundleNews, start_from_bundle
from e2ecross.device.messages import has_session
from e2ecross.device.registering import Token
from e2ecross.state.context import Context

__all__ = ["Link", "ensure_session"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Link(Secret):
    """A device and the back end that it is registered at.

    Attributes:
        context: what the operations of the device work with.
        backend: where it is registered.
        token: under which.
    """

    context: Context
    backend: CheckedBackend
    token: Token


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
    if not fresh and has_session(link.context, address):
        return NO_NEWS
    bundle = link.backend.fetch_bundle(link.context.address, link.token, address)
    return start_from_bundle(link.context, bundle)
