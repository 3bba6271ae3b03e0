# SPDX-License-Identifier: Apache-2.0
"""The way from a device to its back end, and what has to be there before something is sent.

Rules:
- Nothing is asked of the back end inside a store transaction.
- Nothing leaves before the back end was asked for the epoch: a store that was put back to an older
  state must not send.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from e2ecross.address import Address
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.attempts import Failure, try_parts
from e2ecross.crypto.secret import Secret
from e2ecross.device.bundles import NO_NEWS, BundleNews, start_from_bundles
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.messages import has_session
from e2ecross.device.registering import Token
from e2ecross.errors import BackendError, E2ECrossError, NotRegistered, RemoteError
from e2ecross.state.context import Context
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.exchange import MAX_USERS_IN_CALL

__all__ = ["Link", "ensure_session", "start_sessions"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Link(Secret):
    """A device and the back end that it is registered at.

    Attributes:
        context: what the operations of the device work with.
        backend: where it is registered.
        token: under which.
        leftovers: what goes with the next commit.
    """

    context: Context
    backend: CheckedBackend
    token: Token
    leftovers: Leftovers


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
    ((news,), _) = start_sessions(link, [address])
    if isinstance(news, E2ECrossError):
        raise news
    return news


def start_sessions(
    link: Link, addresses: Sequence[Address]
) -> tuple[list[BundleNews | E2ECrossError], Failure | None]:
    """Start sessions from new bundles, asking for those of several users at once.

    Args:
        link: to the back end.
        addresses: of the peers, each once.

    Returns:
        For each what its bundle has brought, or what `ensure_session` would have raised; and why
        it was given up to reach the back end, if it was.

    Raises:
        NotRegistered: nobody gets bundles.
        StoreError: the store cannot be read or written.
    """
    bundles: dict[Address, PreKeyBundle | E2ECrossError] = {}

    def fetch(part: Sequence[Address]) -> Failure | None:
        try:
            answers = link.backend.fetch_bundles(link.context.address, link.token, part)
        except NotRegistered:
            raise
        except (BackendError, RemoteError) as error:
            return error
        bundles.update(zip(part, answers, strict=True))
        return None

    failure = try_parts(addresses, MAX_USERS_IN_CALL, fetch, bundles.__setitem__)
    news = start_from_bundles(link.context, [bundles[address] for address in addresses])
    return news, failure
