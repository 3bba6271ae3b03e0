# SPDX-License-Identifier: Apache-2.0
"""Asking the back end for device lists that messages have spoken of.

Rules:
- One call of the back end in one `receive`, for a bounded number of accounts, however many messages
  have said whatever.
- What comes is judged by its signatures. What is not acceptable is ignored, as if nothing had come:
  the back end can bring up any list at will.
"""

from e2ecross.client.link import Link
from e2ecross.client.planning import fetch_lists
from e2ecross.device.hints import take_wanted_checks

__all__ = ["check_lists"]


def check_lists(link: Link) -> None:
    """Fetch and judge the lists of accounts that were heard of, where hints have called for it.

    Raises:
        BackendError: the back end cannot be reached, or has not answered for each account.
        StoreError: the store cannot be read or written.
    """
    users = take_wanted_checks(link.context)
    if users:
        _, failure = fetch_lists(link, users)
        if failure is not None:
            raise failure
