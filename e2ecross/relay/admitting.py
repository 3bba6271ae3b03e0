# SPDX-License-Identifier: Apache-2.0
"""Who may send to whom: what the service around a relay decides of each deposit.

Rules:
- It is asked outside of any transaction, because the answer may take a network, and only about
  envelopes of the device whose token was shown. Devices of one account are not asked for.
- `is True`: an `async def` given by mistake must not let everybody in.
- What it raises lets nothing in, and is no answer: the sender tries again later. The log gets its
  class alone.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused

__all__ = ["Admit", "refuse_some"]

Admit = Callable[[Address, Address, bytes], bool]
"""Told the sender, the recipient, and the token of consent (32 bytes, or empty) between them."""

_LOG: Final = logging.getLogger("e2ecross.relay")


def refuse_some(
    admit: Admit, sender: Address, asked: Mapping[int, tuple[Address, bytes]]
) -> dict[int, BackendError]:
    """Return which envelopes of a device are not let in, by place, and why.

    Args:
        admit: decides.
        sender: the device, by its token.
        asked: by place, for whom an envelope is, and its token of consent (secret) or nothing.
    """
    refused: dict[int, BackendError] = {}
    failed: set[str] = set()
    for place, (recipient, consent) in asked.items():
        if recipient.user_id == sender.user_id:
            continue
        try:
            if admit(sender, recipient, consent) is not True:
                refused[place] = BackendRefused(
                    f"{sender} may not send to {recipient} now: the service does not allow it, or "
                    f"not without the consent of the account"
                )
        except Exception as error:  # of the service's own code: whatever it raises
            refused[place] = BackendError(
                f"it cannot be told now whether {sender} may send to {recipient}: try again later"
            )
            failed.add(type(error).__name__)
    for name in sorted(failed):
        _LOG.warning("Relay(admit=...) has raised %s: nothing was let in by that", name)
    return refused
