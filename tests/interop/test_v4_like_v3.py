# SPDX-License-Identifier: Apache-2.0
"""What holds for version 3 holds for version 4: the same tests, with the current libsignal.

The tests are imported; the fixtures of their names are given again here, with another peer.
"""

import pytest

from .conftest import ANA
from .peers import LIBSIGNAL_0_103, Peer, StartPeer
from .test_conversations import (  # noqa: F401
    test_a_new_session_takes_over,
    test_envelopes_hold_signal_messages,
    test_every_size,
)
from .test_crossing import (  # noqa: F401
    test_crossing_traffic,
    test_we_give_way_at_once_when_the_peer_starts_again,
    test_we_give_way_when_nothing_of_ours_arrives,
    test_we_go_back_to_the_session_that_the_peer_uses,
    test_we_stay_until_the_peer_comes_over,
)
from .test_drivers import (  # noqa: F401
    test_refusal_is_not_the_end,
    test_what_was_saved_is_all_there_is,
)
from .test_refusals import (  # noqa: F401
    test_damaged_first_message_costs_the_peer_nothing,
    test_damaged_first_message_costs_us_nothing,
    test_damaged_messages,
    test_foreign_identity_in_the_wrapper,
    test_forged_bundles,
    test_message_from_nowhere,
    test_one_time_prekeys_serve_once_at_ours,
    test_one_time_prekeys_serve_once_at_the_peer,
    test_peer_refuses_what_it_has_read,
    test_we_name_a_wrong_mac,
    test_we_refuse_what_we_have_read,
)
from .test_safety_numbers import (  # noqa: F401
    test_both_forms_are_the_same,
    test_the_peer_started,
    test_what_does_not_match,
)


@pytest.fixture(params=[LIBSIGNAL_0_103], ids=str)
def peer(request: pytest.FixtureRequest, start_peer: StartPeer) -> Peer:
    """A new device of the current libsignal, whose contact is `ours`."""
    return start_peer(request.param, str(ANA))


@pytest.fixture
def libsignal_client(peer: Peer) -> Peer:
    """The same, by the name that the safety number tests know."""
    return peer
