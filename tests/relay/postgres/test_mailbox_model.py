# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_mailbox_model.py`, on PostgreSQL; fewer, each takes longer."""

from hypothesis import settings

from tests.relay import test_mailbox_model as on_files


class TestMailbox(on_files.TestMailbox):  # type: ignore[misc, valid-type]
    settings = settings(on_files.TestMailbox.settings, max_examples=8)
