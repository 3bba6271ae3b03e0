# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_devices.py`, on PostgreSQL."""

from tests.relay.test_devices import *  # noqa: F403
