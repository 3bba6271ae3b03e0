# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_admitting.py`, on PostgreSQL."""

from tests.relay.test_admitting import *  # noqa: F403
