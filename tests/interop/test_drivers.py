# SPDX-License-Identifier: Apache-2.0
"""The peers among themselves: shows that the drivers are right before they judge our library."""

from collections.abc import Callable
from random import Random

import pytest

from .conversation import exchange, start, walk
from .peers import (
    LIBSIGNAL_6,
    LIBSIGNAL_CLIENT,
    LIBSIGNAL_NODE,
    PYTHON_AXOLOTL,
    SIGNAL,
    WHATSAPP_RUST_BRIDGE,
    Bundle,
    Peer,
    PeerKind,
    PeerRefused,
)

PAIRS = (
    (LIBSIGNAL_CLIENT, LIBSIGNAL_NODE, False),
    (LIBSIGNAL_NODE, LIBSIGNAL_CLIENT, True),
    (LIBSIGNAL_CLIENT, PYTHON_AXOLOTL, True),
    (PYTHON_AXOLOTL, LIBSIGNAL_CLIENT, False),
    (PYTHON_AXOLOTL, LIBSIGNAL_NODE, True),
    (LIBSIGNAL_6, WHATSAPP_RUST_BRIDGE, True),
    (WHATSAPP_RUST_BRIDGE, LIBSIGNAL_6, False),
    (LIBSIGNAL_6, LIBSIGNAL_CLIENT, False),
    (LIBSIGNAL_CLIENT, WHATSAPP_RUST_BRIDGE, True),
)
StartPeer = Callable[[PeerKind, str], Peer]


@pytest.mark.parametrize(("initiator", "responder", "one_time"), PAIRS, ids=str)
def test_two_peers_talk(
    start_peer: StartPeer, initiator: PeerKind, responder: PeerKind, one_time: bool
) -> None:
    left, right = (
        start_peer(initiator, "whatsapp:right.1"),
        start_peer(responder, "whatsapp:left.1"),
    )
    start(left, right, one_time=one_time)
    tally = walk(Random(1), left, right, 60, spare_version=True)
    assert tally.read + tally.lost == 60
    assert exchange(left, right, b"still there").kind == SIGNAL


def test_what_was_saved_is_all_there_is(peer: Peer) -> None:
    before = peer.bundle(one_time=True)
    ids = peer.prekey_ids()
    peer.restart()
    assert peer.prekey_ids() == ids == [before.one_time_prekey_id]
    assert peer.bundle(one_time=False).identity_key == before.identity_key


def test_refusal_is_not_the_end(peer: Peer) -> None:
    with pytest.raises(PeerRefused):
        peer.encrypt(b"to nobody")
    assert Bundle.from_json(peer.bundle(one_time=False).to_json()).one_time_prekey is None
