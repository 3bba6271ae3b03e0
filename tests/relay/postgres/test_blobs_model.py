# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_blobs_model.py`, on PostgreSQL; fewer, each takes longer."""

from hypothesis import settings

from tests.relay import test_blobs_model as on_files


class TestBlobs(on_files.TestBlobs):  # type: ignore[misc, valid-type]
    settings = settings(on_files.TestBlobs.settings, max_examples=8)
