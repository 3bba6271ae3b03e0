# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_blob_files.py`, on PostgreSQL."""

from tests.relay.test_blob_files import *  # noqa: F403
