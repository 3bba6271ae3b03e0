# SPDX-License-Identifier: Apache-2.0
"""Whole conversations with each peer, either side starting, over a bad network."""

from collections.abc import Callable
from random import Random

import pytest

from e2ecross import Text

from .conversation import LARGEST, Tally, exchange, start, walk
from .ours import Ours
from .peers import PREKEY, SIGNAL, Party, Peer, PeerKind, PeerRefused, Sealed, Start

MESSAGES = 220
GAP = 1999  # the longest run of lost messages that every peer survives

either_starts = pytest.mark.parametrize("we_start", [True, False], ids=["we-start", "peer-starts"])

StartPeer = Callable[[PeerKind, str], Peer]
Count = Callable[[Peer, Tally], None]


def in_order(ours: Ours, peer: Peer, *, we_start: bool) -> tuple[Party, Party]:
    """Who starts, who answers."""
    return (ours, peer) if we_start else (peer, ours)


def test_random_walk(case: Start, ours: Ours, start_peer: StartPeer, count: Count) -> None:
    peer = start_peer(case.peer, str(ours.address))
    initiator, responder = in_order(ours, peer, we_start=case.we_start)
    start(initiator, responder, one_time=case.one_time)
    spare_version = not case.peer.checks_version_byte
    tally = walk(Random(str(case)), initiator, responder, MESSAGES, spare_version=spare_version)
    count(peer, tally)
    assert tally.read + tally.lost == MESSAGES
    assert tally.octets > 2 * LARGEST
    seen = (tally.lost, tally.out_of_order, tally.across_chains)
    assert min(*seen, tally.duplicates_refused, tally.tampered_refused) > 0, "the walk was too calm"


def test_first_messages_repeat_until_answered(
    case: Start, ours: Ours, start_peer: StartPeer
) -> None:
    peer = start_peer(case.peer, str(ours.address))
    initiator, responder = in_order(ours, peer, we_start=case.we_start)
    start(initiator, responder, one_time=case.one_time)
    letters = [bytes([number]) for number in range(7)]
    sealed = [initiator.encrypt(letter) for letter in letters]
    assert {message.kind for message in sealed} == {PREKEY}
    order = [3, 0, 6, 1, 2, 5]
    assert [responder.decrypt(sealed[i]) for i in order] == [letters[i] for i in order]
    if case.we_start:
        assert peer.prekey_ids() == []
    assert exchange(responder, initiator, b"answer").kind == SIGNAL
    assert exchange(initiator, responder, b"thanks").kind == SIGNAL
    assert responder.decrypt(sealed[4]) == letters[4]


def test_what_a_peer_cannot_read(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=False)
    sealed = ours.encrypt(b"first")
    if peer.kind.opens_without_one_time:
        assert peer.decrypt(sealed) == b"first"
    else:
        with pytest.raises(PeerRefused, match=r"no prekey 0"):
            peer.decrypt(sealed)


def test_envelopes_hold_signal_messages(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=True)
    for kind in (PREKEY, SIGNAL):
        with ours.device() as device:
            envelope = device.encrypt(ours.contact, Text("halo"))
        assert envelope.kind == kind
        assert b"halo" in peer.decrypt(Sealed(envelope.kind, envelope.ciphertext))
        exchange(peer, ours, b"answer")


@either_starts
def test_every_size(ours: Ours, peer: Peer, we_start: bool) -> None:
    initiator, responder = in_order(ours, peer, we_start=we_start)
    start(initiator, responder, one_time=True)
    rng = Random(7)
    for size in (0, 1, 15, 16, 17, 31, 32, 255, 256, 65_519, 65_520, 65_535, 65_536):
        exchange(initiator, responder, rng.randbytes(size))
        exchange(responder, initiator, rng.randbytes(size))


def test_long_run_of_losses(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=True)
    exchange(ours, peer, b"first")
    exchange(peer, ours, b"answer")
    peers_sent = [peer.encrypt(b"lost?") for _ in range(GAP + 1)]
    assert ours.decrypt(peers_sent[-1]) == b"lost?"
    with ours.device() as device:
        ours_sent = [ours.encrypt_with(device, b"lost?") for _ in range(GAP + 1)]
    assert peer.decrypt(ours_sent[-1]) == b"lost?"
    exchange(ours, peer, b"next chain")
    exchange(peer, ours, b"next chain")
    assert peer.decrypt(ours_sent[GAP // 2]) == b"lost?", "late, from the closed chain"
    assert ours.decrypt(peers_sent[GAP // 2]) == b"lost?", "late, from the closed chain"


def test_a_new_session_takes_over(ours: Ours, peer: Peer) -> None:
    start(ours, peer, one_time=True)
    exchange(ours, peer, b"first session")
    exchange(peer, ours, b"answer")
    start(peer, ours, one_time=True)
    assert exchange(peer, ours, b"second session").kind == PREKEY
    assert exchange(ours, peer, b"answer").kind == SIGNAL
    assert exchange(peer, ours, b"on").kind == SIGNAL
    start(ours, peer, one_time=True)
    assert exchange(ours, peer, b"third session").kind == PREKEY
    assert exchange(peer, ours, b"answer").kind == SIGNAL
    assert exchange(ours, peer, b"on").kind == SIGNAL
