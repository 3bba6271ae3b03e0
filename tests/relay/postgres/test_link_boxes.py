# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_link_boxes.py`, on PostgreSQL."""

from tests.relay.test_link_boxes import *  # noqa: F403
