# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_moved_identity.py`, on PostgreSQL."""

from tests.relay.test_moved_identity import *  # noqa: F403
