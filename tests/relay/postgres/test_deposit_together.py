# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_deposit_together.py`, on PostgreSQL."""

from tests.relay.test_deposit_together import *  # noqa: F403
