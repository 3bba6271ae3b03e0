# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_directory.py`, on PostgreSQL."""

from tests.relay.test_directory import *  # noqa: F403
