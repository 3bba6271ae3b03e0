# SPDX-License-Identifier: Apache-2.0
"""Asking the back end for device lists that messages have spoken of.

Rules:
- One call of the back end in one `receive`, for a bounded number of accounts, however many messages
  have said whatever.
- What comes is judged by its signatures. What is not acceptable is ignored, as if nothing had come:
  the back end can bring up any list at will.
- Before a device is taken out of an account, what it has sent is read.
"""

from collections.abc import Callable
from contextlib import suppress

from e2ecross.address import UserId
from e2ecross.client.link import Link
from e2ecross.device.device_lists import read_fetched_list, would_remove
from e2ecross.device.hints import note_checked, take_wanted_checks
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    RemoteError,
    StoreError,
    UnknownRecipient,
    UntrustedIdentity,
)
from e2ecross.wire.exchange import KeysWanted, UserKeys

__all__ = ["check_lists"]


def check_lists(link: Link, drain: Callable[[], None]) -> None:
    """Fetch and judge the lists of accounts that were heard of, where hints have called for it.

    Args:
        link: to the back end.
        drain: takes in what still waits in the mailbox.

    Raises:
        BackendError: the back end cannot be reached, or has not answered for each account.
        StoreError: the store cannot be read or written.
    """
    users = take_wanted_checks(link.context)
    if not users:
        return
    wanted = [KeysWanted(user, ()) for user in users]
    answers = link.backend.fetch_keys(link.context.address, link.token, wanted)
    note_checked(link.context, users)
    errors: list[E2ECrossError] = []
    for user, keys in zip(users, answers, strict=True):
        if isinstance(keys, BackendError) and not isinstance(keys, UnknownRecipient):
            errors.append(keys)
        elif isinstance(keys, UserKeys) and keys.device_list:
            try:
                _take_in(link, user, keys.device_list, drain)
            except (BackendError, StoreError) as error:
                errors.append(error)
    if errors:
        raise errors[0]


def _take_in(link: Link, user: UserId, data: bytes, drain: Callable[[], None]) -> None:
    with suppress(RemoteError, UntrustedIdentity):
        if would_remove(link.context, user, data):
            drain()
        read_fetched_list(link.context, user, data)
