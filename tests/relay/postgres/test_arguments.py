# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_arguments.py`, on PostgreSQL."""

from tests.relay.test_arguments import *  # noqa: F403
