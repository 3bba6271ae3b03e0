# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_link_boxes.py`, through a service, on PostgreSQL."""

from tests.support.service import require_extras

require_extras("psycopg", "psycopg_pool")

from tests.relay.test_link_boxes import *  # noqa: F403
