# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_holding.py`, through a service, on PostgreSQL."""

from tests.support.service import require_extras

require_extras("psycopg", "psycopg_pool")

from tests.relay.test_holding import *  # noqa: F403
