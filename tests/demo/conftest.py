# SPDX-License-Identifier: Apache-2.0
"""Demos are ended as at a terminal, however the tests themselves are run."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _as_at_a_terminal() -> Iterator[None]:
    """Whoever runs the tests may have let them ignore what ends them; children would, too."""
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGHUP, hang_up)
