# SPDX-License-Identifier: Apache-2.0
"""Sending what waits: messages, what clients tell each other, and what is for members of groups."""

from collections.abc import Sequence

from e2ecross.client.fan_out import FanOut
from e2ecross.client.group_depositing import ToldOfGroups, flush_groups
from e2ecross.client.link import Link
from e2ecross.client.outgoing import Told, flush_outbox
from e2ecross.client.sweeping import sweep_outbox, sweep_stripes
from e2ecross.errors import BackendError, NotRegistered, RecordCorrupted

__all__ = ["flush"]


def flush(link: Link, stripes: Sequence[int] | None = None, *, if_due: bool = False) -> None:
    """Deposit what waits, and send messages to one also to devices that are listed since.

    Args:
        link: to the back end.
        stripes: of a store that has some: where it waits. None: anywhere.
        if_due: of these those alone that know of something due; see `sweep_stripes`.

    Raises:
        BackendError: the back end could not do it all; the first reason. The rest waits.
        RecordCorrupted: likewise, because a record is damaged.
    """
    told, failure, has_stripes = Told(), None, bool(link.context.store.stripes)
    try:
        if stripes is not None:
            sweep_stripes(link, stripes, told, if_due=if_due)
        else:
            (sweep_outbox if has_stripes else flush_outbox)(link, told)
    except NotRegistered:
        raise
    except (BackendError, RecordCorrupted) as error:
        failure = error
    FanOut(link).catch_up(told)
    if not has_stripes:
        flush_groups(link, ToldOfGroups())
    if failure is not None:
        raise failure
