# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_devices.py`, through a service, on PostgreSQL."""

from tests.support.service import require_extras

require_extras("psycopg", "psycopg_pool")

from tests.relay.test_devices import *  # noqa: F403
