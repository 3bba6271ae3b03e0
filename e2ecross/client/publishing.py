# SPDX-License-Identifier: Apache-2.0
"""Our own keys at the back end: published, refilled, replaced.

Rules:
- What the back end counts is a hint, within bounds of the device.
- A publication that is refused is taken back, and a smaller one made: a new signed prekey waits for
  no one-time prekeys.
"""

from contextlib import suppress

from e2ecross.client.link import Link
from e2ecross.device.prekey_upkeep import (
    confirm_publication,
    make_publication,
    plan_publication,
    take_back_publication,
)
from e2ecross.errors import BackendRefused, InvalidArgument

__all__ = ["maintain_prekeys", "publish"]


def maintain_prekeys(link: Link) -> None:
    """Refill one-time prekeys, and replace an old signed prekey.

    Raises:
        BackendRefused: the back end has refused a publication; once for each.
        BackendError: the back end cannot be reached.
    """
    context = link.context
    left = link.backend.one_time_prekey_count(context.address, link.token)
    if link.watch is not None:
        link.watch.observe("prekeys_left", left)
    one_time = plan_publication(context, left)
    if one_time is not None:
        publish(link, one_time)


def publish(link: Link, one_time: int) -> None:
    """Publish keys, with that many new one-time prekeys of each kind if none wait already.

    Raises:
        BackendRefused: the back end has refused the publication; then the signed prekey was
            published alone, if that was not refused, too.
        BackendError: the back end cannot be reached.
    """
    try:
        _publish(link, one_time)
    except BackendRefused:
        with suppress(BackendRefused):
            _publish(link, 0)
        raise


def _publish(link: Link, one_time: int) -> None:
    waiting = make_publication(link.context, one_time)
    if waiting is None:
        return
    published, epoch, replaces = waiting
    try:
        link.backend.publish(link.token, published, epoch, replace=replaces)
    except BackendRefused:
        take_back_publication(link.context, published)
        raise
    with suppress(InvalidArgument):  # another thread has confirmed it, and made the next one
        confirm_publication(link.context, published)
