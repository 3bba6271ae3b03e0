# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_admitting.py`, through a service."""

from tests.support.service import require_extras

require_extras()

from tests.relay.test_admitting import *  # noqa: F403

del test_an_interrupt_passes  # noqa: F821 - of a process of its own it would be the end
