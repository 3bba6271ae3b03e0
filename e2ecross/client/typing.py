# SPDX-License-Identifier: Apache-2.0
"""Telling a contact, or a group, that the user is typing.

Rules:
- It is worth something now or never: it is encrypted, deposited once, and forgotten.
"""

from e2ecross.address import UserId
from e2ecross.client.link import Link
from e2ecross.device.receipts import encrypt_typing
from e2ecross.errors import BackendError, NotRegistered, RemoteError
from e2ecross.wire.group import GroupId

__all__ = ["tell_typing"]


def tell_typing(link: Link, to: UserId | GroupId, *, on: bool) -> None:
    """Tell devices, where they may be told; what the back end refuses is lost.

    Raises:
        NotInGroup: the group is not known here.
        NotRegistered: the back end does not know this device.
        RestoredStore: the back end has seen the store further ahead.
        StoreError: the store cannot be read or written.
    """
    epoch, envelopes = encrypt_typing(link.context, to, on=on)
    if not envelopes:
        return
    stripe = link.context.stripe_of(to) if isinstance(to, UserId) else 0
    try:
        answer = link.backend.deposit_all(link.token, envelopes, {stripe: epoch})
    except NotRegistered:
        raise
    except (BackendError, RemoteError):
        return
    link.context.watch.note(answer.epochs[stripe], "the back end", stripe)
