# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_deposit_all.py`, on PostgreSQL."""

from tests.relay.test_deposit_all import *  # noqa: F403
