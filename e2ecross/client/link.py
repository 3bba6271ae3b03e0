# SPDX-License-Identifier: Apache-2.0
"""The way from a device to its back end, and what has to be there before something is sent.

Rules:
- Nothing is asked of the back end inside a store transaction.
- Nothing leaves before the back end was asked for the epoch: a store that was put back to an older
  state must not send.
"""

from dataclasses import dataclass, field

from e2ecross.client.answers import CheckedBackend
from e2ecross.crypto.secret import Secret
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.registering import Token
from e2ecross.metrics import Watch
from e2ecross.state.context import Context

__all__ = ["Link"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Link(Secret):
    """A device and the back end that it is registered at.

    Attributes:
        context: what the operations of the device work with.
        backend: where it is registered.
        token: under which.
        leftovers: what goes with the next commit.
        watch: tells whoever watches, or None.
        in_vain: stripes from which nothing has gone because calls have failed, the last one last.
    """

    context: Context
    backend: CheckedBackend
    token: Token
    leftovers: Leftovers
    watch: Watch | None = None
    in_vain: dict[int, None] = field(default_factory=dict)
