# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_schema.py`, on PostgreSQL."""

from tests.relay.test_schema import *  # noqa: F403
