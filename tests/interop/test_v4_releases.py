# SPDX-License-Identifier: Apache-2.0
"""Which releases of libsignal-client we talk to, under which policy, and in which version."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from e2ecross import Policy
from e2ecross.errors import RemoteError, VersionDowngrade

from . import surgery
from .conversation import STORM, Tally, exchange, start, walk
from .ours import AS_DEPLOYED, MakeOurs, Ours
from .peers import (
    LIBSIGNAL_0_72,
    LIBSIGNAL_0_75,
    LIBSIGNAL_0_75_NO,
    LIBSIGNAL_0_103,
    LIBSIGNAL_CLIENT,
    PREKEY,
    SIGNAL,
    V4_PEER_KINDS,
    Peer,
    PeerKind,
    PeerRefused,
    StartPeer,
)
from .test_conversations import either_starts, in_order

MESSAGES = 200
LENIENT = replace(AS_DEPLOYED, require_spqr=False)
RATCHETING = (LIBSIGNAL_0_103, LIBSIGNAL_0_75)
NOT_RATCHETING = (LIBSIGNAL_0_75_NO, LIBSIGNAL_0_72)

Count = Callable[[Peer, Tally], None]


def converse(ours: Ours, peer: Peer, count: Count, *, we_start: bool, one_time: bool) -> None:
    """A conversation in a storm, whoever starts it."""
    initiator, responder = in_order(ours, peer, we_start=we_start)
    start(initiator, responder, one_time=one_time)
    rng = Random(f"{peer.kind} {we_start} {one_time}")
    tally = walk(rng, initiator, responder, MESSAGES, spare_version=False, weather=STORM)
    tally.epochs = ours.epochs()
    count(peer, tally)


def speaks_spqr(ours: Ours, peer: Peer) -> bool:
    """Whether the two use the post-quantum ratchet, by what is on the wire and by our state."""
    on_the_wire = {
        surgery.spqr(exchange(sender, receiver, b"well?")) is not None
        for sender, receiver in ((ours, peer), (peer, ours))
    }
    session = ours.sessions().current
    assert session is not None
    assert session.version.number == 4
    assert on_the_wire == {session.ratchet.spqr is not None}
    return session.ratchet.spqr is not None


@pytest.mark.parametrize("kind", V4_PEER_KINDS, ids=str)
@either_starts
def test_lenient_policy_talks_to_all(
    make_ours: MakeOurs, start_peer: StartPeer, count: Count, kind: PeerKind, we_start: bool
) -> None:
    ours = make_ours(LENIENT)
    peer = start_peer(kind, str(ours.address))
    converse(ours, peer, count, we_start=we_start, one_time=not we_start)
    assert speaks_spqr(ours, peer) == (kind in RATCHETING)


@either_starts
def test_strict_policy_talks_to_a_peer_that_negotiates(
    make_ours: MakeOurs, start_peer: StartPeer, count: Count, we_start: bool
) -> None:
    ours = make_ours()
    peer = start_peer(LIBSIGNAL_0_75, str(ours.address))
    converse(ours, peer, count, we_start=we_start, one_time=True)
    assert speaks_spqr(ours, peer)


@pytest.mark.parametrize(
    ("policy", "index"), [(AS_DEPLOYED, 1), (LENIENT, 0)], ids=["strict", "lenient"]
)
def test_who_negotiates_starts_without_a_key_of_that_ratchet(
    make_ours: MakeOurs, start_peer: StartPeer, policy: Policy, index: int
) -> None:
    ours = make_ours(policy)
    peer = start_peer(LIBSIGNAL_0_75, str(ours.address))
    start(ours, peer, one_time=True)
    firsts = [surgery.spqr(exchange(ours, peer, b"first")) for _ in range(2)]
    assert [first and first.key_index for first in firsts] == ([1, 2] if index else [0, 0])
    answer = surgery.spqr(exchange(peer, ours, b"answer"))
    second = surgery.spqr(exchange(ours, peer, b"second"))
    assert answer is not None
    assert second is not None
    assert (answer.key_index, second.key_index) == (1, 3 if index else 1)
    start(peer, ours, one_time=True)
    first = surgery.spqr(exchange(peer, ours, b"first"))
    assert first is not None
    assert first.key_index == 0, "the peer negotiates"


@pytest.mark.parametrize("kind", NOT_RATCHETING, ids=str)
def test_strict_policy_refuses_peers_without_the_ratchet(
    make_ours: MakeOurs, start_peer: StartPeer, kind: PeerKind
) -> None:
    ours = make_ours()
    peer = start_peer(kind, str(ours.address))
    start(peer, ours, one_time=True)
    first = peer.encrypt(b"without that ratchet")
    with pytest.raises(RemoteError):
        ours.decrypt(first)
    assert not ours.has_session()
    start(ours, peer, one_time=True)
    with pytest.raises(PeerRefused, match="decryption failed"):
        peer.decrypt(ours.encrypt(b"with it"))
    ours.policy = LENIENT
    assert ours.decrypt(first) == b"without that ratchet"  # so its prekeys are still there


def test_the_last_release_of_version_3_stays_on_it(
    make_ours: MakeOurs, start_peer: StartPeer
) -> None:
    ours = make_ours()
    peer = start_peer(LIBSIGNAL_CLIENT, str(ours.address))
    for initiator, responder in ((ours, peer), (peer, ours)):
        start(initiator, responder, one_time=True)
        for _ in range(3):
            for sender, receiver in ((initiator, responder), (responder, initiator)):
                assert surgery.version(exchange(sender, receiver, b"as ever")) == 3


def say(ours: Ours, peer: Peer, version: int, *, kinds: tuple[int, int] = (SIGNAL, SIGNAL)) -> None:
    """One message each way, all of this version; ours first."""
    pair = exchange(ours, peer, b"ours"), exchange(peer, ours, b"peer's")
    assert [(sealed.kind, surgery.version(sealed)) for sealed in pair] == [
        (kind, version) for kind in kinds
    ]


@either_starts
def test_a_contact_moves_to_version_4_and_back_to_an_archived_session(
    make_ours: MakeOurs, start_peer: StartPeer, we_start: bool
) -> None:
    """One contact, one identity: an old installation, and one updated from a copy of it."""
    ours = make_ours()
    old = start_peer(LIBSIGNAL_CLIENT, str(ours.address))
    new = start_peer(LIBSIGNAL_CLIENT, str(ours.address))
    new.copy(old)
    if we_start:
        start(ours, old, one_time=True)
        say(ours, old, 3, kinds=(PREKEY, SIGNAL))
    else:
        start(old, ours, one_time=True)
        exchange(old, ours, b"first")
        say(ours, old, 3)
    new.become(LIBSIGNAL_0_103)
    if we_start:
        start(ours, new, one_time=True)
        say(ours, new, 4, kinds=(PREKEY, SIGNAL))
    else:
        start(new, ours, one_time=True)
        exchange(new, ours, b"first")
        say(ours, new, 4)
    sessions = ours.sessions()
    assert sessions.current is not None
    assert [session.version.number for session in (sessions.current, *sessions.archived)] == [4, 3]
    for _ in range(3):
        assert surgery.version(exchange(old, ours, b"the old one is still in use")) == 3
        say(ours, old, 3)
        assert surgery.version(exchange(new, ours, b"and the new one again")) == 4
        say(ours, new, 4)


def test_a_session_of_version_3_lives_on_in_the_current_release(
    make_ours: MakeOurs, start_peer: StartPeer
) -> None:
    ours = make_ours()
    peer = start_peer(LIBSIGNAL_CLIENT, str(ours.address))
    start(ours, peer, one_time=True)
    say(ours, peer, 3, kinds=(PREKEY, SIGNAL))
    peer.become(LIBSIGNAL_0_103)
    say(ours, peer, 3)


def test_a_contact_that_offered_version_4_does_not_fall_back(
    make_ours: MakeOurs, start_peer: StartPeer
) -> None:
    ours = make_ours()
    old = start_peer(LIBSIGNAL_CLIENT, str(ours.address))
    new = start_peer(LIBSIGNAL_0_103, str(ours.address))
    new.copy(old)
    start(ours, new, one_time=True)
    say(ours, new, 4, kinds=(PREKEY, SIGNAL))
    with pytest.raises(VersionDowngrade):
        ours.process(old.bundle(one_time=True))
    start(old, ours, one_time=True)
    first = old.encrypt(b"of version 3")
    with pytest.raises(VersionDowngrade):
        ours.decrypt(first)
    say(ours, new, 4)
    ours.policy = replace(AS_DEPLOYED, accept_version_downgrade=True)
    assert ours.decrypt(first) == b"of version 3"
    say(ours, old, 3)
    ours.process(old.bundle(one_time=True))
    say(ours, old, 3, kinds=(PREKEY, SIGNAL))


def test_a_release_of_both_versions_takes_what_the_bundle_offers(
    make_ours: MakeOurs, start_peer: StartPeer
) -> None:
    ours = make_ours(LENIENT)
    peer = start_peer(LIBSIGNAL_0_72, str(ours.address))
    for initiator, responder in ((ours, peer), (peer, ours)):
        initiator.process(surgery.without_kyber(responder.bundle(one_time=True)))
        assert surgery.version(exchange(initiator, responder, b"old")) == 3
        assert surgery.version(exchange(responder, initiator, b"old")) == 3
    for initiator, responder in ((ours, peer), (peer, ours)):
        start(initiator, responder, one_time=True)
        assert surgery.version(exchange(initiator, responder, b"new")) == 4
        assert surgery.version(exchange(responder, initiator, b"new")) == 4
