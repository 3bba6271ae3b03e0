# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_blob_limits.py`, on PostgreSQL."""

from tests.relay.test_blob_limits import *  # noqa: F403
