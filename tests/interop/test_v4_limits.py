# SPDX-License-Identifier: Apache-2.0
"""How far ahead and how late a message of version 4 may be, with libsignal-client 0.103."""

import pytest

from e2ecross import Policy, Text
from e2ecross.errors import AuthenticationFailed

from . import surgery
from .conversation import CHAINS_KEPT, exchange, start
from .ours import AS_DEPLOYED, MakeOurs, Ours
from .peers import LIBSIGNAL_0_103, Party, Peer, PeerRefused, Sealed, StartPeer

# The post-quantum ratchet counts a jump from the last key used, the other from the next one due.
LONGEST_RUN_OF_LOSSES = AS_DEPLOYED.max_forward_jump - 1
BATCH = 5_000  # messages encrypted between two signs of life
KEPT = 2_000  # keys of lost messages, per chain and per epoch


def settled(
    make_ours: MakeOurs, start_peer: StartPeer, *, we_start: bool = True
) -> tuple[Ours, Peer]:
    """A conversation in which each side has read the other."""
    ours = make_ours()
    peer = start_peer(LIBSIGNAL_0_103, str(ours.address))
    initiator: Party = ours if we_start else peer
    responder: Party = peer if we_start else ours
    start(initiator, responder, one_time=True)
    exchange(initiator, responder, b"first")
    exchange(responder, initiator, b"answer")
    exchange(initiator, responder, b"well then")
    return ours, peer


def ours_after(ours: Ours, lost: int) -> Sealed:
    """A message of ours after so many that nobody gets to see."""
    with ours.device() as device:
        while lost:
            count = min(lost, BATCH)
            device.encrypt_many([ours.contact] * count, Text("lost"))
            lost -= count
    return ours.encrypt(b"arrived")


def peers_after(peer: Peer, lost: int) -> Sealed:
    """A message of the peer's after so many that nobody gets to see."""
    while lost > BATCH:
        peer.encrypt(b"lost", lost=BATCH - 1)
        lost -= BATCH
    return peer.encrypt(b"arrived", lost=lost)


def test_the_peer_follows_us_as_far_as_we_think(make_ours: MakeOurs, start_peer: StartPeer) -> None:
    ours, peer = settled(make_ours, start_peer)
    near = ours_after(ours, LONGEST_RUN_OF_LOSSES)
    far = ours_after(ours, 0)
    with pytest.raises(PeerRefused, match="decryption failed"):
        peer.decrypt(far)
    assert peer.decrypt(near) == b"arrived"
    assert peer.decrypt(far) == b"arrived"
    exchange(peer, ours, b"still there")


def test_we_follow_the_peer_as_far_as_it_does_us(
    make_ours: MakeOurs, start_peer: StartPeer
) -> None:
    ours, peer = settled(make_ours, start_peer)
    near = peers_after(peer, LONGEST_RUN_OF_LOSSES)
    far = peers_after(peer, 0)
    # Nothing of the chain has arrived: who wrote it, and that it skips so many, is not known.
    with pytest.raises(AuthenticationFailed):
        ours.decrypt(far)
    ours.policy = Policy()
    with pytest.raises(AuthenticationFailed):  # it takes the policy to follow so far
        ours.decrypt(near)
    ours.policy = AS_DEPLOYED
    assert ours.decrypt(near) == b"arrived"
    assert ours.decrypt(far) == b"arrived"
    exchange(ours, peer, b"still there")


who_reads = pytest.mark.parametrize("we_read", [True, False], ids=["we-read", "peer-reads"])


@who_reads
def test_as_many_keys_of_lost_messages_are_kept(
    make_ours: MakeOurs, start_peer: StartPeer, we_read: bool
) -> None:
    ours, peer = settled(make_ours, start_peer)
    sender: Party = peer if we_read else ours
    receiver: Party = ours if we_read else peer
    gone, kept = sender.encrypt(b"gone"), sender.encrypt(b"kept")
    lost = KEPT - 1
    last = peers_after(peer, lost) if we_read else ours_after(ours, lost)
    assert surgery.counters(last)[0] - surgery.counters(kept)[0] == KEPT
    assert receiver.decrypt(last) == b"arrived"
    with pytest.raises(receiver.refusal):
        receiver.decrypt(gone)
    assert receiver.decrypt(kept) == b"kept"
    exchange(receiver, sender, b"still there")


@who_reads
def test_the_keys_of_an_epoch_are_kept_until_the_reader_is_two_further(
    make_ours: MakeOurs, start_peer: StartPeer, we_read: bool
) -> None:
    """Shorter than chains are kept, if both write much before the other answers."""
    ours, peer = settled(make_ours, start_peer, we_start=not we_read)
    sender: Party = peer if we_read else ours
    receiver: Party = ours if we_read else peer
    late = [sender.encrypt(b"late") for _ in range(2)]
    chains = {surgery.ratchet_key(late[0])}
    readers_epoch = 0
    while readers_epoch < 2:
        for _ in range(45):
            chains.add(surgery.ratchet_key(exchange(sender, receiver, b"on")))
        for _ in range(45):
            seen = surgery.spqr(exchange(receiver, sender, b"on"))
        assert seen is not None
        if (readers_epoch, seen.key_epoch) == (0, 1):
            assert receiver.decrypt(late.pop()) == b"late"
        readers_epoch = seen.key_epoch
    assert len(chains) <= CHAINS_KEPT
    assert len(late) == 1, "no epoch was left out"
    with pytest.raises(receiver.refusal):
        receiver.decrypt(late[0])
    exchange(sender, receiver, b"still there")
