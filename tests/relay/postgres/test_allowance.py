# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_allowance.py`, on PostgreSQL."""

from tests.relay.test_allowance import *  # noqa: F403
