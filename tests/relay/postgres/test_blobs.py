# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_blobs.py`, on PostgreSQL."""

from tests.relay.test_blobs import *  # noqa: F403
