# SPDX-License-Identifier: Apache-2.0
"""The tests of `tests/relay/test_deposit_copies.py`, through a service."""

from tests.support.service import require_extras

require_extras()

from tests.relay.test_deposit_copies import *  # noqa: F403
