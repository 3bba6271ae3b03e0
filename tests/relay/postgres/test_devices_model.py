# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_devices_model.py`, on PostgreSQL; fewer, each takes longer."""

from hypothesis import settings

from tests.relay import test_devices_model as on_files


class TestDevices(on_files.TestDevices):  # type: ignore[misc, valid-type]
    settings = settings(on_files.TestDevices.settings, max_examples=8)
