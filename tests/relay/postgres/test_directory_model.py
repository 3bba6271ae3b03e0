# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_directory_model.py`, on PostgreSQL; fewer, each takes longer."""

from hypothesis import settings

from tests.relay import test_directory_model as on_files


class TestDirectory(on_files.TestDirectory):  # type: ignore[misc, valid-type]
    settings = settings(on_files.TestDirectory.settings, max_examples=8)
