# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_copies.py`, on PostgreSQL."""

from tests.relay.test_copies import *  # noqa: F403
