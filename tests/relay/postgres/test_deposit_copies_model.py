# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_deposit_copies_model.py`, on PostgreSQL; fewer."""

from hypothesis import settings

from tests.relay import test_deposit_copies_model as on_files


class TestCopies(on_files.TestCopies):  # type: ignore[misc, valid-type]
    settings = settings(on_files.TestCopies.settings, max_examples=8)
