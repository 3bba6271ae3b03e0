# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_mailbox.py`, on PostgreSQL."""

from tests.relay.test_mailbox import *  # noqa: F403
