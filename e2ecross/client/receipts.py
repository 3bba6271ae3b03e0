# SPDX-License-Identifier: Apache-2.0
"""What `maintain` does for conversations; a `receive` does no more than is known to be due.

Rules:
- Receipts are put into the outbox, where all that clients tell each other waits, and leave with it.
"""

from e2ecross.device.collecting import erase_what_is_over
from e2ecross.device.receipts import put_receipts
from e2ecross.state.context import Context

__all__ = ["tend_conversations"]


def tend_conversations(context: Context) -> None:
    """Put all receipts that are due into the outbox, and erase what is over in the inbox."""
    put_receipts(context, is_thorough=True)
    erase_what_is_over(context)
