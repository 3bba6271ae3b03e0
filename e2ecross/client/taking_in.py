# SPDX-License-Identifier: Apache-2.0
"""Taking in what waits at the back end, for its own sake: a call of `receive` hands it over.

Rules:
- One of many workers holds it a minute for nobody: then any of them gets it.
"""

from typing import Final

from e2ecross.client.held_mail import HeldMail
from e2ecross.client.incoming import Arrival
from e2ecross.client.link import Link

__all__ = ["take_in_what_waits"]

_MAX_TAKEN_IN: Final = 1_000
"""Messages that are read before a device is taken out."""


def take_in_what_waits(link: Link) -> None:
    """Move what waits into the inbox: who is taken out may have sent it before.

    Raises:
        BackendError: the back end cannot be reached.
        StoreError: the store cannot be read or written.
    """
    if link.context.store.stripes:
        HeldMail(link.context).arrival(link, _MAX_TAKEN_IN, [], None).fetch()
    else:
        Arrival(link, _MAX_TAKEN_IN, [], None).fetch()
