# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_relay.py`, on PostgreSQL."""

from tests.relay.test_relay import *  # noqa: F403
