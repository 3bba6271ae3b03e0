# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_blob_failures.py`, on PostgreSQL."""

from tests.relay.test_blob_failures import *  # noqa: F403
