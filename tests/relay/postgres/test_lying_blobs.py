# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_lying_blobs.py`, on PostgreSQL."""

from tests.relay.test_lying_blobs import *  # noqa: F403
