# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_holding.py`, on PostgreSQL."""

from tests.relay.test_holding import *  # noqa: F403
