# SPDX-License-Identifier: Apache-2.0
"""Releases of libsignal-client with post-quantum keys among themselves, before they judge ours."""

from random import Random

import pytest

from . import surgery
from .conversation import STORM, exchange, start, walk
from .peers import (
    LIBSIGNAL_0_72,
    LIBSIGNAL_0_75,
    LIBSIGNAL_0_75_NO,
    LIBSIGNAL_0_103,
    SIGNAL,
    V4_PEER_KINDS,
    PeerKind,
    PeerRefused,
    StartPeer,
)

PAIRS = (
    (LIBSIGNAL_0_103, LIBSIGNAL_0_103, True, True),
    (LIBSIGNAL_0_103, LIBSIGNAL_0_75, False, True),
    (LIBSIGNAL_0_75, LIBSIGNAL_0_103, True, True),
    (LIBSIGNAL_0_75, LIBSIGNAL_0_72, True, False),
    (LIBSIGNAL_0_75_NO, LIBSIGNAL_0_75, False, False),
    (LIBSIGNAL_0_72, LIBSIGNAL_0_75_NO, True, False),
)
STRANGERS = (
    (LIBSIGNAL_0_103, LIBSIGNAL_0_72),
    (LIBSIGNAL_0_103, LIBSIGNAL_0_75_NO),
    (LIBSIGNAL_0_72, LIBSIGNAL_0_103),
    (LIBSIGNAL_0_75_NO, LIBSIGNAL_0_103),
)


@pytest.mark.parametrize(("initiator", "responder", "one_time", "post_quantum"), PAIRS, ids=str)
def test_two_releases_talk(
    start_peer: StartPeer,
    initiator: PeerKind,
    responder: PeerKind,
    one_time: bool,
    post_quantum: bool,
) -> None:
    left, right = (
        start_peer(initiator, "right.1", "left.1"),
        start_peer(responder, "left.1", "right.1"),
    )
    start(left, right, one_time=one_time)
    tally = walk(Random(1), left, right, 150, spare_version=False, weather=STORM)
    assert tally.read + tally.lost + tally.too_late_refused >= 150
    last = exchange(left, right, b"still there")
    assert (last.kind, surgery.version(last)) == (SIGNAL, 4)
    assert (surgery.spqr(last) is not None) == post_quantum


@pytest.mark.parametrize(("initiator", "responder"), STRANGERS, ids=str)
def test_two_releases_that_do_not(
    start_peer: StartPeer, initiator: PeerKind, responder: PeerKind
) -> None:
    left, right = (
        start_peer(initiator, "right.1", "left.1"),
        start_peer(responder, "left.1", "right.1"),
    )
    start(left, right, one_time=True)
    with pytest.raises(PeerRefused, match="decryption failed"):
        right.decrypt(left.encrypt(b"without the post-quantum ratchet, or with it"))


@pytest.mark.parametrize("kind", V4_PEER_KINDS, ids=str)
def test_kyber_prekeys_serve_once_or_last(start_peer: StartPeer, kind: PeerKind) -> None:
    left, right = start_peer(kind, "right.1", "left.1"), start_peer(kind, "left.1", "right.1")
    once = right.bundle(one_time=False, one_time_kyber=True)
    last = right.bundle(one_time=True, one_time_kyber=False)
    assert right.kyber_prekey_ids() == [once.kyber_prekey_id, last.kyber_prekey_id]
    right.restart()
    for bundle in (once, last):
        left.process(bundle)
        exchange(left, right, b"first")
    assert right.kyber_prekey_ids() == [last.kyber_prekey_id]
    assert right.prekey_ids() == []
