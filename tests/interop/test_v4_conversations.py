# SPDX-License-Identifier: Apache-2.0
"""Version 4 with the current libsignal: long conversations over a very bad network."""

from collections.abc import Callable
from random import Random

import pytest

from . import surgery
from .conversation import STORM, Tally, exchange, start, walk
from .ours import MakeOurs, Ours
from .peers import LIBSIGNAL_0_103, PREKEY, SIGNAL, Peer, Sealed, Start, StartPeer
from .test_conversations import in_order

READ_EACH_WAY = 1000
EPOCHS = 8  # key exchanges of the post-quantum ratchet that are complete; a walk takes about 12

WALKS = [
    Start(LIBSIGNAL_0_103, we_start, one_time)
    for we_start in (True, False)
    for one_time in (True, False)
]


@pytest.mark.parametrize("case", WALKS, ids=str)
def test_a_thousand_messages_each_way_in_a_storm(
    case: Start,
    make_ours: MakeOurs,
    start_peer: StartPeer,
    count: Callable[[Peer, Tally], None],
) -> None:
    ours = make_ours()
    peer = start_peer(case.peer, str(ours.address))
    initiator, responder = in_order(ours, peer, we_start=case.we_start)
    start(initiator, responder, one_time=case.one_time)
    tally = walk(
        Random(str(case)),
        initiator,
        responder,
        0,
        spare_version=False,
        weather=STORM,
        read_each_way=READ_EACH_WAY,
    )
    tally.epochs = ours.epochs()
    count(peer, tally)
    assert tally.epochs >= EPOCHS
    assert 0.2 < tally.lost / (tally.lost + tally.read) < 0.4
    seen = (tally.out_of_order, tally.across_chains, tally.across_epochs, tally.too_late_refused)
    assert min(*seen, tally.duplicates_refused, tally.tampered_refused) > 0, "the walk was too calm"
    for sender, receiver in ((ours, peer), (peer, ours)):
        last = surgery.spqr(exchange(sender, receiver, b"still there"))
        assert last is not None
        assert 0 <= ours.epochs() - last.key_epoch <= 1, "as the messages say"


@pytest.mark.parametrize("we_start", [True, False], ids=["we-start", "peer-starts"])
@pytest.mark.parametrize("one_time", [True, False], ids=["one-time", "without"])
@pytest.mark.parametrize("one_time_kyber", [True, False], ids=["kyber-one-time", "last-resort"])
def test_first_messages_repeat_until_answered(
    ours: Ours, libsignal_0_103: Peer, we_start: bool, one_time: bool, one_time_kyber: bool
) -> None:
    peer = libsignal_0_103
    initiator, responder = in_order(ours, peer, we_start=we_start)
    initiator.process(
        (peer if we_start else ours).bundle(one_time=one_time, one_time_kyber=one_time_kyber)
    )
    letters = [bytes([number]) for number in range(7)]
    sealed = [initiator.encrypt(letter) for letter in letters]
    assert {(message.kind, surgery.version(message)) for message in sealed} == {(PREKEY, 4)}
    order = [3, 0, 6, 1, 2, 5]
    assert [responder.decrypt(sealed[i]) for i in order] == [letters[i] for i in order]
    if we_start:
        assert peer.prekey_ids() == []
        assert len(peer.kyber_prekey_ids()) == (0 if one_time_kyber else 1)
    assert exchange(responder, initiator, b"answer").kind == SIGNAL
    assert exchange(initiator, responder, b"thanks").kind == SIGNAL
    assert responder.decrypt(sealed[4]) == letters[4]


def numbers_of(sealed: Sealed) -> tuple[int, int]:
    """Epoch and key index of the post-quantum ratchet."""
    seen = surgery.spqr(sealed)
    assert seen is not None
    return seen.epoch, seen.key_index


def test_both_sides_demand_the_post_quantum_ratchet_from_the_first_message_on(
    ours: Ours, libsignal_0_103: Peer
) -> None:
    start(ours, libsignal_0_103, one_time=True)
    assert numbers_of(exchange(ours, libsignal_0_103, b"first")) == (1, 1)
    assert numbers_of(exchange(libsignal_0_103, ours, b"answer")) == (1, 1)
    start(libsignal_0_103, ours, one_time=True)
    assert numbers_of(exchange(libsignal_0_103, ours, b"first")) == (1, 1)
    assert numbers_of(exchange(ours, libsignal_0_103, b"answer")) == (1, 1)


def test_messages_are_as_long_as_the_peers(ours: Ours, libsignal_0_103: Peer) -> None:
    """Byte for byte: the kinds of chunk alternate, so lengths are compared over a whole epoch."""
    start(ours, libsignal_0_103, one_time=True)
    lengths: dict[tuple[str, int], int] = {}
    for _ in range(100):
        for name, sender, receiver in (
            ("ours", ours, libsignal_0_103),
            ("peer", libsignal_0_103, ours),
        ):
            sealed = exchange(sender, receiver, bytes(100))
            seen = surgery.spqr(sealed)
            assert seen is not None
            if sealed.kind == SIGNAL:
                lengths[name, seen.kind] = len(sealed.data)
    kinds = {kind for _, kind in lengths}
    assert kinds >= {0, 1, 2, 3, 5, 6}
    for kind in kinds - {4}:
        assert lengths["ours", kind] == lengths["peer", kind]
