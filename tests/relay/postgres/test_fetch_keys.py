# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_fetch_keys.py`, on PostgreSQL."""

from tests.relay.test_fetch_keys import *  # noqa: F403
