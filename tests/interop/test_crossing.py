# SPDX-License-Identifier: Apache-2.0
"""Both sides start at the same moment; nothing that arrives in order is lost (the stay rule)."""

from collections.abc import Callable
from random import Random

import pytest

from .conversation import Tally, crossing_walk, exchange, start
from .ours import Ours
from .peers import PREKEY, SIGNAL, Peer

MESSAGES = 200
HELD_LIMIT = 8  # messages of the peer's session that we read before we give way


def both_start(ours: Ours, peer: Peer, *, one_time: bool = True) -> None:
    start(ours, peer, one_time=one_time or not peer.kind.opens_without_one_time)
    start(peer, ours, one_time=one_time)


@pytest.mark.parametrize("seed", range(4))
def test_crossing_traffic(
    ours: Ours, peer: Peer, count: Callable[[Peer, Tally], None], seed: int
) -> None:
    both_start(ours, peer, one_time=seed > 0)
    count(peer, crossing_walk(Random(seed), ours, peer, MESSAGES, window=4))
    for _ in range(2):
        assert exchange(ours, peer, b"settled").kind == SIGNAL
        assert exchange(peer, ours, b"settled").kind == SIGNAL


def test_we_stay_until_the_peer_comes_over(ours: Ours, peer: Peer) -> None:
    both_start(ours, peer)
    from_us, from_peer = ours.encrypt(b"ours"), peer.encrypt(b"peer's")
    assert ours.decrypt(from_peer) == b"peer's"
    assert ours.encrypt(b"on our session").kind == PREKEY
    assert peer.decrypt(from_us) == b"ours"
    exchange(peer, ours, b"on your session")
    assert exchange(ours, peer, b"good").kind == SIGNAL


def test_we_give_way_when_nothing_of_ours_arrives(ours: Ours, peer: Peer) -> None:
    both_start(ours, peer)
    for number in range(HELD_LIMIT):
        assert ours.encrypt(b"lost on the way").kind == PREKEY
        exchange(peer, ours, bytes([number]))
    assert exchange(ours, peer, b"on your session then").kind == SIGNAL
    for _ in range(3):
        assert exchange(peer, ours, b"good").kind == SIGNAL
        assert exchange(ours, peer, b"good").kind == SIGNAL


def test_we_give_way_at_once_when_the_peer_starts_again(ours: Ours, peer: Peer) -> None:
    both_start(ours, peer)
    assert ours.encrypt(b"lost on the way").kind == PREKEY
    exchange(peer, ours, b"a first session")
    start(peer, ours, one_time=True)
    exchange(peer, ours, b"a second: the peer heard nothing of ours")
    assert exchange(ours, peer, b"on your session then").kind == SIGNAL
    assert exchange(peer, ours, b"good").kind == SIGNAL


def test_we_go_back_to_the_session_that_the_peer_uses(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=True)
    exchange(ours, peer, b"first session")
    exchange(peer, ours, b"answer")
    start(ours, peer, one_time=True)
    assert ours.encrypt(b"second session, lost on the way").kind == PREKEY
    assert exchange(peer, ours, b"on the first session").kind == SIGNAL
    assert exchange(ours, peer, b"on the first session then").kind == SIGNAL
    assert exchange(peer, ours, b"good").kind == SIGNAL
